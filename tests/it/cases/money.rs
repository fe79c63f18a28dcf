//! Cases of payments: holds that lapse, answers that are lost, refunds that do not come.

use std::time::Duration;

use events::{AuthorizationExpiring, OrderCancelled, OrderFailed, PaymentRefundFailed, PaymentRefunded, PaymentVoided};
use quadrille_tests::{Order, Pipeline};
use serde_json::json;

use super::{cancel, level, payment, story, times, told, until_said, with_stock, without};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A second longer than a reservation lasts.
const RESERVATION: Duration = Duration::from_secs(15 * 60 + 1);

/// Fraud is down for longer than the hold lasts: nothing can ship before it lapses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_01_an_authorization_that_expires_before_shipment_is_told_in_time_and_ends_the_order() {
    let pipeline = without("fraud", &[("TEA", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    assert!(payment(&pipeline, &order).await["capture_before"].is_string(), "it is kept when the hold lapses");
    pipeline.advance(6 * DAY + DAY / 24);
    until_said(&pipeline, &order, "AuthorizationExpiring").await;
    let expiring: AuthorizationExpiring = pipeline.the(&order).await;
    assert_eq!(expiring.amount, 900);
    assert_eq!(level(&pipeline, "TEA").await, (5, 2, 0), "the stock waits for the money");
    pipeline.advance(DAY);
    until_said(&pipeline, &order, "OrderFailed").await;
    let ended = [
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "AuthorizationExpiring",
        "PaymentCaptureFailed",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased",
        "OrderFailed",
    ];
    assert_eq!(story(&pipeline, &order).await, ended);
    let failed: OrderFailed = pipeline.the(&order).await;
    assert_eq!((failed.reason.code.as_str(), failed.charged), ("authorization_expired", 0));
    pipeline.host(&["fraud"]).await;
    pipeline.settle().await;
    assert_eq!(times(&pipeline, &order, "ShipmentDispatched").await, 0, "what fraud says now is too late");
    assert_eq!(level(&pipeline, "TEA").await, (5, 0, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_02_a_charge_whose_answer_was_lost_is_found_by_its_key_and_not_made_again() {
    let pipeline = with_stock(&[("TEA", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_answer_lost_once")).await;
    for next in ["PaymentAuthorized", "OrderCompleted"] {
        pipeline.settle().await;
        pipeline.advance(Duration::from_secs(5));
        until_said(&pipeline, &order, next).await;
    }
    let attempt = payment(&pipeline, &order).await["attempt"].clone();
    assert!(attempt["tries"].as_i64() > Some(1), "it was asked again, under the key of the first attempt: {attempt}");
    assert!(attempt["key"].as_str().is_some_and(|key| key.ends_with(":capture:1")), "{attempt}");
    assert_eq!(
        pipeline.count("select count(*) from sandbox.payment where captured = 900 and authorized = 900").await,
        1
    );
    for operation in ["authorize", "capture"] {
        let made = format!("select count(*) from sandbox.operation where operation = '{operation}'");
        assert_eq!(pipeline.count(&made).await, 1, "{operation} once");
    }
    assert_eq!(pipeline.count("select count(*) from sandbox.payment").await, 1);
    pipeline.finish().await;
}

/// The void fails five times, for good; only a person's sixth attempt lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_a_cancellation_whose_void_fails_stays_open_dies_with_its_case_and_can_never_be_captured() {
    let pipeline = with_stock(&[("TEA", "a", 5)]).await;
    let order = pipeline.place(&super::suspicious().paid_with("tok_void_fails")).await;
    pipeline.settle().await; // it waits for its review
    assert_eq!(cancel(&pipeline, &order).await, 202);
    let stuck = "select count(*) from payments.payment where stuck";
    for _ in 0..60 {
        pipeline.settle().await;
        if pipeline.count(stuck).await == 1 {
            break;
        }
        pipeline.advance(Duration::from_secs(5));
    }
    let dead = pipeline.dead_letters().await;
    assert_eq!(dead.iter().map(|letter| letter["quadrille-error-class"].as_str()).collect::<Vec<_>>(), ["void_failed"]);
    assert_eq!(pipeline.status(&order).await, "CANCELLING", "not ended before the money is let go");
    assert_eq!(payment(&pipeline, &order).await["state"], "VOIDING");
    let rejected = told(&pipeline, "payments", &format!("/payments/{order}/retry"), json!({"by": "eve"})).await;
    assert_eq!(rejected["state"], "VOIDING");
    until_said(&pipeline, &order, "OrderCancelled").await;
    assert_eq!(times(&pipeline, &order, "PaymentCaptured").await, 0);
    let captured = "select count(*) from sandbox.operation where operation = 'capture'";
    assert_eq!(pipeline.count(captured).await, 0, "a later capture is impossible");
    let voided: PaymentVoided = pipeline.the(&order).await;
    assert!(voided.amount > 0 && voided.announced, "{voided:?}");
    let resolved = "select count(*) from payments.dead_letter where resolution = 'recovered' and resolved_by = 'local'";
    assert_eq!(pipeline.count(resolved).await, 1);
    assert_eq!(level(&pipeline, "TEA").await, (5, 0, 0));
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_06_a_3ds_success_after_the_reservation_expired_holds_no_money_and_the_order_says_why() {
    let pipeline = with_stock(&[("TEA", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with("tok_3ds_abandoned")).await;
    pipeline.settle().await;
    pipeline.advance(RESERVATION);
    until_said(&pipeline, &order, "OrderFailed").await;
    let (status, answer) = pass(&pipeline, &order).await;
    assert_eq!(status, 409, "the bank is told that it is over: {answer}");
    pipeline.settle().await;
    let failed: OrderFailed = pipeline.the(&order).await;
    assert_eq!((failed.reason.code.as_str(), failed.charged), ("reservation_expired", 0));
    assert_eq!(times(&pipeline, &order, "PaymentAuthorized").await, 0);
    let nothing_held =
        "select count(*) from sandbox.payment where state = 'cancelled' and captured = 0 and authorized = released";
    assert_eq!(pipeline.count(nothing_held).await, 1);
    assert_eq!(level(&pipeline, "TEA").await, (5, 0, 0));
    pipeline.finish().await;
}

async fn pass(pipeline: &Pipeline, order: &str) -> (u16, serde_json::Value) {
    pipeline.post("payments", &format!("/payments/{order}/three-d-secure"), json!({"outcome": "passed"})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_09_a_payment_that_races_with_the_expiry_wins_or_is_voided_and_stock_follows_the_money() {
    let pipeline = with_stock(&[("TEA", "a", 100)]).await;
    let mut orders = Vec::new();
    for customer in 0..20 {
        let order = Order::of(&[("TEA", 2, 450)]).by(&format!("c-{customer}")).paid_with("tok_3ds_passes");
        orders.push(pipeline.place(&order).await);
    }
    pipeline.settle().await;
    pipeline.advance(RESERVATION);
    for order in &orders {
        let (status, answer) = pass(&pipeline, order).await;
        assert!([202, 409].contains(&status), "{status}: {answer}");
    }
    let open = "select count(*) from orders.\"order\" where ended_at is null";
    pipeline.until_count(open, 0, "all ends").await;
    pipeline.settle().await;
    let mut sold = 0;
    for order in &orders {
        let payment = payment(&pipeline, order).await;
        match pipeline.status(order).await.as_str() {
            "COMPLETED" => {
                assert_eq!(payment["captured"], 900, "{payment}");
                sold += 2;
            }
            "FAILED" => {
                let failed: OrderFailed = pipeline.the(order).await;
                assert_eq!(failed.reason.code.as_str(), "reservation_expired");
                assert_eq!(payment["captured"], 0, "{payment}");
                let _: PaymentVoided = pipeline.the(order).await;
            }
            other => panic!("{order} is {other}"),
        }
    }
    assert_eq!(level(&pipeline, "TEA").await, (100 - sold, 0, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_09_the_clock_alone_frees_no_stock_while_payments_is_down() {
    let pipeline = without("payments", &[("TEA", "a", 2)]).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    pipeline.advance(RESERVATION);
    until_said(&pipeline, &order, "ReservationExpired").await;
    assert_eq!(level(&pipeline, "TEA").await, (2, 2, 0), "expiry only asks");
    pipeline.host(&["payments"]).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED", "the money came first: late, and not failed");
    assert_eq!(level(&pipeline, "TEA").await, (0, 0, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_17_a_pending_refund_is_not_a_refund_until_it_is_confirmed() {
    let pipeline = with_stock(&[("HOLD-1", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)]).paid_with("tok_refund_pending")).await;
    pipeline.settle().await;
    assert_eq!(cancel(&pipeline, &order).await, 202);
    pipeline.settle().await;
    assert_eq!(times(&pipeline, &order, "PaymentRefunded").await, 0);
    assert_eq!((pipeline.status(&order).await.as_str(), level(&pipeline, "HOLD-1").await), ("CANCELLING", (5, 2, 0)));
    let refund = payment(&pipeline, &order).await["attempt"]["refund_id"].clone();
    let message = json!({"id": "evt-1", "refund_id": refund, "status": "succeeded"});
    for _ in 0..2 {
        told(&pipeline, "payments", "/webhooks/sandbox", message.clone()).await;
        pipeline.settle().await;
    }
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    let cancelled: OrderCancelled = pipeline.the(&order).await;
    assert_eq!((refunded.amount, cancelled.charged), (900, 0));
    assert_eq!(level(&pipeline, "HOLD-1").await, (5, 0, 0));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_17_a_failed_refund_waits_for_a_person_and_is_made_once() {
    let pipeline = with_stock(&[("HOLD-1", "a", 5)]).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)]).paid_with("tok_refund_fails")).await;
    pipeline.settle().await;
    assert_eq!(cancel(&pipeline, &order).await, 202);
    until_said(&pipeline, &order, "PaymentRefundFailed").await;
    let failed: PaymentRefundFailed = pipeline.the(&order).await;
    assert_eq!(failed.amount, 900);
    assert_eq!(pipeline.status(&order).await, "CANCELLING", "not refunded, and not reported as refunded");
    assert_eq!(payment(&pipeline, &order).await["stuck"], true);
    assert_eq!(pipeline.dead_letters().await.len(), 1);
    told(&pipeline, "payments", &format!("/payments/{order}/retry"), json!({"by": "eve"})).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "CANCELLED");
    let refunded: PaymentRefunded = pipeline.the(&order).await;
    assert_eq!(refunded.amount, 900);
    assert_eq!(
        pipeline.count("select coalesce(sum(amount), 0)::bigint from sandbox.refund where state = 'succeeded'").await,
        900
    );
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_19_another_amount_or_currency_at_the_provider_is_a_dead_letter_and_ships_nothing() {
    let pipeline = with_stock(&[("TEA", "a", 10)]).await;
    for (token, said) in [("tok_wrong_amount", "9.01"), ("tok_wrong_currency", "")] {
        let before = pipeline.dead_letters().await.len();
        let order = pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with(token)).await;
        pipeline.settle().await;
        let dead = pipeline.dead_letters().await;
        assert_eq!(dead.len(), before + 1, "{dead:#?}");
        let message = &dead[before]["quadrille-error-message"];
        assert!(message.contains("expected") && message.contains(said), "{message}");
        assert_eq!(story(&pipeline, &order).await, ["OrderAccepted", "StockReserved"], "{token}");
        assert_eq!(payment(&pipeline, &order).await["stuck"], true, "a person compares the books");
    }
    assert_eq!(pipeline.count("select sum(captured)::bigint from sandbox.payment").await, 0);
    assert_eq!(level(&pipeline, "TEA").await, (10, 4, 0));
    pipeline.finish_with_dead_letters().await;
}
