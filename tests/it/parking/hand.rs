//! A person's hand on dead letters, and what is read again meanwhile.

use super::*;

/// Orders that are dead in inventory, and one that goes well.
async fn dead_orders(curse: &Cursed, count: usize) -> (Pipeline, Vec<String>) {
    let pipeline = curse.pipeline("[inventory]\npark_attempts = 3\n").await;
    let orders: Vec<Order> = (0..count).map(|_| cursed()).collect();
    let ids = place_all(&pipeline, &orders).await;
    let letters = "select count(*) from inventory.dead_letter";
    until_later(&pipeline, || super::count(&pipeline, letters, count as i64), "the dead letters").await;
    (pipeline, ids)
}

async fn cancel(pipeline: &Pipeline, order: &str) {
    let body = json!({"requested_by": "customer", "reason": "changed my mind"});
    let (status, answer) = pipeline.post("orders", &format!("/orders/{order}/cancel"), body).await;
    assert_eq!(status, 202, "{answer}");
    pipeline.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_skips_is_left_out_and_what_waits_behind_it_goes_on() {
    let (pipeline, ids) = dead_orders(&Cursed::default(), 1).await;
    cancel(&pipeline, &ids[0]).await;
    assert_eq!(pipeline.count(PARKED).await, 2, "its end waits behind its beginning");
    let letter = open_letters(&pipeline, "inventory").await.remove(0);
    let mut db = pipeline.database.pool.acquire().await.unwrap();
    parking::skip(&mut db, "inventory", letter.letter_id, "eve", pipeline.clock.now()).await.unwrap();
    let again = parking::skip(&mut db, "inventory", letter.letter_id, "eve", pipeline.clock.now()).await;
    assert!(matches!(again, Err(RetryRefusal::Decided { .. })), "{again:?}");
    drop(db);
    pipeline.until(|| super::count(&pipeline, ENDED, 1), "the end of its order").await;
    pipeline.settle().await;
    let _: OrderCancelled = pipeline.the(&ids[0]).await;
    assert_eq!(pipeline.all::<events::StockReserved>(&ids[0]).await.len(), 0, "it was left out");
    let resolved: Vec<DeadLetterResolved> = said(&pipeline).await;
    assert_eq!(resolved.len(), 1);
    assert_eq!((resolved[0].resolution.as_str(), resolved[0].by.as_str()), ("skipped", "eve"));
    assert_eq!(resolved[0].order_id, ids[0]);
    let unparked: Vec<OrderUnparked> = said(&pipeline).await;
    assert_eq!(unparked.len(), 1, "once nothing of it waits: {unparked:?}");
    assert_eq!(pipeline.count(PARKED).await, 0);
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_again_too_early_dies_again_as_another_letter_and_recovers_from_that_one() {
    let curse = Cursed::default();
    let (pipeline, ids) = dead_orders(&curse, 2).await;
    let first: Vec<HeldLetter> = open_letters(&pipeline, "inventory").await;
    for letter in &first {
        retry(&pipeline, "inventory", letter.letter_id, None).await;
    }
    let letters = "select count(*) from inventory.dead_letter";
    until_later(&pipeline, || super::count(&pipeline, letters, 4), "two letters more").await;
    let second = open_letters(&pipeline, "inventory").await;
    assert_eq!(second.iter().map(|letter| letter.loops).collect::<Vec<_>>(), [1, 1]);
    let mut db = pipeline.database.pool.acquire().await.unwrap();
    let ids_before: Vec<Uuid> = first.iter().map(|letter| letter.letter_id).collect();
    for letter in parking::letters(&mut db, "inventory", &ids_before).await.unwrap() {
        assert_eq!(letter.resolution.as_deref(), Some("died_again"), "{letter:?}");
    }
    let refused = parking::retry(&mut db, "inventory", ids_before[0], None, pipeline.clock.now()).await;
    assert!(matches!(refused, Err(RetryRefusal::Decided { .. })), "{refused:?}");
    let unknown = parking::retry(&mut db, "inventory", Uuid::nil(), None, pipeline.clock.now()).await;
    assert!(matches!(unknown, Err(RetryRefusal::Unknown { .. })), "{unknown:?}");
    drop(db);
    curse.mend();
    for letter in &second {
        assert_eq!(retry(&pipeline, "inventory", letter.letter_id, None).await.loops, 2);
    }
    pipeline.until(|| super::count(&pipeline, COMPLETED, 2), "both").await;
    pipeline.settle().await;
    let resolved: Vec<DeadLetterResolved> = said(&pipeline).await;
    let of = |resolution: &str| resolved.iter().filter(|event| event.resolution.as_str() == resolution).count();
    assert_eq!((of("died_again"), of("recovered")), (2, 2), "{resolved:?}");
    assert!(resolved.iter().all(|event| ids.contains(&event.order_id)));
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_parked_or_dead_already_is_neither_twice_when_it_is_read_again() {
    let curse = Cursed::default();
    let (pipeline, ids) = dead_orders(&curse, 1).await;
    cancel(&pipeline, &ids[0]).await;
    let before = (pipeline.count(PARKED).await, pipeline.count("select count(*) from inventory.dead_letter").await);
    assert_eq!(before, (2, 1));
    // Inventory reads everything again.
    let host = pipeline
        .hosts()
        .into_iter()
        .find(|host| host.address("inventory").is_some() && host.address("orders").is_none());
    pipeline.stop(&host.unwrap()).await;
    let topics: Vec<String> = ["orders", "payments", "fulfillment"].iter().map(|name| pipeline.topic(name)).collect();
    quadrille_tests::commit_beginning(&pipeline.topic("inventory"), &topics);
    curse.host(&pipeline).await;
    pipeline.settle().await;
    assert_eq!(
        (pipeline.count(PARKED).await, pipeline.count("select count(*) from inventory.dead_letter").await),
        before
    );
    assert_eq!(pipeline.dead_letters().await.len(), 1);
    curse.mend();
    let letter = open_letters(&pipeline, "inventory").await.remove(0);
    retry(&pipeline, "inventory", letter.letter_id, None).await;
    pipeline.until(|| super::count(&pipeline, ENDED, 1), "its end").await;
    pipeline.settle().await;
    let _: OrderCancelled = pipeline.the(&ids[0]).await;
    assert_eq!(pipeline.all::<events::StockReserved>(&ids[0]).await.len(), 1, "in order: reserved, then released");
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_handle_what_is_parked_once() {
    let curse = Cursed::default();
    let pipeline = curse.pipeline("").await;
    curse.host(&pipeline).await;
    let orders: Vec<Order> = (0..30).map(|_| cursed()).collect();
    let ids = place_all(&pipeline, &orders).await;
    pipeline.until(|| super::count(&pipeline, PARKED, 30), "all parked").await;
    curse.mend();
    until_later(&pipeline, || super::count(&pipeline, COMPLETED, 30), "all").await;
    pipeline.settle().await;
    for id in &ids {
        let _: events::StockReserved = pipeline.the(id).await;
    }
    assert_eq!(said::<OrderUnparked>(&pipeline).await.len(), 30);
    pipeline.finish().await;
}
