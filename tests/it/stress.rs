//! What stress must not change: answers that come again, dead letters of any size and key, and whoever is frozen or killed in the middle.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use inventory::{Inventory, Pick, Priority, Shelves, Strategy, Want};
use operator::{Act, Bulk, Filter, MAX_LOOPS, Note, Operator};
use quadrille_tests::{Order, Pipeline, Setup, delete_all, produce, produce_large, read_all, recreate};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Places orders side by side, so that they meet in batches; returns the answers by their references.
async fn place_together(pipeline: &Pipeline, references: impl Iterator<Item = String>) -> HashMap<String, Value> {
    let mut calls = JoinSet::new();
    for reference in references {
        let body = Order::of(&[("TEA", 1, 450)]).with("reference", reference.as_str()).body();
        let call = pipeline.http.post(pipeline.door("orders", "/orders")).json(&body);
        calls.spawn(async move { (reference, call.send().await.unwrap().json::<Value>().await.unwrap()) });
    }
    calls.join_all().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_again_is_answered_with_the_position_of_the_first_also_in_a_batch_behind_others() {
    let consumers = vec!["orders", "saga-tracker", "outbox-relay"];
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let first = place_together(&pipeline, (0..96).map(|n| format!("r-{n}"))).await;
    let position = |answer: &Value| answer["position"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let positions: HashSet<String> = first.values().map(position).collect();
    assert_eq!(positions.len(), 96, "each its own");
    for round in 0..3 {
        let both = (0..96).flat_map(|n| [format!("r-{n}"), format!("new-{round}-{n}")]);
        let again = place_together(&pipeline, both).await;
        for (reference, answer) in &first {
            assert_eq!(again[reference]["position"], answer["position"], "{reference} in round {round}");
            assert_eq!(again[reference]["order_id"], answer["order_id"]);
        }
        let all: HashSet<String> = again.values().map(position).collect();
        assert_eq!(all.len(), 192, "nobody has another's");
    }
    // Of the same kind: a cancellation that was asked for before.
    let order = first["r-7"]["order_id"].as_str().unwrap();
    let path = format!("/orders/{order}/cancel");
    let cancel = || pipeline.post("orders", &path, json!({"requested_by": "ann", "reason": "changed my mind"}));
    let (_, asked) = cancel().await;
    assert!(position(&asked) > position(&first["r-7"]));
    assert_eq!(position(&cancel().await.1), position(&asked));
    let read = format!("/orders/{order}?position={}", position(&asked));
    pipeline.get("saga-tracker", &read).await; // and it is seen there
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Bytes that no compression makes shorter.
fn noise(bytes: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_any_size_and_key_and_of_a_topic_made_anew_are_listed_published_and_tried_again() {
    let consumers = vec!["saga-tracker", "outbox-relay"];
    let pipeline = Pipeline::with(Setup { consumers, partitions: 1, ..Setup::default() }).await;
    let orders = pipeline.host(&["orders"]).await;
    let (topic, group) = (pipeline.topic("order-placed"), pipeline.topic("orders"));
    let (large, huge) = (vec![b'x'; 3 << 20], vec![b'y'; 20 << 20]);
    let key = noise(5_000, 7);
    produce_large(&topic, &[(Some(&key), b"no order", &[]), (None, &large, &[]), (Some(b"k"), &huge, &[])]);
    let heard = |letters: i64| {
        let pipeline = &pipeline;
        async move {
            let count = "select count(*) from saga_tracker.letter where kind = 'event'";
            pipeline.until_count(count, letters, "the letters").await;
        }
    };
    heard(3).await;
    assert_eq!(pipeline.count("select count(*) from outbox.set_aside").await, 0, "all of them are published");
    let letters = read_all(&pipeline.topic("dead-letter-events"));
    let of = |offset: &str| letters.iter().find(|letter| letter.header("kafka_dlt-original-offset") == offset).unwrap();
    assert_eq!(of("0").key.as_deref(), Some(key.as_slice()));
    for (offset, whole) in [("1", &large), ("2", &huge)] {
        let letter = of(offset);
        assert!(
            letter.header("quadrille-cut").contains(&format!("{} of value", whole.len())),
            "{}",
            letter.header("quadrille-cut")
        );
        let place = letter.header("quadrille-whole-in");
        let kept = pipeline.count(&format!("select octet_length(payload)::bigint from {place}")).await;
        assert_eq!(kept, whole.len() as i64, "{place}");
    }

    // Each can be tried again, whatever its key, and dies again as a letter of its own.
    let settings = runtime::Settings::from_toml(&pipeline.settings_toml()).unwrap();
    let hand = Operator::open(&settings, pipeline.clock.clone()).await.unwrap();
    let filter = Filter { consumer: Some("orders".into()), ..Filter::default() }.fit_for(&Act::Retry);
    let note = Note { who: "eve".into(), why: "a test".into() };
    let bulk = Bulk { act: Act::Retry, filter, note, rate: None, max_loops: MAX_LOOPS, dry_run: false };
    let report = hand.all(&bulk, &CancellationToken::new(), |told| assert!(told.outcome.is_ok(), "{told:?}")).await;
    let report = report.unwrap();
    assert_eq!((report.done, report.refused, report.error.is_none()), (3, 0, true), "{report:?}");
    heard(6).await;
    assert_eq!(
        pipeline.count("select count(*) from orders.dead_letter where loops = 1 and resolution is null").await,
        3
    );

    // The topic is made anew: others' records stand at the same places, and none of them is taken for one that died before.
    pipeline.stop(&orders).await;
    recreate(&topic, 1, &group).await;
    produce_large(&topic, &[(None, b"one", &[]), (None, b"two", &[]), (None, b"three", &[])]);
    let orders = pipeline.host(&["orders"]).await;
    heard(9).await;
    let places = "select count(*) from orders.dead_letter where \"offset\" < 3 and loops = 0";
    assert_eq!(pipeline.count(places).await, 6);
    // What is read once more is not a letter once more.
    pipeline.stop(&orders).await;
    quadrille_tests::commit_beginning(&group, std::slice::from_ref(&topic));
    pipeline.host(&["orders"]).await;
    pipeline
        .until(|| async { quadrille_tests::lag(&group, std::slice::from_ref(&topic)) == 0 }, "all read again")
        .await;
    assert_eq!(pipeline.count("select count(*) from orders.dead_letter").await, 9);
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// A key that no index holds parks like any other: the order waits alone, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_under_a_key_of_five_thousand_bytes_is_parked_while_its_row_is_locked_and_goes_on() {
    let consumers = vec!["orders", "outbox-relay"];
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let order = Order::of(&[("TEA", 1, 450)]).with("reference", "r-1").with("source", "shop");
    pipeline.place(&order).await;
    let mut holder = pipeline.database.pool.begin().await.unwrap();
    sqlx::query("lock table orders.\"order\" in access exclusive mode").execute(&mut *holder).await.unwrap();
    let (key, text) = (noise(5_000, 9), Order::of(&[("TEA", 2, 450)]).body().to_string());
    produce_large(
        &pipeline.topic("order-placed"),
        &[(Some(&key), text.as_bytes(), &[]), (Some(&key), text.as_bytes(), &[])],
    );
    let parked = "select count(*) from orders.parked where octet_length(key) = 5000 and octet_length(lane) = 33";
    pipeline.until_count(parked, 2, "both to be parked, one behind the other").await;
    holder.rollback().await.unwrap();
    let orders = "select count(*) from orders.\"order\"";
    pipeline.until_count(orders, 3, "both orders").await;
    pipeline.until_count("select count(*) from orders.parked", 0, "an empty queue").await;
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// What strangers wrote and nobody read can't be published again by any relay: it is told, and the orders behind it are taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_strangers_that_were_deleted_unread_keep_nobody_from_starting() {
    let consumers = vec!["outbox-relay"];
    let pipeline = Pipeline::with(Setup { consumers, partitions: 1, ..Setup::default() }).await;
    let topic = pipeline.topic("order-placed");
    let text = Order::of(&[("TEA", 1, 450)]).body().to_string();
    let place = || produce(&topic, &[(Some(b"k"), text.as_bytes(), &[])]);
    let taken = |orders: i64| {
        let pipeline = &pipeline;
        let count = "select count(*) from orders.\"order\"";
        async move { pipeline.until(|| async { pipeline.count(count).await == orders }, "the order").await }
    };
    for round in 0..2 {
        // Deleted before the group has read anything, and then between two runs of it.
        place();
        place();
        delete_all(&topic, 0).await;
        place();
        let orders = pipeline.host(&["orders"]).await;
        taken(round + 1).await;
        pipeline.stop(&orders).await;
    }
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// A strategy of a shop's own that does not come back while it is held.
#[derive(Clone, Debug, Default)]
struct Endless {
    began: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Strategy for Endless {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        self.began.store(true, Ordering::SeqCst);
        let since = Instant::now();
        while self.held.load(Ordering::SeqCst) && since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10)); // as a rule that turns round and round
        }
        Priority.allocate(wants, shelves)
    }
}

/// What no bound foresees (the array of nulls was such a thing): a loop that does not come round says so within 5 s, and says when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_stands_still_is_not_ready_within_five_seconds_and_ready_when_it_goes_on() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "inventory").collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let endless = Endless::default();
    let strategy = endless.clone();
    let start = async |host: Arc<runtime::Host>| {
        let inventory = Inventory::new(host.settings().section("inventory")?).with_strategy(Box::new(strategy));
        inventory::start_as(&host, inventory).await
    };
    pipeline.host_as(start).await;
    pipeline.stock("TEA", "a", 10).await;
    let probe = async |path: &str| {
        let answer = pipeline.http.get(pipeline.door("inventory", path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    pipeline.until(|| async { probe("/readyz").await.0 == 200 }, "inventory").await;
    endless.held.store(true, Ordering::SeqCst);
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.until(|| async { endless.began.load(Ordering::SeqCst) }, "the rule").await;
    let since = Instant::now();
    while !matches!(probe("/readyz").await, (503, why) if why.contains("its loop stands still")) {
        assert!(since.elapsed() < Duration::from_secs(5), "not told: {:?}", probe("/readyz").await);
        tokio::time::sleep(Duration::from_millis(20)).await; // between two looks
    }
    assert_eq!(probe("/livez").await.0, 200, "it may come back by itself");
    endless.held.store(false, Ordering::SeqCst);
    pipeline.until(|| async { probe("/readyz").await.0 == 200 }, "that it goes on").await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    pipeline.finish().await;
}
