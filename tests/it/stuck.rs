//! Late is not stuck: while a consumer or the relay is down, nothing is told; what nothing explains is told once, with its whole case.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests: a panic is their answer, and their server lives as long as they do

mod alerts;
mod told;

use std::time::Duration;

use quadrille_tests::{Order, Pipeline, Setup};
use serde_json::json;

/// The tracker looks often and reads at once, and the relay says often how far it is: tests move the clock and don't wait.
const QUICK: &str = "[saga_tracker]\nlook_every = '50ms'\nsample_every = '50ms'\nwatch_every = '100ms'\nlinger = '2ms'\n\
                     [saga_tracker.kafka]\n'fetch.min.bytes' = '1'\n\
                     [outbox_relay]\nwatermark_interval = '400ms'\nidle_watermark_interval = '400ms'\n";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// All consumers but these; and stock.
async fn without(consumers: &[&str], more: &str) -> Pipeline {
    let hosted = Setup::default().consumers.into_iter().filter(|name| !consumers.contains(name)).collect();
    let settings = QUICK.replacen("[saga_tracker]\n", &format!("[saga_tracker]\n{more}"), 1);
    let pipeline = Pipeline::with(Setup { consumers: hosted, settings, ..Setup::default() }).await;
    pipeline.stock("TEA", "a", 10_000).await;
    pipeline
}

/// An order of a customer of its own: nobody looks into it for there being many.
fn order(number: usize) -> Order {
    let address = json!({"name": "Ada", "line1": format!("{number} Main St"), "city": "London", "postal_code": "N1 1AA", "country": "GB"});
    let order = Order::of(&[("TEA", 2, 450)]).by(&format!("c-{number}"));
    order.with("ship_to", address.clone()).with("bill_to", address)
}

/// Runs on until the tracker has looked at every order that was due for it.
async fn looked(pipeline: &Pipeline) {
    let due = || async {
        let now = pipeline.clock.now().as_millis();
        let due = "select count(*) from saga_tracker.\"order\" where outcome is null and deadline <= to_timestamp";
        pipeline.count(&format!("{due}({now} / 1000.0)")).await == 0
    };
    pipeline.until(due, "a look at all orders that are due").await;
}

/// Nothing is stuck, nothing was told, nobody was alerted of an order.
async fn nothing_is_stuck(pipeline: &Pipeline) {
    for (what, query) in [
        ("told to be stuck", "select count(*) from saga_tracker.stuck"),
        ("dead letters", "select count(*) from saga_tracker.letter"),
        ("OrderStuck", "select count(*) from outbox.event where topic = 'dead-letter-orders'"),
        ("alerts", "select count(*) from saga_tracker.alert where kind = 'order_stuck'"),
    ] {
        assert_eq!(pipeline.count(query).await, 0, "{what}");
    }
}

async fn all_completed(pipeline: &Pipeline, orders: usize) {
    pipeline.settle().await;
    let completed = "select count(*) from saga_tracker.\"order\" where outcome = 'COMPLETED'";
    assert_eq!(pipeline.count(completed).await, orders as i64);
    nothing_is_stuck(pipeline).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_stopped_for_ten_minutes_under_load_makes_orders_late_and_all_complete_after_it_returns() {
    let pipeline = without(&["payments"], "").await;
    let mut placed = 0;
    for _ in 0..10 {
        for _ in 0..10 {
            pipeline.place(&order(placed)).await;
            placed += 1;
        }
        pipeline.settle().await;
        pipeline.advance(MINUTE);
        looked(&pipeline).await;
    }
    let late = "select count(*) from saga_tracker.\"order\" where outcome is null and placed_at < deadline - interval '5 minutes'";
    assert!(pipeline.count(late).await > 0, "looked at, overdue, and looked at again");
    let down = "select count(*) from saga_tracker.outage where consumer = 'payments' and ended_at > began_at";
    assert!(pipeline.count(down).await > 0, "seen to be down");
    nothing_is_stuck(&pipeline).await;
    pipeline.host(&["payments"]).await;
    all_completed(&pipeline, placed).await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_29_the_orders_of_a_consumer_that_was_down_for_a_day_are_late_and_none_is_stuck() {
    let pipeline = without(&["fraud"], "").await;
    for number in 0..30 {
        pipeline.place(&order(number)).await;
    }
    pipeline.settle().await;
    for _ in 0..24 {
        pipeline.advance(HOUR);
        looked(&pipeline).await;
    }
    nothing_is_stuck(&pipeline).await;
    pipeline.host(&["fraud"]).await;
    all_completed(&pipeline, 30).await;
    // Not a minute after, either: what it owed has its whole time since it came back.
    pipeline.advance(MINUTE);
    pipeline.settle().await;
    nothing_is_stuck(&pipeline).await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_has_answered_is_late_while_the_relay_is_down() {
    let pipeline = without(&["fraud", "outbox-relay"], "").await;
    let relay = pipeline.host(&["outbox-relay"]).await;
    let order = pipeline.place(&order(1)).await;
    pipeline.settle().await;
    pipeline.stop(&relay).await;
    pipeline.host(&["fraud"]).await;
    let cleared = "select count(*) from outbox.event where topic = 'fraud'";
    pipeline.until_count(cleared, 1, "fraud's answer, in the outbox").await;
    for _ in 0..30 {
        pipeline.advance(MINUTE);
        looked(&pipeline).await;
    }
    nothing_is_stuck(&pipeline).await;
    pipeline.host(&["outbox-relay"]).await;
    all_completed(&pipeline, 1).await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    pipeline.finish().await;
}
