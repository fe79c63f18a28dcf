//! Stripe's books by pages: each request, and what is read of each object.

use events::{Currency, Timestamp};
use gateway::{Gateway as _, LedgerPage, Money, ProviderEntry, ProviderPayment, ProviderRefund, RefundStatus};
use serde_json::{Value, json};

use crate::double::{Double, ORDER, Reply, eur, order};

const VERSION: &str = "stripe-version: 2026-09-30.endive";

fn intent(id: &str, status: &str, order: &str) -> Value {
    json!({"id": id, "status": status, "currency": "eur", "amount": 1_501, "amount_capturable": 1_501, "amount_received": 700,
           "metadata": {"order_id": order, "key": format!("order:{order}:authorize")}})
}

fn page(data: Value, has_more: bool) -> Reply {
    Reply::Json(200, json!({"object": "list", "data": data, "has_more": has_more}))
}

#[tokio::test]
async fn payments_refunds_and_fees_are_read_to_the_last_page() {
    let refund = |id: &str, status: &str, intent: Value| json!({"id": id, "status": status, "amount": 300, "currency": "eur", "payment_intent": intent});
    let double = Double::start([
        page(
            json!([
                intent("pi_4", "requires_capture", ORDER),
                intent("pi_3", "succeeded", ORDER),
                intent("pi_2", "canceled", ORDER)
            ]),
            true,
        ),
        page(
            json!([intent("pi_1", "requires_action", ORDER), {"id": "pi_0", "status": "succeeded", "currency": "iqd"}]),
            false,
        ),
        page(
            json!([
                refund("re_2", "succeeded", intent("pi_3", "succeeded", ORDER)),
                refund("re_1", "pending", json!("pi_0"))
            ]),
            false,
        ),
        page(
            json!([{"id": "txn_2", "type": "charge", "amount": 700, "fee": 36, "currency": "eur"},
                    {"id": "txn_1", "type": "payout", "amount": -664, "fee": 0, "currency": "eur"}]),
            true,
        ),
        page(json!([{"id": "txn_0", "type": "stripe_fee", "amount": -5, "fee": 0, "currency": "jpy"}]), false),
    ])
    .await;
    let stripe = double.gateway();
    let (mut pages, mut next) = (Vec::new(), None);
    for _ in 0..5 {
        let LedgerPage { entries, next: following } =
            stripe.ledger(Timestamp::from_millis(1_700_000_000_999), next.as_deref()).await.unwrap();
        pages.push(entries);
        next = following;
    }
    assert_eq!(next, None, "it is the last one");
    let payment = |id: &str, held, captured, is_open| {
        let (payment_id, order_id, currency) = (id.to_owned(), order(), Currency::EUR);
        ProviderEntry::Payment(ProviderPayment { payment_id, order_id, currency, held, captured, is_open })
    };
    let (refund_id, payment_id, order_id, money) = ("re_2".to_owned(), "pi_3".to_owned(), order(), eur(300));
    let refund = ProviderEntry::Refund(ProviderRefund {
        refund_id,
        payment_id,
        order_id,
        money,
        status: RefundStatus::Succeeded,
    });
    let expected = [
        vec![payment("pi_4", 1_501, 0, false), payment("pi_3", 0, 700, false), payment("pi_2", 0, 0, false)],
        vec![payment("pi_1", 0, 0, true), ProviderEntry::ForeignPayment],
        vec![refund], // the other one is of a foreign payment
        vec![ProviderEntry::Fee(eur(36))],
        vec![ProviderEntry::Fee(Money { amount: 5, currency: "JPY".parse().unwrap() })],
    ];
    assert_eq!(pages, expected);
    let since = "created[gte]=1700000000";
    let seen: Vec<String> = double.seen().iter().map(|seen| seen.shown()).collect();
    let asked = [
        format!("GET /v1/payment_intents\n{VERSION}\n{since}\nlimit=100"),
        format!("GET /v1/payment_intents\n{VERSION}\n{since}\nlimit=100\nstarting_after=pi_2"),
        format!("GET /v1/refunds\n{VERSION}\n{since}\nexpand[0]=data.payment_intent\nlimit=100"),
        format!("GET /v1/balance_transactions\n{VERSION}\n{since}\nlimit=100"),
        format!("GET /v1/balance_transactions\n{VERSION}\n{since}\nlimit=100\nstarting_after=txn_1"),
    ];
    assert_eq!(seen, asked);
}

#[tokio::test]
async fn books_that_are_not_shown_are_no_empty_books() {
    let refused =
        json!({"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_test_hunter2"}});
    let unreadable = json!({"id": "pi_1", "status": "succeeded", "metadata": {"order_id": ORDER, "key": format!("order:{ORDER}:authorize")}});
    let double =
        Double::start([Reply::Json(401, refused), Reply::Text(502, "<html>"), page(json!([unreadable]), false)]).await;
    let stripe = double.gateway();
    for expected in ["401", "502", "pi_1"] {
        let why = stripe.ledger(Timestamp::from_millis(0), None).await.unwrap_err();
        assert!(why.contains(expected) && !why.contains("hunter2"), "{why}");
    }
    assert!(stripe.ledger(Timestamp::from_millis(0), Some("coupons/1")).await.unwrap_err().contains("coupons"));
}
