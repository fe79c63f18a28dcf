//! Cases of what is counted and told of people: each once.

use events::{OrderId, PaymentAuthorized, ShipmentDispatched};
use quadrille_tests::{Order, Pipeline, Setup, commit_beginning, read_all};
use serde_json::json;

use super::{stocked, told, with_stock, without};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_27_velocity_counts_an_order_once_however_often_it_is_heard() {
    // The third order of a customer is one too many.
    let limits = "[fraud.velocity]\ncustomer = { orders = 2, orders_points = 60, amount_points = 0 }\n";
    let pipeline = stocked(Pipeline::with_settings(limits).await, &[("TEA", "a", 10)]).await;
    let first = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    let authorized: Vec<_> = read_all(&pipeline.topic("payments"))
        .into_iter()
        .filter(|record| record.header("ce_type") == <PaymentAuthorized as events::Event>::TYPE)
        .collect();
    for _ in 0..5 {
        pipeline.publish_again("payments", &authorized);
    }
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from fraud.velocity where kind = 'customer'").await, 1);
    let second = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(
        (pipeline.status(&first).await.as_str(), pipeline.status(&second).await.as_str()),
        ("COMPLETED", "COMPLETED")
    );
    let third = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(pipeline.get("fraud", &format!("/reviews/{third}")).await["state"], "REVIEW", "the limit does count");
    told(&pipeline, "fraud", &format!("/reviews/{third}/verdict"), json!({"verdict": "clear", "by": "eve"})).await;
    pipeline.finish().await;
}

fn german() -> Order {
    let customer = json!({"id": "c-1", "name": "Ada", "email": "ada@example.com", "locale": "de"});
    Order::of(&[("TEA", 1, 450), ("CUP", 1, 300)]).with("customer", customer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_28_a_customer_is_told_once_of_each_event_and_of_each_parcel_whatever_is_replayed() {
    let pipeline = without("notifications", &[("TEA", "a", 5), ("CUP", "b", 5)]).await;
    let notifications = pipeline.host(&["notifications"]).await;
    let order = pipeline.place(&german()).await;
    pipeline.settle().await;
    let parcels: Vec<ShipmentDispatched> = pipeline.all(&order).await;
    assert_eq!(parcels.len(), 2);
    let messages = "select array_agg(event_id || ' ' || channel || ' ' || state || ' ' || subject order by event_id) from notifications.message";
    let of =
        || async { sqlx::query_scalar::<_, Vec<String>>(messages).fetch_one(&pipeline.database.pool).await.unwrap() };
    let before = of().await;
    assert_eq!(
        before.iter().filter(|message| message.contains("unterwegs")).count(),
        2,
        "each parcel has a mail of its own: {before:#?}"
    );
    assert!(
        before.iter().all(|message| message.contains("Ihre") || message.contains("Ihrer")),
        "in the customer's language: {before:#?}"
    );

    // A retry of whoever writes the topic, and a replay of the whole group.
    for topic in ["orders", "fulfillment"] {
        pipeline.publish_again(topic, &read_all(&pipeline.topic(topic)));
    }
    pipeline.settle().await;
    assert_eq!(of().await, before);
    pipeline.stop(&notifications).await;
    let topics = ["orders", "payments", "fulfillment"].map(|topic| pipeline.topic(topic));
    commit_beginning(&format!("{}notifications", pipeline.prefix), &topics);
    pipeline.host(&["notifications"]).await;
    pipeline.settle().await;
    assert_eq!(of().await, before);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_28_what_comes_before_the_customer_is_known_waits_and_is_told_then() {
    let pipeline = Pipeline::with(Setup { consumers: vec!["notifications", "outbox-relay"], ..Setup::default() }).await;
    let order_id = OrderId(pipeline.clock.mint());
    let parcel = ShipmentDispatched {
        order_id,
        shipment_id: events::ShipmentId(pipeline.clock.mint()),
        warehouse: "a".to_owned().into(),
        items: Vec::new(),
        carrier: "DHL".into(),
        tracking: Some("T-1".into()),
        dispatched_at: pipeline.clock.now(),
    };
    pipeline.publish(&parcel).await;
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from notifications.message").await, 0, "nobody knows where to write");
    pipeline.publish(&german().accepted(order_id)).await;
    pipeline.settle().await;
    let told = "select count(*) from notifications.message where state = 'RECORDED' and recipient = 'ada@example.com' and locale = 'de'";
    assert_eq!(pipeline.count(told).await, 2, "the order, and its parcel");
    assert_eq!(pipeline.count(&format!("{told} and body like '%T-1%'")).await, 1);
    pipeline.finish_without_audit("notifications runs alone: its order has no beginning").await;
}

/// A retry at the gateway of mails is a retry of the batch: the same message again is the same row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_28_two_instances_tell_a_customer_once() {
    let pipeline = with_stock(&[("TEA", "a", 50)]).await;
    pipeline.host(&["notifications"]).await;
    for customer in 0..20 {
        pipeline.place(&Order::of(&[("TEA", 1, 450)]).by(&format!("c-{customer}"))).await;
    }
    pipeline.settle().await;
    let twice = "select count(*) from (select order_id, event_type from notifications.message group by 1, 2, channel having count(*) > 1) twice";
    assert_eq!(pipeline.count(twice).await, 0);
    assert_eq!(
        pipeline.count("select count(*) from notifications.message where event_type like '%OrderCompleted'").await,
        20
    );
    pipeline.finish().await;
}
