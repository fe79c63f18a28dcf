//! Orders whose money was held or taken before they were placed, or is settled outside: none is taken twice, and what does not ship goes back.

use events::{PaymentDeclined, RefundCompleted, RefundRequested};
use quadrille_tests::Order;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stripe::{API_KEY, Paid};

const UNITS: i64 = 2;
const TOTAL: i64 = 900;

impl Paid {
    /// A payment that the shop made at Stripe by itself.
    async fn made_by_shop(&self, capture: &str, amount: i64) -> String {
        let shops_own = runtime::Clock::default().mint();
        let body = format!(
            "amount={amount}&currency=eur&confirm=true&payment_method=pm_card_visa&capture_method={capture}&allowed_payment_method_types[]=card\
             &metadata[order_id]=shop-{shops_own}"
        );
        let request = self.pipeline.http.post(format!("{}/v1/payment_intents", self.url)).bearer_auth(API_KEY);
        let answer =
            request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
        let intent: Value = answer.json().await.unwrap();
        intent["id"].as_str().unwrap_or_else(|| panic!("{intent}")).to_owned()
    }

    async fn intent_at_stripe(&self, payment_id: &str) -> Value {
        let url = format!("{}/v1/payment_intents/{payment_id}?expand[]=latest_charge", self.url);
        self.pipeline.http.get(url).bearer_auth(API_KEY).send().await.unwrap().json().await.unwrap()
    }

    async fn place(&self, units: i64, payment: Value) -> String {
        let order = Order::of(&[("TEA", units, TOTAL / UNITS)]).paid_with("").with("payment", payment);
        self.pipeline.place(&order).await
    }

    async fn settles(&self, order: &str, refund: &str, outcome: &str) -> u16 {
        let path = format!("/orders/{order}/refunds/{refund}/settle");
        self.pipeline.post("payments", &path, json!({"outcome": outcome, "detail": "the bank said so"})).await.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_at_our_gateway_before_the_order_is_taken_over_once_and_given_back_where_nothing_ships() {
    let paid = Paid::start("stripe", false).await;
    let by = |kind: &str, reference: &str| json!({"kind": kind, "provider": "stripe", "reference": reference, "amount": TOTAL});
    let (held, taken, wanted) = (
        paid.made_by_shop("manual", TOTAL).await,
        paid.made_by_shop("automatic", TOTAL).await,
        paid.made_by_shop("automatic", 45_000).await,
    );
    let (from_hold, from_charge) =
        (paid.place(UNITS, by("authorized", &held)).await, paid.place(UNITS, by("captured", &taken)).await);
    for order in [&from_hold, &from_charge] {
        paid.until_status(order, "COMPLETED").await;
        assert_eq!(paid.payment(order).await["captured"], json!(TOTAL));
    }
    // Out of stock: the customer has paid, and gets it back.
    let out_of_stock = json!({"kind": "captured", "provider": "stripe", "reference": wanted});
    let out_of_stock = paid.place(100, out_of_stock).await;
    paid.until_status(&out_of_stock, "FAILED").await;
    paid.until_state(&out_of_stock, "VOIDED").await;
    // Two orders at once by one payment: one gets it.
    let shared = by("captured", &paid.made_by_shop("automatic", TOTAL).await);
    let both = tokio::join!(paid.place(UNITS, shared.clone()), paid.place(UNITS, shared));
    let both = [both.0, both.1];
    // The other's call may be under way: then it is asked again after a pause.
    let ends = async || [paid.pipeline.status(&both[0]).await, paid.pipeline.status(&both[1]).await];
    let one_each = async || {
        let mut ends = ends().await;
        ends.sort();
        ends == ["COMPLETED", "FAILED"]
    };
    paid.pipeline.until(one_each, "one of two orders completes by one payment").await;
    // Another order's, one that is only held, one that there is not.
    let only_held = paid.made_by_shop("manual", TOTAL).await;
    for (payment, code) in [
        (by("captured", &taken), "another_orders_payment"),
        (by("captured", &only_held), "not_as_said"),
        (by("authorized", "pi_that_there_is_not"), "no_such_payment"),
        (json!({"kind": "authorized", "provider": "adyen", "reference": "a-1"}), "unknown_gateway"),
    ] {
        let order = paid.place(UNITS, payment).await;
        paid.until_status(&order, "FAILED").await;
        let declined: PaymentDeclined = paid.pipeline.the(&order).await;
        assert!(declined.reason.detail.starts_with(code), "{}", declined.reason.detail);
    }
    let [held, taken, wanted, only_held] = [
        paid.intent_at_stripe(&held).await,
        paid.intent_at_stripe(&taken).await,
        paid.intent_at_stripe(&wanted).await,
        paid.intent_at_stripe(&only_held).await,
    ];
    assert_eq!((&held["status"], &held["amount_received"]), (&json!("succeeded"), &json!(TOTAL)));
    assert_eq!((&taken["amount_received"], &taken["latest_charge"]["amount_refunded"]), (&json!(TOTAL), &json!(0)));
    assert_eq!(wanted["latest_charge"]["amount_refunded"], json!(45_000), "{wanted}");
    assert_eq!(only_held["status"], json!("requires_capture"), "what is not ours is left alone");
    assert!(taken["metadata"]["order_id"].as_str().unwrap().starts_with("shop-"), "the shop's own metadata stays");
    paid.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_took_the_money_elsewhere_is_asked_for_refunds_and_what_is_settled_outside_ships_without_a_gateway() {
    let paid = Paid::start("stripe", false).await;
    let shopify = json!({"kind": "captured", "provider": "shopify", "reference": "shopify-1"});
    let (invoice, out_of_stock) = (
        paid.place(UNITS, json!({"kind": "external", "provider": "invoice"})).await,
        paid.place(100, shopify.clone()).await,
    );
    let marketplace = paid.place(UNITS, shopify).await;
    for order in [&invoice, &marketplace] {
        paid.until_status(order, "COMPLETED").await;
        assert_eq!(paid.payment(order).await["captured"], json!(TOTAL));
    }
    paid.until_status(&out_of_stock, "FAILED").await;
    paid.pipeline.settle().await;
    let asked: RefundRequested = paid.pipeline.the(&out_of_stock).await;
    assert_eq!((asked.amount, asked.asked.as_str()), (45_000, "unshipped"));
    assert_eq!((asked.provider.as_deref(), asked.reference.as_deref()), (Some("shopify"), Some("shopify-1")));
    assert_eq!(paid.payment(&out_of_stock).await["state"], json!("VOIDING"), "not said to be back before it is");
    let refund = asked.refund_id.to_string();
    assert_eq!(paid.settles(&out_of_stock, &refund, "failed").await, 200);
    assert_eq!(paid.settles(&out_of_stock, &refund, "refunded").await, 409, "it is a person's case by now");
    let (status, answer) =
        paid.pipeline.ask(Method::POST, "payments", &format!("/payments/{out_of_stock}/retry"), Some(json!({}))).await;
    assert_eq!(status, 202, "{answer}");
    paid.pipeline.settle().await;
    let again: Vec<RefundRequested> = paid.pipeline.all(&out_of_stock).await;
    let refund = again.last().unwrap().refund_id.to_string();
    assert_eq!(paid.settles(&out_of_stock, &refund, "refunded").await, 200);
    assert_eq!(paid.settles(&out_of_stock, &refund, "refunded").await, 409, "once");
    paid.until_state(&out_of_stock, "VOIDED").await;
    assert!(paid.pipeline.the::<RefundCompleted>(&out_of_stock).await.unshipped);

    // A refund to the customer goes the same way.
    let url = paid.pipeline.door("payments", &format!("/orders/{invoice}/refunds"));
    let request =
        paid.pipeline.http.post(url).header("Idempotency-Key", "k-1").json(&json!({"amount": 450, "reason": "broken"}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let refund = answer.json::<Value>().await.unwrap()["refund_id"].as_str().unwrap().to_owned();
    paid.pipeline.settle().await;
    let asked: RefundRequested = paid.pipeline.the(&invoice).await;
    assert_eq!((asked.provider.as_deref(), asked.refund_id.to_string()), (Some("invoice"), refund.clone()));
    assert_eq!(paid.settles(&invoice, &uuid::Uuid::nil().to_string(), "refunded").await, 404);
    assert_eq!(paid.settles(&invoice, &refund, "refunded").await, 200);
    paid.pipeline.settle().await;
    assert_eq!(paid.pipeline.get("payments", &format!("/orders/{invoice}/refunds")).await["refunds_done"], json!(450));
    let shown = paid.pipeline.get("saga-tracker", &format!("/orders/{out_of_stock}")).await;
    assert_eq!(shown["refunds"].as_array().map(Vec::len), Some(1), "{shown}");
    paid.end_with_dead_letters().await;
}
