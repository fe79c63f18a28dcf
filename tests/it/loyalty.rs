//! The example of docs/adding-a-consumer.md, as a part of the pipeline: points granted, counted once, taken back, and spendable when their timer is due.

use std::time::Duration;

use events::{Currency, CustomerId, OrderCompleted, OrderId, PaymentCaptured, PaymentRefunded, Reason};
use quadrille_tests::{ALL, Order, Pipeline, Setup, read_all};
use reqwest::Method;
use serde_json::json;

const FIFTEEN_DAYS: Duration = Duration::from_secs(15 * 24 * 3_600);

async fn account(pipeline: &Pipeline, customer: &str) -> (i64, i64) {
    let account = pipeline.get("loyalty", &format!("/accounts/{customer}")).await;
    (account["pending"].as_i64().unwrap(), account["spendable"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_customer_paid_and_kept_brings_points_once_which_the_timer_makes_spendable() {
    let consumers = ALL.iter().copied().chain(["loyalty"]).collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    pipeline.stock("TEA", "a", 10).await;
    pipeline.stock("DAMAGED-1", "b", 10).await;
    pipeline.place(&Order::of(&[("TEA", 2, 1_000)]).by("c-7")).await;
    pipeline.place(&Order::of(&[("TEA", 1, 1_000), ("DAMAGED-1", 1, 550)]).by("c-7")).await;
    pipeline.place(&Order::of(&[("TEA", 1, 1_000)]).by("c-8").paid_with("tok_declined")).await;
    pipeline.settle().await;
    assert_eq!(account(&pipeline, "c-7").await, (30, 0), "the parcel that broke was refunded");
    let (status, problem) = pipeline.ask(Method::GET, "loyalty", "/accounts/c-8", None).await;
    assert_eq!((status, &problem["title"]), (404, &json!("Unknown customer")), "{problem}");

    for topic in ["orders", "payments"] {
        pipeline.publish_again(topic, &read_all(&pipeline.topic(topic)));
    }
    pipeline.settle().await;
    assert_eq!(account(&pipeline, "c-7").await, (30, 0));
    pipeline.advance(FIFTEEN_DAYS);
    pipeline.until(|| async { account(&pipeline, "c-7").await == (0, 30) }, "the timers of both orders").await;
    assert_eq!(pipeline.get("loyalty", "/accounts").await, json!({"c-7": {"pending": 0, "spendable": 30}}));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_overtakes_the_payment_and_a_refund_that_comes_late_end_in_the_same_account() {
    let pipeline = Pipeline::with(Setup { consumers: vec!["loyalty"], ..Setup::default() }).await;
    let orders = [(); 2].map(|()| OrderId(pipeline.clock.mint()));
    for order_id in orders {
        pipeline.publish(&completed(order_id)).await;
    }
    pipeline.settle().await;
    assert_eq!(account(&pipeline, "c-1").await, (0, 0), "nothing was captured");
    for order_id in orders {
        let (currency, items) = (Currency::EUR, Vec::new());
        pipeline.publish(&PaymentCaptured { order_id, amount: 2_550, remainder: 0, currency, items }).await;
    }
    pipeline.settle().await;
    assert_eq!(account(&pipeline, "c-1").await, (50, 0));
    pipeline.publish(&refunded(orders[0])).await;
    pipeline.settle().await;
    assert_eq!(account(&pipeline, "c-1").await, (44, 0));
    pipeline.advance(FIFTEEN_DAYS);
    pipeline.until(|| async { account(&pipeline, "c-1").await == (0, 44) }, "the timers of both orders").await;
    for _ in 0..2 {
        pipeline.publish(&refunded(orders[1])).await;
        pipeline.settle().await;
        assert_eq!(account(&pipeline, "c-1").await, (0, 38));
    }
    let dead = pipeline.dead_letters().await;
    assert!(dead.is_empty(), "{dead:#?}");
    pipeline.finish_without_audit("refunds are published that no payment made").await;
}

fn refunded(order_id: OrderId) -> PaymentRefunded {
    let reason = Reason { code: "cancelled".into(), detail: "sent back".into() };
    PaymentRefunded { order_id, amount: 560, currency: Currency::EUR, items: Vec::new(), reason }
}

fn completed(order_id: OrderId) -> OrderCompleted {
    OrderCompleted {
        order_id,
        source: "test".into(),
        reference: order_id.to_string(),
        customer_id: CustomerId("c-1".into()),
        currency: Currency::EUR,
        total: 2_550,
        charged: 2_550,
        shipped: Vec::new(),
        unshipped: Vec::new(),
        reason: None,
        cancellation: "none".into(),
    }
}
