//! What each operation does when Stripe does not simply agree.

use gateway::{ExistingPayment, Gateway as _, Hold, Obstacle, Operation, Outcome, Request};
use serde_json::{Value, json};

use crate::double::{Double, ORDER, Reply, at, buyer, eur, old, request};

fn intent(status: &str, more: Value) -> Value {
    let mut object = json!({"id": "pi_1", "status": status, "currency": "eur"});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

fn held() -> Value {
    intent("requires_capture", json!({"amount_capturable": 1_501}))
}

fn error(code: &str) -> Value {
    json!({"error": {"type": "invalid_request_error", "code": code, "message": "no"}})
}

const GET: &str = "GET /v1/payment_intents/pi_1";
const CREATE: &str = "POST /v1/payment_intents";
const CONFIRM: &str = "POST /v1/payment_intents/pi_1/confirm";
const CAPTURE: &str = "POST /v1/payment_intents/pi_1/capture";
const CANCEL: &str = "POST /v1/payment_intents/pi_1/cancel";
const REFUND: &str = "POST /v1/refunds";
const REFUNDS: &str = "GET /v1/refunds";
const LIST: &str = "GET /v1/payment_intents";

/// What is answered, what comes of it, and what was called.
async fn check(answers: Vec<Reply>, call: Call, expected: Outcome, calls: &[&str]) {
    let double = Double::start(answers).await;
    let stripe = double.gateway();
    let outcome = match &call {
        Call::Authorize(request) => stripe.authorize(request, &buyer("pm_1")).await,
        Call::Adopt(expected) => stripe.adopt(&of(Operation::Authorize, 1_501), *expected).await,
        Call::Capture(request) => stripe.capture(request).await,
        Call::Void(request) => stripe.void(request).await,
        Call::Refund(request) => stripe.refund(request).await,
        Call::LookUp(operation, request) => stripe.look_up(*operation, request).await,
    };
    // Of what is not known only that is compared: its detail is for people.
    match (&outcome, &expected) {
        (Outcome::Unknown { .. }, Outcome::Unknown { .. }) | (Outcome::Errored { .. }, Outcome::Errored { .. }) => {}
        (Outcome::NotExecuted { obstacle, .. }, Outcome::NotExecuted { obstacle: wanted, .. }) => {
            assert_eq!(obstacle, wanted)
        }
        (outcome, expected) => assert_eq!(outcome, expected),
    }
    assert_eq!(double.lines(), calls, "{outcome:?}");
}

enum Call {
    Authorize(Request),
    Adopt(ExistingPayment),
    Capture(Request),
    Void(Request),
    Refund(Request),
    LookUp(Operation, Request),
}

fn opening() -> Request {
    request(Operation::Authorize, 1_501, None)
}

fn of(operation: Operation, amount: i64) -> Request {
    request(operation, amount, Some("pi_1"))
}

fn confirming() -> Call {
    Call::Authorize(of(Operation::Authorize, 1_501))
}

fn unknown() -> Outcome {
    Outcome::Unknown { detail: String::new() }
}

fn errored() -> Outcome {
    Outcome::Errored { detail: String::new() }
}

fn blocked(obstacle: Obstacle) -> Outcome {
    Outcome::NotExecuted { obstacle, detail: String::new() }
}

fn declined(code: &str, detail: &str) -> Outcome {
    Outcome::Declined { code: code.into(), detail: detail.into() }
}

fn opened() -> Outcome {
    Outcome::Opened { payment_id: "pi_1".into() }
}

fn failed(code: &str, detail: &str) -> Outcome {
    Outcome::CaptureFailed { code: code.into(), detail: detail.into() }
}

#[tokio::test]
async fn a_declined_payment_is_cancelled_before_it_is_told() {
    let card = || {
        Reply::Json(
            402,
            json!({"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "message": "No."}}),
        )
    };
    let no = declined("lost_card", "No.");
    check(vec![card(), Reply::Json(200, intent("canceled", json!({})))], confirming(), no.clone(), &[CONFIRM, CANCEL])
        .await;
    // Somebody cancelled it already, as the same call did whose answer was lost.
    let cancelled = Reply::Json(200, intent("canceled", json!({})));
    let answers = vec![card(), Reply::Json(400, error("payment_intent_unexpected_state")), cancelled];
    check(answers, confirming(), no.clone(), &[CONFIRM, CANCEL, GET]).await;
    // While it is not known to be cancelled, it is not known to be declined.
    check(vec![card(), Reply::Json(500, json!({}))], confirming(), unknown(), &[CONFIRM, CANCEL]).await;
    check(vec![card(), Reply::Json(429, json!({}))], confirming(), blocked(Obstacle::Busy), &[CONFIRM, CANCEL]).await;
    let answers = vec![card(), Reply::Json(400, error("payment_intent_unexpected_state")), Reply::Json(200, held())];
    check(answers, confirming(), unknown(), &[CONFIRM, CANCEL, GET]).await;
    // The look-up finds the decline again, and cancels.
    let open = intent(
        "requires_payment_method",
        json!({"last_payment_error": {"decline_code": "lost_card", "message": "No."}}),
    );
    let answers = vec![Reply::Json(200, open), Reply::Json(200, intent("canceled", json!({})))];
    check(answers, Call::LookUp(Operation::Authorize, of(Operation::Authorize, 1_501)), no, &[GET, CANCEL]).await;
}

#[tokio::test]
async fn what_the_order_brought_is_refused_before_stripe_is_asked() {
    let double = Double::start([]).await;
    let stripe = double.gateway();
    let outcome = stripe.authorize(&opening(), &buyer("tok_approved")).await;
    assert!(matches!(&outcome, Outcome::Declined { code, .. } if code == "invalid_payment_method"), "{outcome:?}");
    let odd = Request { money: gateway::Money { amount: 12_345, currency: events::Currency::KWD }, ..opening() };
    let outcome = stripe.authorize(&odd, &buyer("pm_1")).await;
    assert!(
        matches!(&outcome, Outcome::Declined { code, detail } if code == "amount_not_supported" && detail.contains("multiple of 10")),
        "{outcome:?}"
    );
    let odd = Request { payment_id: Some("pi_1".into()), ..odd };
    assert!(matches!(stripe.capture(&odd).await, Outcome::CaptureFailed { .. }));
    assert!(matches!(stripe.refund(&odd).await, Outcome::RefundFailed { .. }));
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn nobody_is_declined_for_a_key_that_is_wrong_or_a_server_that_fails() {
    let misconfigured = || blocked(Obstacle::Misconfigured);
    for (status, code, outcome) in [
        (401, "api_key_expired", misconfigured()),
        (403, "", misconfigured()),
        (404, "resource_missing", misconfigured()),
        (400, "parameter_unknown", misconfigured()),
        (409, "idempotency_key_in_use", blocked(Obstacle::Busy)),
        (429, "lock_timeout", blocked(Obstacle::Busy)),
        (500, "", errored()),
    ] {
        let answer = || vec![Reply::Json(status, error(code))];
        check(answer(), Call::Authorize(opening()), outcome.clone(), &[CREATE]).await;
        check(answer(), confirming(), outcome.clone(), &[CONFIRM]).await;
        check(answer(), Call::Capture(of(Operation::Capture, 700)), outcome.clone(), &[CAPTURE]).await;
        check(answer(), Call::Refund(of(Operation::Refund, 300)), outcome, &[REFUND]).await;
    }
}

#[tokio::test]
async fn a_payment_without_a_recorded_id_is_found_by_replay_then_by_list() {
    let look_up = |request| Call::LookUp(Operation::Authorize, request);
    let created = intent("requires_payment_method", json!({}));
    check(vec![Reply::Json(200, created.clone())], look_up(opening()), opened(), &[CREATE]).await;
    // A failure that is kept under the key, or a key that was used otherwise: the list tells, by the key in the metadata.
    let ours = intent(
        "requires_payment_method",
        json!({"metadata": {"key": format!("order:{ORDER}:authorize"), "order_id": ORDER}}),
    );
    let other = json!({"id": "pi_9", "status": "succeeded", "metadata": {"order_id": ORDER}});
    let list = |items: &[&Value]| Reply::Json(200, json!({"data": items, "has_more": false}));
    check(vec![Reply::Json(500, json!({})), list(&[&other, &ours])], look_up(opening()), opened(), &[CREATE, LIST])
        .await;
    let reused = || Reply::Json(400, json!({"error": {"type": "idempotency_error"}}));
    check(vec![reused(), list(&[&other])], look_up(opening()), Outcome::NotFound, &[CREATE, LIST]).await;
    // After a day nothing is made under the key, not even that.
    check(vec![list(&[&ours])], look_up(old(opening())), opened(), &[LIST]).await;
    check(vec![list(&[])], Call::Authorize(old(opening())), Outcome::NotFound, &[LIST]).await;
    check(vec![Reply::Json(500, json!({}))], look_up(old(opening())), unknown(), &[LIST]).await;
    // A void finds and cancels it; where there is none nothing is held, as only a recorded id is ever confirmed.
    let void = || Call::Void(Request { payment_id: None, ..of(Operation::Void, 0) });
    let answers = vec![list(&[&ours]), Reply::Json(200, created), Reply::Json(200, intent("canceled", json!({})))];
    check(answers, void(), Outcome::Voided { money: eur(0) }, &[LIST, GET, CANCEL]).await;
    check(vec![list(&[])], void(), Outcome::Voided { money: eur(0) }, &[LIST]).await;
}

#[tokio::test]
async fn after_a_day_nothing_is_made_under_an_old_key() {
    let authorize = Call::Authorize(old(of(Operation::Authorize, 1_501)));
    check(vec![Reply::Json(200, intent("requires_payment_method", json!({})))], authorize, Outcome::NotFound, &[GET])
        .await;
    let capture = Call::Capture(old(of(Operation::Capture, 700)));
    check(vec![Reply::Json(200, held())], capture, Outcome::NotFound, &[GET]).await;
    let refund = Call::Refund(old(of(Operation::Refund, 300)));
    check(vec![Reply::Json(200, json!({"data": []}))], refund, Outcome::NotFound, &[REFUNDS]).await;
    let long_ago = Call::Capture(at(of(Operation::Capture, 700), 1_700_000_000));
    let taken = intent("succeeded", json!({"amount_received": 700}));
    check(vec![Reply::Json(200, taken)], long_ago, Outcome::Captured { money: eur(700) }, &[GET]).await;
}

#[tokio::test]
async fn a_confirmation_that_came_too_late_asks_the_payment_itself() {
    let redirect = json!({"next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks"}}});
    let action = Outcome::ActionRequired {
        payment_id: "pi_1".into(),
        action: events::Action::ThreeDSecure,
        url: Some("https://hooks".into()),
    };
    for (now, expected) in [
        (held(), None),
        (intent("requires_action", redirect), Some(action)),
        (
            intent("canceled", json!({})),
            Some(declined("canceled", "the payment is cancelled at Stripe: no reason given")),
        ),
        (intent("processing", json!({})), Some(unknown())),
    ] {
        let answers = vec![Reply::Json(400, error("payment_intent_unexpected_state")), Reply::Json(200, now)];
        let hold = || gateway::Hold { payment_id: "pi_1".into(), money: eur(1_501), capture_before: None, card: None };
        check(answers, confirming(), expected.unwrap_or_else(|| Outcome::Authorized(hold())), &[CONFIRM, GET]).await;
    }
}

#[tokio::test]
async fn a_capture_that_somebody_else_made_or_prevented_is_told_as_it_is() {
    let late = || Reply::Json(400, error("payment_intent_unexpected_state"));
    let capture = || Call::Capture(of(Operation::Capture, 700));
    let taken = Reply::Json(200, intent("succeeded", json!({"amount_received": 700})));
    check(vec![late(), taken], capture(), Outcome::Captured { money: eur(700) }, &[CAPTURE, GET]).await;
    let expired = Reply::Json(200, intent("canceled", json!({"cancellation_reason": "expired"})));
    let gone = failed("authorization_expired", "the payment is cancelled at Stripe: expired");
    check(vec![late(), expired], capture(), gone, &[CAPTURE, GET]).await;
    check(vec![late(), Reply::Json(500, json!({}))], capture(), unknown(), &[CAPTURE, GET]).await;
    let code = "capture_charge_authorization_expired";
    check(vec![Reply::Json(400, error(code))], capture(), failed(code, "no"), &[CAPTURE]).await;
    check(vec![Reply::Json(200, held())], capture(), unknown(), &[CAPTURE]).await;
}

#[tokio::test]
async fn to_capture_nothing_cancels() {
    let capture = || Call::Capture(of(Operation::Capture, 0));
    let cancelled = || Reply::Json(200, intent("canceled", json!({})));
    let nothing = Outcome::Captured { money: eur(0) };
    check(vec![Reply::Json(200, held()), cancelled()], capture(), nothing.clone(), &[GET, CANCEL]).await;
    check(vec![cancelled()], capture(), nothing, &[GET]).await;
    let taken = || Reply::Json(200, intent("succeeded", json!({"amount_received": 700})));
    check(vec![taken()], capture(), Outcome::Captured { money: eur(700) }, &[GET]).await;
}

#[tokio::test]
async fn a_void_looks_first() {
    let void = || Call::Void(of(Operation::Void, 1_501));
    let cancelled = || Reply::Json(200, intent("canceled", json!({})));
    check(vec![Reply::Json(200, held()), cancelled()], void(), Outcome::Voided { money: eur(1_501) }, &[GET, CANCEL])
        .await;
    check(vec![cancelled()], void(), Outcome::Voided { money: eur(0) }, &[GET]).await;
    let waiting = Reply::Json(200, intent("requires_action", json!({})));
    check(vec![waiting, cancelled()], void(), Outcome::Voided { money: eur(0) }, &[GET, CANCEL]).await;
    let taken = Reply::Json(200, intent("succeeded", json!({"amount_received": 700})));
    check(vec![taken], void(), Outcome::Captured { money: eur(700) }, &[GET]).await;
    // Its failure is kept under no key: it is simply asked again.
    check(vec![Reply::Json(200, held()), Reply::Json(500, json!({}))], void(), unknown(), &[GET, CANCEL]).await;
    check(vec![Reply::Json(500, json!({}))], void(), unknown(), &[GET]).await;
    let look_up = || Call::LookUp(Operation::Void, of(Operation::Void, 1_501));
    check(vec![Reply::Json(200, held())], look_up(), Outcome::NotFound, &[GET]).await;
    check(vec![cancelled()], look_up(), Outcome::Voided { money: eur(0) }, &[GET]).await;
}

#[tokio::test]
async fn a_refund_is_never_made_twice() {
    let refund = || Call::Refund(of(Operation::Refund, 300));
    let money = eur(300);
    let made = |status: &str, attempt: u32| json!({"id": "re_1", "status": status, "amount": 300, "currency": "eur", "metadata": {"key": format!("order:{ORDER}:refund:{attempt}")}});
    let list = |item: Value| Reply::Json(200, json!({"data": [item], "has_more": false}));
    let reused = || Reply::Json(400, json!({"error": {"type": "idempotency_error"}}));
    let refund_id = "re_1".to_owned();
    check(
        vec![reused(), list(made("pending", 1))],
        refund(),
        Outcome::RefundPending { refund_id: refund_id.clone(), money },
        &[REFUND, REFUNDS],
    )
    .await;
    // Under its key something else was asked for: never under a new one by itself.
    check(vec![reused(), list(made("succeeded", 2))], refund(), unknown(), &[REFUND, REFUNDS]).await;
    for code in ["charge_already_refunded", "charge_disputed", "refund_disputed_payment", "amount_too_large"] {
        let no = Outcome::RefundFailed { refund_id: None, detail: format!("{code}: no") };
        check(vec![Reply::Json(400, error(code))], refund(), no, &[REFUND]).await;
    }
    let look_up = || Call::LookUp(Operation::Refund, of(Operation::Refund, 300));
    check(vec![list(made("succeeded", 1))], look_up(), Outcome::Refunded { refund_id, money }, &[REFUNDS]).await;
    check(vec![Reply::Json(429, json!({}))], look_up(), blocked(Obstacle::Busy), &[REFUNDS]).await;
}

#[tokio::test]
async fn a_payment_that_others_made_is_marked_only_if_it_is_as_expected_and_by_one_order() {
    const UPDATE: &str = "POST /v1/payment_intents/pi_1";
    let marked = |order: &str| {
        intent("requires_capture", json!({"amount_capturable": 1_501, "metadata": {"quadrille_order": order}}))
    };
    let anothers = || declined("another_orders_payment", "expected a payment of no order, pi_1 is another order's");
    let authorized =
        || Outcome::Authorized(Hold { payment_id: "pi_1".into(), money: eur(1_501), capture_before: None, card: None });
    let (held_, captured) = (ExistingPayment::Held, ExistingPayment::Captured);
    check(vec![Reply::Json(200, held()), Reply::Json(200, held())], Call::Adopt(held_), authorized(), &[GET, UPDATE])
        .await;
    check(vec![Reply::Json(200, marked(ORDER))], Call::Adopt(held_), authorized(), &[GET]).await;
    let other = "01890a5d-ac96-774b-bcce-b302099a8057";
    check(vec![Reply::Json(200, marked(other))], Call::Adopt(held_), anothers(), &[GET]).await;
    // Two orders at once: Stripe knows the key, with another body.
    let mut reused = error("idempotency_error");
    reused["error"]["type"] = "idempotency_error".into();
    check(vec![Reply::Json(200, held()), Reply::Json(400, reused)], Call::Adopt(held_), anothers(), &[GET, UPDATE])
        .await;
    let other_amount = intent("requires_capture", json!({"amount_capturable": 1_500}));
    let mismatch =
        declined("amount_mismatch", "expected a payment of 15.01 EUR, the order's total, pi_1 is of 15.00 EUR");
    check(vec![Reply::Json(200, other_amount)], Call::Adopt(held_), mismatch, &[GET]).await;
    let only_held = declined("not_as_said", "expected a payment that is taken, pi_1 is requires_capture");
    check(vec![Reply::Json(200, held())], Call::Adopt(captured), only_held, &[GET]).await;
    let open = declined("not_as_said", "expected a payment that is held, pi_1 is requires_payment_method");
    check(vec![Reply::Json(200, intent("requires_payment_method", json!({})))], Call::Adopt(held_), open, &[GET]).await;
    for gone in [json!({"amount_refunded": 1}), json!({"disputed": true})] {
        let mut charge = json!({"id": "ch_1", "status": "succeeded"});
        charge.as_object_mut().unwrap().extend(gone.as_object().unwrap().clone());
        let intent = intent("succeeded", json!({"amount_received": 1_501, "latest_charge": charge}));
        let no = declined("not_as_said", "expected a payment whose money is there, pi_1 is refunded or disputed");
        check(vec![Reply::Json(200, intent)], Call::Adopt(captured), no, &[GET]).await;
    }
    let unknown_there = Reply::Json(404, error("resource_missing"));
    let double = Double::start([unknown_there]).await;
    let outcome = double.gateway().adopt(&of(Operation::Authorize, 1_501), held_).await;
    assert!(matches!(&outcome, Outcome::Declined { code, .. } if code == "no_such_payment"), "{outcome:?}");
    check(vec![Reply::Json(500, error("api_error"))], Call::Adopt(held_), unknown(), &[GET]).await;
}

#[tokio::test]
async fn of_more_payments_than_are_read_one_that_holds_nothing_is_as_good_as_none_and_a_refund_is_not_known() {
    let page = |id: &str| Reply::Json(200, json!({"data": [{"id": id, "status": "pending"}], "has_more": true}));
    let pages = |id: &'static str| std::iter::repeat_with(move || page(id)).take(20);
    let failed = || Reply::Json(500, error("api_error"));
    let calls = |first: &'static [&str], list: &'static str| [first, &[list; 20]].concat();
    let answers = [failed()].into_iter().chain(pages("pi_9")).collect();
    check(answers, Call::LookUp(Operation::Authorize, opening()), Outcome::NotFound, &calls(&[CREATE], LIST)).await;
    let refund = Call::LookUp(Operation::Refund, of(Operation::Refund, 300));
    check(pages("re_9").collect(), refund, unknown(), &calls(&[], REFUNDS)).await;
}
