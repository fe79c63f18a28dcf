//! The front door: over HTTP and over Kafka, the same rules, and every reason.

use events::{OrderAccepted, OrderPlaced, OrderRejected};
use quadrille_tests::{ALL, Order, Pipeline, produce, read_all};
use serde_json::{Value, json};

async fn post(pipeline: &Pipeline, key: &str, body: &Value) -> (u16, Value, bool) {
    let request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Idempotency-Key", key).json(body);
    let response = request.send().await.unwrap();
    let replayed = response.headers().contains_key("idempotency-replayed");
    (response.status().as_u16(), response.json().await.unwrap(), replayed)
}

/// Edge case 20: the same order placed twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_20_the_same_key_and_body_get_the_same_answer_and_another_body_a_conflict_that_names_the_difference() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let order = Order::of(&[("TEA", 1, 450)]);
    let (status, first, replayed) = post(&pipeline, "basket-1", &order.body()).await;
    assert_eq!((status, replayed), (202, false), "{first}");
    assert!(first["correlation_id"].is_string(), "{first}");
    let (status, again, replayed) = post(&pipeline, "basket-1", &order.body()).await;
    assert_eq!((status, replayed), (202, true), "{again}");
    assert_eq!(first["order_id"], again["order_id"]);
    let (status, conflict, _) = post(&pipeline, "basket-1", &order.with("shipping", 490).body()).await;
    assert_eq!(status, 409, "{conflict}");
    assert!(conflict.to_string().contains("shipping"), "{conflict}");
    // Side by side they are one order too.
    let body = Order::of(&[("TEA", 2, 450)]).body();
    let answers = tokio::join!(
        post(&pipeline, "basket-2", &body),
        post(&pipeline, "basket-2", &body),
        post(&pipeline, "basket-2", &body)
    );
    assert_eq!(answers.0.1["order_id"], answers.1.1["order_id"]);
    assert_eq!(answers.0.1["order_id"], answers.2.1["order_id"]);
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from orders.\"order\"").await, 2);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_order_over_http_is_a_problem_with_every_reason_and_leaves_its_key_free() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let bad = Order::of(&[("", 0, -1)]).with("currency", "XYZ").with("payment_method", "").body();
    let (status, problem, _) = post(&pipeline, "basket-1", &bad).await;
    assert_eq!(status, 422, "{problem}");
    for pointer in ["/lines/0/sku", "/lines/0/quantity", "/lines/0/unit_price", "/currency"] {
        assert!(problem.to_string().contains(pointer), "{pointer} is not in {problem}");
    }
    let (status, unreadable, _) = post(&pipeline, "basket-1", &json!({"lines": "many"})).await;
    assert!(status == 422 || status == 400, "{status} {unreadable}");
    let (status, answer, _) = post(&pipeline, "basket-1", &Order::of(&[("TEA", 1, 450)]).body()).await;
    assert_eq!(status, 202, "the key stayed free: {answer}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_over_kafka_as_plain_json_as_cloud_event_and_as_avro() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let body = Order::of(&[("TEA", 1, 450)]).body();
    let plain = body.to_string();
    let event = json!({"specversion": "1.0", "id": "42", "source": "/shop", "type": "quadrille.order_placed.OrderPlaced", "data": body}).to_string();
    let stored = runtime::Registry::stored(&pipeline.database.pool).await.unwrap();
    let codec = runtime::Codec::new(&stored).unwrap();
    let placed: OrderPlaced = serde_json::from_value(body).unwrap();
    let avro = codec.encode(&OrderPlaced { reference: Some("avro-1".into()), ..placed }).unwrap();
    produce(
        &pipeline.topic("order-placed"),
        &[
            (None, plain.as_bytes(), &[]),
            (None, event.as_bytes(), &[("content-type", "application/cloudevents+json")]),
            (Some(b"k"), &avro, &[]),
        ],
    );
    pipeline.until_count("select count(*) from orders.\"order\" where state = 'COMPLETED'", 3, "three orders").await;
    let sources: Vec<(String, String)> =
        sqlx::query_as("select source, reference from orders.\"order\" order by source, reference")
            .fetch_all(&pipeline.database.pool)
            .await
            .unwrap();
    assert!(sources.contains(&("/shop".into(), "42".into())), "{sources:?}");
    assert!(sources.contains(&("kafka".into(), "avro-1".into())), "{sources:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_order_over_kafka_twice_is_one_and_another_body_under_its_reference_is_a_dead_letter_that_names_the_difference()
 {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let order = Order::of(&[("TEA", 1, 450)]).with("reference", "r-1").with("source", "shop");
    let (same, other) = (order.body().to_string(), order.with("tax", 19).body().to_string());
    let records: Vec<quadrille_tests::NewRecord<'_>> = vec![
        (Some(b"k"), same.as_bytes(), &[]),
        (Some(b"k"), same.as_bytes(), &[]),
        (Some(b"k"), other.as_bytes(), &[]),
    ];
    produce(&pipeline.topic("order-placed"), &records);
    pipeline.until(|| async { pipeline.dead_letters().await.len() == 1 }, "the dead letter").await;
    let dead = &pipeline.dead_letters().await[0];
    assert!(dead["quadrille-error-message"].contains("tax"), "{dead:?}");
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from orders.\"order\"").await, 1);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_order_over_kafka_is_rejected_with_every_reason() {
    let pipeline = Pipeline::start().await;
    let bad = Order::of(&[("TEA", 0, 450)]).with("currency", "XYZ").with("reference", "bad-1").body().to_string();
    produce(&pipeline.topic("order-placed"), &[(None, bad.as_bytes(), &[])]);
    pipeline.until_count("select count(*) from orders.\"order\" where state = 'REJECTED'", 1, "the rejection").await;
    let order: uuid::Uuid =
        sqlx::query_scalar("select order_id from orders.\"order\"").fetch_one(&pipeline.database.pool).await.unwrap();
    let rejected: OrderRejected = pipeline.the(&order.to_string()).await;
    assert!(rejected.faults.len() >= 2, "{rejected:?}");
    pipeline.finish().await;
}

/// Edge case 26: nothing to pay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_26_nothing_to_pay_goes_the_whole_way_without_a_payment() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)]).with("discount", 450).paid_with("")).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    assert_eq!(pipeline.count("select count(*) from sandbox.payment").await, 0, "no payment at the gateway");
    pipeline.finish().await;
}

/// Edge case 25: exponents differ, and amounts are spread by largest remainder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_25_yen_and_dinar_keep_their_sums() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    pipeline.stock("CUP", "b", 100).await;
    for currency in ["JPY", "KWD"] {
        let order = Order::of(&[("TEA", 3, 333), ("CUP", 7, 101)])
            .with("currency", currency)
            .with("shipping", 100)
            .with("tax", 1)
            .with("discount", 7);
        let order = pipeline.place(&order).await;
        pipeline.settle().await;
        let accepted: OrderAccepted = pipeline.the(&order).await;
        assert_eq!(
            accepted.lines.iter().map(|line| line.amount).sum::<i64>(),
            3 * 333 + 7 * 101 + 100 + 1 - 7,
            "{accepted:?}"
        );
        let completed: events::OrderCompleted = pipeline.the(&order).await;
        assert_eq!(completed.charged, accepted.total);
    }
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_consumer_serves_its_probes_metrics_document_and_page() {
    let pipeline = Pipeline::start().await;
    for consumer in ALL.iter() {
        for path in ["/livez", "/readyz", "/metrics", "/docs/", "/openapi.json"] {
            let url = pipeline.door(consumer, path);
            let found =
                || async { pipeline.http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) };
            pipeline.until(found, &format!("{consumer} {path}")).await; // it may take a moment until it is ready
        }
    }
    let (status, problem) = pipeline.ask(reqwest::Method::GET, "orders", "/nowhere", None).await;
    assert_eq!((status, problem["title"].as_str()), (404, Some("Not found")), "{problem}");
    let dead = read_all(&pipeline.topic("dead-letter-events"));
    assert!(dead.is_empty());
    pipeline.finish().await;
}
