//! `ce_causationid`: whoever walks back from an event finds the one before it in a topic, up to where the order began.

use std::collections::HashMap;

use quadrille_tests::{Order, Pipeline, Record, produce, read_all};
use serde_json::json;

use crate::rebuild::{KINDS, place, stocked};

const TOPICS: [&str; 7] = ["order-placed", "orders", "inventory", "payments", "fraud", "fulfillment", "notifications"];
/// What a request, or a timer of an order that nothing was heard of, may begin.
const BEGINNINGS: [&str; 3] = ["OrderAccepted", "OrderRejected", "OrderCancellationRequested"];

fn name(record: &Record) -> &str {
    record.header("ce_type").rsplit('.').next().unwrap_or_default()
}

/// All records by their ids.
fn events(pipeline: &Pipeline) -> HashMap<String, Record> {
    let records = TOPICS.iter().flat_map(|topic| read_all(&pipeline.topic(topic)));
    records.map(|record| (record.header("ce_id").to_owned(), record)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_of_any_order_leads_back_to_its_beginning_through_the_topics() {
    let pipeline = stocked().await;
    let orders = place(&pipeline, &KINDS[..9], 18).await;
    let kafka = uuid::Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0007).to_string();
    let body = Order::of(&[("TEA", 1, 450)]).body().to_string();
    let headers = [("ce_id", kafka.as_str()), ("ce_type", "quadrille.order_placed.OrderPlaced")];
    produce(&pipeline.topic("order-placed"), &[(Some(b"k"), body.as_bytes(), &headers)]);
    let completed = "select count(*) from orders.\"order\" where source = 'kafka' and state = 'COMPLETED'";
    pipeline.until_count(completed, 1, "the order of the topic").await;
    // A person answers for the bank, later.
    let path = format!("/payments/{}/three-d-secure", orders[8]);
    let (status, answer) = pipeline.post("payments", &path, json!({"outcome": "passed"})).await;
    assert_eq!(status, 202, "{answer}");
    pipeline.settle().await;
    let events = events(&pipeline);
    let mut triggered = 0;
    for record in events.values().filter(|record| !record.header("ce_causationid").is_empty()) {
        let (cause, trigger) = (record.header("ce_causationid"), record.header("ce_triggerid"));
        let begins = BEGINNINGS.contains(&name(record)) && trigger.is_empty();
        assert!(events.contains_key(cause) || begins, "{} is said because of nothing: {record:?}", name(record));
        assert!(
            !events.contains_key(trigger),
            "what is in a topic is the cause, not what is named beside it: {record:?}"
        );
        triggered += usize::from(!trigger.is_empty());
    }
    assert!(triggered > orders.len(), "answers of the gateway are named: {triggered}");
    let (mut ends, mut walked) = (0, Vec::new());
    for completed in events.values().filter(|record| name(record) == "OrderCompleted") {
        let mut at = completed;
        walked.clear();
        // ends with the chain, or after twenty causes
        while let Some(before) = events.get(at.header("ce_causationid")) {
            walked.push(name(at));
            at = before;
            assert!(walked.len() < 20, "a circle: {walked:?}");
        }
        walked.push(name(at));
        let from_kafka = at.header("ce_id") == kafka;
        let expected: &[&str] = &[
            "OrderCompleted",
            "StockCommitted",
            "ShipmentDispatched",
            "PaymentCaptured",
            "FulfillmentConfirmed",
            "FraudCleared",
            "PaymentAuthorized",
            "StockReserved",
            "OrderAccepted",
        ];
        if walked.len() == expected.len() + usize::from(from_kafka) {
            assert_eq!(&walked[..expected.len()], expected);
            assert!(!from_kafka || walked.last() == Some(&"OrderPlaced"));
        }
        ends += usize::from(from_kafka);
    }
    assert_eq!(ends, 1, "the order of the topic leads back to its record there: {walked:?}");
    pipeline.finish_with_dead_letters().await;
}
