//! Cases of events themselves: out of order across topics, and written with another version of their schema.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use events::{
    Allocation, Event, FraudCleared, OrderCancellationRequested, OrderId, OrderPlaced, PaymentAuthorized,
    PaymentCaptured, PaymentVoided, Reason, ShipmentDelivered, ShipmentId, StockReleased, StockReserved, Timestamp,
};
use quadrille_tests::{Order, Pipeline, Setup, produce, read_all, stack};
use runtime::Registry;

use super::{level, stocked, with_stock};

/// Everything of an order arrives after its end: each consumer on the way keeps a tombstone, and the chain was walked without any of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_22_an_end_that_overtakes_its_beginning_leaves_tombstones_and_what_comes_later_does_nothing() {
    let consumers = vec!["inventory", "payments", "fraud", "fulfillment", "outbox-relay"];
    let pipeline = stocked(Pipeline::with(Setup { consumers, ..Setup::default() }).await, &[("TEA", "a", 5)]).await;
    let order_id = OrderId(pipeline.clock.mint());
    let order = order_id.to_string();
    let reason = Reason { code: "cancelled".into(), detail: "changed my mind".into() };
    pipeline.publish(&OrderCancellationRequested { order_id, requested_by: "customer".into(), reason }).await;
    pipeline.settle().await;
    let walked = ["FulfillmentCancelled", "PaymentVoided", "StockReleased"];
    assert_eq!(pipeline.story(&order).await, walked);
    let voided: PaymentVoided = pipeline.the(&order).await;
    let released: StockReleased = pipeline.the(&order).await;
    assert_eq!((voided.amount, voided.announced, released.items.len(), released.closed.is_some()), (0, false, 0, true));

    let accepted = Order::of(&[("TEA", 2, 450)]).accepted(order_id);
    let plan = vec![Allocation {
        allocation_id: pipeline.clock.mint().into(),
        line_id: accepted.lines[0].line_id.clone(),
        sku: "TEA".to_owned().into(),
        warehouse: "a".to_owned().into(),
        quantity: 2,
        aisle: None,
        bin: None,
        replaces: None,
    }];
    pipeline.publish(&accepted).await;
    pipeline.publish(&reserved(&accepted, &plan, pipeline.clock.now())).await;
    pipeline.publish(&authorized(&accepted, &plan, pipeline.clock.now())).await;
    pipeline.publish(&cleared(&accepted, &plan, pipeline.clock.now())).await;
    pipeline.settle().await;
    assert_eq!(pipeline.story(&order).await, walked, "inventory, payments, fraud and fulfillment: nothing");
    assert_eq!(level(&pipeline, "TEA").await, (5, 0, 0));
    assert_eq!(pipeline.count("select count(*) from sandbox.payment").await, 0);
    assert_eq!(pipeline.count("select count(*) from fraud.assessment where state = 'CLOSED'").await, 1);
    let dead = pipeline.dead_letters().await;
    assert!(dead.is_empty(), "{dead:#?}");
    pipeline.finish_without_audit("orders does not run: the order has no beginning").await;
}

fn reserved(accepted: &events::OrderAccepted, plan: &[Allocation], now: Timestamp) -> StockReserved {
    StockReserved {
        order_id: accepted.order_id,
        customer_id: accepted.customer_id.clone(),
        currency: accepted.currency,
        total: accepted.total,
        lines: accepted.lines.clone(),
        plan: plan.to_vec(),
        payment_method: accepted.payment_method.clone(),
        payment: None,
        personal: accepted.personal.clone(),
        expires_at: now,
    }
}

fn authorized(accepted: &events::OrderAccepted, plan: &[Allocation], now: Timestamp) -> PaymentAuthorized {
    PaymentAuthorized {
        order_id: accepted.order_id,
        customer_id: accepted.customer_id.clone(),
        gateway: "sandbox".into(),
        payment_id: Some("pay_1".into()),
        amount: accepted.total,
        currency: accepted.currency,
        capture_before: now,
        lines: accepted.lines.clone(),
        plan: plan.to_vec(),
        card: None,
        personal: accepted.personal.clone(),
    }
}

fn cleared(accepted: &events::OrderAccepted, plan: &[Allocation], now: Timestamp) -> FraudCleared {
    FraudCleared {
        order_id: accepted.order_id,
        customer_id: accepted.customer_id.clone(),
        currency: accepted.currency,
        lines: accepted.lines.clone(),
        plan: plan.to_vec(),
        personal: accepted.personal.clone(),
        capture_before: now,
        score: 0,
        rules: Vec::new(),
        decided_by: "rules".into(),
    }
}

/// An event as a program writes it that has another version of its schema, registered under a subject of this test's own.
async fn in_version<E: Event>(
    pipeline: &Pipeline,
    event: &E,
    changed: impl FnOnce(&mut Vec<serde_json::Value>),
) -> Vec<u8> {
    let ours = pipeline.codec().await.encode(event).unwrap();
    let schema = Schema::parse_str(E::SCHEMA).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let Value::Record(mut fields) = reader.read_value(&mut &ours[5..]).unwrap() else { panic!("events are records") };
    let mut definition: serde_json::Value = serde_json::from_str(E::SCHEMA).unwrap();
    changed(definition["fields"].as_array_mut().unwrap());
    let names: Vec<&str> =
        definition["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    fields.retain(|(name, _)| names.contains(&name.as_str()));
    if names.contains(&"gift_note") {
        fields.push(("gift_note".into(), Value::Union(1, Box::new(Value::String("Happy birthday".into())))));
    }
    let definition = definition.to_string();
    // Nobody has told the pipeline of it: whoever meets the id asks the registry.
    let body = serde_json::json!({ "schema": definition });
    let subject = format!("{}/subjects/{}{}/versions", stack().registry_url, pipeline.prefix, E::NAME);
    let answer: serde_json::Value = pipeline.http.post(subject).json(&body).send().await.unwrap().json().await.unwrap();
    let id = u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).unwrap();
    let schema = Schema::parse_str(&definition).unwrap();
    let datum =
        GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(Value::Record(fields)).unwrap();
    [&[0], &id.to_be_bytes()[..], &datum].concat()
}

fn with_gift_note(fields: &mut Vec<serde_json::Value>) {
    fields.push(serde_json::json!({"name": "gift_note", "type": ["null", "string"], "default": null, "doc": "A later version has it."}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_31_events_of_an_older_and_a_newer_schema_are_read_in_flight_in_dead_letters_and_in_the_event_store() {
    let pipeline = with_stock(&[("TEA", "a", 10)]).await;

    // In flight: an order of a shop that is ahead of us, and one of a shop that is behind.
    let placed: OrderPlaced = serde_json::from_value(Order::of(&[("TEA", 1, 450)]).body()).unwrap();
    let ahead =
        in_version(&pipeline, &OrderPlaced { reference: Some("ahead".into()), ..placed.clone() }, with_gift_note).await;
    let behind = in_version(&pipeline, &OrderPlaced { reference: Some("behind".into()), ..placed }, |fields| {
        fields.retain(|field| field["name"] != "bill_to")
    })
    .await;
    produce(&pipeline.topic("order-placed"), &[(Some(b"ahead"), &ahead, &[]), (Some(b"behind"), &behind, &[])]);
    let completed =
        "select count(*) from orders.\"order\" where state = 'COMPLETED' and reference in ('ahead', 'behind')";
    pipeline.until_count(completed, 2, "both orders").await;
    pipeline.settle().await;

    // In the event store, beside those of today's version.
    let order_id = OrderId(
        sqlx::query_scalar("select order_id from orders.\"order\" where reference = 'ahead'")
            .fetch_one(&pipeline.database.pool)
            .await
            .unwrap(),
    );
    let delivered = ShipmentDelivered {
        order_id,
        shipment_id: ShipmentId(pipeline.clock.mint()),
        delivered_at: pipeline.clock.now(),
    };
    let value = in_version(&pipeline, &delivered, with_gift_note).await;
    pipeline.publish_bytes::<ShipmentDelivered>(&order_id.to_string(), &value);
    pipeline.settle().await;
    let history = pipeline.get("saga-tracker", &format!("/orders/{order_id}/events")).await.to_string();
    assert!(history.contains(&format!("\"delivered_at\":{}", delivered.delivered_at.as_millis())), "{history}");
    let told = "select count(*) from notifications.message where event_type like '%ShipmentDelivered'";
    assert_eq!(pipeline.count(told).await, 1, "heard as any other");

    // In a dead letter: its bytes are the original ones, and are read with the schema they were written with.
    let stranger = PaymentCaptured {
        order_id: OrderId(pipeline.clock.mint()),
        amount: 1,
        remainder: 0,
        currency: events::Currency::EUR,
        items: Vec::new(),
    };
    let value = in_version(&pipeline, &stranger, with_gift_note).await;
    pipeline.publish_bytes::<PaymentCaptured>(&stranger.key(), &value);
    pipeline.settle().await;
    let letters = read_all(&pipeline.topic("dead-letter-events"));
    assert_eq!(
        letters.iter().map(|letter| letter.header("quadrille-consumer")).collect::<Vec<_>>(),
        ["fulfillment"],
        "it knows of no such order"
    );
    assert_eq!(letters[0].value.as_deref(), Some(value.as_slice()));
    let read: PaymentCaptured = pipeline.codec().await.decode(letters[0].value.as_deref()).unwrap();
    assert_eq!(read, stranger);
    let stored = Registry::stored(&pipeline.database.pool).await.unwrap();
    assert!(
        stored.iter().any(|(_, definition)| definition.contains("gift_note")),
        "what was asked once is known for ever"
    );
    let shown = pipeline.get("saga-tracker", "/dead-letters").await;
    assert_eq!(shown["dead_letters"].as_array().map(Vec::len), Some(1), "{shown}");
    pipeline.finish_with_dead_letters().await;
}
