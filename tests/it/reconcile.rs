//! `quadrille reconcile`, as an operator types it, and as payments does it each day: equal books, and each way in which they differ.

use std::process::{Command, Output};
use std::time::Duration;

use quadrille_tests::{Order, Pipeline, binary, stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stripe::{API_KEY, Paid};

/// Dear enough for a person to look at it: its money is held until they have.
fn dear(customer: &str, method: &str) -> Order {
    Order::of(&[("TEA", 2, 600_000)]).by(customer).paid_with(method)
}

/// `quadrille reconcile` with the settings of a pipeline, its changes among them: its exit code and all that it prints.
async fn reconcile(pipeline: &Pipeline, arguments: &[&str], change: (&str, &str)) -> (Option<i32>, String) {
    let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}toml", pipeline.prefix));
    std::fs::write(&config, pipeline.settings_toml().replace(change.0, change.1)).unwrap();
    let mut command = Command::new(binary("quadrille"));
    command
        .arg("reconcile")
        .args(arguments)
        .env("QUADRILLE_CONFIG", &config)
        .env("DATABASE_URL", &pipeline.database.url)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
        .env("SCHEMA_REGISTRY_URL", &stack().registry_url);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = run.await.unwrap();
    std::fs::remove_file(config).unwrap();
    let text = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(!text.contains("hunter") && !text.contains("_secret_"), "no key or secret is printed: {text}");
    (status.code(), text)
}

async fn json(pipeline: &Pipeline, code: i32) -> Value {
    let (got, text) = reconcile(pipeline, &["--json", "--since", "1d"], ("", "")).await;
    assert_eq!(got, Some(code), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// As if what happened had happened an hour ago: what is younger than some minutes is not compared.
async fn an_hour_passes(pipeline: &Pipeline) {
    let statement = "update payments.payment set updated_at = updated_at - interval '1 hour'";
    sqlx::query(statement).execute(&pipeline.database.pool).await.unwrap();
}

/// Kind and order of each difference of the one gateway, in their order.
fn differences(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = report["gateways"][0]["differences"].as_array().unwrap();
    let mut all: Vec<_> = all.iter().map(|one| (text(&one["kind"]), text(&one["order_id"]))).collect();
    all.sort();
    all
}

impl Paid {
    async fn act(&self, order: &str, act: &str) {
        let payment_id = self.payment(order).await["payment_id"].as_str().unwrap().to_owned();
        self.sim(Method::POST, &format!("payment_intents/{payment_id}/{act}"), json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_at_stripe_are_equal_until_somebody_moves_money_outside_and_each_act_is_named() {
    let paid = Paid::start("stripe", false).await;
    let pipeline = &paid.pipeline;
    pipeline.stock("DAMAGED-1", "a", 5).await;
    let bought =
        [paid.order("pm_card_visa").await, paid.order("pm_card_mastercard").await, paid.order("pm_card_visa").await];
    let damaged = pipeline.place(&Order::of(&[("DAMAGED-1", 2, 450)]).paid_with("pm_card_visa")).await;
    let declined = paid.order("pm_card_visa_chargeDeclined").await;
    let waits = paid.order("pm_card_authenticationRequired").await;
    for order in &bought {
        paid.until_status(order, "COMPLETED").await;
    }
    let held =
        [pipeline.place(&dear("ada", "pm_card_amex")).await, pipeline.place(&dear("bob", "pm_card_discover")).await];
    for (order, state) in
        [(&damaged, "REFUNDED"), (&declined, "DECLINED"), (&held[0], "AUTHORIZED"), (&held[1], "AUTHORIZED")]
    {
        paid.until_state(order, state).await;
    }
    paid.until_state(&waits, "ACTION_REQUIRED").await;
    let report = json(pipeline, 0).await;
    assert_eq!((&report["gateways"][0]["equal"], &report["gateways"][0]["moving"]), (&json!(0), &json!(8)), "{report}");

    an_hour_passes(pipeline).await;
    let foreign = pipeline.http.post(format!("{}/v1/payment_intents", paid.url)).bearer_auth(API_KEY);
    let foreign = foreign.header("content-type", "application/x-www-form-urlencoded");
    let foreign = foreign.body("amount=700&currency=eur&allowed_payment_method_types[]=card&metadata[order_id]=4711");
    assert!(foreign.send().await.unwrap().status().is_success());
    let report = json(pipeline, 0).await;
    let stripe = &report["gateways"][0];
    assert_eq!(
        (&stripe["equal"], &stripe["moving"], &stripe["foreign"]),
        (&json!(7), &json!(1), &json!(1)),
        "{report}"
    );
    let eur = &stripe["totals"][0];
    let sums = json!({"held": 2_400_000, "captured": 3_600, "refunded": 900});
    assert_eq!((&eur["currency"], &eur["here"], &eur["there"]), (&json!("EUR"), &sums, &sums), "{report}");
    assert!(eur["fees"].as_i64() > Some(0), "{report}");

    paid.act(&held[0], "capture").await;
    paid.act(&held[1], "cancel").await;
    paid.act(&bought[0], "refund").await;
    let lost = format!("update payments.payment set payment_id = 'pi_gone' where order_id = '{}'", bought[1]);
    sqlx::query(sqlx::AssertSqlSafe(lost)).execute(&pipeline.database.pool).await.unwrap();
    let unknown = format!("delete from payments.payment where order_id = '{}'", bought[2]);
    sqlx::query(sqlx::AssertSqlSafe(unknown)).execute(&pipeline.database.pool).await.unwrap();
    let report = json(pipeline, 1).await;
    let mut expected: Vec<(String, String)> = [
        ("payment_differs", &held[0]),
        ("payment_differs", &held[1]),
        ("refund_missing_here", &bought[0]),
        ("missing_there", &bought[1]),
        ("second_payment", &bought[1]),
        ("missing_here", &bought[2]),
    ]
    .map(|(kind, order)| (kind.to_owned(), order.clone()))
    .into();
    expected.sort();
    assert_eq!(differences(&report), expected, "{report}");
    let (code, text) = reconcile(pipeline, &[], ("", "")).await;
    for part in [
        "orders: 2 equal, 1 moving; foreign payments: 1; differences: 6".to_owned(),
        format!("payment_differs  order {}", held[0]),
        "here AUTHORIZED: 12000.00 EUR held; there 12000.00 EUR taken".to_owned(),
        "here AUTHORIZED: 12000.00 EUR held; there nothing held or taken".to_owned(),
        "pi_gone: here CAPTURED: 9.00 EUR taken; there no such payment".to_owned(),
        "no such order".to_owned(),
    ] {
        assert!(code == Some(1) && text.contains(&part), "expected {part:?} in\n{text}");
    }

    // Payments does the same each day, and the tracker makes an invariant of it.
    pipeline.advance(Duration::from_secs(3_601));
    let asked = "select count(*) from payments.reconciliation where differing = 5 and unanswered_since is null";
    pipeline.until(|| async { pipeline.count(asked).await == 1 }, "payments compares its books with Stripe's").await;
    pipeline.advance(Duration::from_secs(301));
    let breach =
        format!("select count(*) from saga_tracker.breach where \"check\" = 'provider' and subject = '{}'", held[0]);
    pipeline.until(|| async { pipeline.count(&breach).await == 1 }, "the tracker tells of it").await;

    let (code, text) = reconcile(pipeline, &[], (&paid.url, "http://127.0.0.1:1")).await;
    assert!(code == Some(2) && text.contains("the books of stripe can't be read"), "{code:?} {text}");
    let (code, text) = reconcile(pipeline, &["--since", "230d"], ("", "")).await;
    assert!(code == Some(2) && text.contains("within the last 210 days"), "{code:?} {text}");
    let (code, text) = reconcile(pipeline, &["--gateway", "sandbox"], ("", "")).await;
    assert!(code == Some(2) && text.contains("expected a gateway that payments has settings for"), "{code:?} {text}");
    paid.end_without_audit("money was moved by hand").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandboxs_book_is_compared_as_well() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 9).await;
    pipeline.stock("DAMAGED-1", "a", 9).await;
    let of = |sku, token: &str| Order::of(&[(sku, 1, 450)]).paid_with(token);
    let order = pipeline.place(&of("TEA", "tok_approved")).await;
    for other in [of("DAMAGED-1", "tok_approved"), of("TEA", "tok_declined")] {
        pipeline.place(&other).await;
    }
    pipeline.settle().await;
    an_hour_passes(&pipeline).await;
    let report = json(&pipeline, 0).await;
    assert_eq!(
        (&report["gateways"][0]["gateway"], &report["gateways"][0]["equal"]),
        (&json!("sandbox"), &json!(3)),
        "{report}"
    );
    let change = |by: &'static str| {
        format!(
            "update sandbox.payment set captured = captured {by}, authorized = authorized {by} where order_id = '{order}'"
        )
    };
    sqlx::query(sqlx::AssertSqlSafe(change("+ 1"))).execute(&pipeline.database.pool).await.unwrap();
    assert_eq!(differences(&json(&pipeline, 1).await), [("payment_differs".to_owned(), order.clone())]);
    sqlx::query(sqlx::AssertSqlSafe(change("- 1"))).execute(&pipeline.database.pool).await.unwrap();
    assert_eq!(json(&pipeline, 0).await["differences"], 0);
    pipeline.finish().await;
}
