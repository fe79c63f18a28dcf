//! The API: states, money, errors, lists.

use reqwest::Method;
use serde_json::json;

use crate::harness::Sim;

#[tokio::test]
async fn an_order_is_held_captured_in_part_and_given_back() {
    let sim = Sim::start().await;
    let payment = sim.create("1", 5_000).await;
    let held = sim.confirm(&payment, "pm_card_visa").await.ok();
    let charge = &held.body["latest_charge"];
    assert_eq!((&held.body["status"], &held.body["amount_capturable"]), (&json!("requires_capture"), &json!(5_000)));
    assert_eq!(charge["outcome"]["risk_level"], "normal");
    assert_eq!(charge["payment_method_details"]["card"]["checks"]["cvc_check"], "pass");
    let capture_before = charge["payment_method_details"]["card"]["capture_before"].as_i64().unwrap();
    assert!((7 * 86_400 - 60..=7 * 86_400 + 60).contains(&(capture_before - sim.now().await)), "seven days");
    assert!(held.header("request-id").starts_with("req_"));

    let form = [("amount_to_capture", "3000"), ("expand[]", "latest_charge.balance_transaction")];
    let captured = sim.post(&format!("payment_intents/{payment}/capture"), &form).await.ok();
    let moved = &captured.body["latest_charge"]["balance_transaction"];
    assert_eq!((&captured.body["status"], &captured.body["amount_received"]), (&json!("succeeded"), &json!(3_000)));
    assert_eq!(
        (&moved["amount"], &moved["fee"], &moved["net"]),
        (&json!(3_000), &json!(70), &json!(2_930)),
        "1.5 % and 25"
    );

    let refunds = ["1000", "2000"];
    for amount in refunds {
        let refund =
            sim.post("refunds", &[("payment_intent", &payment), ("amount", amount), ("metadata[key]", "k")]).await.ok();
        assert_eq!((&refund.body["status"], &refund.body["metadata"]["key"]), (&json!("succeeded"), &json!("k")));
        assert!(refund.body.get("failure_reason").is_none());
    }
    let again = sim.post("refunds", &[("payment_intent", &payment), ("amount", "1")]).await;
    assert_eq!(again.error(), (400, "charge_already_refunded", ""));
    let listed = sim.get(&format!("refunds?payment_intent={payment}")).await.ok();
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));

    let balance = sim.get("balance").await.ok();
    assert_eq!(balance.body["pending"], json!([{"amount": -70, "currency": "eur", "source_types": {"card": -70}}]));
    let ledger = sim.control(Method::GET, "ledger", json!({})).await.ok();
    let expected = json!({"held": 0, "captured": 3_000, "refunded": 3_000, "disputed": 0, "fees": 70, "net": -70});
    assert_eq!(ledger.body["currencies"]["eur"], expected);
    let events = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
        "refund.created",
        "charge.refunded",
        "refund.created",
        "charge.refunded",
    ];
    assert_eq!(sim.event_types().await, events);
    sim.finish().await;
}

#[tokio::test]
async fn a_declined_card_leaves_the_payment_open_for_another() {
    let sim = Sim::start().await;
    for (card, code, decline_code) in [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ] {
        let payment = sim.create(card, 1_000).await;
        let declined = sim.confirm(&payment, card).await;
        let error = &declined.body["error"];
        assert_eq!(
            (declined.status, &error["type"], &error["code"], &error["decline_code"]),
            (402, &json!("card_error"), &json!(code), &json!(decline_code))
        );
        assert_eq!(
            (&error["payment_intent"]["id"], &error["payment_intent"]["status"]),
            (&json!(payment), &json!("requires_payment_method"))
        );
        assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], decline_code);
        assert_eq!(error["charge"], error["payment_intent"]["latest_charge"]);
        let other = sim.confirm(&payment, "pm_card_visa").await.ok();
        assert_eq!(
            (&other.body["status"], &other.body["last_payment_error"]),
            (&json!("requires_capture"), &json!(null))
        );
        let charges = sim.get(&format!("charges?payment_intent={payment}")).await.ok();
        assert_eq!(
            charges.body["data"]
                .as_array()
                .map(|all| all.iter().map(|charge| charge["status"].clone()).collect::<Vec<_>>()),
            Some(vec![json!("succeeded"), json!("failed")])
        );
    }
    sim.finish().await;
}

#[tokio::test]
async fn three_d_secure_is_passed_failed_or_left_on_its_page() {
    let sim = Sim::start().await;
    for (card, outcome, status, redirect_status) in [
        ("pm_card_authenticationRequired", "pass", "requires_capture", "succeeded"),
        ("pm_card_authenticationRequired", "fail", "requires_payment_method", "failed"),
        ("pm_card_authenticationRequired", "abandon", "requires_action", "pending"),
        ("pm_card_threeDSecureRequiredChargeDeclined", "pass", "requires_payment_method", "failed"),
    ] {
        let payment = sim.create("", 1_000).await;
        let waits = sim.confirm(&payment, card).await.ok();
        assert_eq!(
            (&waits.body["status"], &waits.body["next_action"]["type"]),
            (&json!("requires_action"), &json!("redirect_to_url"))
        );
        let url = waits.body["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        let page = sim.client.get(url).send().await.unwrap().text().await.unwrap();
        for choice in ["pass", "fail", "abandon"] {
            assert!(page.contains(&format!("value=\"{choice}\"")), "{page}");
        }
        let wrong = sim.client.get(format!("{url}x")).send().await.unwrap();
        assert_eq!(wrong.status(), 404, "another token opens nothing");
        let chosen = sim
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("outcome={outcome}"))
            .send()
            .await
            .unwrap();
        let back = chosen.headers()["location"].to_str().unwrap().to_owned();
        let secret = waits.body["client_secret"].as_str().unwrap();
        let expected = format!(
            "https://shop.example/back?order=7&payment_intent={payment}&payment_intent_client_secret={secret}&redirect_status={redirect_status}"
        );
        assert_eq!((chosen.status().as_u16(), back), (303, expected));
        let after = sim.get(&format!("payment_intents/{payment}?expand[]=latest_charge")).await.ok();
        assert_eq!(after.body["status"], status, "{card} {outcome}");
        match outcome {
            "pass" if status == "requires_capture" => {
                assert_eq!(
                    after.body["latest_charge"]["payment_method_details"]["card"]["three_d_secure"]["result"],
                    "authenticated"
                );
            }
            "fail" => assert_eq!(after.body["last_payment_error"]["code"], "payment_intent_authentication_failure"),
            _ => {}
        }
        let over = sim.client.get(url).send().await.unwrap().status();
        assert_eq!(over, if outcome == "abandon" { 200 } else { 404 });
    }
    sim.finish().await;
}

#[tokio::test]
async fn three_d_secure_is_refused_where_nobody_can_do_it() {
    let sim = Sim::start().await;
    for (name, value) in [("off_session", "true"), ("error_on_requires_action", "true")] {
        let payment = sim.create("", 1_000).await;
        let form = [("payment_method", "pm_card_authenticationRequired"), (name, value)];
        let declined = sim.post(&format!("payment_intents/{payment}/confirm"), &form).await;
        assert_eq!(declined.error(), (402, "authentication_required", ""), "{name}");
    }
    // Without a return URL the shop's page handles it, and the simulator's ends there.
    let payment = sim.create("", 1_000).await;
    let waits = sim
        .post(&format!("payment_intents/{payment}/confirm"), &[("payment_method", "pm_card_authenticationRequired")])
        .await
        .ok();
    assert_eq!(waits.body["next_action"]["type"], "use_stripe_sdk");
    let url = waits.body["next_action"]["use_stripe_sdk"]["stripe_js"].as_str().unwrap();
    let passed = sim
        .client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("outcome=pass")
        .send()
        .await
        .unwrap();
    assert_eq!((passed.status().as_u16(), sim.status(&payment).await.as_str()), (200, "requires_capture"));
    // Redirects are on by default: where to, has to be said.
    let payment = sim.post("payment_intents", &[("amount", "1000"), ("currency", "eur")]).await.ok().id();
    let refused = sim.post(&format!("payment_intents/{payment}/confirm"), &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(refused.error(), (400, "", "return_url"));
    let automatic = sim.confirm(&payment, "pm_card_visa").await.ok();
    assert_eq!((&automatic.body["status"], &automatic.body["amount_received"]), (&json!("succeeded"), &json!(1_000)));
    sim.finish().await;
}

#[tokio::test]
async fn each_state_allows_what_stripe_allows() {
    let sim = Sim::start().await;
    // State, and whether it can be confirmed, captured, cancelled, refunded.
    for (state, [confirm, capture, cancel, refund]) in [
        ("requires_payment_method", [true, false, true, false]),
        ("requires_confirmation", [true, false, true, false]),
        ("requires_action", [true, false, true, false]),
        ("requires_capture", [false, true, true, false]),
        ("succeeded", [false, false, false, true]),
        ("canceled", [false, false, false, false]),
    ] {
        for (operation, allowed) in [("confirm", confirm), ("capture", capture), ("cancel", cancel), ("refund", refund)]
        {
            let payment = match state {
                "requires_action" => {
                    let payment = sim.create("", 1_000).await;
                    sim.confirm(&payment, "pm_card_authenticationRequired").await.ok();
                    payment
                }
                "requires_capture" => sim.hold("", 1_000, "pm_card_visa").await,
                "succeeded" => sim.captured("", 1_000, "pm_card_visa").await,
                _ => sim.create("", 1_000).await,
            };
            if state == "requires_confirmation" {
                sim.post(&format!("payment_intents/{payment}"), &[("payment_method", "pm_card_visa")]).await.ok();
            }
            if state == "canceled" {
                sim.post(&format!("payment_intents/{payment}/cancel"), &[("cancellation_reason", "abandoned")])
                    .await
                    .ok();
            }
            assert_eq!(sim.status(&payment).await, state);
            let answer = match operation {
                "confirm" => sim.confirm(&payment, "pm_card_visa").await,
                "refund" => sim.post("refunds", &[("payment_intent", &payment)]).await,
                _ => sim.post(&format!("payment_intents/{payment}/{operation}"), &[]).await,
            };
            let expected = match (allowed, operation) {
                (true, _) => (200, ""),
                (false, "refund") => (400, "charge_not_refundable"),
                (false, _) => (400, "payment_intent_unexpected_state"),
            };
            let (status, code, _) = answer.error();
            assert_eq!((status, code), expected, "{operation} of {state}: {}", answer.body);
        }
    }
    sim.finish().await;
}

#[tokio::test]
async fn bad_requests_are_refused_by_name() {
    let sim = Sim::start().await;
    let held = sim.hold("", 5_000, "pm_card_visa").await;
    let capture = format!("payment_intents/{held}/capture");
    let captured = sim.captured("", 5_000, "pm_card_visa").await;
    let money = [("amount", "5000"), ("currency", "eur")];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        money.iter().chain(more).copied().collect()
    };
    let refund = |amount: &'static str| vec![("payment_intent", captured.as_str()), ("amount", amount)];
    for (path, form, expected) in [
        ("payment_intents", vec![("currency", "eur")], (400, "parameter_missing", "amount")),
        ("payment_intents", with(&[("amout", "1")]), (400, "parameter_unknown", "amout")),
        (
            "payment_intents",
            with(&[("payment_method_types[]", "card")]),
            (400, "payment_method_types_no_longer_supported", "payment_method_types"),
        ),
        ("payment_intents", vec![("amount", "49"), ("currency", "eur")], (400, "amount_too_small", "amount")),
        ("payment_intents", vec![("amount", "100000000"), ("currency", "eur")], (400, "amount_too_large", "amount")),
        ("payment_intents", vec![("amount", "5000"), ("currency", "zzz")], (400, "", "currency")),
        ("payment_intents", with(&[("return_url", "https://a.example")]), (400, "", "return_url")),
        ("payment_intents", with(&[("statement_descriptor", "SHOP")]), (400, "", "statement_descriptor")),
        (
            "payment_intents",
            with(&[("allowed_payment_method_types[]", "card"), ("automatic_payment_methods[enabled]", "true")]),
            (400, "", "allowed_payment_method_types"),
        ),
        (&capture, vec![("amount_to_capture", "0")], (400, "parameter_invalid_integer", "amount_to_capture")),
        (&capture, vec![("amount_to_capture", "5001")], (400, "amount_too_large", "amount_to_capture")),
        (&capture, vec![("final_capture", "false")], (400, "", "final_capture")),
        ("payment_intents/pi_unknown/confirm", vec![], (404, "resource_missing", "intent")),
        ("refunds", vec![("payment_intent", "pi_unknown")], (400, "resource_missing", "payment_intent")),
        ("refunds", vec![], (400, "", "")),
        ("refunds", refund("5001"), (400, "amount_too_large", "amount")),
        ("refunds", refund("0"), (400, "parameter_invalid_integer", "amount")),
        ("nowhere", vec![], (404, "", "")),
    ] {
        let answer = sim.post(path, &form).await;
        assert_eq!(answer.error(), expected, "{path} {form:?}: {}", answer.body);
    }
    let no_method = sim.create("", 5_000).await;
    let missing = sim.post(&format!("payment_intents/{no_method}/confirm"), &[]).await;
    assert_eq!(missing.error(), (400, "payment_intent_unexpected_state", ""));
    let unknown = sim.confirm(&no_method, "pm_card_unknown").await;
    assert_eq!(unknown.error(), (400, "resource_missing", "payment_method"));
    let json_body = sim.request(Method::POST, "/v1/payment_intents").json(&json!({"amount": 5_000}));
    assert_eq!(sim.send(json_body).await.status, 400);
    for (name, value, status) in
        [("authorization", "", 401), ("stripe-version", "2020-08-27", 400), ("stripe-account", "acct_other", 403)]
    {
        let request = sim.client.get(format!("{}/v1/balance", sim.base));
        let request = if name == "authorization" {
            request
        } else {
            request.bearer_auth(crate::harness::KEY).header(name, value)
        };
        assert_eq!(sim.send(request).await.status, status, "{name}");
    }
    sim.finish().await;
}

#[tokio::test]
async fn a_card_without_a_customer_and_a_token_are_used_once() {
    let sim = Sim::start().await;
    let confirm = async |name: &str, value: &str, customer: Option<&str>| {
        let mut form = vec![
            ("amount", "1000"),
            ("currency", "eur"),
            ("confirm", "true"),
            ("capture_method", "manual"),
            ("allowed_payment_method_types[]", "card"),
            (name, value),
        ];
        form.extend(customer.map(|customer| ("customer", customer)));
        sim.post("payment_intents", &form).await.status
    };
    let once = sim.control(Method::POST, "payment_methods", json!({"card": "4242424242424242"})).await.ok().id();
    assert_eq!(
        [confirm("payment_method", &once, None).await, confirm("payment_method", &once, None).await],
        [200, 400]
    );
    let saved = sim
        .control(Method::POST, "payment_methods", json!({"card": "pm_card_visa", "customer": "cus_1"}))
        .await
        .ok()
        .id();
    assert_eq!(
        [
            confirm("payment_method", &saved, Some("cus_1")).await,
            confirm("payment_method", &saved, Some("cus_1")).await
        ],
        [200, 200]
    );
    assert_eq!(confirm("payment_method", &saved, Some("cus_2")).await, 400, "another customer's card");
    let token = sim.control(Method::POST, "confirmation_tokens", json!({"card": "pm_card_visa"})).await.ok().id();
    assert_eq!(
        [confirm("confirmation_token", &token, None).await, confirm("confirmation_token", &token, None).await],
        [200, 400]
    );
    let incomplete = sim.post("payment_methods", &[("type", "card"), ("card[number]", "4242424242424242")]).await;
    assert_eq!(incomplete.error(), (400, "parameter_missing", "card[exp_month]"));
    let by_number = sim
        .post(
            "payment_methods",
            &[
                ("type", "card"),
                ("card[number]", "4000000000000002"),
                ("card[exp_month]", "12"),
                ("card[exp_year]", "2034"),
            ],
        )
        .await
        .ok();
    assert_eq!(
        (&by_number.body["card"]["last4"], confirm("payment_method", &by_number.id(), None).await),
        (&json!("0002"), 402)
    );
    sim.finish().await;
}

#[tokio::test]
async fn lists_are_paged_filtered_and_expanded() {
    let sim = Sim::start().await;
    let mut payments = Vec::new();
    for order in 0..5 {
        payments.push(sim.create(&order.to_string(), 1_000).await);
        sim.advance(100).await;
    }
    let ids = async |query: &str| -> (Vec<usize>, bool) {
        let listed = sim.get(&format!("payment_intents?{query}")).await.ok().body;
        let at = |id: &serde_json::Value| payments.iter().position(|payment| *id == json!(payment)).unwrap();
        (
            listed["data"].as_array().unwrap().iter().map(|payment| at(&payment["id"])).collect(),
            listed["has_more"] == true,
        )
    };
    assert_eq!(ids("limit=2").await, (vec![4, 3], true));
    assert_eq!(ids(&format!("limit=2&starting_after={}", payments[3])).await, (vec![2, 1], true));
    assert_eq!(ids(&format!("limit=3&starting_after={}", payments[2])).await, (vec![1, 0], false));
    assert_eq!(ids(&format!("limit=2&ending_before={}", payments[1])).await, (vec![3, 2], true));
    let third = sim.get(&format!("payment_intents/{}", payments[2])).await.ok().body["created"].as_i64().unwrap();
    assert_eq!(ids(&format!("created[gte]={third}")).await, (vec![4, 3, 2], false));
    assert_eq!(ids(&format!("created[lt]={third}")).await, (vec![1, 0], false));
    assert_eq!(sim.get("payment_intents?limit=0").await.error(), (400, "parameter_invalid_integer", "limit"));
    assert_eq!(
        sim.get("payment_intents?starting_after=pi_unknown").await.error(),
        (400, "resource_missing", "starting_after")
    );

    sim.confirm(&payments[0], "pm_card_visa").await.ok();
    sim.post(&format!("payment_intents/{}/capture", payments[0]), &[]).await.ok();
    let listed =
        sim.get("charges?expand[]=data.payment_intent&expand[]=data.balance_transaction.source").await.ok().body;
    assert_eq!(listed["data"][0]["payment_intent"]["id"], json!(payments[0]));
    assert_eq!(listed["data"][0]["balance_transaction"]["source"]["object"], "charge");
    assert_eq!(sim.get("charges?expand[]=data.metadata").await.error(), (400, "", "expand"));
    let moved = sim.get("balance_transactions?type=charge&currency=eur").await.ok().body;
    assert_eq!(moved["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(sim.get("balance_transactions?type=refund").await.ok().body["data"], json!([]));
    let events = sim.get("events?types[]=payment_intent.succeeded&types[]=charge.captured").await.ok().body;
    assert_eq!(events["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(sim.get("events?type=charge.*").await.ok().body["data"].as_array().map(Vec::len), Some(2));
    sim.finish().await;
}

#[tokio::test]
async fn accounts_and_modes_do_not_see_each_other() {
    let sim = Sim::start().await;
    sim.settings(json!({"connected_accounts": ["acct_2"], "live_keys": true})).await;
    let payment = sim.create("", 1_000).await;
    let path = format!("/v1/payment_intents/{payment}");
    let other = sim.send(sim.request(Method::GET, &path).header("stripe-account", "acct_2")).await;
    assert_eq!(other.error(), (404, "resource_missing", "intent"));
    let live = sim.send(sim.client.get(format!("{}{path}", sim.base)).bearer_auth("sk_live_51SimulatorTests")).await;
    assert_eq!(live.status, 404);
    let form = crate::harness::encoded(&[("amount", "1000"), ("currency", "eur")]);
    let theirs = sim
        .request(Method::POST, "/v1/payment_intents")
        .header("stripe-account", "acct_2")
        .header("content-type", "application/x-www-form-urlencoded");
    sim.send(theirs.body(form)).await.ok();
    let events = sim.send(sim.request(Method::GET, "/v1/events").header("stripe-account", "acct_2")).await.ok();
    assert_eq!(events.body["data"][0]["account"], "acct_2");
    sim.finish().await;
}

#[tokio::test]
async fn too_many_confirmations_cancel() {
    let sim = Sim::start().await;
    sim.settings(json!({"confirmation_limit": 2})).await;
    let payment = sim.create("", 1_000).await;
    for _ in 0..2 {
        assert_eq!(sim.confirm(&payment, "pm_card_chargeDeclined").await.status, 402);
    }
    assert_eq!(sim.confirm(&payment, "pm_card_visa").await.ok().body["status"], "canceled");
    sim.finish().await;
}

#[tokio::test]
async fn endpoints_have_their_rate() {
    let sim = Sim::start_limited().await;
    let settings = sim.control(Method::GET, "settings", json!({})).await.ok().body;
    assert_eq!((&settings["endpoint_rate"], &settings["global_rate"]), (&json!(25), &json!(null)));
    sim.settings(json!({"endpoint_rate": 2})).await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = sim.get("balance").await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!(
                (answer.error().1, answer.header("stripe-rate-limited-reason")),
                ("rate_limit", "endpoint-rate")
            );
        }
    }
    assert!((1..=8).contains(&refused), "two at once, and a few as time passes: {refused}");
    assert_eq!(sim.get("events").await.status, 200, "another endpoint has its own");
    sim.finish().await;
}
