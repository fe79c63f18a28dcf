//! The gateway on stripe-sim, from an order's payment to its refund, and everything that goes wrong between.

use std::collections::BTreeSet;
use std::time::Duration;

use events::{Action, Currency};
use gateway::{
    ActionResult, Dispute, DisputeStatus, DisputedFunds, Gateway as _, HoldEnd, Money, Obstacle, Operation, Outcome,
    PaymentChange, ProviderNotice, RefundStatus, Request,
};
use serde_json::json;
use stripe_gateway::WebhookNotice;
use stripe_gateway::webhook::{EVENT_TYPES, parse, verify};

use crate::double::{Double, Reply, buyer, eur, request};
use crate::simulated::Simulated;

/// Starts the simulator, or leaves the test where there is no database for it.
macro_rules! simulated {
    () => {
        match Simulated::start().await {
            Some(simulated) => simulated,
            None => return,
        }
    };
}

fn of(operation: Operation, amount: i64, payment_id: &str) -> Request {
    request(operation, amount, Some(payment_id))
}

fn change(notice: WebhookNotice) -> PaymentChange {
    let WebhookNotice::Notice(ProviderNotice::Payment { change, .. }) = notice else {
        panic!("expected what happened to a payment, got {notice:?}")
    };
    change
}

fn obstacle(outcome: &Outcome) -> Option<Obstacle> {
    if let Outcome::NotExecuted { obstacle, .. } = outcome { Some(*obstacle) } else { None }
}

#[tokio::test]
async fn money_is_held_taken_in_part_and_given_back_once_however_often_it_is_asked() {
    let sim = simulated!();
    let (payment_id, outcome) =
        sim.authorize(&request(Operation::Authorize, 1_501, None), &buyer("pm_card_visa")).await;
    let payment_id = payment_id.unwrap();
    let Outcome::Authorized(hold) = &outcome else { panic!("{outcome:?}") };
    let card = hold.card.clone().unwrap();
    assert_eq!((hold.money, card.brand.as_deref(), card.last4.as_deref()), (eur(1_501), Some("visa"), Some("4242")));
    assert!(hold.capture_before.is_some());
    let again = sim.stripe.authorize(&of(Operation::Authorize, 1_501, &payment_id), &buyer("pm_card_visa")).await;
    assert_eq!(again, outcome);
    assert_eq!(sim.stripe.look_up(Operation::Authorize, &of(Operation::Authorize, 1_501, &payment_id)).await, outcome);

    let capture = of(Operation::Capture, 700, &payment_id);
    assert_eq!(sim.stripe.look_up(Operation::Capture, &capture).await, Outcome::NotFound);
    let taken = Outcome::Captured { money: eur(700) };
    assert_eq!(sim.stripe.capture(&capture).await, taken);
    assert_eq!(sim.stripe.capture(&capture).await, taken, "by its key");
    let second = Request { key: format!("{}x", capture.key), ..capture.clone() };
    assert_eq!(
        sim.stripe.capture(&second).await,
        taken,
        "by the payment's state: under another key it is not taken twice"
    );
    assert_eq!(sim.stripe.look_up(Operation::Capture, &capture).await, taken);
    assert_eq!(sim.stripe.void(&of(Operation::Void, 700, &payment_id)).await, taken, "it can only be given back");

    let refund = of(Operation::Refund, 300, &payment_id);
    assert_eq!(sim.stripe.look_up(Operation::Refund, &refund).await, Outcome::NotFound);
    let given = sim.stripe.refund(&refund).await;
    let Outcome::Refunded { refund_id, money } = &given else { panic!("{given:?}") };
    assert_eq!(*money, eur(300));
    assert_eq!(sim.stripe.refund(&refund).await, given);
    assert_eq!(sim.stripe.look_up(Operation::Refund, &refund).await, given);
    let by_id = Request { refund_id: Some(refund_id.clone()), ..refund.clone() };
    assert_eq!(sim.stripe.look_up(Operation::Refund, &by_id).await, given);
    let too_much = Request { key: format!("{}x", refund.key), money: eur(401), ..refund };
    assert!(matches!(sim.stripe.refund(&too_much).await, Outcome::RefundFailed { refund_id: None, .. }));
    let charge = sim.payment(&payment_id).await["latest_charge"].clone();
    assert_eq!((&charge["amount_captured"], &charge["amount_refunded"]), (&json!(700), &json!(300)));
    sim.end().await;
}

#[tokio::test]
async fn a_decline_says_why_and_leaves_nothing_open() {
    let sim = simulated!();
    for (token, code) in [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_no_such_method", "resource_missing"),
    ] {
        let order_id = events::OrderId(runtime::Clock::default().mint());
        let authorize = Request {
            order_id,
            key: format!("order:{order_id}:authorize:1"),
            ..request(Operation::Authorize, 1_501, None)
        };
        let (payment_id, outcome) = sim.authorize(&authorize, &buyer(token)).await;
        assert!(matches!(&outcome, Outcome::Declined { code: told, .. } if told == code), "{token}: {outcome:?}");
        let payment_id = payment_id.unwrap();
        assert_eq!(sim.payment(&payment_id).await["status"], "canceled", "{token}");
        let look_up = Request { payment_id: Some(payment_id), ..authorize };
        let found = sim.stripe.look_up(Operation::Authorize, &look_up).await;
        assert!(matches!(found, Outcome::Declined { .. }), "{token}: {found:?}");
    }
    sim.end().await;
}

#[tokio::test]
async fn three_d_secure_is_passed_failed_or_abandoned_on_the_hosted_page() {
    let sim = simulated!();
    for outcome in ["pass", "fail", "abandon"] {
        let order_id = events::OrderId(runtime::Clock::default().mint());
        let first = Request {
            order_id,
            key: format!("order:{order_id}:authorize:1"),
            ..request(Operation::Authorize, 1_501, None)
        };
        let (payment_id, asked) = sim.authorize(&first, &buyer("pm_card_authenticationRequired")).await;
        let payment_id = payment_id.unwrap();
        let Outcome::ActionRequired { action: Action::ThreeDSecure, url: Some(url), .. } = &asked else {
            panic!("{asked:?}")
        };
        let authorize = Request { payment_id: Some(payment_id.clone()), ..first };
        assert_eq!(sim.stripe.look_up(Operation::Authorize, &authorize).await, asked, "it waits");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let chosen = reqwest::Client::new().post(url).header(form.0, form.1).body(format!("outcome={outcome}"));
        let page = chosen.send().await.unwrap();
        assert!(page.status().is_success(), "the customer comes back to the shop: {page:?}");
        assert!(outcome == "abandon" || page.url().query().unwrap().contains(&order_id.to_string()), "{}", page.url());
        let event = if outcome == "fail" {
            "payment_intent.payment_failed"
        } else {
            "payment_intent.amount_capturable_updated"
        };
        let notice = sim.notice(event, &payment_id).await;
        let found = sim.stripe.look_up(Operation::Authorize, &authorize).await;
        match outcome {
            "pass" => {
                let WebhookNotice::Notice(ProviderNotice::Action {
                    order_id: whose,
                    result: ActionResult::Passed { hold: Some(hold) },
                }) = notice
                else {
                    panic!("{notice:?}")
                };
                assert_eq!((whose, hold.money), (order_id, eur(1_501)));
                assert_eq!(hold.card.clone().unwrap().three_d_secure, events::Check::Pass);
                assert_eq!(found, Outcome::Authorized(hold));
            }
            "fail" => {
                let failed = matches!(&notice, WebhookNotice::Notice(ProviderNotice::Action { result: ActionResult::Failed { detail }, .. }) if detail.contains("authentication"));
                assert!(failed, "{notice:?}");
                assert!(
                    matches!(&found, Outcome::Declined { code, .. } if code == "payment_intent_authentication_failure"),
                    "{found:?}"
                );
                assert_eq!(sim.payment(&payment_id).await["status"], "canceled");
            }
            _ => {
                assert_eq!((notice, &found), (WebhookNotice::Nothing, &asked));
                let void = Request { payment_id: Some(payment_id.clone()), ..of(Operation::Void, 0, "") };
                assert_eq!(sim.stripe.void(&void).await, Outcome::Voided { money: eur(0) });
                assert_eq!(sim.payment(&payment_id).await["status"], "canceled");
            }
        }
    }
    sim.end().await;
}

#[tokio::test]
async fn a_hold_is_let_go_of_once_and_to_capture_nothing_lets_go_too() {
    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    let void = of(Operation::Void, 1_501, &payment_id);
    let voided = Outcome::Voided { money: eur(1_501) };
    assert_eq!(sim.stripe.look_up(Operation::Void, &void).await, Outcome::NotFound);
    for _ in 0..2 {
        assert_eq!(sim.stripe.void(&void).await, voided);
        assert_eq!(sim.stripe.look_up(Operation::Void, &void).await, voided);
    }
    let late = sim.stripe.capture(&of(Operation::Capture, 700, &payment_id)).await;
    assert!(matches!(&late, Outcome::CaptureFailed { code, .. } if code == "canceled"), "{late:?}");
    sim.end().await;

    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    for _ in 0..2 {
        let nothing = Outcome::Captured { money: eur(0) };
        assert_eq!(sim.stripe.capture(&of(Operation::Capture, 0, &payment_id)).await, nothing);
    }
    sim.end().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_up_and_the_same_call_gives_it_again() {
    let sim = simulated!();
    let dropped = || json!({"fault": "answer_dropped"});
    let unknown = |outcome: &Outcome| matches!(outcome, Outcome::Unknown { .. });
    let authorize = request(Operation::Authorize, 1_501, None);
    let visa = buyer("pm_card_visa");

    sim.fault("payment_intents.create", dropped()).await;
    assert!(unknown(&sim.stripe.authorize(&authorize, &visa).await));
    let found = sim.stripe.look_up(Operation::Authorize, &authorize).await;
    let Outcome::Opened { payment_id } = found else { panic!("{found:?}") };
    let listed = sim.stripe.look_up(Operation::Authorize, &crate::double::old(authorize.clone())).await;
    assert_eq!(listed, Outcome::NotFound, "it is not among those of yesterday");
    assert_eq!(sim.stripe.authorize(&authorize, &visa).await, Outcome::Opened { payment_id: payment_id.clone() });

    let confirm = of(Operation::Authorize, 1_501, &payment_id);
    assert_eq!(sim.stripe.look_up(Operation::Authorize, &confirm).await, Outcome::NotFound);
    sim.fault("payment_intents.confirm", dropped()).await;
    assert!(unknown(&sim.stripe.authorize(&confirm, &visa).await));
    let held = sim.stripe.look_up(Operation::Authorize, &confirm).await;
    assert!(matches!(held, Outcome::Authorized(_)), "{held:?}");
    assert_eq!(sim.stripe.authorize(&confirm, &visa).await, held, "the same hold, not another one");

    let capture = of(Operation::Capture, 700, &payment_id);
    sim.fault("payment_intents.capture", dropped()).await;
    assert!(unknown(&sim.stripe.capture(&capture).await));
    assert_eq!(sim.stripe.look_up(Operation::Capture, &capture).await, Outcome::Captured { money: eur(700) });
    assert_eq!(sim.stripe.capture(&capture).await, Outcome::Captured { money: eur(700) });

    let refund = of(Operation::Refund, 300, &payment_id);
    sim.fault("refunds.create", dropped()).await;
    assert!(unknown(&sim.stripe.refund(&refund).await));
    let given = sim.stripe.look_up(Operation::Refund, &refund).await;
    assert!(matches!(given, Outcome::Refunded { .. }), "{given:?}");
    assert_eq!(sim.stripe.refund(&refund).await, given);
    assert_eq!(sim.payment(&payment_id).await["latest_charge"]["amount_refunded"], 300);
    sim.end().await;

    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    sim.fault("payment_intents.cancel", dropped()).await;
    let void = of(Operation::Void, 1_501, &payment_id);
    assert!(unknown(&sim.stripe.void(&void).await));
    assert_eq!(sim.stripe.look_up(Operation::Void, &void).await, Outcome::Voided { money: eur(1_501) });
    // A decline whose cancellation is not known to be done is found again.
    let order_id = events::OrderId(runtime::Clock::default().mint());
    let first = Request { order_id, key: format!("order:{order_id}:authorize:1"), ..authorize };
    sim.fault("payment_intents.cancel", dropped()).await;
    let (declined, outcome) = sim.authorize(&first, &buyer("pm_card_visa_chargeDeclinedLostCard")).await;
    assert!(unknown(&outcome), "{outcome:?}");
    let look_up = Request { payment_id: declined, ..first };
    let found = sim.stripe.look_up(Operation::Authorize, &look_up).await;
    assert!(matches!(&found, Outcome::Declined { code, .. } if code == "lost_card"), "{found:?}");
    sim.end().await;
}

#[tokio::test]
async fn what_was_not_executed_is_executed_by_the_same_call_later() {
    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    let capture = of(Operation::Capture, 700, &payment_id);
    for (fault, expected) in [
        ("rate_limited", Obstacle::Busy),
        ("lock_timeout", Obstacle::Busy),
        ("key_in_use", Obstacle::Busy),
        ("key_expired", Obstacle::Misconfigured),
    ] {
        sim.fault("payment_intents.capture", json!({"fault": fault})).await;
        let outcome = sim.stripe.capture(&capture).await;
        assert_eq!(obstacle(&outcome), Some(expected), "{fault}: {outcome:?}");
        // The endpoint rests for a second after it was called too often.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    assert_eq!(sim.stripe.capture(&capture).await, Outcome::Captured { money: eur(700) });
    sim.end().await;
}

#[tokio::test]
async fn a_server_error_is_looked_up_and_never_done_twice() {
    let sim = simulated!();
    let errored = |outcome: &Outcome| matches!(outcome, Outcome::Errored { .. });
    let visa = buyer("pm_card_visa");
    // The creation failed, or did not: the key repeats it, and the list tells. The next attempt has a key of its own.
    let first = request(Operation::Authorize, 1_501, None);
    sim.fault("payment_intents.create", json!({"fault": "server_error"})).await;
    assert!(errored(&sim.stripe.authorize(&first, &visa).await));
    assert!(errored(&sim.stripe.authorize(&first, &visa).await), "repeated under the key");
    assert_eq!(sim.stripe.look_up(Operation::Authorize, &first).await, Outcome::NotFound);
    let second = Request { attempt: 2, key: first.key.replace(":1", ":2"), ..first.clone() };
    sim.fault("payment_intents.create", json!({"fault": "server_error", "committed": true})).await;
    assert!(errored(&sim.stripe.authorize(&second, &visa).await));
    let Outcome::Opened { payment_id } = sim.stripe.look_up(Operation::Authorize, &second).await else {
        panic!("it was created after all")
    };
    // A confirmation that failed and holds is found; one that is rolled forward later holds once.
    let confirm = Request { payment_id: Some(payment_id.clone()), ..second };
    sim.fault("payment_intents.confirm", json!({"fault": "server_error", "later": "roll_forward", "after": 3_600}))
        .await;
    assert!(errored(&sim.stripe.authorize(&confirm, &visa).await));
    assert_eq!(sim.stripe.look_up(Operation::Authorize, &confirm).await, Outcome::NotFound);
    let third = Request { attempt: 3, key: confirm.key.replace(":2", ":3"), ..confirm };
    assert!(matches!(sim.stripe.authorize(&third, &visa).await, Outcome::Authorized(_)));
    sim.put("clock", json!({"advance_seconds": 7_200})).await;
    assert!(matches!(sim.stripe.look_up(Operation::Authorize, &third).await, Outcome::Authorized(_)));

    let capture = of(Operation::Capture, 700, &payment_id);
    sim.fault("payment_intents.capture", json!({"fault": "bad_gateway", "committed": true})).await;
    assert!(errored(&sim.stripe.capture(&capture).await));
    assert_eq!(sim.stripe.look_up(Operation::Capture, &capture).await, Outcome::Captured { money: eur(700) });
    let refund = of(Operation::Refund, 300, &payment_id);
    sim.fault("refunds.create", json!({"fault": "server_error", "committed": true})).await;
    assert!(errored(&sim.stripe.refund(&refund).await));
    assert!(matches!(sim.stripe.look_up(Operation::Refund, &refund).await, Outcome::Refunded { .. }));
    assert_eq!(sim.payment(&payment_id).await["latest_charge"]["amount_refunded"], 300);
    sim.end().await;
}

#[tokio::test]
async fn answers_that_lack_or_add_what_nobody_needs_are_read() {
    let sim = simulated!();
    let odd = json!({"fault": "answer", "remove": ["confirmation_method", "latest_charge.outcome", "created", "livemode"], "set": {"brand_new": [1], "client_secret": null}});
    sim.fault("payment_intents.confirm", odd).await;
    let payment_id = sim.held("pm_card_visa").await;
    sim.fault("payment_intents.capture", json!({"fault": "answer", "set": {"status": "settling"}})).await;
    let capture = of(Operation::Capture, 700, &payment_id);
    let outcome = sim.stripe.capture(&capture).await;
    assert!(matches!(&outcome, Outcome::Unknown { detail } if detail.contains("settling")), "{outcome:?}");
    assert_eq!(sim.stripe.look_up(Operation::Capture, &capture).await, Outcome::Captured { money: eur(700) });
    sim.end().await;
}

#[tokio::test]
async fn a_hold_that_ran_out_is_told_and_can_t_be_taken() {
    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    sim.advance(8).await;
    let gone = change(sim.notice("payment_intent.canceled", &payment_id).await);
    assert!(matches!(gone, PaymentChange::HoldGone { end: HoldEnd::Expired, .. }), "{gone:?}");
    let outcome = sim.stripe.capture(&of(Operation::Capture, 700, &payment_id)).await;
    assert!(matches!(&outcome, Outcome::CaptureFailed { code, .. } if code.contains("expired")), "{outcome:?}");
    assert_eq!(sim.stripe.void(&of(Operation::Void, 1_501, &payment_id)).await, Outcome::Voided { money: eur(1_501) });
    sim.end().await;
}

#[tokio::test]
async fn what_is_done_at_the_dashboard_is_told() {
    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    sim.post(&format!("payment_intents/{payment_id}/capture"), json!({"amount": 900})).await;
    let taken = change(sim.notice("payment_intent.succeeded", &payment_id).await);
    assert_eq!(taken, PaymentChange::Captured { money: eur(900) });
    let refund = sim.post(&format!("payment_intents/{payment_id}/refund"), json!({"amount": 200})).await;
    let refund_id = refund["id"].as_str().unwrap();
    let PaymentChange::Refunded { money, status, .. } = change(sim.notice("refund.created", refund_id).await) else {
        panic!("a refund that nobody here made")
    };
    assert_eq!((money, status), (eur(200), RefundStatus::Succeeded));
    let dispute = sim.post(&format!("payment_intents/{payment_id}/dispute"), json!({"reason": "fraudulent"})).await;
    let dispute_id = dispute["id"].as_str().unwrap().to_owned();
    let disputed = |notice| {
        let PaymentChange::Disputed(Dispute { status, funds, .. }) = change(notice) else { panic!("no dispute") };
        (status, funds)
    };
    let opened = sim.notice("charge.dispute.created", &dispute_id).await;
    assert_eq!(disputed(opened), (DisputeStatus::NeedsResponse, DisputedFunds::Withdrawn));
    sim.post(&format!("disputes/{dispute_id}"), json!({"outcome": "won"})).await;
    let closed = sim.notice("charge.dispute.closed", &dispute_id).await;
    assert_eq!(disputed(closed), (DisputeStatus::Won, DisputedFunds::Reinstated));
    sim.end().await;

    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    sim.post(&format!("payment_intents/{payment_id}/cancel"), json!({"reason": "duplicate"})).await;
    let gone = change(sim.notice("payment_intent.canceled", &payment_id).await);
    assert!(matches!(gone, PaymentChange::HoldGone { end: HoldEnd::Cancelled, .. }), "{gone:?}");
    sim.end().await;
}

#[tokio::test]
async fn a_refund_that_succeeded_fails_days_later_and_a_pending_one_settles() {
    let sim = simulated!();
    let payment_id = sim.captured("pm_card_refundFail").await;
    let refund = of(Operation::Refund, 300, &payment_id);
    let Outcome::Refunded { refund_id, .. } = sim.stripe.refund(&refund).await else { panic!("it succeeds at first") };
    sim.advance(4).await;
    let failed = sim.notice("refund.failed", &refund_id).await;
    let is_failed =
        matches!(&failed, WebhookNotice::Notice(ProviderNotice::Refund { status: RefundStatus::Failed { .. }, .. }));
    assert!(is_failed, "{failed:?}");
    assert!(matches!(sim.stripe.look_up(Operation::Refund, &refund).await, Outcome::RefundFailed { .. }));
    sim.end().await;

    let sim = simulated!();
    let payment_id = sim.captured("pm_card_pendingRefund").await;
    let refund = of(Operation::Refund, 300, &payment_id);
    let Outcome::RefundPending { refund_id, .. } = sim.stripe.refund(&refund).await else {
        panic!("it is pending at first")
    };
    sim.advance(2).await;
    let by_id = Request { refund_id: Some(refund_id), ..refund };
    assert!(matches!(sim.stripe.look_up(Operation::Refund, &by_id).await, Outcome::Refunded { .. }));
    sim.end().await;
}

#[tokio::test]
async fn a_rolled_key_declines_nobody() {
    let sim = simulated!();
    let payment_id = sim.held("pm_card_visa").await;
    sim.post("expired_keys", json!({"api_key": crate::double::KEY})).await;
    let capture = of(Operation::Capture, 700, &payment_id);
    assert_eq!(obstacle(&sim.stripe.capture(&capture).await), Some(Obstacle::Misconfigured));
    assert!(sim.stripe.alive().await.is_err());
    sim.stripe.set_api_key("sk_test_rolled".into()).unwrap();
    sim.stripe.alive().await.unwrap();
    assert_eq!(sim.stripe.capture(&capture).await, Outcome::Captured { money: eur(700) });
    // The ledger is asked without a key.
    sim.end().await;
}

#[tokio::test]
async fn other_currencies_go_there_and_back() {
    let sim = simulated!();
    for (currency, amount, part) in
        [("JPY", 1_501, 700), ("ISK", 1_501, 700), ("KWD", 15_010, 7_000), ("USD", 1_501, 700)]
    {
        let order_id = events::OrderId(runtime::Clock::default().mint());
        let money = |amount| Money { amount, currency: currency.parse::<Currency>().unwrap() };
        let key = |operation: &str| format!("order:{order_id}:{operation}:1");
        let first =
            Request { order_id, key: key("authorize"), money: money(amount), ..request(Operation::Authorize, 0, None) };
        let (payment_id, outcome) = sim.authorize(&first, &buyer("pm_card_visa")).await;
        assert!(
            matches!(&outcome, Outcome::Authorized(hold) if hold.money == money(amount)),
            "{currency}: {outcome:?}"
        );
        let capture =
            Request { key: key("capture"), money: money(part), payment_id: payment_id.clone(), ..first.clone() };
        assert_eq!(sim.stripe.capture(&capture).await, Outcome::Captured { money: money(part) });
        let refund = Request { key: key("refund"), payment_id, ..capture };
        let given = sim.stripe.refund(&refund).await;
        assert!(
            matches!(&given, Outcome::Refunded { money: given, .. } if *given == money(part)),
            "{currency}: {given:?}"
        );
    }
    sim.end().await;
}

#[tokio::test]
async fn webhooks_are_verified_and_read_and_those_that_were_missed_are_listed() {
    let sim = simulated!();
    let shop = Double::start((0..100).map(|_| Reply::Json(200, json!({})))).await;
    let endpoint = json!({"url": shop.base_url, "secrets": ["whsec_old", "whsec_new"], "enabled_events": EVENT_TYPES, "duplicate_share": 1.0, "reversed": true});
    let endpoint = sim.post("webhook_endpoints", endpoint).await;
    let payment_id = sim.captured("pm_card_visa").await;
    let refund = sim.stripe.refund(&of(Operation::Refund, 300, &payment_id)).await;
    assert!(matches!(refund, Outcome::Refunded { .. }), "{refund:?}");
    let expected: BTreeSet<&str> =
        ["payment_intent.amount_capturable_updated", "payment_intent.succeeded", "refund.created"].into();
    let ends = tokio::time::Instant::now() + Duration::from_secs(60);
    // ends a minute later at the latest
    let seen = loop {
        let seen = shop.so_far();
        let types: BTreeSet<String> = seen.iter().map(|seen| parse(&seen.body).unwrap().event_type).collect();
        if expected.iter().all(|event_type| types.contains(*event_type)) && seen.len() >= 6 {
            break seen;
        }
        assert!(tokio::time::Instant::now() < ends, "expected {expected:?}, got {types:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let now = runtime::Clock::default().now();
    for seen in &seen {
        let header = seen.header("stripe-signature");
        let check = |secret: &str| verify(header, &seen.body, &[secret.into()], Duration::from_secs(300), now);
        assert_eq!((check("whsec_old"), check("whsec_new")), (Ok(()), Ok(())), "either secret while one is rolled");
        assert!(check("whsec_other").is_err());
        // Late and in any order: what counts is how the object stands now.
        let notice = sim.stripe.notice(&parse(&seen.body).unwrap()).await.unwrap();
        if let WebhookNotice::Notice(ProviderNotice::Refund { status, .. }) = notice {
            assert_eq!(status, RefundStatus::Succeeded);
        } else {
            assert_eq!(change(notice), PaymentChange::Captured { money: eur(700) });
        }
    }
    let begin = now.minus(Duration::from_secs(3_600));
    let path = format!("webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    sim.put(&path, json!({"drop_share": 1.0})).await;
    let missed = sim.held_by_another("pm_card_visa").await;
    let events = sim.stripe.undelivered(begin).await.unwrap();
    let notices: Vec<WebhookNotice> = {
        let mut notices = Vec::new();
        for event in &events {
            notices.push(sim.stripe.notice(event).await.unwrap());
        }
        notices
    };
    let is_held = |notice: &WebhookNotice| matches!(notice, WebhookNotice::Notice(ProviderNotice::Action { result: ActionResult::Passed { hold: Some(hold) }, .. }) if hold.payment_id == missed);
    assert!(notices.iter().any(is_held), "{notices:?}");
    sim.end().await;
}
