//! Every compensation path of docs/protocol.md, section 3, ends as it says.

use std::time::Duration;

use events::{OrderCancelled, OrderCompleted, OrderFailed, PaymentCaptured, PaymentRefunded, PaymentVoided};
use quadrille_tests::{Order, Pipeline};
use serde_json::json;

/// Places one order of two units, runs to quiescence and compares what was said, notifications left out.
async fn story(pipeline: &Pipeline, order: &str) -> Vec<String> {
    pipeline.settle().await;
    pipeline.story(order).await.into_iter().filter(|name| !name.starts_with("Notification")).collect()
}

async fn failed(pipeline: &Pipeline, order: &str, code: &str) {
    let failed: OrderFailed = pipeline.the(order).await;
    assert_eq!(failed.reason.code.as_str(), code, "{failed:?}");
    assert_eq!((failed.charged, failed.shipped.len()), (0, 0), "{failed:?}");
}

async fn with_stock(sku: &str, units: i64) -> Pipeline {
    let pipeline = Pipeline::start().await;
    pipeline.stock(sku, "a", units).await;
    pipeline
}

async fn level(pipeline: &Pipeline, sku: &str) -> (i64, i64) {
    let view = pipeline.get("inventory", &format!("/stock/{sku}")).await;
    let sum =
        |field: &str| view["levels"].as_array().into_iter().flatten().filter_map(|level| level[field].as_i64()).sum();
    (sum("on_hand"), sum("reserved"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_stock_fails_before_any_money_is_asked_for() {
    let pipeline = with_stock("TEA", 1).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    assert_eq!(story(&pipeline, &order).await, ["OrderAccepted", "StockRejected", "OrderFailed"]);
    failed(&pipeline, &order, "out_of_stock").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_gives_the_stock_back() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_declined")).await;
    assert_eq!(
        story(&pipeline, &order).await,
        ["OrderAccepted", "StockReserved", "PaymentDeclined", "StockReleased", "OrderFailed"]
    );
    failed(&pipeline, &order, "declined").await;
    assert_eq!(level(&pipeline, "TEA").await, (5, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_three_d_secure_gives_the_stock_back() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_3ds_fails")).await;
    pipeline.settle().await;
    let (status, answer) =
        pipeline.post("payments", &format!("/payments/{order}/three-d-secure"), json!({"outcome": "failed"})).await;
    assert!((200..300).contains(&status), "{status} {answer}");
    assert_eq!(
        story(&pipeline, &order).await,
        ["OrderAccepted", "StockReserved", "PaymentActionRequired", "PaymentVoided", "StockReleased", "OrderFailed"]
    );
    failed(&pipeline, &order, "action_failed").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_that_expires_in_three_d_secure_ends_the_order() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_3ds_abandoned")).await;
    pipeline.settle().await;
    pipeline.advance(Duration::from_secs(16 * 60));
    assert_eq!(
        wait_for(&pipeline, &order, "OrderFailed").await,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentActionRequired",
            "ReservationExpired",
            "PaymentVoided",
            "StockReleased",
            "OrderFailed"
        ]
    );
    failed(&pipeline, &order, "reservation_expired").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_that_a_person_rejects_gives_money_and_stock_back() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&suspicious()).await;
    pipeline.settle().await;
    let (status, answer) = pipeline
        .post("fraud", &format!("/reviews/{order}/verdict"), json!({"verdict": "reject", "by": "eve", "note": "no"}))
        .await;
    assert!((200..300).contains(&status), "{status} {answer}");
    assert_eq!(
        story(&pipeline, &order).await,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentAuthorized",
            "FraudReviewRequested",
            "FraudRejected",
            "PaymentVoided",
            "StockReleased",
            "OrderFailed"
        ]
    );
    failed(&pipeline, &order, "fraud_rejected").await;
    let voided: PaymentVoided = pipeline.the(&order).await;
    assert!(voided.announced && voided.amount > 0, "{voided:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_nobody_does_ends_the_order_at_its_deadline() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&suspicious()).await;
    pipeline.settle().await;
    pipeline.advance(Duration::from_secs(5 * 24 * 3_600));
    wait_for(&pipeline, &order, "OrderFailed").await;
    failed(&pipeline, &order, "review_timed_out").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_that_are_found_nowhere_are_not_charged() {
    let pipeline = with_stock("GONE-1", 5).await;
    let order = pipeline.place(&Order::of(&[("GONE-1", 2, 450)])).await;
    assert_eq!(
        story(&pipeline, &order).await,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentAuthorized",
            "FraudCleared",
            "FulfillmentShortPicked",
            "StockReallocated",
            "FulfillmentRejected",
            "PaymentVoided",
            "StockReleased",
            "OrderFailed"
        ]
    );
    failed(&pipeline, &order, "nothing_to_ship").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_pick_ships_the_replacement_from_another_warehouse() {
    let pipeline = with_stock("SHORT-1", 5).await;
    pipeline.stock("SHORT-1", "b", 5).await;
    let order = pipeline.place(&Order::of(&[("SHORT-1", 3, 450)])).await;
    pipeline.settle().await;
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!((completed.charged, completed.unshipped.len()), (3 * 450, 0), "{completed:?}");
    assert_eq!(pipeline.all::<events::ShipmentDispatched>(&order).await.len(), 2, "two parcels");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_pick_without_replacement_ships_less_and_captures_less() {
    let pipeline = with_stock("SHORT-1", 3).await;
    let order = pipeline.place(&Order::of(&[("SHORT-1", 3, 450)]).with("shipping", 1)).await;
    pipeline.settle().await;
    let captured: PaymentCaptured = pipeline.the(&order).await;
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!(captured.amount, completed.charged, "{completed:?}");
    assert_eq!(captured.amount + captured.remainder, 3 * 450 + 1);
    assert_eq!(completed.unshipped.iter().map(|line| line.quantity).sum::<i64>(), 1, "{completed:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_capture_stops_the_parcel_in_the_house() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_capture_fails")).await;
    assert_eq!(
        story(&pipeline, &order).await,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentAuthorized",
            "FraudCleared",
            "FulfillmentConfirmed",
            "PaymentCaptureFailed",
            "FulfillmentCancelled",
            "PaymentVoided",
            "StockReleased",
            "OrderFailed"
        ]
    );
    failed(&pipeline, &order, "capture_failed").await;
    assert_eq!(level(&pipeline, "TEA").await, (5, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_before_capture_voids_and_releases() {
    let pipeline = with_stock("TEA", 5).await;
    let order = pipeline.place(&suspicious()).await;
    pipeline.settle().await; // it waits for its review
    cancel(&pipeline, &order).await;
    assert_eq!(
        story(&pipeline, &order).await,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentAuthorized",
            "FraudReviewRequested",
            "OrderCancellationRequested",
            "FulfillmentCancelled",
            "PaymentVoided",
            "StockReleased",
            "OrderCancelled"
        ]
    );
    let cancelled: OrderCancelled = pipeline.the(&order).await;
    assert_eq!((cancelled.charged, cancelled.reason.code.as_str()), (0, "cancelled"));
    assert_eq!(level(&pipeline, "TEA").await, (5, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parcel_recalled_after_capture_is_refunded() {
    let pipeline = with_stock("HOLD-1", 5).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)])).await;
    pipeline.settle().await; // captured; the parcel stays in the house
    cancel(&pipeline, &order).await;
    pipeline.settle().await;
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    assert_eq!(refunded.amount, 900);
    let cancelled: OrderCancelled = pipeline.the(&order).await;
    assert_eq!(cancelled.charged, 0);
    assert_eq!(level(&pipeline, "HOLD-1").await, (5, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parcel_damaged_after_capture_is_refunded_and_its_goods_are_not_on_sale() {
    let pipeline = with_stock("DAMAGED-1", 5).await;
    let order = pipeline.place(&Order::of(&[("DAMAGED-1", 2, 450)])).await;
    pipeline.settle().await;
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    assert_eq!(refunded.amount, 900);
    assert_eq!(pipeline.status(&order).await, "FAILED");
    assert_eq!(level(&pipeline, "DAMAGED-1").await, (3, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_parcels_one_recalled_only_the_other_is_charged() {
    let pipeline = with_stock("HOLD-1", 5).await;
    pipeline.stock("TEA", "b", 5).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450), ("TEA", 1, 300)])).await;
    pipeline.settle().await;
    cancel(&pipeline, &order).await;
    pipeline.settle().await;
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!((completed.charged, completed.cancellation.as_str()), (300, "in_part"), "{completed:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_after_everything_left_is_too_late() {
    let pipeline = with_stock("RUSH-1", 5).await;
    let order = pipeline.place(&Order::of(&[("RUSH-1", 2, 450)])).await;
    pipeline.settle().await;
    cancel(&pipeline, &order).await;
    pipeline.settle().await;
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!((completed.charged, completed.cancellation.as_str()), (900, "too_late"), "{completed:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_that_runs_out_ends_the_order() {
    // A pick deadline behind the authorization's end is capped to it; the warehouse never answers, and nobody has the goods elsewhere.
    let pipeline = Pipeline::with_settings(
        "[fulfillment]\nwarehouse = 'external'\npick_deadline = '30d'\ncapture_margin = '0s'\n",
    )
    .await;
    pipeline.stock("TEA", "a", 5).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    pipeline.advance(Duration::from_secs(8 * 24 * 3_600));
    wait_for(&pipeline, &order, "OrderFailed").await;
    let failed: OrderFailed = pipeline.the(&order).await;
    assert!(["authorization_expired", "nothing_to_ship"].contains(&failed.reason.code.as_str()), "{failed:?}");
    assert_eq!(level(&pipeline, "TEA").await.1, 0);
    pipeline.finish().await;
}

fn suspicious() -> Order {
    let abroad = json!({"name": "Ada", "line1": "1 Road", "city": "New York", "postal_code": "10001", "country": "US"});
    Order::of(&[("TEA", 2, 450_000)]).with("bill_to", abroad)
}

async fn cancel(pipeline: &Pipeline, order: &str) {
    let (status, answer) = pipeline
        .post(
            "orders",
            &format!("/orders/{order}/cancel"),
            json!({"requested_by": "customer", "reason": "changed my mind"}),
        )
        .await;
    assert_eq!(status, 202, "{answer}");
}

/// Timers fire within a second of their time: runs on until an event of this type was said.
async fn wait_for(pipeline: &Pipeline, order: &str, event: &str) -> Vec<String> {
    pipeline.until(|| async { pipeline.story(order).await.iter().any(|name| name == event) }, event).await;
    story(pipeline, order).await
}
