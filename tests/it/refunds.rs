//! Refunds to customers on the real parts: several an order, under one key, at once, through outages, refused, pending, and long after the end.

use std::time::Duration;

use events::{RefundCompleted, RefundFailed, RefundRequested};
use quadrille_tests::{Order, Pipeline};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// An order of three TEA for 10.00 and one CUP for 5.01 that has completed, paid with this token.
async fn completed(pipeline: &Pipeline, token: &str) -> String {
    for sku in ["TEA", "CUP"] {
        pipeline.stock(sku, "a", 100).await;
    }
    let order = Order::of(&[("TEA", 3, 300), ("CUP", 1, 501)]).with("shipping", 100).paid_with(token);
    let order = pipeline.place(&order).await;
    for _ in 0..20 {
        pipeline.settle().await;
        if pipeline.status(&order).await == "COMPLETED" {
            return order;
        }
        pipeline.advance(Duration::from_secs(2)); // an answer that is lost is asked for again
    }
    panic!("{order} is {}: {:?}", pipeline.status(&order).await, pipeline.story(&order).await);
}

async fn ask(pipeline: &Pipeline, order: &str, key: &str, body: Value) -> (u16, Value, bool) {
    let url = pipeline.door("payments", &format!("/orders/{order}/refunds"));
    let response = pipeline.http.post(url).header("Idempotency-Key", key).json(&body).send().await.unwrap();
    let (status, replayed) = (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"));
    (status, response.json().await.unwrap(), replayed)
}

async fn taken(pipeline: &Pipeline, order: &str, key: &str, mut body: Value) -> Value {
    body["reason"] = "broken".into();
    let (status, answer, _) = ask(pipeline, order, key, body).await;
    assert_eq!(status, 202, "{answer}");
    answer
}

async fn refunds(pipeline: &Pipeline, order: &str) -> Value {
    pipeline.get("payments", &format!("/orders/{order}/refunds")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_refunds_of_one_order_add_up_and_are_told_shown_and_written_to_the_customer() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_approved").await;
    let tea = taken(&pipeline, &order, "k-1", json!({"lines": [{"sku": "TEA", "quantity": 1}]})).await;
    taken(&pipeline, &order, "k-2", json!({"amount": 100, "currency": "EUR"})).await;
    pipeline.settle().await;
    let view = refunds(&pipeline, &order).await;
    let amount = tea["amount"].as_i64().unwrap();
    assert_eq!((&view["refunds_done"], &view["left"]), (&json!(amount + 100), &json!(1_501 - amount - 100)), "{view}");
    taken(&pipeline, &order, "k-3", json!({"all": true})).await;
    pipeline.settle().await;
    let (status, answer, _) = ask(&pipeline, &order, "k-4", json!({"all": true, "reason": "more"})).await;
    assert_eq!((status, &answer["left"]), (409, &json!(0)), "{answer}");
    let done: Vec<RefundCompleted> = pipeline.all(&order).await;
    assert_eq!((done.len(), done.iter().map(|refund| refund.amount).sum::<i64>()), (3, 1_501));
    let asked: Vec<RefundRequested> = pipeline.all(&order).await;
    assert!(asked.iter().all(|refund| refund.requested_by == "local"), "{asked:?}");
    let shown = pipeline.get("saga-tracker", &format!("/orders/{order}")).await;
    assert_eq!(
        (shown["refunds"].as_array().map(Vec::len), &shown["status"]),
        (Some(3), &json!("COMPLETED")),
        "{shown}"
    );
    assert!(shown["refunds"].as_array().unwrap().iter().all(|refund| refund["status"] == "COMPLETED"), "{shown}");
    let told = "select count(*) from notifications.message where template = 'refund_completed' and state = 'RECORDED'";
    assert_eq!(pipeline.count(told).await, 3);
    assert_eq!(pipeline.count("select sum(refunded)::bigint from sandbox.payment").await, 1_501);
    let stock = pipeline.get("inventory", "/stock/TEA").await;
    assert_eq!(stock["on_hand"], 97, "a refund touches no stock: {stock}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_refund_and_bad_requests_are_refused_with_what_was_expected() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_approved").await;
    let body = json!({"amount": 200, "reason": "late"});
    let (first, second) =
        tokio::join!(ask(&pipeline, &order, "k", body.clone()), ask(&pipeline, &order, "k", body.clone()));
    assert_eq!((first.0, second.0, &first.1), (202, 202, &second.1), "the same answer");
    assert!(first.2 != second.2, "one of them was first");
    let other = ask(&pipeline, &order, "k", json!({"amount": 300, "reason": "late"})).await;
    assert_eq!(other.0, 409, "{}", other.1);
    for (body, status, says) in [
        (json!({"amount": 0, "reason": "x"}), 422, "got 0"),
        (json!({"amount": -1, "reason": "x"}), 422, "got -1"),
        (json!({"amount": 1302, "reason": "x"}), 409, "13.01 EUR, which is left, got 13.02 EUR"),
        (json!({"amount": 1, "currency": "USD", "reason": "x"}), 422, "expected EUR"),
        (json!({"lines": [{"sku": "SPOON", "quantity": 1}], "reason": "x"}), 422, "SPOON"),
        (json!({"lines": [{"sku": "TEA", "quantity": 4}], "reason": "x"}), 409, "at most 3 units of TEA"),
        (json!({"lines": [], "reason": "x"}), 422, "exactly one"),
        (json!({"reason": "x"}), 422, "exactly one"),
        (json!({"all": true, "amount": 1, "reason": "x"}), 422, "exactly one"),
        (json!({"amount": 1, "reason": ""}), 422, "`reason`"),
        (json!({"ammount": 1, "reason": "x"}), 422, "ammount"),
    ] {
        let (got, answer, _) = ask(&pipeline, &order, "other", body.clone()).await;
        assert!(
            got == status && answer["detail"].as_str().is_some_and(|text| text.contains(says)),
            "{body}: {got} {answer}"
        );
    }
    let (status, answer) = pipeline.post("payments", &format!("/orders/{order}/refunds"), body).await;
    assert_eq!(status, 400, "no key: {answer}");
    let nobody = ask(&pipeline, "01970000-0000-7000-8000-000000000000", "k", json!({"all": true, "reason": "x"})).await;
    assert!([404, 410].contains(&nobody.0), "{}", nobody.1);
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from payments.customer_refund").await, 1);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_at_once_at_two_instances_never_exceeds_what_is_left() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_approved").await;
    let second = pipeline.host(&["payments"]).await;
    let doors = [pipeline.door("payments", ""), format!("http://{}", second.address("payments").unwrap())];
    let mut asked = JoinSet::new();
    for n in 0..12 {
        let url = format!("{}/orders/{order}/refunds", doors[n % 2]);
        let body = json!({"amount": 400, "reason": "broken"});
        let request = pipeline.http.post(url).header("Idempotency-Key", format!("k-{n}")).json(&body);
        asked.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let answers = asked.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 202).count(), 3, "1,501 has room for three: {answers:?}");
    assert!(answers.iter().all(|status| [202, 409].contains(status)), "{answers:?}");
    pipeline.settle().await;
    assert_eq!(pipeline.count("select sum(refunded)::bigint from sandbox.payment").await, 1_200);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_found_by_its_key_and_a_gateway_that_is_down_delays_alone() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_answer_lost_once").await;
    taken(&pipeline, &order, "k-1", json!({"amount": 500})).await;
    for _ in 0..10 {
        pipeline.settle().await;
        pipeline.advance(Duration::from_secs(5));
    }
    assert_eq!(refunds(&pipeline, &order).await["refunds_done"], 500);
    let down =
        |down: bool| pipeline.ask(reqwest::Method::PUT, "payments", "/sandbox/outage", Some(json!({"down": down})));
    assert_eq!(down(true).await.0 / 100, 2);
    taken(&pipeline, &order, "k-2", json!({"amount": 600})).await;
    let view = refunds(&pipeline, &order).await;
    assert_eq!(
        (&view["refunds_open"], &view["left"]),
        (&json!(600), &json!(401)),
        "what is promised is not left: {view}"
    );
    assert_eq!(down(false).await.0 / 100, 2);
    let done = "select refunds_done from payments.payment where refunds_done = 1100";
    for _ in 0..40 {
        pipeline.settle().await;
        if pipeline.count(&format!("select count(*) from ({done}) as done")).await == 1 {
            break;
        }
        pipeline.advance(Duration::from_secs(30));
    }
    assert_eq!(pipeline.count("select count(*) from sandbox.refund").await, 2, "each was made once");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_refund_counts_when_the_gateway_says_so() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_refund_pending").await;
    taken(&pipeline, &order, "k-1", json!({"all": true})).await;
    pipeline.settle().await;
    let refund = refunds(&pipeline, &order).await["refunds"][0].clone();
    assert_eq!((&refund["state"], refund["provider_id"].is_string()), (&json!("PENDING"), true), "{refund}");
    assert_eq!(pipeline.all::<RefundCompleted>(&order).await, []);
    for _ in 0..2 {
        let message = json!({"id": "evt-1", "refund_id": refund["provider_id"], "status": "succeeded"});
        assert_eq!(pipeline.post("payments", "/webhooks/sandbox", message).await.0 / 100, 2);
        pipeline.settle().await;
    }
    let done: RefundCompleted = pipeline.the(&order).await;
    assert_eq!((done.amount, done.refunded), (1_501, 1_501));
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_refund_is_told_alerted_and_tried_again_by_a_person() {
    let pipeline = Pipeline::with_settings("[saga_tracker]\nwatch_every = '100ms'\n").await;
    let order = completed(&pipeline, "tok_refund_fails").await;
    let taken = taken(&pipeline, &order, "k-1", json!({"amount": 700})).await;
    pipeline.settle().await;
    let failed: RefundFailed = pipeline.the(&order).await;
    assert_eq!((failed.amount, pipeline.dead_letters().await.len()), (700, 1));
    let view = refunds(&pipeline, &order).await;
    assert_eq!((&view["left"], &view["refunds"][0]["state"]), (&json!(1_501), &json!("FAILED")), "{view}");
    let alerts = "select count(*) from saga_tracker.alert where kind = 'refund_unsettled' and resolved_at is null";
    pipeline.until_count(alerts, 1, "people are alerted").await;
    let retry = format!("/orders/{order}/refunds/{}/retry", taken["refund_id"].as_str().unwrap());
    assert_eq!(pipeline.post("payments", &retry, json!({"why": "new account"})).await.0, 202);
    pipeline.settle().await;
    let done: RefundCompleted = pipeline.the(&order).await;
    assert_eq!(done.amount, 700);
    pipeline.until_count(alerts, 0, "it is over").await;
    let (status, answer) = pipeline.post("payments", &retry, json!({})).await;
    assert_eq!((status, &answer["state"]), (409, &json!("REFUNDED")));
    let resolved = "select count(*) from payments.dead_letter where resolution = 'recovered' and resolved_by = 'local'";
    assert_eq!(pipeline.count(resolved).await, 1);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_refunded_long_after_its_end_and_not_for_ever() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline, "tok_approved").await;
    pipeline.advance(150 * DAY);
    taken(&pipeline, &order, "k-1", json!({"amount": 500})).await;
    pipeline.settle().await;
    let done: RefundCompleted = pipeline.the(&order).await;
    assert_eq!(done.amount, 500);
    let told = "select count(*) from notifications.message where template = 'refund_completed'";
    pipeline.until_count(told, 1, "the customer is told, half a year later too").await;
    assert_eq!(pipeline.count("select count(*) from saga_tracker.stuck").await, 0, "nothing of it is stuck");
    pipeline.advance(40 * DAY);
    let (status, answer, _) = ask(&pipeline, &order, "k-2", json!({"amount": 1, "reason": "late"})).await;
    assert_eq!(status, 410, "{answer}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_nobody_answers_is_found_late_and_made_anew_once_a_person_has_looked() {
    let pipeline = Pipeline::with_settings("[saga_tracker]\nwatch_every = '100ms'\n").await;
    let order = completed(&pipeline, "tok_approved").await;
    let down =
        |down: bool| pipeline.ask(reqwest::Method::PUT, "payments", "/sandbox/outage", Some(json!({"down": down})));
    assert_eq!(down(true).await.0 / 100, 2);
    let taken = taken(&pipeline, &order, "k-1", json!({"amount": 600})).await;
    pipeline.advance(11 * DAY);
    let alerts = "select count(*) from saga_tracker.alert where kind = 'refund_unsettled' and resolved_at is null";
    pipeline.until_count(alerts, 1, "it is late").await;
    assert_eq!(down(false).await.0 / 100, 2);
    let until = async |query: &str| {
        for _ in 0..60 {
            pipeline.settle().await;
            if pipeline.count(query).await == 1 {
                return;
            }
            pipeline.advance(Duration::from_secs(60));
        }
        panic!("{query}: {}", refunds(&pipeline, &order).await);
    };
    // Its key is so old that the gateway may have forgotten what was done under it.
    until("select count(*) from payments.customer_refund where stuck").await;
    assert_eq!(pipeline.count("select count(*) from sandbox.refund").await, 0);
    // As the page of dead letters does it.
    assert_eq!(pipeline.post("payments", &format!("/payments/{order}/retry"), json!({"why": "not done"})).await.0, 202);
    until("select count(*) from payments.payment where refunds_done = 600").await;
    assert_eq!(pipeline.count("select count(*) from sandbox.refund").await, 1, "{taken}");
    pipeline.until_count(alerts, 0, "it is over").await;
    pipeline.finish_with_dead_letters().await;
}
