//! Case 23: what can't be read becomes a dead letter with its bytes; the next event passes, other orders flow.

use quadrille_tests::{Order, Pipeline, produce, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_23_poison_on_the_front_door_is_a_dead_letter_with_its_bytes_and_the_next_order_passes() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let good = Order::of(&[("TEA", 1, 450)]).body().to_string();
    let poison: [&[u8]; 5] =
        [b"\xff\xfe nonsense", b"{\"lines\": [", b"\x00\x7f\xff\xff\xff datum", b"\x00\x01", b"[1, 2]"];
    let mut records: Vec<quadrille_tests::NewRecord<'_>> = Vec::new();
    for bytes in poison {
        records.push((Some(b"key"), bytes, &[("x-own", "kept")]));
        records.push((Some(b"key"), good.as_bytes(), &[]));
    }
    produce(&pipeline.topic("order-placed"), &records);
    pipeline
        .until(
            || async { pipeline.count("select count(*) from orders.\"order\" where state = 'COMPLETED'").await == 5 },
            "the five good orders",
        )
        .await;
    pipeline.settle().await;
    let dead = read_all(&pipeline.topic("dead-letter-events"));
    assert_eq!(dead.len(), 5);
    for bytes in poison {
        let letter = dead
            .iter()
            .find(|letter| letter.value.as_deref() == Some(bytes))
            .unwrap_or_else(|| panic!("{bytes:?} is lost"));
        assert_eq!(letter.key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(letter.header("x-own"), "kept");
        assert_eq!(letter.header("kafka_dlt-original-topic"), "order-placed");
        assert_eq!(letter.header("quadrille-consumer"), "orders");
        for name in [
            "kafka_dlt-original-partition",
            "kafka_dlt-original-offset",
            "kafka_dlt-exception-message",
            "quadrille-stage",
            "quadrille-error-class",
            "quadrille-fingerprint",
        ] {
            assert!(!letter.header(name).is_empty(), "{name} of {letter:?}");
        }
    }
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_on_an_inner_topic_does_not_hold_the_orders_behind_it() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let headers = [("ce_type", "quadrille.orders.OrderAccepted"), ("ce_id", "not an id")];
    for key in 0..8_u8 {
        produce(&pipeline.topic("orders"), &[(Some(&[key]), b"\x00\x00\x00\x00\x01 cut", &headers)]);
    }
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    let dead = pipeline.dead_letters().await;
    let by = |consumer: &str| dead.iter().filter(|letter| letter["quadrille-consumer"] == consumer).count();
    assert_eq!((by("inventory"), by("notifications")), (8, 8), "{dead:#?}");
    pipeline.finish_with_dead_letters().await;
}
