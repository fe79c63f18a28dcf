//! Returns on the real parts: several an order, whatever is asked or told twice, refused, elsewhere, long after the end, and exchanged.

use std::time::Duration;

use events::{OrderAccepted, RefundCompleted, RefundRequested, StockReturned, line_value};
use quadrille_tests::{ALL, Order, Pipeline, commit_beginning};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rebuild::{quadrille, text};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// An order of three TEA for 10.00 and one CUP for 5.01 that has completed.
async fn completed(pipeline: &Pipeline) -> String {
    for sku in ["TEA", "CUP"] {
        pipeline.stock(sku, "a", 100).await;
    }
    let order = pipeline.place(&Order::of(&[("TEA", 3, 300), ("CUP", 1, 501)]).with("shipping", 100)).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED", "{:?}", pipeline.story(&order).await);
    order
}

/// Announces a return of these units: status, answer, and whether it is one that was given before.
async fn announce(pipeline: &Pipeline, order: &str, key: &str, lines: Value) -> (u16, Value, bool) {
    let url = pipeline.door("fulfillment", &format!("/orders/{order}/returns"));
    let body = json!({"lines": lines, "reason": "too small"});
    let response = pipeline.http.post(url).header("Idempotency-Key", key).json(&body).send().await.unwrap();
    let (status, replayed) = (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"));
    (status, response.json().await.unwrap(), replayed)
}

async fn announced(pipeline: &Pipeline, order: &str, key: &str, lines: Value) -> String {
    let (status, answer, _) = announce(pipeline, order, key, lines).await;
    assert_eq!((status, &answer["state"]), (202, &json!("ANNOUNCED")), "{answer}");
    answer["return_id"].as_str().unwrap().to_owned()
}

async fn end(pipeline: &Pipeline, order: &str, of: &str, how: &str, body: Value) -> (u16, Value) {
    pipeline.post("fulfillment", &format!("/orders/{order}/returns/{of}/{how}"), body).await
}

fn units(sku: &str, quantity: i64) -> Value {
    json!([{"sku": sku, "quantity": quantity}])
}

async fn level(pipeline: &Pipeline, sku: &str) -> (i64, i64) {
    let level = format!("select {{}} from inventory.stock_level where sku = '{sku}' and warehouse = 'a'");
    (pipeline.count(&level.replace("{}", "on_hand")).await, pipeline.count(&level.replace("{}", "missing")).await)
}

async fn told(pipeline: &Pipeline, template: &str) -> i64 {
    pipeline.count(&format!("select count(*) from notifications.message where template = '{template}'")).await
}

/// What a replay could change, outbox and calls to the gateway included.
async fn state(pipeline: &Pipeline) -> Vec<i64> {
    let mut counts = Vec::new();
    for query in [
        "select count(*) from outbox.event where topic <> 'operations'",
        "select sum(version)::bigint from inventory.stock_level",
        "select count(*) from inventory.movement",
        "select sum(version)::bigint from fulfillment.customer_return",
        "select sum(version)::bigint from payments.payment",
        "select count(*) from payments.customer_refund",
        "select count(*) from sandbox.operation",
        "select count(*) from notifications.message",
    ] {
        counts.push(pipeline.count(query).await);
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_in_stock_refunded_and_told_once_whatever_is_asked_or_told_again() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline).await;
    let both = json!([{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}]);
    let (first, second) = tokio::join!(
        announce(&pipeline, &order, "k-1", both.clone()),
        announce(&pipeline, &order, "k-1", both.clone())
    );
    assert_eq!((first.0, second.0, &first.1), (202, 202, &second.1), "the same answer");
    assert!(first.2 != second.2, "one of them was first");
    let one = first.1["return_id"].as_str().unwrap().to_owned();
    for (key, lines, status, says) in [
        ("k-1", units("TEA", 1), 409, "same body"),
        ("k-2", units("TEA", 2), 409, "at most 1 units of TEA"),
        ("k-2", units("SPOON", 1), 422, "SPOON"),
        ("k-2", units("TEA", 0), 422, "got 0"),
        ("k-2", json!([]), 422, "at least one unit"),
    ] {
        let (got, answer, _) = announce(&pipeline, &order, key, lines).await;
        assert!(got == status && answer["detail"].as_str().is_some_and(|text| text.contains(says)), "{got} {answer}");
    }
    let body = json!({"lines": both, "reason": "x"});
    assert_eq!(pipeline.post("fulfillment", &format!("/orders/{order}/returns"), body).await.0, 400, "no key");
    pipeline.settle().await;
    assert_eq!(
        (level(&pipeline, "TEA").await, told(&pipeline, "return_announced").await),
        ((97, 0), 1),
        "nothing moves yet"
    );

    // One unit is intact, one is damaged, and the cup did not come.
    let came = json!({"lines": [{"sku": "TEA", "intact": 1, "damaged": 1}]});
    for _ in 0..2 {
        let (status, answer) = end(&pipeline, &order, &one, "received", came.clone()).await;
        assert_eq!((status, &answer["state"]), (200, &json!("RECEIVED")), "{answer}");
    }
    let other = json!({"lines": [{"sku": "TEA", "intact": 2}]});
    assert_eq!(end(&pipeline, &order, &one, "received", other).await.0, 409);
    assert_eq!(end(&pipeline, &order, &one, "refused", json!({"reason": "worn"})).await.0, 409);
    pipeline.settle().await;
    assert_eq!((level(&pipeline, "TEA").await, level(&pipeline, "CUP").await), ((98, 1), (99, 0)));
    let OrderAccepted { lines, .. } = pipeline.the(&order).await;
    let worth = line_value(lines[0].amount, lines[0].quantity, 2);
    let refund: RefundRequested = pipeline.the(&order).await;
    assert_eq!((refund.amount, &refund.requested_by), (worth, &format!("return:{one}")));
    let done: RefundCompleted = pipeline.the(&order).await;
    assert_eq!((done.amount, pipeline.all::<StockReturned>(&order).await.len()), (worth, 1));
    assert_eq!((told(&pipeline, "return_received").await, told(&pipeline, "refund_completed").await), (1, 1));

    // The cup is announced again, refused, and announced once more.
    let cup = announced(&pipeline, &order, "k-3", units("CUP", 1)).await;
    for _ in 0..2 {
        let (status, answer) = end(&pipeline, &order, &cup, "refused", json!({"reason": "worn"})).await;
        assert_eq!((status, &answer["refused"]), (200, &json!("worn")), "{answer}");
    }
    assert_eq!(end(&pipeline, &order, &cup, "received", json!({"lines": [{"sku": "CUP", "intact": 1}]})).await.0, 409);
    announced(&pipeline, &order, "k-4", units("CUP", 1)).await;
    pipeline.settle().await;
    assert_eq!(told(&pipeline, "return_refused").await, 1);
    let shown = pipeline.get("saga-tracker", &format!("/orders/{order}")).await;
    let of = |status: &str| shown["returns"].as_array().unwrap().iter().filter(|of| of["status"] == status).count();
    assert_eq!((of("RECEIVED"), of("REFUSED"), of("ANNOUNCED"), &shown["status"]), (1, 1, 1, &json!("COMPLETED")));
    let received = shown["returns"].as_array().unwrap().iter().find(|of| of["status"] == "RECEIVED").unwrap();
    assert_eq!((&received["amount"], received["stocked_at"].is_string()), (&json!(worth), true), "{shown}");
    let listed = pipeline.get("fulfillment", &format!("/orders/{order}/returns")).await;
    assert_eq!(listed["returns"].as_array().map(Vec::len), Some(3), "{listed}");

    // Everything is told to everyone once more.
    let before = state(&pipeline).await;
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    let topics = ["orders", "inventory", "payments", "fraud", "fulfillment"].map(|topic| pipeline.topic(topic));
    for consumer in choreography::Choreography::embedded().default_consumers() {
        commit_beginning(&format!("{}{consumer}", pipeline.prefix), &topics);
    }
    pipeline.host(&ALL).await;
    pipeline.settle().await;
    assert_eq!(state(&pipeline).await, before, "a replay changes nothing");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_return_after_a_full_refund_brings_stock_back_and_no_money_elsewhere_and_late_and_an_exchange_is_shown() {
    let pipeline = Pipeline::start().await;
    let order = completed(&pipeline).await;
    pipeline.stock("TEA", "b", 1).await;
    let url = pipeline.door("payments", &format!("/orders/{order}/refunds"));
    let body = json!({"all": true, "reason": "goodwill"});
    let response = pipeline.http.post(url).header("Idempotency-Key", "all").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 202);
    pipeline.settle().await;
    let new = pipeline.place(&Order::of(&[("TEA", 1, 300)]).with("exchange_for", order.as_str())).await;
    pipeline.settle().await;
    let shown = pipeline.get("saga-tracker", &format!("/orders/{new}")).await;
    assert_eq!((&shown["exchange_for"], &shown["status"]), (&json!(order), &json!("COMPLETED")), "{shown}");
    let shown = pipeline.get("saga-tracker", &format!("/orders/{order}")).await;
    assert_eq!(shown["exchanges"], json!([new]), "{shown}");

    // The one cup is asked for at two instances at once.
    let second = pipeline.host(&["fulfillment"]).await;
    let doors = [pipeline.door("fulfillment", ""), format!("http://{}", second.address("fulfillment").unwrap())];
    let mut asked = JoinSet::new();
    for n in 0..8 {
        let url = format!("{}/orders/{order}/returns", doors[n % 2]);
        let request = pipeline.http.post(url).header("Idempotency-Key", format!("cup-{n}"));
        let request = request.json(&json!({"lines": units("CUP", 1), "reason": "broken"}));
        asked.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let mut answers = asked.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, [202, 409, 409, 409, 409, 409, 409, 409]);
    pipeline.stop(&second).await;

    pipeline.advance(100 * DAY);
    let door = pipeline.door("fulfillment", "");
    let typed =
        ["return", "announce", &order, "--lines", "TEA=2", "--reason", "late", "--fulfillment", &door, "--json"];
    let typed = quadrille(&pipeline, &typed).await;
    let answer: Value = serde_json::from_slice(&typed.stdout).unwrap_or_else(|_| panic!("{}", text(&typed)));
    let one = answer["return_id"].as_str().unwrap().to_owned();
    let listed = quadrille(&pipeline, &["return", "list", &order, "--fulfillment", &door]).await;
    assert!(text(&listed).contains(&format!("return {one} is ANNOUNCED: 2 TEA")), "{}", text(&listed));
    let late = announced(&pipeline, &order, "k-2", units("TEA", 1)).await;
    pipeline.advance(45 * DAY); // it takes its time
    let (status, answer, _) = announce(&pipeline, &order, "k-3", units("CUP", 1)).await;
    assert_eq!(status, 410, "{answer}");
    let came = json!({"lines": [{"sku": "TEA", "intact": 2}], "warehouse": "b"});
    assert_eq!(end(&pipeline, &order, &one, "received", came).await.0, 200);
    pipeline.settle().await;
    let in_b = "select on_hand from inventory.stock_level where sku = 'TEA' and warehouse = 'b'";
    assert_eq!((pipeline.count(in_b).await, level(&pipeline, "TEA").await), (3, (96, 0)));
    assert_eq!(pipeline.all::<RefundRequested>(&order).await.len(), 1, "all was refunded by hand");
    let decided = "select count(*) from payments.payment where data::jsonb -> 'returns' <> '{}'";
    assert_eq!(pipeline.count(decided).await, 1, "it is on record that nothing was left");
    pipeline
        .until(async || told(&pipeline, "return_received").await == 1, "the customer is told, months later too")
        .await;
    assert_eq!(pipeline.count("select count(*) from saga_tracker.stuck").await, 0, "nothing of it is stuck");
    pipeline.advance(6 * DAY);
    assert_eq!(end(&pipeline, &order, &late, "received", json!({"lines": [{"sku": "TEA", "intact": 1}]})).await.0, 410);
    pipeline.finish().await;
}
