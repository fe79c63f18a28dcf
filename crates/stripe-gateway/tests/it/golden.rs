//! Each request as it goes over the wire, decoded: no release of async-stripe changes one unseen.

use gateway::{ExistingPayment, Gateway as _, Operation, Outcome, Request};
use serde_json::{Value, json};
use stripe_gateway::StripeSettings;
use stripe_gateway::webhook::{EventSubject, WebhookEvent};

use crate::double::{Double, ORDER, Reply, at, buyer, gateway, order, request};

/// The API version that async-stripe 1.0.0-rc.10 is made for.
const VERSION: &str = "stripe-version: 2026-09-30.endive";
const FORM: &str = "content-type: application/x-www-form-urlencoded";

fn intent(status: &str) -> Value {
    json!({"id": "pi_1", "status": status, "currency": "eur", "amount_capturable": 1_501, "amount_received": 700})
}

fn settings(double: &Double) -> StripeSettings {
    StripeSettings {
        account: Some("acct_1".into()),
        return_url: Some("https://shop.example/paid?order={order_id}".into()),
        statement_descriptor_suffix: Some("SHOES".into()),
        ..double.settings()
    }
}

#[tokio::test]
async fn an_authorization_creates_then_confirms() {
    let double = Double::start([
        Reply::Json(200, intent("requires_payment_method")),
        Reply::Json(200, intent("requires_capture")),
        Reply::Json(200, intent("requires_payment_method")),
        Reply::Json(200, intent("requires_capture")),
        Reply::Json(200, intent("requires_capture")),
        Reply::Json(200, intent("requires_payment_method")),
    ])
    .await;
    let stripe = gateway(settings(&double));
    let (first, with_id) =
        (request(Operation::Authorize, 1_501, None), request(Operation::Authorize, 1_501, Some("pi_1")));
    assert_eq!(stripe.authorize(&first, &buyer("pm_1")).await, Outcome::Opened { payment_id: "pi_1".into() });
    for method in ["pm_1", "cus_1/pm_1", "ctoken_1"] {
        assert!(matches!(stripe.authorize(&with_id, &buyer(method)).await, Outcome::Authorized(_)), "{method}");
    }
    let second = Request { attempt: 2, ..first };
    assert_eq!(stripe.authorize(&second, &buyer("pm_1")).await, Outcome::Opened { payment_id: "pi_1".into() });

    let created = |key: &str| {
        format!(
            "POST /v1/payment_intents\nidempotency-key: {key}\nstripe-account: acct_1\n{VERSION}\n{FORM}\n\
             allowed_payment_method_types[0]=card\namount=1501\ncapture_method=manual\ncurrency=eur\n\
             metadata[key]=order:{ORDER}:authorize\nmetadata[order_id]={ORDER}\nstatement_descriptor_suffix=SHOES"
        )
    };
    let confirmed = |method: &str| {
        let (name, rest) =
            ("POST /v1/payment_intents/pi_1/confirm", format!("stripe-account: acct_1\n{VERSION}\n{FORM}"));
        let back = format!("return_url=https://shop.example/paid?order={ORDER}");
        let parameters = if method.starts_with("confirmation_token") {
            format!("{method}\nexpand[0]=latest_charge\n{back}")
        } else {
            format!("expand[0]=latest_charge\n{method}\n{back}")
        };
        format!("{name}\nidempotency-key: order:{ORDER}:authorize:1\n{rest}\n{parameters}")
    };
    let customer = format!(
        "POST /v1/payment_intents/pi_1\nidempotency-key: order:{ORDER}:authorize:1:customer\nstripe-account: acct_1\n{VERSION}\n{FORM}\ncustomer=cus_1"
    );
    let expected = [
        created(&format!("order:{ORDER}:authorize")),
        confirmed("payment_method=pm_1"),
        customer,
        confirmed("payment_method=pm_1"),
        confirmed("confirmation_token=ctoken_1"),
        created(&format!("order:{ORDER}:authorize:create-2")),
    ];
    let seen: Vec<String> = double.seen().iter().map(|seen| seen.shown()).collect();
    assert_eq!(seen, expected);
    for seen in double.seen() {
        assert_eq!(seen.header("authorization"), Some("Bearer sk_test_hunter2"));
        assert_eq!(seen.header("user-agent"), Some("Quadrille"));
    }
}

#[tokio::test]
async fn money_is_taken_let_go_of_and_given_back() {
    let refund = json!({"id": "re_1", "status": "succeeded", "amount": 300, "currency": "eur"});
    let double = Double::start([
        Reply::Json(200, intent("succeeded")),
        Reply::Json(200, intent("requires_capture")),
        Reply::Json(200, intent("canceled")),
        Reply::Json(200, refund),
    ])
    .await;
    let stripe = double.gateway();
    let of = |operation, amount| request(operation, amount, Some("pi_1"));
    assert!(matches!(stripe.capture(&of(Operation::Capture, 700)).await, Outcome::Captured { .. }));
    assert!(matches!(stripe.void(&of(Operation::Void, 1_501)).await, Outcome::Voided { .. }));
    assert!(matches!(stripe.refund(&of(Operation::Refund, 300)).await, Outcome::Refunded { .. }));
    let expected = [
        format!(
            "POST /v1/payment_intents/pi_1/capture\nidempotency-key: order:{ORDER}:capture:1\n{VERSION}\n{FORM}\namount_to_capture=700"
        ),
        format!("GET /v1/payment_intents/pi_1\n{VERSION}\nexpand[0]=latest_charge"),
        format!(
            "POST /v1/payment_intents/pi_1/cancel\n{VERSION}\n{FORM}\ncancellation_reason=requested_by_customer\nexpand[0]=latest_charge"
        ),
        format!(
            "POST /v1/refunds\nidempotency-key: order:{ORDER}:refund:1\n{VERSION}\n{FORM}\namount=300\nmetadata[key]=order:{ORDER}:refund:1\nmetadata[order_id]={ORDER}\npayment_intent=pi_1"
        ),
    ];
    let seen: Vec<String> = double.seen().iter().map(|seen| seen.shown()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_payment_that_others_made_is_marked_beside_their_own_entries() {
    let double = Double::start([Reply::Json(200, intent("succeeded")), Reply::Json(200, intent("succeeded"))]).await;
    let of_payment = request(Operation::Authorize, 700, Some("pi_1"));
    let outcome = double.gateway().adopt(&of_payment, ExistingPayment::Captured).await;
    assert!(matches!(outcome, Outcome::Captured { money } if money.amount == 700), "{outcome:?}");
    let seen: Vec<String> = double.seen().iter().map(|seen| seen.shown()).collect();
    let expected = [
        format!("GET /v1/payment_intents/pi_1\n{VERSION}\nexpand[0]=latest_charge"),
        format!(
            "POST /v1/payment_intents/pi_1\nidempotency-key: adopt:pi_1\n{VERSION}\n{FORM}\nexpand[0]=latest_charge\nmetadata[quadrille_order]={ORDER}"
        ),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_not_known_is_looked_up_by_id_else_by_list_never_by_search() {
    let page = |id: &str, has_more: bool| {
        Reply::Json(200, json!({"data": [{"id": id, "status": "pending"}], "has_more": has_more}))
    };
    let double = Double::start([
        page("pi_8", true),
        page("pi_9", false),
        Reply::Json(200, json!({"id": "re_1", "status": "pending", "amount": 300, "currency": "eur"})),
        page("re_8", true),
        page("re_9", false),
        Reply::Json(200, json!({"id": "du_1", "status": "won", "amount": 300, "currency": "eur"})),
        Reply::Json(200, json!({"id": "issfr_1"})),
        Reply::Json(200, json!({"data": [], "has_more": false})),
        Reply::Json(200, json!({"object": "balance"})),
    ])
    .await;
    let stripe = double.gateway();
    let unnamed = at(request(Operation::Authorize, 1_501, None), 1_700_000_000);
    assert_eq!(stripe.look_up(Operation::Authorize, &unnamed).await, Outcome::NotFound);
    let refund = Request { refund_id: Some("re_1".into()), ..request(Operation::Refund, 300, Some("pi_1")) };
    assert!(matches!(stripe.look_up(Operation::Refund, &refund).await, Outcome::RefundPending { .. }));
    let unnamed = request(Operation::Refund, 300, Some("pi_1"));
    assert_eq!(stripe.look_up(Operation::Refund, &unnamed).await, Outcome::NotFound);
    for subject in [EventSubject::Dispute("du_1".into()), EventSubject::FraudWarning("issfr_1".into())] {
        let event = WebhookEvent {
            id: "evt_1".into(),
            event_type: "any".into(),
            created: unnamed.since,
            livemode: false,
            account: None,
            subject: Some(subject),
        };
        stripe.notice(&event).await.unwrap();
    }
    assert_eq!(stripe.undelivered(events::Timestamp::from_millis(1_700_000_000_000)).await.unwrap(), []);
    stripe.alive().await.unwrap();
    let listed = |after: &str| {
        format!(
            "GET /v1/payment_intents\n{VERSION}\ncreated[gte]=1700000000\ncreated[lte]=1700003601\nlimit=100{after}"
        )
    };
    let refunds = |after: &str| format!("GET /v1/refunds\n{VERSION}\nlimit=100\npayment_intent=pi_1{after}");
    let types: Vec<String> = stripe_gateway::webhook::EVENT_TYPES
        .iter()
        .enumerate()
        .map(|(at, name)| format!("types[{at}]={name}"))
        .collect();
    let mut types = types;
    types.sort();
    let expected = [
        listed(""),
        listed("\nstarting_after=pi_8"),
        format!("GET /v1/refunds/re_1\n{VERSION}"),
        refunds(""),
        refunds("\nstarting_after=re_8"),
        format!("GET /v1/disputes/du_1\n{VERSION}"),
        format!("GET /v1/radar/early_fraud_warnings/issfr_1\n{VERSION}"),
        format!(
            "GET /v1/events\n{VERSION}\ncreated[gte]=1700000000\ndelivery_success=false\nlimit=100\n{}",
            types.join("\n")
        ),
        format!("GET /v1/balance\n{VERSION}"),
    ];
    let seen: Vec<String> = double.seen().iter().map(|seen| seen.shown()).collect();
    assert_eq!(seen, expected);
    assert_eq!(order().to_string(), ORDER);
}
