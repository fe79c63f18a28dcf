//! Faults by rule.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, KEY, Sim, encoded};

const CONFIRM: [(&str, &str); 2] = [("payment_method", "pm_card_visa"), ("return_url", "https://shop.example")];

/// A confirmation that may get no answer.
async fn confirm(sim: &Sim, payment: &str, key: &str) -> Option<Answer> {
    let request =
        sim.request(Method::POST, &format!("/v1/payment_intents/{payment}/confirm")).header("idempotency-key", key);
    let response = request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded(&CONFIRM))
        .send()
        .await
        .ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    Some(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}

#[tokio::test]
async fn each_fault_is_what_it_says() {
    let sim = Sim::start().await;
    // The rule, the status it is answered (none: no answer), whether the payment is held then, and what the same key gets afterwards.
    for (rule, status, held, again) in [
        (json!({"fault": "connection_closed"}), None, false, 200),
        (json!({"fault": "answer_dropped"}), None, true, 200),
        (json!({"fault": "server_error"}), Some(500), false, 500),
        (json!({"fault": "server_error", "committed": true}), Some(500), true, 500),
        (json!({"fault": "bad_gateway"}), Some(502), false, 200),
        (json!({"fault": "bad_gateway", "committed": true}), Some(502), true, 200),
        (json!({"fault": "rate_limited"}), Some(429), false, 200),
        (json!({"fault": "lock_timeout"}), Some(429), false, 200),
        (json!({"fault": "key_in_use"}), Some(409), false, 200),
        (json!({"fault": "key_expired"}), Some(401), false, 200),
        (json!({"fault": "slow", "ms": 50, "when": "before"}), Some(200), true, 200),
        (json!({"fault": "slow", "ms": 50, "when": "after"}), Some(200), true, 200),
    ] {
        let payment = sim.create("", 1_000).await;
        let mut one = rule.clone();
        one["times"] = json!(1);
        one["operations"] = json!(["payment_intents.confirm"]);
        sim.fault(one).await;
        let answer = confirm(&sim, &payment, &payment).await;
        assert_eq!(answer.as_ref().map(|answer| answer.status), status, "{rule}");
        assert_eq!(sim.status(&payment).await == "requires_capture", held, "{rule}");
        match (rule["fault"].as_str().unwrap(), answer) {
            ("bad_gateway", Some(answer)) => assert!(answer.body.as_str().unwrap().starts_with("<html>")),
            ("rate_limited", Some(answer)) => assert_eq!(
                (answer.error().1, answer.header("stripe-rate-limited-reason")),
                ("rate_limit", "endpoint-rate")
            ),
            ("lock_timeout", Some(answer)) => {
                assert_eq!((answer.error().1, answer.header("stripe-rate-limited-reason")), ("lock_timeout", ""))
            }
            ("key_in_use", Some(answer)) => assert_eq!(answer.error().1, "idempotency_key_in_use"),
            ("key_expired", Some(answer)) => assert_eq!(answer.error().1, "api_key_expired"),
            _ => {}
        }
        let after = confirm(&sim, &payment, &payment).await.unwrap();
        assert_eq!(after.status, again, "{rule}: {}", after.body);
        let replayed = if held || again == 500 { "true" } else { "" };
        assert_eq!(after.header("idempotent-replayed"), replayed, "{rule}");
    }
    sim.finish().await;
}

#[tokio::test]
async fn what_failed_with_500_is_rolled_forward_or_back_later() {
    let sim = Sim::start().await;
    let roll = async |operation: &str, later: &str| {
        let rule = json!({"fault": "server_error", "committed": later == "roll_back", "later": later, "after": 3_600, "times": 1, "operations": [operation]});
        sim.fault(rule).await;
    };
    // Confirmations.
    for (later, before, after) in [
        ("roll_forward", "requires_payment_method", "requires_capture"),
        ("roll_back", "requires_capture", "requires_payment_method"),
    ] {
        let payment = sim.create("", 1_000).await;
        roll("payment_intents.confirm", later).await;
        assert_eq!(confirm(&sim, &payment, &payment).await.unwrap().status, 500);
        assert_eq!(sim.status(&payment).await, before, "{later}");
        sim.advance(3_601).await;
        assert_eq!(sim.status(&payment).await, after, "{later}");
        assert_eq!(confirm(&sim, &payment, &payment).await.unwrap().status, 500, "the key keeps the 500");
    }
    // A capture that is undone can be made again.
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    roll("payment_intents.capture", "roll_back").await;
    let capture = format!("payment_intents/{payment}/capture");
    assert_eq!(sim.post(&capture, &[("amount_to_capture", "400")]).await.status, 500);
    assert_eq!(sim.status(&payment).await, "succeeded");
    sim.advance(3_601).await;
    assert_eq!(sim.status(&payment).await, "requires_capture");
    assert_eq!(sim.post(&capture, &[]).await.ok().body["amount_received"], 1_000);
    // A refund that is undone has failed; one that is rolled forward appears.
    for (later, statuses) in [("roll_back", vec!["failed"]), ("roll_forward", vec!["succeeded", "failed"])] {
        roll("refunds.create", later).await;
        assert_eq!(sim.post("refunds", &[("payment_intent", &payment), ("amount", "600")]).await.status, 500);
        sim.advance(3_601).await;
        let refunds = sim.get(&format!("refunds?payment_intent={payment}")).await.ok().body;
        let found: Vec<&str> =
            refunds["data"].as_array().unwrap().iter().map(|refund| refund["status"].as_str().unwrap()).collect();
        assert_eq!(found, statuses, "{later}");
    }
    let list = sim.get("events?type=refund.failed").await.ok().body;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    sim.finish().await;
}

#[tokio::test]
async fn answers_have_fields_less_and_more_and_values_that_nobody_knows() {
    let sim = Sim::start().await;
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    let rule = json!({
        "fault": "answer", "operations": ["payment_intents.retrieve"], "times": 1,
        "remove": ["confirmation_method", "latest_charge.outcome"], "set": {"status": "requires_magic", "brand_new": {"field": 1}},
    });
    sim.fault(rule).await;
    let path = format!("payment_intents/{payment}?expand[]=latest_charge");
    let odd = sim.get(&path).await.ok().body;
    assert_eq!((&odd["status"], &odd["brand_new"]["field"]), (&json!("requires_magic"), &json!(1)));
    assert!(odd.get("confirmation_method").is_none() && odd["latest_charge"].get("outcome").is_none());
    let plain = sim.get(&path).await.ok().body;
    assert_eq!((&plain["status"], plain.get("brand_new")), (&json!("requires_capture"), None));
    sim.finish().await;
}

#[tokio::test]
async fn rules_hit_by_share_and_key_and_are_removed() {
    let sim = Sim::start().await;
    sim.fault(json!({"fault": "lock_timeout", "share": 0.5, "operations": ["balance.*"]})).await;
    let mut refused = 0;
    for _ in 0..60 {
        refused += usize::from(sim.get("balance").await.status == 429);
    }
    assert!((10..=50).contains(&refused), "about half: {refused}");
    let rules = sim.control(Method::GET, "faults", json!({})).await.ok().body;
    assert_eq!(rules["rules"][0]["hits"], json!(refused));
    sim.control(Method::DELETE, "faults", json!({})).await.ok();
    sim.fault(json!({"fault": "lock_timeout", "key": "order:1:*"})).await;
    let create = [("amount", "1000"), ("currency", "eur")];
    for (key, status) in [("order:1:a", 429), ("order:2:a", 200)] {
        assert_eq!(sim.post_with_key("payment_intents", key, &create).await.status, status, "{key}");
    }
    for bad in [
        json!({"fault": "nonsense"}),
        json!({"fault": "lock_timeout", "sahre": 0.5}),
        json!({"fault": "slow"}),
        json!({"fault": "lock_timeout", "share": 2}),
    ] {
        assert_eq!(sim.control(Method::POST, "faults", bad.clone()).await.status, 400, "{bad}");
    }
    sim.finish().await;
}

#[tokio::test]
async fn a_key_that_is_rolled_expires_at_its_moment() {
    let sim = Sim::start().await;
    let at = sim.now().await + 3_600;
    sim.control(Method::POST, "expired_keys", json!({"api_key": KEY, "at": at})).await.ok();
    assert_eq!(sim.get("balance").await.status, 200);
    sim.advance(3_601).await;
    assert_eq!(sim.get("balance").await.error(), (401, "api_key_expired", ""));
    let new = sim.client.get(format!("{}/v1/balance", sim.base)).bearer_auth("sk_test_51TheNewKey");
    assert_eq!(sim.send(new).await.status, 200);
    let mut sql = sim.sql().await;
    let kept: String =
        sqlx::query_scalar("select fingerprint from stripe_sim.expired_keys").fetch_one(&mut sql).await.unwrap();
    assert!(!kept.contains(KEY) && kept.len() == 64, "the key itself is not kept: {kept}");
    sim.finish().await;
}

#[tokio::test]
async fn a_caller_that_has_gone_does_not_stop_its_request() {
    let sim = Sim::start().await;
    let payment = sim.create("", 1_000).await;
    sim.fault(json!({"fault": "slow", "ms": 700, "times": 1, "operations": ["payment_intents.confirm"]})).await;
    let request = sim
        .request(Method::POST, &format!("/v1/payment_intents/{payment}/confirm"))
        .header("content-type", "application/x-www-form-urlencoded");
    let gone = request.body(encoded(&CONFIRM)).timeout(std::time::Duration::from_millis(300)).send().await;
    assert!(gone.is_err_and(|error| error.is_timeout()));
    let started = std::time::Instant::now();
    while started.elapsed() < crate::harness::LIMIT && sim.status(&payment).await != "requires_capture" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sim.status(&payment).await, "requires_capture");
    sim.finish().await;
}

#[tokio::test]
async fn a_payment_that_another_request_keeps_is_locked() {
    let sim = Sim::start().await;
    sim.settings(json!({"lock_timeout_ms": 100})).await;
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    let mut sql = sim.sql().await;
    let mut transaction = sqlx::Connection::begin(&mut sql).await.unwrap();
    sqlx::query("select 1 from stripe_sim.objects where id = $1 for update")
        .bind(&payment)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let locked = sim.post(&format!("payment_intents/{payment}/capture"), &[]).await;
    assert_eq!(locked.error(), (429, "lock_timeout", ""));
    transaction.rollback().await.unwrap();
    sim.post(&format!("payment_intents/{payment}/capture"), &[]).await.ok();
    sim.finish().await;
}
