//! Several instances of a consumer share its partitions; each event is decided once, whoever believes to own it.

use quadrille_tests::{Order, Pipeline, Setup, lag};

async fn place_many(pipeline: &Pipeline, orders: usize) {
    for _ in 0..orders {
        pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_and_a_third_instance_share_the_partitions_and_work_goes_on_when_one_goes() {
    let pipeline = Pipeline::with(Setup {
        partitions: 6,
        settings: "[fraud]\nreview_at = 100000\nreject_at = 100000\n".into(),
        ..Setup::default()
    })
    .await;
    pipeline.stock("TEA", "a", 1_000).await;
    let second = pipeline.host(&["inventory"]).await;
    let third = pipeline.host(&["inventory"]).await;
    // Each owns some: what each has decided shows it.
    for _ in 0..10 {
        place_many(&pipeline, 20).await;
        pipeline.settle().await;
        if !second.decided().is_empty() && !third.decided().is_empty() {
            break;
        }
    }
    assert!(!second.decided().is_empty() && !third.decided().is_empty(), "the new instances have read nothing");
    pipeline.stop(&second).await;
    place_many(&pipeline, 60).await;
    pipeline.until_count("select count(*) from orders.\"order\" where state <> 'COMPLETED'", 0, "all orders").await;
    // What was decided while partitions moved is committed too, though a commit that crossed a rebalance was refused.
    let (group, heard) = (pipeline.topic("inventory"), [pipeline.topic("orders"), pipeline.topic("payments")]);
    pipeline.until(|| async { lag(&group, &heard) == 0 }, "the end of the group's lag").await;
    pipeline.finish().await;
}

/// Edge case 33: two instances hear two events of one new order at once; the row guard lets one win.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_33_two_instances_that_hear_two_events_of_a_new_order_at_once_end_as_the_protocol_says() {
    use events::{Event, OrderAccepted, PaymentVoided, Reason};
    let pipeline =
        Pipeline::with(Setup { consumers: vec!["inventory", "outbox-relay"], partitions: 6, ..Setup::default() }).await;
    pipeline.host(&["inventory"]).await;
    pipeline.stock("TEA", "a", 10_000).await;
    let stored = runtime::Registry::stored(&pipeline.database.pool).await.unwrap();
    let codec = runtime::Codec::new(&stored).unwrap();
    let (mut accepted, mut voided) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let order_id = events::OrderId(pipeline.clock.mint());
        let order: OrderAccepted = sample(order_id);
        accepted.push((order_id.to_string(), codec.encode(&order).unwrap()));
        let reason = Reason { code: "cancelled".into(), detail: "test".into() };
        let stop = PaymentVoided { order_id, amount: 0, currency: None, announced: false, given_up: vec![], reason };
        voided.push((order_id.to_string(), codec.encode(&stop).unwrap()));
    }
    let send = |topic: String, event_type: &'static str, events: Vec<(String, Vec<u8>)>| {
        std::thread::spawn(move || {
            for (order, value) in events {
                let id = events::derive_id(&order, "test", event_type, "");
                let headers = [("ce_type", event_type), ("ce_id", &id.to_string()), ("ce_correlationid", &order)];
                let headers: Vec<(&str, &str)> = headers.into_iter().collect();
                quadrille_tests::produce(&topic, &[(Some(order.as_bytes()), &value, &headers)]);
            }
        })
    };
    let orders: Vec<String> = accepted.iter().map(|(order, _)| order.clone()).collect();
    let threads = [
        send(pipeline.topic("orders"), OrderAccepted::TYPE, accepted),
        send(pipeline.topic("payments"), PaymentVoided::TYPE, voided),
    ];
    tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| thread.join().unwrap())).await.unwrap();
    pipeline.settle().await;
    for order in &orders {
        let story = pipeline.story(order).await;
        let right = story == ["StockReserved", "StockReleased"] || story == ["StockReleased"];
        assert!(right, "{order}: {story:?}");
    }
    assert_eq!(pipeline.count("select sum(reserved)::bigint from inventory.stock_level").await, 0);
    let dead = pipeline.dead_letters().await;
    assert!(dead.is_empty(), "{dead:#?}");
    pipeline.finish_without_audit("inventory runs alone: its orders have no beginning").await;
}

fn sample(order_id: events::OrderId) -> events::OrderAccepted {
    let placed: events::OrderPlaced = serde_json::from_value(Order::of(&[("TEA", 1, 450)]).body()).unwrap();
    events::OrderAccepted {
        order_id,
        source: "test".into(),
        reference: order_id.to_string(),
        customer_id: "c".into(),
        currency: "EUR".parse().unwrap(),
        lines: vec![events::Line { line_id: "1".into(), sku: "TEA".into(), quantity: 1, unit_price: 450, amount: 450 }],
        subtotal: 450,
        shipping: 0,
        discount: 0,
        tax: 0,
        total: 450,
        payment_method: "tok_approved".into(),
        payment: None,
        ship_to_country: "GB".into(),
        personal: events::Person::from(&placed).seal(),
        exchange_for: None,
    }
}
