//! Replay: read models rebuilt beside the live ones, groups set back, and reads that wait for a write.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use events::{OrderId, Timestamp};
use kafka_admin::replay::{Point, ReplayError};
use quadrille_tests::deadline::Ends;
use quadrille_tests::{Order, Pipeline, Setup, binary, stack};
use runtime::Settings;
use saga_tracker::{Case, Facts, Stage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::replay::{read_models, same};

/// How long the load may go on that rebuilds are made under.
const UNDER_LOAD: Duration = Duration::from_secs(300);
/// SKUs and tokens whose orders end in all sorts of ways; the last two only after a timer, the one before stays open for its customer.
pub(crate) const KINDS: [(&str, &str); 11] = [
    ("TEA", "tok_approved"),
    ("TEA", "tok_declined"),
    ("SHORT-1", "tok_approved"),
    ("TEA", "tok_capture_fails"),
    ("DAMAGED-1", "tok_approved"),
    ("NONE", "tok_approved"),
    ("TEA", "tok_insufficient_funds"),
    ("TEA", "tok_checks_fail"),
    ("TEA", "tok_3ds_passes"),
    ("TEA", "tok_void_fails_once"),
    ("TEA", "tok_answer_lost_once"),
];

pub(crate) async fn stocked() -> Pipeline {
    stock(Pipeline::start().await).await
}

async fn stock(pipeline: Pipeline) -> Pipeline {
    for sku in ["TEA", "SHORT-1", "DAMAGED-1"] {
        pipeline.stock(sku, "a", 500).await;
        pipeline.stock(sku, "b", 500).await;
    }
    pipeline
}

/// Places so many orders of the kinds that wait for no timer; every seventh is cancelled at once.
pub(crate) async fn place_mixed(pipeline: &Pipeline, orders: usize) -> Vec<String> {
    place(pipeline, &KINDS[..9], orders).await
}

/// The same of these kinds.
pub(crate) async fn place(pipeline: &Pipeline, kinds: &[(&str, &str)], orders: usize) -> Vec<String> {
    let mut placed = Vec::new();
    for n in 0..orders {
        let (sku, token) = kinds[n % kinds.len()];
        let order = Order::of(&[(sku, 2, 450), ("TEA", 1, 99)]).paid_with(token).by(&format!("c-{}", n % 5));
        let id = pipeline.place(&order).await;
        if n % 7 == 3 {
            let body = json!({"requested_by": "customer", "reason": "changed my mind"});
            let (status, answer) = pipeline.post("orders", &format!("/orders/{id}/cancel"), body).await;
            assert!(status == 202 || status == 409, "{status}: {answer}");
        }
        placed.push(id);
    }
    placed
}

fn settings(pipeline: &Pipeline) -> Settings {
    Settings::from_toml(&pipeline.settings_toml()).expect("settings of the test")
}

async fn rebuild(pipeline: &Pipeline, from: Point) -> saga_tracker::Rebuilt {
    let never = CancellationToken::new();
    saga_tracker::rebuild(&settings(pipeline), from, &never, |_| {}).await.expect("a rebuild")
}

async fn no_copy_is_left(pipeline: &Pipeline) {
    let left = "select count(*) from pg_namespace where nspname in ('saga_tracker_rebuild', 'saga_tracker_replaced')";
    assert_eq!(pipeline.count(left).await, 0);
}

/// Indexes, keys, checks, views and settings of the tracker's tables.
async fn shape(pipeline: &Pipeline) -> Vec<String> {
    let parts = "
        select indexdef from pg_indexes where schemaname = 'saga_tracker'
        union all select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'saga_tracker'::regnamespace
        union all select format('%s %s', viewname, definition) from pg_views where schemaname = 'saga_tracker'
        union all select format('%s %s %s', relname, reloptions, relacl) from pg_class where relnamespace = 'saga_tracker'::regnamespace and relkind = 'r'
        union all select format('%s %s %s %s', attrelid::regclass, attname, attstattarget, attstorage) from pg_attribute join pg_class c on c.oid = attrelid
                   where relnamespace = 'saga_tracker'::regnamespace and relkind = 'r' and attnum > 0
        order by 1";
    sqlx::query_scalar(parts).fetch_all(&pipeline.database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_mends_what_is_wrong_and_leaves_tables_as_a_migration_would_have_made_them() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 24).await;
    pipeline.settle().await;
    sqlx::raw_sql("grant select on saga_tracker.\"order\" to public").execute(&pipeline.database.pool).await.unwrap();
    let (before, shaped) = (read_models(&pipeline).await, shape(&pipeline).await);
    let spoil = "
        update saga_tracker.\"order\" set captured = 1, rank = 93, position = 1 where captured is not null;
        delete from saga_tracker.shipment;
        update saga_tracker.level set on_hand = 7;
        insert into saga_tracker.level (sku, warehouse, version, on_hand, reserved, missing, available, changed_at) values ('NEVER', 'a', 9, 1, 0, 0, 1, now());
        insert into saga_tracker.\"order\" (order_id, seen, rank, position, placed_at, changed_at, deadline) values (gen_random_uuid(), 1, 10, 1, now(), now(), now())";
    sqlx::raw_sql(spoil).execute(&pipeline.database.pool).await.unwrap();
    let spoilt = read_models(&pipeline).await;
    assert!(spoilt.iter().zip(&before).filter(|(now, then)| now != then).count() >= 4, "there is something to mend");
    let done = rebuild(&pipeline, Point::Beginning).await;
    assert!(done.records > 100 && done.stored == 0 && done.carried_over == 0, "the topics hold everything: {done:?}");
    same(&read_models(&pipeline).await, &before);
    assert_eq!(shape(&pipeline).await, shaped);
    no_copy_is_left(&pipeline).await;
    // The consumer goes on writing, and the views read, the new tables.
    let order = place_mixed(&pipeline, 1).await.remove(0);
    pipeline.settle().await;
    let shown = pipeline.get("saga-tracker", &format!("/orders/{order}")).await;
    assert_eq!(
        (&shown["status"], shown["shipments"].as_array().map(Vec::len)),
        (&json!("COMPLETED"), Some(1)),
        "{shown}"
    );
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_topics_do_not_hold_any_more_comes_from_the_event_store() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 24).await;
    pipeline.settle().await;
    let before = read_models(&pipeline).await;
    sqlx::raw_sql(
        "update saga_tracker.\"order\" set captured = 1, refunded = null, rank = 10; delete from saga_tracker.shipment",
    )
    .execute(&pipeline.database.pool)
    .await
    .unwrap();
    let done = rebuild(&pipeline, Point::Time(pipeline.clock.now().plus(Duration::from_secs(3_600)))).await;
    let stored = pipeline.count("select count(*) from saga_tracker.event").await as u64;
    assert!(done.stored <= stored && done.stored > 100 && done.unknown == 0, "{done:?} of {stored}");
    assert!(done.carried_over > 0, "levels and positions are told by topics alone: {done:?}");
    same(&read_models(&pipeline).await, &before);
    for from in [Point::Offset(3), Point::Time(pipeline.clock.now().minus(Duration::from_secs(2)))] {
        rebuild(&pipeline, from).await;
        same(&read_models(&pipeline).await, &before);
    }
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_under_load_equals_the_live_model_and_no_read_fails_meanwhile() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 12).await;
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        let mut orders = Vec::new();
        let ends = Ends::within(UNDER_LOAD);
        while !done.load(Ordering::SeqCst) || orders.len() < 36 {
            ends.check(|| "the end of three rebuilds".to_owned());
            orders.extend(place_mixed(&pipeline, 12).await);
        }
        orders
    };
    let reading = async {
        let ends = Ends::within(UNDER_LOAD);
        while !done.load(Ordering::SeqCst) {
            ends.check(|| "the end of three rebuilds".to_owned());
            for path in ["/orders?limit=5", "/fulfillment", "/inventory", "/stats"] {
                pipeline.get("saga-tracker", path).await;
                reads.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let rebuilding = async {
        for from in [Point::Beginning, Point::Offset(20), Point::Beginning] {
            rebuild(&pipeline, from).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let (orders, (), ()) = tokio::join!(load, reading, rebuilding);
    assert!(reads.load(Ordering::SeqCst) > 20);
    pipeline.settle().await;
    let live = read_models(&pipeline).await;
    every_order_is_the_fold_of_its_events(&pipeline, &orders).await;
    rebuild(&pipeline, Point::Beginning).await;
    same(&read_models(&pipeline).await, &live);
    no_copy_is_left(&pipeline).await;
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_stopped_leaves_everything_as_it_was_and_a_second_one_waits_for_its_turn() {
    let pipeline = stocked().await;
    place_mixed(&pipeline, 12).await;
    pipeline.settle().await;
    let before = read_models(&pipeline).await;
    for at in [Stage::CarryOver, Stage::Switch] {
        let stop = CancellationToken::new();
        let told = |stage: Stage| {
            if stage == at {
                stop.cancel();
            }
        };
        let stopped = saga_tracker::rebuild(&settings(&pipeline), Point::Beginning, &stop, told).await;
        assert!(stopped.unwrap_err().to_string().contains("as they were"));
        no_copy_is_left(&pipeline).await;
        same(&read_models(&pipeline).await, &before);
    }
    let mut other = pipeline.database.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(hashtext('saga_tracker'), hashtext('rebuild'))")
        .execute(&mut *other)
        .await
        .unwrap();
    let never = CancellationToken::new();
    let refused = saga_tracker::rebuild(&settings(&pipeline), Point::Beginning, &never, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("under way"), "{refused:#}");
    drop(other.close().await);
    rebuild(&pipeline, Point::Beginning).await;
    same(&read_models(&pipeline).await, &before);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_32_a_topic_is_replayed_from_an_offset_and_no_mail_no_capture_and_no_second_reservation_come_of_it() {
    let apart = ["inventory", "payments", "notifications"];
    let consumers = Setup::default().consumers.into_iter().filter(|name| !apart.contains(name)).collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let hosted = pipeline.host(&apart).await;
    let pipeline = stock(pipeline).await;
    place_mixed(&pipeline, 24).await;
    pipeline.settle().await;
    let settings = settings(&pipeline);
    let reset = async |consumer: &str, to: Point| pipeline::consumer(consumer).unwrap().reset(&settings, to).await;
    let active = reset("payments", Point::Beginning).await.unwrap_err();
    assert!(matches!(&active, ReplayError::Active { members, .. } if *members > 0), "{active}");
    let done = [
        "select count(*) from outbox.event where topic <> 'operations'",
        "select sum(version)::bigint from payments.payment",
        "select count(*) from sandbox.operation",
        "select sum(version)::bigint from inventory.reservation",
        "select sum(version)::bigint from inventory.stock_level",
        "select count(*) from inventory.movement",
        "select count(*) from saga_tracker.event where event_type like '%Notification%'",
        "select count(*) from notifications.dead_letter",
    ];
    let figures = async || {
        let mut all = Vec::new();
        for query in done {
            all.push(pipeline.count(query).await);
        }
        all
    };
    let (before, models) = (figures().await, read_models(&pipeline).await);
    pipeline.stop(&hosted).await;
    for from in [Point::Offset(2), Point::Beginning] {
        let moved = reset("payments", from).await.expect("the group is empty");
        assert!(moved.iter().any(|of| of.to < of.from.unwrap_or(0) && of.to <= of.end), "{moved:?}");
        reset("inventory", from).await.unwrap();
        reset("notifications", from).await.unwrap();
        let again = pipeline.host(&apart).await;
        pipeline.settle().await;
        rebuild(&pipeline, from).await;
        assert_eq!(figures().await, before, "nothing is done twice");
        same(&read_models(&pipeline).await, &models);
        pipeline.stop(&again).await;
    }
    pipeline.host(&apart).await;
    pipeline.finish_with_dead_letters().await;
}

/// What its row and its shipments say, as the door shows them.
async fn shown(pipeline: &Pipeline, order: &str) -> Value {
    pipeline.get("saga-tracker", &format!("/orders/{order}")).await
}

async fn every_order_is_the_fold_of_its_events(pipeline: &Pipeline, orders: &[String]) {
    for order in orders {
        let id: OrderId = order.parse().unwrap();
        let case = Case::read(&pipeline.database.pool, id, None).await.unwrap().expect("its events");
        assert_eq!(case.json().unwrap()["order"], shown(pipeline, order).await, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fold_of_the_event_store_is_the_read_model_of_every_order_however_it_ended() {
    let pipeline = stocked().await;
    let orders = place_mixed(&pipeline, 84).await;
    pipeline.settle().await;
    let ends = pipeline.count("select count(distinct status) from saga_tracker.\"order\"").await;
    assert!(ends >= 3, "orders end in different ways: {ends}");
    every_order_is_the_fold_of_its_events(&pipeline, &orders).await;
    // And at each moment of its life an order is the fold of what had happened by then.
    for order in &orders[..12] {
        let id: OrderId = order.parse().unwrap();
        let history = pipeline.get("saga-tracker", &format!("/orders/{order}/events")).await;
        let mut last = Facts::default();
        for event in history["events"].as_array().unwrap() {
            let at = event["at"].as_str().unwrap();
            let case = Case::read(&pipeline.database.pool, id, Some(at.parse::<Timestamp>().unwrap())).await.unwrap();
            let facts = case.expect("it has begun").facts().clone();
            assert!(facts.status >= last.status && facts.seen & last.seen == last.seen, "{order} at {at}");
            let then = pipeline.get("saga-tracker", &format!("/orders/{order}?at={at}")).await;
            assert_eq!(then["status"], json!(facts.status), "{order} at {at}");
            last = facts;
        }
    }
    let path = format!("/orders/{}?at=2001-01-01T00:00:00Z", orders[0]);
    assert_eq!(pipeline.ask(reqwest::Method::GET, "saga-tracker", &path, None).await.0, 404);
    pipeline.finish_with_dead_letters().await;
}

/// `quadrille`, for the database and the topics of a pipeline.
pub(crate) async fn quadrille(pipeline: &Pipeline, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("quadrille"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env("DATABASE_URL", &pipeline.database.url)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
        .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
        .env("QUADRILLE_PROFILE", "demo")
        .env("QUADRILLE_TOPIC_PREFIX", &pipeline.prefix);
    tokio::task::spawn_blocking(move || command.output().expect("quadrille runs")).await.expect("a thread")
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_an_orders_whole_case_and_rebuilds_the_read_models_from_the_command_line() {
    let pipeline = stocked().await;
    let orders = place_mixed(&pipeline, 2).await;
    pipeline.settle().await;
    let case = quadrille(&pipeline, &["orders", "show", &orders[0]]).await;
    let said = text(&case);
    assert!(case.status.success(), "{said}");
    for part in [
        "COMPLETED",
        "captured",
        "9.99 EUR",
        "TEA",
        "DISPATCHED",
        "OrderAccepted",
        "StockCommitted",
        "closed",
        "reserve",
        " ms",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("Lovelace") && !said.contains("example.com"), "no personal data: {said}");
    let declined = text(&quadrille(&pipeline, &["orders", "show", &orders[1]]).await);
    assert!(declined.contains("FAILED") && declined.contains("because declined"), "{declined}");
    let json = quadrille(&pipeline, &["orders", "show", &orders[0], "--json"]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["order"]["status"], &json["stock"][0]["held"]), (&json!("COMPLETED"), &json!(0)), "{json}");
    let early = quadrille(&pipeline, &["orders", "show", &orders[0], "--at", "2001-01-01T00:00:00Z"]).await;
    assert!(!early.status.success() && text(&early).contains("nothing was heard"), "{}", text(&early));

    let before = read_models(&pipeline).await;
    let rebuilt = quadrille(&pipeline, &["replay", "--consumer", "saga-tracker", "--from", "beginning"]).await;
    assert!(rebuilt.status.success() && text(&rebuilt).contains("read models rebuilt"), "{}", text(&rebuilt));
    same(&read_models(&pipeline).await, &before);
    let active = quadrille(&pipeline, &["replay", "--consumer", "payments", "--from", "0"]).await;
    assert!(!active.status.success() && text(&active).contains("is active"), "{}", text(&active));
    let unknown = quadrille(&pipeline, &["replay", "--consumer", "billing", "--from", "0"]).await;
    assert!(!unknown.status.success() && text(&unknown).contains("no consumer `billing`"), "{}", text(&unknown));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_names_a_position_sees_the_write_or_says_how_far_the_read_model_is() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "outbox-relay").collect();
    let settings = "[saga_tracker]\nposition_within = '200ms'\n".to_owned();
    let pipeline = Pipeline::with(Setup { consumers, settings, ..Setup::default() }).await;
    let (status, taken) = pipeline.post("orders", "/orders", Order::of(&[("TEA", 1, 450)]).body()).await;
    assert_eq!(status, 202, "{taken}");
    let order = taken["order_id"].as_str().unwrap();
    let position = taken["position"].as_str().unwrap();
    let path = format!("/orders/{order}?position={position}");
    let late = pipeline.http.get(pipeline.door("saga-tracker", &path)).send().await.unwrap();
    assert_eq!((late.status().as_u16(), late.headers()["Retry-After"].to_str().unwrap()), (503, "1"));
    let said: Value = late.json().await.unwrap();
    assert!(said["position"] == *position && said["detail"].as_str().unwrap().contains("nothing was heard"), "{said}");
    let (status, _) =
        pipeline.ask(reqwest::Method::GET, "saga-tracker", &format!("/orders/{order}?position=x"), None).await;
    assert_eq!(status, 400);

    pipeline.host(&["outbox-relay"]).await;
    pipeline.settle().await;
    let shown = pipeline.get("saga-tracker", &path).await;
    assert!(shown["position"].as_str().unwrap() >= position, "{shown}");
    let history = pipeline.get("saga-tracker", &format!("/orders/{order}/events?position={position}")).await;
    assert!(history["events"].as_array().unwrap().iter().any(|event| event["position"] == *position), "{history}");
    // A later position of the same order does not vouch for an earlier one that was not heard: it stood on another topic.
    let unheard = "delete from saga_tracker.event where order_id = $1::text::uuid and seq = $2::text::bigint";
    sqlx::query(unheard).bind(order).bind(position).execute(&pipeline.database.pool).await.unwrap();
    let (status, said) = pipeline.ask(reqwest::Method::GET, "saga-tracker", &path, None).await;
    assert_eq!(status, 503, "{said}");
    assert!(said["reached"].as_str().is_some_and(|reached| reached > position), "{said}");
    pipeline.finish_without_audit("an event was taken from the read model").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_sees_it_at_once_with_the_position_and_no_other_wait() {
    let pipeline = stocked().await;
    for n in 0..5 {
        let (_, taken) = pipeline.post("orders", "/orders", Order::of(&[("TEA", 1, 450 + n)]).body()).await;
        let (order, position) = (taken["order_id"].as_str().unwrap(), taken["position"].as_str().unwrap());
        let shown = pipeline.get("saga-tracker", &format!("/orders/{order}?position={position}")).await;
        assert_eq!(shown["total"], json!(450 + n), "{shown}");
    }
    pipeline.finish().await;
}
