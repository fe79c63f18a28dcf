//! What fails for everyone stops the loop, is told of, and kills nobody.

use super::*;

async fn ready(pipeline: &Pipeline, consumer: &str) -> (u16, String) {
    let response = pipeline.http.get(pipeline.door(consumer, "/readyz")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn outage(pipeline: &Pipeline, down: bool) {
    let (status, answer) =
        pipeline.ask(reqwest::Method::PUT, "payments", "/sandbox/outage", Some(json!({"down": down}))).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_answers_nobody_for_ten_minutes_kills_no_order_and_all_complete_when_it_is_back() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let before = place_all(&pipeline, &(0..10).map(|_| tea()).collect::<Vec<_>>()).await;
    outage(&pipeline, true).await;
    let during = place_all(&pipeline, &(0..20).map(|_| tea()).collect::<Vec<_>>()).await;
    let broken = || async { ready(&pipeline, "payments").await.0 == 503 };
    pipeline.until(broken, "the open circuit").await;
    let (_, why) = ready(&pipeline, "payments").await;
    assert!(why.contains("outside since") && why.contains("answers nobody"), "{why}");
    for _ in 0..120 {
        pipeline.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
        assert_eq!(pipeline.count("select count(*) from payments.dead_letter").await, 0);
    }
    assert_eq!(pipeline.count("select count(*) from payments.payment where stuck").await, 0);
    let most = "select coalesce(max((data::jsonb -> 'attempt' ->> 'tries')::bigint), 0) from payments.payment";
    assert!(pipeline.count(most).await < 8, "no try is used up while nobody is answered");
    outage(&pipeline, false).await;
    let closed = || async {
        pipeline.advance(Duration::from_secs(5));
        ready(&pipeline, "payments").await.0 == 200
    };
    pipeline.until(closed, "the closed circuit").await;
    let all = (before.len() + during.len()) as i64;
    until_later(&pipeline, || count(&pipeline, COMPLETED, all), "the end of all").await;
    pipeline.settle().await;
    let (parked, unparked) = (said::<OrderParked>(&pipeline).await, said::<OrderUnparked>(&pipeline).await);
    assert!(
        parked.iter().any(|event| event.consumer == "payments" && event.event_type == "gateway/authorize"),
        "{parked:?}"
    );
    assert_eq!(parked.len(), unparked.len(), "each wait that was told of was told to be over");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_card_that_is_never_answered_opens_no_circuit() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let sick = pipeline.place(&tea().paid_with("tok_no_answer")).await;
    let dead = "select count(*) from payments.dead_letter where error_class = 'gateway_no_answer'";
    until_later(&pipeline, || count(&pipeline, dead, 1), "its dead letter").await;
    assert_eq!(ready(&pipeline, "payments").await.0, 200);
    let unparked: Vec<OrderUnparked> = said(&pipeline).await;
    assert_eq!(
        unparked.iter().map(|event| (event.order_id.to_string(), event.outcome.clone())).collect::<Vec<_>>(),
        [(sick, Unparked::DeadLettered)]
    );
    pipeline.finish_with_dead_letters().await;
}

/// A table that is locked holds everyone up: nobody is parked for it but the first few, and nobody dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_holds_everyone_up_stops_the_loop_instead_of_parking_all() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let mut tx = pipeline.database.pool.begin().await.unwrap();
    sqlx::query("lock table inventory.stock_level in access exclusive mode").execute(&mut *tx).await.unwrap();
    let ids = place_all(&pipeline, &(0..30).map(|_| tea()).collect::<Vec<_>>()).await;
    let broken = || async { ready(&pipeline, "inventory").await.0 == 503 };
    pipeline.until(broken, "the open circuit").await;
    let (_, why) = ready(&pipeline, "inventory").await;
    assert!(why.contains("database since"), "{why}");
    assert!(pipeline.count(PARKED).await <= 12, "not all are parked");
    tx.rollback().await.unwrap();
    until_later(&pipeline, || count(&pipeline, COMPLETED, ids.len() as i64), "the end of all").await;
    assert_eq!(ready(&pipeline, "inventory").await.0, 200);
    pipeline.finish().await;
}
