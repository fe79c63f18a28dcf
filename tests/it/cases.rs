//! The cases of docs/edge-cases.md that the whole pipeline must bear, each by its number. 20, 21, 23, 25, 26, 32 and 33 stand in modules of their own.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod events_in_flight;
mod money;
mod people;
mod stock;
mod warehouse;

use quadrille_tests::{Order, Pipeline, Setup};
use serde_json::{Value, json};

/// A pipeline with stock, as (SKU, warehouse, units).
async fn with_stock(levels: &[(&str, &str, i64)]) -> Pipeline {
    stocked(Pipeline::start().await, levels).await
}

/// The same, with a warehouse that answers through its HTTP doors, played by the test.
async fn with_real_warehouse(levels: &[(&str, &str, i64)]) -> Pipeline {
    stocked(Pipeline::with_settings("[fulfillment]\nwarehouse = 'external'\n").await, levels).await
}

/// The same, while one consumer is down.
async fn without(consumer: &str, levels: &[(&str, &str, i64)]) -> Pipeline {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != consumer).collect();
    stocked(Pipeline::with(Setup { consumers, ..Setup::default() }).await, levels).await
}

async fn stocked(pipeline: Pipeline, levels: &[(&str, &str, i64)]) -> Pipeline {
    for (sku, warehouse, units) in levels {
        pipeline.stock(sku, warehouse, *units).await;
    }
    pipeline
}

/// An order that fraud has reviewed by a person.
fn suspicious() -> Order {
    let abroad = json!({"name": "Ada", "line1": "1 Road", "city": "New York", "postal_code": "10001", "country": "US"});
    Order::of(&[("TEA", 2, 450_000)]).with("bill_to", abroad)
}

/// Asks for a cancellation: the status of the answer.
async fn cancel(pipeline: &Pipeline, order: &str) -> u16 {
    let body = json!({"requested_by": "customer", "reason": "changed my mind"});
    let (status, answer) = pipeline.post("orders", &format!("/orders/{order}/cancel"), body).await;
    assert!(status == 202 || status == 409, "{status}: {answer}");
    status
}

/// Runs on until an event of this type was said of an order, then to quiescence.
async fn until_said(pipeline: &Pipeline, order: &str, event: &str) {
    pipeline.until(|| async { pipeline.story(order).await.iter().any(|name| name == event) }, event).await;
    pipeline.settle().await;
}

/// How often an event of this type was said of an order.
async fn times(pipeline: &Pipeline, order: &str, event: &str) -> usize {
    pipeline.story(order).await.iter().filter(|name| *name == event).count()
}

/// The events of an order, notifications left out.
async fn story(pipeline: &Pipeline, order: &str) -> Vec<String> {
    pipeline.story(order).await.into_iter().filter(|name| !name.starts_with("Notification")).collect()
}

/// Units of a SKU in all warehouses: on hand, reserved, missing.
async fn level(pipeline: &Pipeline, sku: &str) -> (i64, i64, i64) {
    let view = pipeline.get("inventory", &format!("/stock/{sku}")).await;
    let of = |field: &str| view[field].as_i64().unwrap_or_else(|| panic!("{field}: {view}"));
    (of("on_hand"), of("reserved"), of("missing"))
}

/// An order's payment, as its door shows it.
async fn payment(pipeline: &Pipeline, order: &str) -> Value {
    pipeline.get("payments", &format!("/payments/{order}")).await
}

/// Answers a door that must take it.
async fn told(pipeline: &Pipeline, consumer: &str, path: &str, body: Value) -> Value {
    let (status, answer) = pipeline.post(consumer, path, body).await;
    assert!((200..300).contains(&status), "{consumer} {path}: {status}: {answer}");
    answer
}
