//! The way to Stripe: what comes of answers that are late, cut off, odd or none; and that no key leaves it but to Stripe.

use gateway::{Gateway as _, Obstacle, Operation, Outcome};
use runtime::Span;
use serde_json::json;
use stripe_client_core::{RequestStrategy, StripeRequest as _};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_core::refund::CreateRefund;
use stripe_gateway::{CallFailure, StripeSettings};

use crate::double::{Double, KEY, Reply, buyer, gateway, request};

fn not_executed(outcome: &Outcome) -> Option<Obstacle> {
    if let Outcome::NotExecuted { obstacle, .. } = outcome { Some(*obstacle) } else { None }
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let intent = json!({"id": "pi_1", "status": "succeeded", "amount_received": 700, "currency": "eur"});
    let double = Double::start((0..10).map(|_| Reply::Json(200, intent.clone()))).await;
    let stripe = double.gateway();
    for _ in 0..10 {
        stripe.capture(&request(Operation::Capture, 700, Some("pi_1"))).await;
    }
    assert_eq!((double.seen().len(), double.connections()), (10, 1));
}

#[tokio::test]
async fn what_came_of_a_call_without_an_answer_is_not_known() {
    let double = Double::start([
        Reply::CutOff,
        Reply::Silence,
        Reply::Text(200, "<html>"),
        Reply::Json(200, json!({"id": "pi_1"})),
    ])
    .await;
    let stripe = gateway(StripeSettings { timeout: Span::millis(300), ..double.settings() });
    for what in ["cut off", "silence", "HTML with a 200", "no status"] {
        let outcome = stripe.capture(&request(Operation::Capture, 700, Some("pi_1"))).await;
        assert!(matches!(&outcome, Outcome::Unknown { detail } if detail.contains("/capture")), "{what}: {outcome:?}");
    }
    assert_eq!(double.seen().len(), 4, "nothing is sent twice by itself");
}

#[tokio::test]
async fn what_was_not_sent_was_not_executed() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Double::start([]).await;
    let at = |base_url: String| gateway(StripeSettings { base_url, ..nobody.settings() });
    for base_url in [format!("http://127.0.0.1:{port}"), "http://stripe.invalid".to_owned()] {
        let stripe = at(base_url);
        let outcome = stripe.capture(&request(Operation::Capture, 700, Some("pi_1"))).await;
        assert_eq!(not_executed(&outcome), Some(Obstacle::Unreachable), "{outcome:?}");
        assert!(stripe.alive().await.is_err());
    }
}

#[tokio::test]
async fn a_proxys_page_counts_by_its_status() {
    let double =
        Double::start([Reply::Text(502, "<html>Bad gateway"), Reply::Text(403, "<html>"), Reply::Text(429, "")]).await;
    let stripe = double.gateway();
    let capture = request(Operation::Capture, 700, Some("pi_1"));
    let outcome = stripe.capture(&capture).await;
    assert!(matches!(&outcome, Outcome::Errored { detail } if detail.contains("502")), "{outcome:?}");
    assert_eq!(not_executed(&stripe.capture(&capture).await), Some(Obstacle::Misconfigured));
    assert_eq!(not_executed(&stripe.capture(&capture).await), Some(Obstacle::Busy));
}

#[tokio::test]
async fn an_endpoint_that_is_called_too_often_rests_and_more_calls_than_the_rate_are_not_made() {
    let limited =
        Reply::With(429, &[("stripe-rate-limited-reason", "endpoint-rate")], json!({"error": {"code": "rate_limit"}}));
    let taken =
        || Reply::Json(200, json!({"id": "pi_1", "status": "succeeded", "amount_received": 700, "currency": "eur"}));
    let double = Double::start([limited, taken(), taken()]).await;
    let stripe = gateway(StripeSettings { endpoint_rate: 1, ..double.settings() });
    let capture = request(Operation::Capture, 700, Some("pi_1"));
    let outcome = stripe.capture(&capture).await;
    assert_eq!(not_executed(&outcome), Some(Obstacle::Busy), "{outcome:?}");
    let told = std::time::Instant::now();
    assert!(matches!(stripe.capture(&capture).await, Outcome::Captured { .. }));
    assert!(told.elapsed() >= std::time::Duration::from_millis(900), "it rests: {:?}", told.elapsed());
    let outcomes = tokio::join!(stripe.capture(&capture), stripe.capture(&capture), stripe.capture(&capture));
    let outcomes = [outcomes.0, outcomes.1, outcomes.2];
    let busy = outcomes.iter().filter(|outcome| not_executed(outcome) == Some(Obstacle::Busy)).count();
    assert_eq!((busy, double.seen().len()), (2, 3), "the two others were not made: {outcomes:?}");
}

#[tokio::test]
async fn any_request_of_async_stripes_can_be_sent_once_under_a_key_of_ours() {
    let refused = json!({"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "no"}});
    let double =
        Double::start([Reply::With(400, &[("idempotent-replayed", "true")], refused), Reply::Json(500, json!({}))])
            .await;
    let stripe = double.gateway();
    let key = "order:1:refund:1".to_owned().try_into().unwrap();
    let refund = CreateRefund::new().payment_intent("pi_1").customize();
    let answer = refund.request_strategy(RequestStrategy::Idempotent(key)).send(stripe.transport()).await;
    let Err(CallFailure::Refused(refusal)) = answer else { panic!("a 400 is a refusal") };
    assert_eq!((refusal.status, refusal.replayed, refusal.request_id.as_deref()), (400, true, Some("req_1")));
    assert!(RetrieveForMyAccountBalance::new().send(stripe.transport()).await.is_err());
    let seen = double.seen();
    assert_eq!(seen[0].header("idempotency-key"), Some("order:1:refund:1"));
    assert_eq!(seen.len(), 2, "a 500 is not sent again by itself");
}

#[tokio::test]
async fn a_rolled_key_is_used_from_the_next_call_on_and_only_one_of_the_same_mode() {
    let expired = json!({"error": {"type": "invalid_request_error", "code": "api_key_expired", "message": format!("Expired API key: {KEY}")}});
    let double = Double::start([Reply::Json(401, expired), Reply::Json(200, json!({}))]).await;
    let stripe = double.gateway();
    let error = stripe.alive().await.unwrap_err();
    assert!(error.contains("401") && error.contains("api_key_expired") && !error.contains("hunter2"), "{error}");
    assert!(stripe.set_api_key("sk_live_hunter3".into()).is_err());
    stripe.set_api_key("rk_test_hunter4".into()).unwrap();
    stripe.alive().await.unwrap();
    let bearers: Vec<_> = double.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(bearers, ["Bearer sk_test_hunter2", "Bearer rk_test_hunter4"]);
}

#[tokio::test]
async fn no_secret_is_shown_by_the_gateway_its_answers_or_its_failures() {
    let secret = "pi_1_secret_hunter2";
    let intent = json!({"id": "pi_1", "status": "requires_capture", "amount_capturable": 1_501, "currency": "eur", "client_secret": secret});
    let mut refused =
        json!({"error": {"type": "card_error", "code": "card_declined", "message": format!("No, {secret} {KEY}.")}});
    refused["error"]["payment_intent"] = intent.clone();
    let double = Double::start([
        Reply::Json(200, intent.clone()),
        Reply::Json(402, refused),
        Reply::Json(200, intent.clone()),
        Reply::Json(200, intent),
    ])
    .await;
    let stripe = double.gateway();
    let authorize = request(Operation::Authorize, 1_501, Some("pi_1"));
    let shown = [
        format!("{stripe:?}"),
        format!("{:?}", stripe.authorize(&authorize, &buyer("pm_1")).await),
        format!("{:?}", stripe.authorize(&authorize, &buyer("pm_1")).await),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let given = stripe.client_secret("pi_1").await.unwrap().unwrap();
    assert_eq!(given.expose(), secret);
    assert!(!format!("{given:?}").contains("hunter2"));
    assert_eq!(double.seen().len(), 4, "a confirmation, another with its cancellation, and the secret");
}
