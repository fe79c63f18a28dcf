//! What a webhook comes to once its object is fetched again.

use events::Timestamp;
use gateway::{
    ActionResult, Dispute, DisputeStatus, DisputedFunds, HoldEnd, PaymentChange, ProviderNotice, RefundStatus,
};
use serde_json::{Value, json};
use stripe_gateway::webhook::{WebhookEvent, parse};
use stripe_gateway::{StripeMode, StripeSettings, WebhookNotice};

use crate::double::{Double, ORDER, Reply, eur, gateway, order};

fn event(event_type: &str, id: &str) -> WebhookEvent {
    let body =
        json!({"id": "evt_1", "type": event_type, "created": 1, "livemode": false, "data": {"object": {"id": id}}});
    parse(body.to_string().as_bytes()).unwrap()
}

fn intent(status: &str, more: Value) -> Value {
    let metadata = json!({"order_id": ORDER, "key": format!("order:{ORDER}:authorize")});
    let mut object = json!({"id": "pi_1", "status": status, "currency": "eur", "metadata": metadata});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

async fn read(event_type: &str, id: &str, answers: &[Value]) -> WebhookNotice {
    let double = Double::start(answers.iter().map(|answer| Reply::Json(200, answer.clone()))).await;
    let notice = double.gateway().notice(&event(event_type, id)).await.unwrap();
    double.seen();
    notice
}

fn changed(change: PaymentChange) -> WebhookNotice {
    let (message_id, payment_id) = ("evt_1".to_owned(), "pi_1".to_owned());
    WebhookNotice::Notice(ProviderNotice::Payment { message_id, order_id: order(), payment_id, change })
}

#[tokio::test]
async fn a_payments_state_counts_whatever_its_event_was() {
    let action = |result| WebhookNotice::Notice(ProviderNotice::Action { order_id: order(), result });
    let failed =
        json!({"last_payment_error": {"code": "payment_intent_authentication_failure", "message": "Not you."}});
    let gone = |end, reason: &str| {
        changed(PaymentChange::HoldGone { end, detail: format!("the payment was cancelled at Stripe: {reason}") })
    };
    let rows = [
        (
            intent("requires_payment_method", failed),
            action(ActionResult::Failed { detail: "payment_intent_authentication_failure: Not you.".into() }),
        ),
        (intent("requires_payment_method", json!({})), WebhookNotice::Nothing),
        (intent("requires_action", json!({})), WebhookNotice::Nothing),
        (intent("canceled", json!({"cancellation_reason": "expired"})), gone(HoldEnd::Expired, "expired")),
        (intent("canceled", json!({"cancellation_reason": "duplicate"})), gone(HoldEnd::Cancelled, "duplicate")),
        (intent("succeeded", json!({"amount_received": 700})), changed(PaymentChange::Captured { money: eur(700) })),
        (intent("requires_magic", json!({})), WebhookNotice::Nothing),
    ];
    for (object, expected) in rows {
        // Events come late and in any order: each type reads the same.
        for event_type in ["payment_intent.succeeded", "payment_intent.canceled", "payment_intent.payment_failed"] {
            assert_eq!(
                read(event_type, "pi_1", std::slice::from_ref(&object)).await,
                expected,
                "{event_type} {object}"
            );
        }
    }
    let held = intent("requires_capture", json!({"amount_capturable": 1_501}));
    let notice = read("payment_intent.amount_capturable_updated", "pi_1", &[held]).await;
    let WebhookNotice::Notice(ProviderNotice::Action { result: ActionResult::Passed { hold: Some(hold) }, .. }) =
        notice
    else {
        panic!("expected what is held, got {notice:?}")
    };
    assert_eq!((hold.payment_id.as_str(), hold.money), ("pi_1", eur(1_501)));
}

#[tokio::test]
async fn a_refund_is_ours_by_its_key_and_else_made_outside() {
    let of = |status: &str, metadata: Value| json!({"id": "re_1", "status": status, "amount": 300, "currency": "eur", "payment_intent": "pi_1", "failure_reason": "declined", "metadata": metadata});
    let ours = json!({"order_id": ORDER, "key": format!("order:{ORDER}:refund:1")});
    let refund = |status| {
        WebhookNotice::Notice(ProviderNotice::Refund { message_id: "evt_1".into(), refund_id: "re_1".into(), status })
    };
    assert_eq!(read("refund.updated", "re_1", &[of("succeeded", ours.clone())]).await, refund(RefundStatus::Succeeded));
    let failed = RefundStatus::Failed { detail: "refund re_1 is failed: declined".into() };
    assert_eq!(read("refund.failed", "re_1", &[of("failed", ours)]).await, refund(failed));
    for metadata in [
        json!({}),
        json!({"order_id": ORDER, "key": "order:other:refund:1"}),
        json!({"order_id": "x", "key": "order:x:refund:1"}),
    ] {
        let outside =
            PaymentChange::Refunded { refund_id: "re_1".into(), money: eur(300), status: RefundStatus::Succeeded };
        let answers = [of("succeeded", metadata), intent("succeeded", json!({}))];
        assert_eq!(read("refund.created", "re_1", &answers).await, changed(outside));
    }
}

#[tokio::test]
async fn a_dispute_is_told_with_its_stage_and_where_its_money_is() {
    let rows = [
        ("warning_needs_response", json!([]), DisputeStatus::Inquiry, DisputedFunds::Untouched, true),
        ("warning_under_review", json!([]), DisputeStatus::Inquiry, DisputedFunds::Untouched, false),
        ("warning_closed", json!([]), DisputeStatus::Closed, DisputedFunds::Untouched, false),
        ("needs_response", json!([]), DisputeStatus::NeedsResponse, DisputedFunds::Untouched, true),
        ("needs_response", json!([{"amount": -300}]), DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn, true),
        ("under_review", json!([{"amount": -300}]), DisputeStatus::UnderReview, DisputedFunds::Withdrawn, false),
        ("won", json!([{"amount": -300}, {"amount": 300}]), DisputeStatus::Won, DisputedFunds::Reinstated, false),
        ("lost", json!([{"amount": -300}]), DisputeStatus::Lost, DisputedFunds::Withdrawn, false),
        ("prevented", json!([]), DisputeStatus::Closed, DisputedFunds::Untouched, false),
        ("brand_new", json!([]), DisputeStatus::NeedsResponse, DisputedFunds::Untouched, false),
    ];
    for (state, transactions, status, funds, awaited) in rows {
        let object = json!({"id": "du_1", "status": state, "amount": 300, "currency": "eur", "reason": "fraudulent", "payment_intent": {"id": "pi_1"},
            "balance_transactions": transactions, "evidence_details": {"due_by": 1_800_000_000}});
        let notice = read("charge.dispute.updated", "du_1", &[object, intent("succeeded", json!({}))]).await;
        let evidence_due_by = awaited.then_some(Timestamp::from_millis(1_800_000_000_000));
        let (dispute_id, reason) = ("du_1".to_owned(), "fraudulent".to_owned());
        let dispute = Dispute { dispute_id, status, money: eur(300), funds, reason, evidence_due_by };
        assert_eq!(notice, changed(PaymentChange::Disputed(dispute)), "{state}");
    }
    let warning =
        json!({"id": "issfr_1", "fraud_type": "made_with_stolen_card", "actionable": true, "payment_intent": "pi_1"});
    let notice = read("radar.early_fraud_warning.created", "issfr_1", &[warning, intent("succeeded", json!({}))]).await;
    let (warning_id, reason) = ("issfr_1".to_owned(), "made_with_stolen_card".to_owned());
    assert_eq!(notice, changed(PaymentChange::FraudWarning { warning_id, reason, actionable: true }));
}

#[tokio::test]
async fn what_was_not_made_here_is_foreign_and_what_nobody_asked_for_is_not_fetched() {
    let strange = [
        json!({}),
        json!({"order_id": ORDER}),
        json!({"order_id": ORDER, "key": "order:018f0000-0000-7000-8000-000000000002:authorize"}),
        json!({"order_id": "1234", "key": "order:1234:authorize"}),
    ];
    for metadata in strange {
        let object =
            intent("requires_payment_method", json!({"metadata": metadata, "last_payment_error": {"code": "x"}}));
        assert_eq!(
            read("payment_intent.payment_failed", "pi_1", &[object]).await,
            WebhookNotice::Foreign,
            "{metadata}"
        );
    }
    let without_payment = json!({"id": "du_1", "status": "lost", "amount": 300, "currency": "eur"});
    assert_eq!(read("charge.dispute.closed", "du_1", &[without_payment]).await, WebhookNotice::Foreign);
    assert_eq!(read("customer.created", "cus_1", &[]).await, WebhookNotice::Nothing);

    let gone = Double::start([Reply::Json(404, json!({}))]).await;
    let captured = event("payment_intent.succeeded", "pi_1");
    assert_eq!(gone.gateway().notice(&captured).await.unwrap(), WebhookNotice::Foreign);
    let quiet = Double::start([]).await;
    let live = StripeSettings {
        mode: StripeMode::Live,
        api_key: "sk_live_x".into(),
        base_url: "https://api.stripe.com".into(),
        ..quiet.settings()
    };
    assert_eq!(gateway(live).notice(&captured).await.unwrap(), WebhookNotice::Foreign, "of the other mode");
    let connected = WebhookEvent { account: Some("acct_9".into()), ..captured };
    assert_eq!(quiet.gateway().notice(&connected).await.unwrap(), WebhookNotice::Foreign, "of another account");
}

#[tokio::test]
async fn an_object_that_stripe_does_not_give_now_is_an_error_so_that_stripe_sends_again() {
    for status in [500, 429, 401] {
        let double = Double::start([Reply::Json(status, json!({}))]).await;
        let notice = double.gateway().notice(&event("payment_intent.succeeded", "pi_1")).await;
        assert!(notice.is_err(), "{status}: {notice:?}");
    }
    let unreadable =
        json!({"id": "re_1", "status": "succeeded", "amount": 300, "currency": "zzz", "payment_intent": "pi_1"});
    let double = Double::start([Reply::Json(200, unreadable), Reply::Json(200, intent("succeeded", json!({})))]).await;
    assert!(double.gateway().notice(&event("refund.created", "re_1")).await.is_err(), "an amount is not guessed");
}

#[tokio::test]
async fn events_that_were_missed_come_over_all_pages_with_the_oldest_first() {
    let of = |id: &str, object: &str| json!({"id": id, "type": "payment_intent.succeeded", "created": 1, "data": {"object": {"id": object}}});
    let double = Double::start([
        Reply::Json(200, json!({"data": [of("evt_3", "pi_3"), of("evt_2", "../x")], "has_more": true})),
        Reply::Json(200, json!({"data": [of("evt_1", "pi_1")], "has_more": false})),
    ])
    .await;
    let events = double.gateway().undelivered(Timestamp::from_millis(0)).await.unwrap();
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["evt_1", "evt_3"], "one whose object has no id is left out");
    assert_eq!(double.seen()[1].parameters["starting_after"], "evt_2");
}
