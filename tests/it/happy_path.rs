//! An order goes from placed to shipped.

use events::{OrderCompleted, PaymentCaptured, StockCommitted};
use quadrille_tests::{Order, Pipeline, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_from_placed_to_shipped() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let order = pipeline.place(&Order::of(&[("TEA", 3, 450)]).with("shipping", 490)).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    let story: Vec<String> =
        pipeline.story(&order).await.into_iter().filter(|name| name != "NotificationRecorded").collect();
    assert_eq!(
        story,
        [
            "OrderAccepted",
            "StockReserved",
            "PaymentAuthorized",
            "FraudCleared",
            "FulfillmentConfirmed",
            "PaymentCaptured",
            "ShipmentDispatched",
            "StockCommitted",
            "OrderCompleted",
        ]
    );
    let captured: PaymentCaptured = pipeline.the(&order).await;
    assert_eq!((captured.amount, captured.remainder), (3 * 450 + 490, 0));
    let committed: StockCommitted = pipeline.the(&order).await;
    assert!(committed.closed.is_some());
    let completed: OrderCompleted = pipeline.the(&order).await;
    assert_eq!((completed.charged, completed.unshipped.len()), (3 * 450 + 490, 0));
    let level = pipeline.get("inventory", "/stock/TEA").await;
    assert_eq!(level["levels"][0]["on_hand"], 7, "{level}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_says_in_readable_headers_what_it_is_and_why_it_exists() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let response = pipeline
        .http
        .post(pipeline.door("orders", "/orders"))
        .header("traceparent", trace)
        .header("X-Correlation-Id", "basket-7")
        .json(&Order::of(&[("TEA", 1, 450)]).body())
        .send()
        .await
        .unwrap();
    let order = response.json::<serde_json::Value>().await.unwrap()["order_id"].as_str().unwrap().to_owned();
    pipeline.settle().await;
    let mut ids = std::collections::HashSet::new();
    for topic in ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications"] {
        let records = read_all(&pipeline.topic(topic));
        assert!(!records.is_empty(), "{topic}");
        for record in records.iter().filter(|record| record.key.as_deref() == Some(order.as_bytes())) {
            assert_eq!(record.header("ce_specversion"), "1.0", "{record:?}");
            assert_eq!(record.header("ce_source"), topic, "{record:?}");
            assert_eq!(record.header("ce_subject"), order, "{record:?}");
            assert_eq!(record.header("ce_correlationid"), "basket-7", "{record:?}");
            assert_eq!(record.header("content-type"), "application/avro", "{record:?}");
            assert_eq!(record.header("ce_sequence").len(), 20, "{record:?}");
            assert!(record.header("ce_type").starts_with("quadrille."), "{record:?}");
            assert!(record.header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"), "{record:?}");
            assert!(ids.insert(record.header("ce_id").to_owned()), "an id twice: {record:?}");
        }
    }
    pipeline.finish().await;
}
