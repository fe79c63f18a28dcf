//! Edge cases 21 and 32: each event delivered twice, or a whole topic again, changes nothing.

use quadrille_tests::{ALL, Order, Pipeline, Record, commit_beginning, produce, read_all};

/// Orders of every kind, ended.
async fn ended_orders(pipeline: &Pipeline) {
    for (sku, units) in [("TEA", 50), ("SHORT-1", 3), ("DAMAGED-1", 10), ("GONE-1", 5)] {
        pipeline.stock(sku, "a", units).await;
    }
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
    pipeline.settle().await;
    pipeline.advance(std::time::Duration::from_secs(16 * 60));
    pipeline.until_count("select count(*) from orders.\"order\" where ended_at is null", 0, "all ends").await;
    pipeline.settle().await;
}

/// Everything that a repetition could change.
async fn state(pipeline: &Pipeline) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "outbox.event where topic <> 'operations'",
        "inventory.movement",
        "sandbox.payment",
        "notifications.message",
        "saga_tracker.event where topic <> 'operations'",
        "orders.\"order\"",
    ] {
        counts.push(pipeline.count(&format!("select count(*) from {table}")).await);
    }
    counts.push(pipeline.count("select sum(version)::bigint from payments.payment").await);
    counts.push(pipeline.count("select sum(version)::bigint from inventory.reservation").await);
    counts
}

const TOPICS: [&str; 7] = ["orders", "inventory", "stock-levels", "payments", "fraud", "fulfillment", "notifications"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_21_every_event_delivered_twice_changes_nothing() {
    let pipeline = Pipeline::start().await;
    ended_orders(&pipeline).await;
    let before = state(&pipeline).await;
    for topic in TOPICS {
        let topic = pipeline.topic(topic);
        let records: Vec<Record> = read_all(&topic);
        for record in &records {
            let headers: Vec<(&str, &str)> =
                record.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            produce(&topic, &[(record.key.as_deref(), record.value.as_deref().unwrap_or_default(), &headers)]);
        }
    }
    pipeline.settle().await;
    assert_eq!(state(&pipeline).await, before);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_32_every_group_reset_to_the_beginning_does_nothing_twice() {
    let pipeline = Pipeline::start().await;
    ended_orders(&pipeline).await;
    let before = state(&pipeline).await;
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    let topics: Vec<String> = TOPICS.iter().chain(&["order-placed"]).map(|topic| pipeline.topic(topic)).collect();
    for consumer in choreography::Choreography::embedded().default_consumers() {
        commit_beginning(&format!("{}{consumer}", pipeline.prefix), &topics);
    }
    pipeline.host(&ALL).await;
    pipeline.settle().await;
    assert_eq!(state(&pipeline).await, before);
    pipeline.finish().await;
}
