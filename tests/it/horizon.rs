//! The horizon: what is over for longer than anything of it can come back is forgotten, what is open stays, and nothing that comes back does anything.

use std::time::Duration;

use events::{Event, FraudRejected, OrderId, OrderPlaced, Reason, ReasonCode};
use quadrille_tests::{ALL, Order, Pipeline, Setup, commit_beginning, produce};
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const TOPICS: [&str; 7] = ["orders", "inventory", "stock-levels", "payments", "fraud", "fulfillment", "notifications"];

/// Tables by order that go at the horizon, and those of who keeps orders longer.
const AT_THE_HORIZON: [&str; 5] = [
    "orders.\"order\"",
    "inventory.reservation",
    "fulfillment.consignment",
    "notifications.customer",
    "notifications.message",
];
const LATER: [&str; 9] = [
    "payments.payment",
    "payments.shipped",
    "payments.refund",
    "sandbox.payment",
    "sandbox.operation",
    "fraud.assessment",
    "saga_tracker.\"order\"",
    "saga_tracker.event",
    "saga_tracker.shipment",
];

async fn of_others(pipeline: &Pipeline, table: &str, order: &str) -> i64 {
    pipeline.count(&format!("select count(*) from {table} where order_id is distinct from '{order}'")).await
}

/// Waits until these tables hold nothing but rows of one order.
async fn until_alone(pipeline: &Pipeline, tables: &[&str], order: &str) {
    for table in tables {
        let alone = || async { of_others(pipeline, table, order).await == 0 };
        pipeline.until(alone, &format!("the pruner of {table}")).await;
    }
}

/// Everything that a replay could change, outbox and calls to the gateway included.
async fn state(pipeline: &Pipeline) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in AT_THE_HORIZON.iter().chain(&LATER).chain(&["inventory.opening", "inventory.movement"]) {
        counts.push(pipeline.count(&format!("select count(*) from {table}")).await);
    }
    counts.push(pipeline.count("select count(*) from outbox.event where topic <> 'operations'").await);
    counts.push(pipeline.count("select sum(version)::bigint from inventory.stock_level").await);
    counts
}

/// How many events of forgotten orders these consumers have passed over, by their metrics.
async fn expired(pipeline: &Pipeline, consumer: &str) -> u64 {
    let metrics = pipeline.http.get(pipeline.door(consumer, "/metrics")).send().await.unwrap().text().await.unwrap();
    let line = format!("quadrille_expired_events_total{{consumer=\"{consumer}\"}} ");
    metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

/// Orders of every kind, all of which end but the one that is returned: its parcel stands in the house.
async fn place_mixed(pipeline: &Pipeline) -> String {
    for (sku, units) in [("TEA", 50), ("SHORT-1", 3), ("DAMAGED-1", 10), ("GONE-1", 5), ("HOLD-1", 5)] {
        pipeline.stock(sku, "a", units).await;
    }
    let delivery = json!({"sku": "TEA", "warehouse": "a", "quantity": 7, "reference": "D-1"});
    assert_eq!(pipeline.post("inventory", "/stock/received", delivery).await.0, 200);
    for (sku, token) in [
        ("TEA", "tok_approved"),
        ("TEA", "tok_declined"),
        ("TEA", "tok_capture_fails"),
        ("SHORT-1", "tok_approved"),
        ("DAMAGED-1", "tok_approved"),
        ("GONE-1", "tok_approved"),
        ("NONE", "tok_approved"),
        ("TEA", "tok_3ds_abandoned"),
    ] {
        pipeline.place(&Order::of(&[(sku, 2, 450)]).paid_with(token)).await;
    }
    let bad = Order::of(&[("TEA", 0, 450)]).with("reference", "bad").body().to_string();
    let good = Order::of(&[("TEA", 1, 450)]).with("reference", "good").body().to_string();
    produce(&pipeline.topic(OrderPlaced::TOPIC), &[(None, bad.as_bytes(), &[]), (None, good.as_bytes(), &[])]);
    let open = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)])).await;
    pipeline.settle().await;
    pipeline.advance(Duration::from_secs(16 * 60));
    let ended = "select count(*) from orders.\"order\" where ended_at is not null";
    pipeline.until_count(ended, 10, "the end of all but one").await;
    pipeline.settle().await;
    open
}

/// Sets the groups of all consumers back to the beginning of these topics, and starts the consumers again.
async fn replay(pipeline: &Pipeline, topics: &[&str]) {
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    let topics: Vec<String> = topics.iter().map(|topic| pipeline.topic(topic)).collect();
    for consumer in choreography::Choreography::embedded().default_consumers() {
        commit_beginning(&format!("{}{consumer}", pipeline.prefix), &topics);
    }
    pipeline.host(&ALL).await;
    pipeline.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_orders_are_forgotten_at_the_horizon_an_open_one_stays_and_a_replay_does_nothing() {
    let pipeline = Pipeline::with(Setup {
        common: "horizon = '30d'\nallow_short_horizon = true\nprune_every = '1s'".into(),
        settings: "[payments]\nkeep = '40d'\n[fraud]\nkeep = '40d'\n[inventory]\nkeep = '30d'\n[fulfillment]\nkeep = '30d'\n[notifications]\nkeep = '30d'\n[saga_tracker]\nkeep = '50d'\n".into(),
        ..Setup::default()
    })
    .await;
    let open = place_mixed(&pipeline).await;
    let kept = pipeline.count("select count(*) from payments.payment").await;
    assert!(kept > 5, "there is something to forget: {kept}");
    for table in AT_THE_HORIZON.iter().chain(&LATER) {
        assert!(of_others(&pipeline, table, &open).await > 0, "{table} has something to forget");
    }
    let levels = "select sum(on_hand + reserved + missing)::bigint from inventory.stock_level";
    let stock = pipeline.count(levels).await;

    let breaches = "insert into saga_tracker.breach values
       ('of the past', 'a', 'healed', '2001-01-01', '2001-01-01', '2001-01-01'), ('of the past', 'b', 'open', '2001-01-01', '2001-01-01', null)";
    sqlx::query(breaches).execute(&pipeline.database.pool).await.unwrap();

    let acts = "insert into runtime.door_action (action_id, at, consumer, who, role, what, subject) values
       ('00000000-0000-7000-8000-000000000001', '2001-01-01', 'orders', 'eve', 'operator', 'of the past', '/'),
       ('ffffffff-ffff-7fff-bfff-ffffffffffff', now(), 'orders', 'eve', 'operator', 'of now', '/')";
    sqlx::query(acts).execute(&pipeline.database.pool).await.unwrap();

    // Behind the horizon: those who know that an order has ended forget it; payments, fraud and the tracker keep theirs longer.
    pipeline.advance(32 * DAY);
    until_alone(&pipeline, &AT_THE_HORIZON, &open).await;
    pipeline.until_count("select count(*) from inventory.movement", 0, "the fold").await;
    pipeline.until_count("select count(*) from inventory.receipt", 0, "receipts").await;
    let acts = "select count(*) from runtime.door_action where who = 'eve'";
    pipeline.until_count(acts, 1, "records of acts").await;
    assert_eq!(pipeline.count(&format!("{acts} and what = 'of now'")).await, 1);
    assert_eq!(pipeline.count("select count(*) from payments.payment").await, kept);
    assert_eq!(
        pipeline.count("select orders from inventory.forgotten").await,
        9,
        "all but the open and the invalid one"
    );
    assert_eq!(pipeline.count(levels).await, stock);
    for table in ["orders.\"order\"", "inventory.reservation", "fulfillment.consignment", "notifications.customer"] {
        assert_eq!(pipeline.count(&format!("select count(*) from {table}")).await, 1, "{table} keeps the open order");
    }

    // The open order goes its way: its money is given back, and its customer is told.
    let body = json!({"requested_by": "customer", "reason": "it never came"});
    assert_eq!(pipeline.post("orders", &format!("/orders/{open}/cancel"), body).await.0, 202);
    pipeline.settle().await;
    assert_eq!(pipeline.status(&open).await, "CANCELLED");
    assert_eq!(pipeline.count("select refunded from payments.payment where state = 'REFUNDED' and order_id = (select order_id from orders.\"order\")").await, 900);

    pipeline.advance(25 * DAY);
    until_alone(&pipeline, &LATER, &open).await;
    for timers in choreography::Choreography::embedded().default_consumers().map(|name| name.replace('-', "_")) {
        assert_eq!(pipeline.count(&format!("select count(*) from {timers}.timer")).await, 0, "{timers}");
    }
    let breaches = || async { pipeline.count("select count(*) from saga_tracker.breach").await == 1 };
    pipeline.until(breaches, "the pruner of healed breaches").await;
    assert_eq!(pipeline.count("select count(*) from saga_tracker.breach where healed_at is null").await, 1);
    let before = state(&pipeline).await;
    replay(&pipeline, &TOPICS).await;
    assert_eq!(state(&pipeline).await, before, "a replay of forgotten orders does nothing");
    for consumer in choreography::Choreography::embedded().default_consumers() {
        assert!(expired(&pipeline, consumer).await > 0, "{consumer} counts what it passed over");
    }
    assert!(pipeline.dead_letters().await.is_empty());

    // What was placed behind the horizon can't be told from a new order.
    replay(&pipeline, &[OrderPlaced::TOPIC]).await;
    let dead = pipeline.dead_letters().await;
    assert_eq!(dead.len(), 2, "{dead:?}");
    for letter in &dead {
        assert!(letter["quadrille-error-message"].contains("expected an order of the last 30.0 days"), "{letter:?}");
    }
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_placed_before_the_horizon_is_a_dead_letter_that_says_so_and_a_younger_one_is_accepted() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    for (reference, days) in [("old", 61), ("young", 59)] {
        let order = Order::of(&[("TEA", 1, 450)]).with("reference", reference).body().to_string();
        let placed_at = pipeline.clock.now().minus(days * DAY).to_string();
        let headers = [("ce_time", placed_at.as_str())];
        produce(&pipeline.topic(OrderPlaced::TOPIC), &[(None, order.as_bytes(), &headers)]);
    }
    pipeline.until(|| async { !pipeline.dead_letters().await.is_empty() }, "the dead letter").await;
    pipeline.settle().await;
    let dead = pipeline.dead_letters().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0]["quadrille-error-message"].contains("expected an order of the last 60.0 days"), "{dead:?}");
    assert_eq!(pipeline.count("select count(*) from orders.\"order\" where reference = 'young'").await, 1);
    assert_eq!(pipeline.count("select count(*) from orders.\"order\"").await, 1);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_a_forgotten_order_does_nothing_and_one_that_is_news_goes_to_a_person() {
    let pipeline = Pipeline::with_settings("[payments]\nkeep = '60d'\n").await;
    let minted = OrderId::least_at(pipeline.clock.now().minus(100 * DAY)).as_uuid().as_u128();
    let order_id = OrderId(uuid::Uuid::from_u128(minted | 7 << 76 | 2 << 62 | 1));
    assert!(order_id.minted_at().is_some(), "a UUIDv7");
    let reason = Reason { code: ReasonCode::FraudRejected, detail: "too good to be true".into() };
    let rejected = FraudRejected { order_id, reason, score: 90, rules: Vec::new(), decided_by: "rules".into() };
    let value = pipeline.codec().await.encode(&rejected).unwrap();
    let key = order_id.to_string();
    let before = expired(&pipeline, "payments").await;
    for (id, days) in [("018f0000-0000-7000-8000-000000000001", 99), ("018f0000-0000-7000-8000-000000000002", 1)] {
        let said_at = pipeline.clock.now().minus(days * DAY).to_string();
        let headers = [
            ("ce_type", FraudRejected::TYPE),
            ("ce_id", id),
            ("ce_correlationid", key.as_str()),
            ("ce_time", said_at.as_str()),
        ];
        produce(&pipeline.topic(FraudRejected::TOPIC), &[(Some(key.as_bytes()), value.as_slice(), &headers)]);
    }
    pipeline.until(|| async { !pipeline.dead_letters().await.is_empty() }, "the dead letter").await;
    pipeline.settle().await;
    let dead = pipeline.dead_letters().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    let text = &dead[0]["quadrille-error-message"];
    assert!(text.contains(&format!("payments has forgotten order {order_id}")), "{text}");
    assert!(expired(&pipeline, "payments").await > before, "the older one is counted");
    assert_eq!(pipeline.count("select count(*) from payments.payment").await, 0);
    pipeline.finish_with_dead_letters().await;
}
