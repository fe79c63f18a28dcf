//! Edge case 23: what can't be read becomes a dead letter with its bytes; the next event passes, other orders flow.

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
        .until_count("select count(*) from orders.\"order\" where state = 'COMPLETED'", 5, "the five good orders")
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
async fn case_23_poison_on_an_inner_topic_does_not_hold_the_orders_behind_it() {
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

/// Types and versions that nobody here knows: what says so in its header is somebody else's; what only its bytes say is poison.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_23_an_unknown_type_is_passed_over_an_unknown_version_and_a_foreign_event_are_dead_letters() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let id = uuid::Uuid::from_u128(23).to_string();
    let of =
        |event_type: &'static str| vec![("ce_type", event_type), ("ce_id", id.as_str()), ("ce_correlationid", "23")];
    let (unknown, accepted) = (of("quadrille.orders.OrderWrapped"), of("quadrille.orders.OrderAccepted"));
    let foreign = foreign_event(&pipeline).await;
    let next_version = b"\x00\x7f\xff\xff\x01 of a version to come".to_vec();
    produce(
        &pipeline.topic("orders"),
        &[
            (Some(b"a"), b"whatever", &unknown),
            (Some(b"b"), &next_version, &accepted),
            (Some(b"c"), &foreign, &accepted),
        ],
    );
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    let dead = read_all(&pipeline.topic("dead-letter-events"));
    let of = |consumer: &str| {
        let ours = dead.iter().filter(|letter| letter.header("quadrille-consumer") == consumer);
        ours.map(|letter| letter.value.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    for consumer in ["inventory", "notifications"] {
        let mut letters = of(consumer);
        letters.sort();
        let mut expected = vec![next_version.clone(), foreign.clone()];
        expected.sort();
        assert_eq!(letters, expected, "{consumer}");
    }
    pipeline.finish_with_dead_letters().await;
}

/// An event of ours, framed as it should be, that is not what its header says.
async fn foreign_event(pipeline: &Pipeline) -> Vec<u8> {
    let expired = events::ReservationExpired {
        order_id: events::OrderId(uuid::Uuid::from_u128(23)),
        expired_at: pipeline.clock.now(),
    };
    pipeline.codec().await.encode(&expired).unwrap()
}

/// As large as the topic takes: the dead letter, with its headers, is larger, and is published all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_23_poison_as_large_as_the_topic_takes_is_kept_whole() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let large = vec![b'x'; 1_000_000];
    let good = Order::of(&[("TEA", 1, 450)]).body().to_string();
    produce(&pipeline.topic("order-placed"), &[(Some(b"k"), &large, &[]), (Some(b"k"), good.as_bytes(), &[])]);
    let completed = "select count(*) from orders.\"order\" where state = 'COMPLETED'";
    pipeline.until_count(completed, 1, "the order behind it").await;
    pipeline.settle().await;
    let dead = read_all(&pipeline.topic("dead-letter-events"));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].value.as_deref() == Some(large.as_slice()), "its bytes unchanged");
    pipeline.finish_with_dead_letters().await;
}
