//! Idempotency keys: what is kept, for how long, and what is not.

use reqwest::Method;
use serde_json::json;

use crate::harness::{LIMIT, Sim};

const CREATE: [(&str, &str); 4] =
    [("amount", "1000"), ("currency", "eur"), ("capture_method", "manual"), ("allowed_payment_method_types[]", "card")];

#[tokio::test]
async fn a_key_replays_its_answer_and_nothing_else() {
    let sim = Sim::start().await;
    let first = sim.post_with_key("payment_intents", "order:1", &CREATE).await.ok();
    assert_eq!(first.header("idempotency-key"), "order:1");
    assert_eq!(first.header("idempotent-replayed"), "");
    let mut reordered = CREATE;
    reordered.reverse();
    let again = sim.post_with_key("payment_intents", "order:1", &reordered).await.ok();
    assert_eq!((&again.body, again.header("idempotent-replayed")), (&first.body, "true"));
    assert_eq!(sim.get("payment_intents").await.ok().body["data"].as_array().map(Vec::len), Some(1));

    let other = sim.post_with_key("payment_intents", "order:1", &[("amount", "1001"), ("currency", "eur")]).await;
    assert_eq!((other.status, &other.body["error"]["type"]), (400, &json!("idempotency_error")));
    let elsewhere = sim.post_with_key("refunds", "order:1", &[("payment_intent", &first.id())]).await;
    assert_eq!((elsewhere.status, &elsewhere.body["error"]["type"]), (400, &json!("idempotency_error")));
    let confirm = [("payment_method", "pm_card_visa"), ("return_url", "https://shop.example")];
    let payment = first.id();
    sim.post_with_key(&format!("payment_intents/{payment}/confirm"), "order:1:confirm", &confirm).await.ok();
    let of_other = sim.create("2", 1_000).await;
    let on_other = sim.post_with_key(&format!("payment_intents/{of_other}/confirm"), "order:1:confirm", &confirm).await;
    assert_eq!(on_other.status, 400, "the same key for another payment");
    sim.finish().await;
}

#[tokio::test]
async fn accounts_have_keys_of_their_own() {
    let sim = Sim::start().await;
    sim.settings(json!({"connected_accounts": ["acct_2"]})).await;
    let own = sim.post_with_key("payment_intents", "k", &CREATE).await.ok().id();
    let request = sim
        .request(Method::POST, "/v1/payment_intents")
        .header("idempotency-key", "k")
        .header("stripe-account", "acct_2");
    let theirs = sim
        .send(
            request.header("content-type", "application/x-www-form-urlencoded").body(crate::harness::encoded(&CREATE)),
        )
        .await
        .ok();
    assert_ne!(own, theirs.id());
    sim.finish().await;
}

#[tokio::test]
async fn declines_and_refusals_by_state_are_kept_and_bad_parameters_are_not() {
    let sim = Sim::start().await;
    let payment = sim.create("1", 1_000).await;
    let confirm = format!("payment_intents/{payment}/confirm");
    let declined = sim.post_with_key(&confirm, "decline", &[("payment_method", "pm_card_chargeDeclined")]).await;
    let again = sim.post_with_key(&confirm, "decline", &[("payment_method", "pm_card_chargeDeclined")]).await;
    assert_eq!((declined.status, again.status, again.header("idempotent-replayed")), (402, 402, "true"));
    assert_eq!(declined.body, again.body);

    let capture = format!("payment_intents/{payment}/capture");
    let early = sim.post_with_key(&capture, "capture", &[]).await;
    assert_eq!(early.error().1, "payment_intent_unexpected_state");
    sim.confirm(&payment, "pm_card_visa").await.ok();
    let replayed = sim.post_with_key(&capture, "capture", &[]).await;
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (400, "true"), "execution had begun");

    assert_eq!(sim.post_with_key(&capture, "typo", &[("amount", "1")]).await.error().1, "parameter_unknown");
    sim.post_with_key(&capture, "typo", &[]).await.ok();
    sim.finish().await;
}

#[tokio::test]
async fn a_key_is_in_use_while_its_request_runs() {
    let sim = Sim::start().await;
    sim.fault(json!({"fault": "slow", "ms": 4_000, "times": 1, "key": "slow"})).await;
    let mut sql = sim.sql().await;
    let first = sim.post_with_key("payment_intents", "slow", &CREATE);
    let second = async {
        let started = std::time::Instant::now();
        let held = "select exists (select from pg_locks where locktype = 'advisory' and granted \
                    and database = (select oid from pg_database where datname = current_database()))";
        while !sqlx::query_scalar::<_, bool>(held).fetch_one(&mut sql).await.unwrap() {
            assert!(started.elapsed() < LIMIT, "the first request takes its key");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        sim.post_with_key("payment_intents", "slow", &CREATE).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(second.error(), (409, "idempotency_key_in_use", ""));
    let replayed = sim.post_with_key("payment_intents", "slow", &CREATE).await.ok();
    assert_eq!((replayed.id(), replayed.header("idempotent-replayed")), (first.ok().id(), "true"));
    sim.finish().await;
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day_of_virtual_time() {
    let sim = Sim::start().await;
    let first = sim.post_with_key("payment_intents", "k", &CREATE).await.ok().id();
    sim.advance(86_000).await;
    assert_eq!(sim.post_with_key("payment_intents", "k", &CREATE).await.ok().id(), first);
    sim.advance(401).await;
    let later = sim.post_with_key("payment_intents", "k", &CREATE).await.ok();
    assert_ne!(later.id(), first, "the danger of a retry after a day");
    assert_eq!(later.header("idempotent-replayed"), "");
    sim.finish().await;
}
