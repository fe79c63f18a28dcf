//! What time brings: holds end, refunds fail, disputes are decided; and what people do at the dashboard.

use reqwest::Method;
use serde_json::json;

use crate::harness::Sim;

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_hold_ends_after_seven_days() {
    let sim = Sim::start().await;
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    let captured = sim.captured("", 1_000, "pm_card_visa").await;
    sim.advance(7 * DAY - 60).await;
    assert_eq!(sim.status(&payment).await, "requires_capture");
    sim.advance(120).await;
    let over = sim.get(&format!("payment_intents/{payment}")).await.ok().body;
    assert_eq!(
        (&over["status"], &over["cancellation_reason"], &over["amount_capturable"]),
        (&json!("canceled"), &json!("expired"), &json!(0))
    );
    let at_its_end = over["created"].as_i64().unwrap() + 7 * DAY;
    assert!((at_its_end..at_its_end + 5).contains(&over["canceled_at"].as_i64().unwrap()), "{over}");
    assert_eq!(sim.status(&captured).await, "succeeded", "what is captured does not expire");
    let types = sim.event_types().await;
    assert_eq!(types[types.len() - 2..], ["charge.expired", "payment_intent.canceled"]);
    let late = sim.post(&format!("payment_intents/{payment}/capture"), &[]).await;
    assert_eq!(late.error().1, "payment_intent_unexpected_state");
    let off_session = sim.create("", 1_000).await;
    sim.post(
        &format!("payment_intents/{off_session}/confirm"),
        &[("payment_method", "pm_card_visa"), ("off_session", "true")],
    )
    .await
    .ok();
    sim.advance(4 * DAY + 18 * 3_600 + 1).await;
    assert_eq!(sim.status(&off_session).await, "canceled", "4 days and 18 hours off session");
    sim.finish().await;
}

#[tokio::test]
async fn refunds_are_pending_or_fail_days_later() {
    let sim = Sim::start().await;
    let refund = async |card: &str| {
        let payment = sim.captured("", 1_000, card).await;
        sim.post("refunds", &[("payment_intent", &payment), ("amount", "600")]).await.ok()
    };
    let fails = refund("pm_card_refundFail").await;
    let pends = refund("pm_card_pendingRefund").await;
    assert_eq!(
        (&fails.body["status"], &pends.body["status"], &pends.body["pending_reason"]),
        (&json!("succeeded"), &json!("pending"), &json!("processing"))
    );
    sim.advance(DAY + 1).await;
    assert_eq!(sim.get(&format!("refunds/{}", pends.id())).await.ok().body["status"], "succeeded");
    assert_eq!(sim.get(&format!("refunds/{}", fails.id())).await.ok().body["status"], "succeeded");
    sim.advance(2 * DAY).await;
    let failed = sim.get(&format!("refunds/{}?expand[]=failure_balance_transaction", fails.id())).await.ok().body;
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&json!("failed"), &json!("expired_or_canceled_card")));
    assert_eq!(
        (&failed["failure_balance_transaction"]["amount"], &failed["failure_balance_transaction"]["type"]),
        (&json!(600), &json!("refund_failure"))
    );
    let types = sim.event_types().await;
    assert_eq!(types[types.len() - 3..], ["refund.updated", "refund.failed", "charge.refund.updated"]);
    // The money is there again, and can be given back.
    let payment = failed["payment_intent"].as_str().unwrap();
    assert_eq!(sim.post("refunds", &[("payment_intent", payment)]).await.ok().body["amount"], 1_000);
    sim.finish().await;
}

#[tokio::test]
async fn disputes_move_money_and_are_decided() {
    let sim = Sim::start().await;
    sim.settings(json!({"events_expire_after": 365 * DAY})).await;
    // The card, what the shop does, and how it ends.
    for (card, evidence, days, end) in [
        ("pm_card_createDispute", Some("winning_evidence"), 61, "won"),
        ("pm_card_createDispute", Some("losing_evidence"), 61, "lost"),
        ("pm_card_createDisputeProductNotReceived", None, 10, "lost"),
        ("pm_card_createDisputeInquiry", None, 121, "warning_closed"),
    ] {
        let payment = sim.captured("", 1_000, card).await;
        sim.advance(1).await;
        let opened = sim.get(&format!("disputes?payment_intent={payment}")).await.ok().body["data"][0].clone();
        let id = opened["id"].as_str().unwrap();
        let inquiry = card.ends_with("Inquiry");
        assert_eq!(opened["status"], if inquiry { "warning_needs_response" } else { "needs_response" });
        assert_eq!(opened["balance_transactions"].as_array().map(Vec::len), Some(usize::from(!inquiry)));
        assert_eq!(opened["reason"], if card.ends_with("Received") { "product_not_received" } else { "fraudulent" });
        if !inquiry {
            let refused = sim.post("refunds", &[("payment_intent", &payment)]).await;
            assert_eq!(refused.error().1, "charge_disputed");
        }
        if let Some(text) = evidence {
            let submitted =
                sim.post(&format!("disputes/{id}"), &[("evidence[uncategorized_text]", text)]).await.ok().body;
            assert_eq!(
                (&submitted["status"], &submitted["evidence_details"]["submission_count"]),
                (&json!("under_review"), &json!(1))
            );
        }
        sim.advance(days * DAY).await;
        let closed = sim.get(&format!("disputes/{id}")).await.ok().body;
        assert_eq!(closed["status"], end, "{card} {evidence:?}");
        let moved: i64 =
            closed["balance_transactions"].as_array().unwrap().iter().map(|moved| moved["net"].as_i64().unwrap()).sum();
        assert_eq!(moved, if end == "lost" { -3_000 } else { 0 }, "{card} {evidence:?}");
        let late = sim.post(&format!("disputes/{id}"), &[("evidence[uncategorized_text]", "late")]).await;
        assert_eq!(late.error().1, "dispute_evidence_closed");
        assert_eq!(sim.post(&format!("disputes/{id}/close"), &[]).await.error().1, "dispute_already_closed");
    }
    let types = sim.event_types().await;
    for kind in ["created", "funds_withdrawn", "funds_reinstated", "updated", "closed"] {
        assert!(types.contains(&format!("charge.dispute.{kind}")), "{kind}: {types:?}");
    }
    sim.finish().await;
}

#[tokio::test]
async fn early_fraud_warnings_come_without_moving_money() {
    let sim = Sim::start().await;
    let payment = sim.captured("", 1_000, "pm_card_createIssuerFraudRecord").await;
    sim.advance(1).await;
    let warnings = sim.get(&format!("radar/early_fraud_warnings?payment_intent={payment}")).await.ok().body;
    let warning = &warnings["data"][0];
    assert_eq!((&warning["actionable"], &warning["payment_intent"]), (&json!(true), &json!(payment)));
    let got = sim.get(&format!("radar/early_fraud_warnings/{}", warning["id"].as_str().unwrap())).await.ok();
    assert_eq!(got.body, *warning);
    assert!(sim.event_types().await.contains(&"radar.early_fraud_warning.created".to_owned()));
    sim.finish().await;
}

#[tokio::test]
async fn events_are_listed_for_thirty_days() {
    let sim = Sim::start().await;
    sim.create("", 1_000).await;
    sim.advance(30 * DAY - 60).await;
    assert_eq!(sim.event_types().await, ["payment_intent.created"]);
    sim.advance(120).await;
    assert_eq!(sim.event_types().await, Vec::<String>::new());
    sim.finish().await;
}

#[tokio::test]
async fn people_act_at_the_dashboard() {
    let sim = Sim::start().await;
    let act = async |payment: &str, act: &str, body| {
        sim.control(Method::POST, &format!("payment_intents/{payment}/{act}"), body).await
    };
    let held = sim.hold("", 1_000, "pm_card_visa").await;
    assert_eq!(act(&held, "capture", json!({"amount": 700})).await.ok().body["amount_received"], 700);
    let refund = act(&held, "refund", json!({"amount": 200})).await.ok();
    assert_eq!(refund.body["amount"], 200);
    let failed = sim
        .control(
            Method::POST,
            &format!("refunds/{}", refund.id()),
            json!({"status": "failed", "reason": "lost_or_stolen_card"}),
        )
        .await
        .ok();
    assert_eq!(
        (&failed.body["status"], &failed.body["failure_reason"]),
        (&json!("failed"), &json!("lost_or_stolen_card"))
    );
    assert_eq!(act(&held, "dispute", json!({"amount": 701})).await.status, 400, "more than was captured");
    let inquiry = act(&held, "dispute", json!({"inquiry": true, "amount": 300})).await.ok().id();
    let dispute = format!("disputes/{inquiry}");
    assert_eq!(
        sim.control(Method::POST, &dispute, json!({"outcome": "escalated"})).await.ok().body["status"],
        "needs_response"
    );
    assert_eq!(sim.control(Method::POST, &dispute, json!({"outcome": "won"})).await.ok().body["status"], "won");
    assert_eq!(sim.control(Method::POST, &dispute, json!({"outcome": "lost"})).await.status, 400);

    let other = sim.hold("", 1_000, "pm_card_visa").await;
    assert_eq!(
        act(&other, "cancel", json!({"reason": "requested_by_customer"})).await.ok().body["cancellation_reason"],
        "requested_by_customer"
    );
    let expiring = sim.hold("", 1_000, "pm_card_visa").await;
    assert_eq!(act(&expiring, "expire", json!({})).await.ok().body["cancellation_reason"], "expired");
    assert_eq!(act(&expiring, "expire", json!({})).await.status, 400);
    let waits = sim.create("", 1_000).await;
    sim.confirm(&waits, "pm_card_authenticationRequired").await.ok();
    assert_eq!(act(&waits, "three_d_secure", json!({"outcome": "pass"})).await.ok().body["status"], "requires_capture");
    assert_eq!(
        (act(&waits, "dance", json!({})).await.status, act("pi_unknown", "cancel", json!({})).await.status),
        (400, 404)
    );
    let event = sim.get("events?type=payment_intent.canceled").await.ok().body["data"][0].clone();
    assert_eq!(event["request"], json!({"id": null, "idempotency_key": null}), "nobody's request");
    sim.finish().await;
}

#[tokio::test]
async fn the_clock_moves_forward_only() {
    let sim = Sim::start().await;
    let now = sim.now().await;
    let moved = sim.control(Method::PUT, "clock", json!({"now": now + 1_000})).await.ok();
    assert!((now + 1_000..now + 1_005).contains(&moved.body["now"].as_i64().unwrap()));
    for body in [
        json!({"advance_seconds": -1}),
        json!({"now": now - 5}),
        json!({}),
        json!({"advance_seconds": 1, "now": 1}),
        json!({"seconds": 1}),
    ] {
        assert_eq!(sim.control(Method::PUT, "clock", body.clone()).await.status, 400, "{body}");
    }
    sim.finish().await;
}
