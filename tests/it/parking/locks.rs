//! Locks that somebody holds: one row holds up its order alone, be it an event or a timer that waits for it.

use runtime::sql::Timestamptz;
use sqlx::{Postgres, Transaction};

use super::*;

/// Holds the row of an order's reservation, as a person with an open session does.
async fn hold(pipeline: &Pipeline, order: &str) -> Transaction<'static, Postgres> {
    let mut tx = pipeline.database.pool.begin().await.unwrap();
    let order_id: Uuid = order.parse().unwrap();
    sqlx::query("select from inventory.reservation where order_id = $1 for update")
        .bind(order_id)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_row_somebody_holds_waits_alone_and_goes_on_when_it_is_free() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let sick = pipeline.place(&tea().paid_with("tok_3ds_passes")).await;
    pipeline.settle().await; // it waits for its customer
    let held = hold(&pipeline, &sick).await;
    let answer = json!({"outcome": "failed"});
    let (status, told) = pipeline.post("payments", &format!("/payments/{sick}/three-d-secure"), answer).await;
    assert_eq!(status, 202, "{told}");
    let orders: Vec<Order> = (0..40).map(|_| tea()).collect();
    place_all(&pipeline, &orders).await;
    pipeline.until(|| count(&pipeline, COMPLETED, 40), "the others").await;
    pipeline.until(|| count(&pipeline, PARKED, 1), "the one").await;
    let class = "select count(*) from inventory.parked where error_class = 'sqlstate_55P03' and key = convert_to('ORDER', 'UTF8')";
    assert_eq!(pipeline.count(&class.replace("ORDER", &sick)).await, 1);
    held.rollback().await.unwrap();
    until_later(&pipeline, || count(&pipeline, ENDED, 41), "the end of the one").await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&sick).await, "FAILED");
    let parked: Vec<OrderParked> = said(&pipeline).await;
    assert_eq!(
        (parked[0].order_id.to_string(), parked[0].consumer.as_str(), parked[0].attempts),
        (sick, "inventory", 1)
    );
    let unparked: Vec<OrderUnparked> = said(&pipeline).await;
    assert_eq!(unparked.iter().map(|event| &event.outcome).collect::<Vec<_>>(), [&Unparked::Recovered]);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_for_a_quarter_of_an_hour_is_an_alert_however_lately_it_was_tried() {
    let pipeline = Pipeline::with_settings(
        "[inventory]\npark_first = '10m'\npark_ceiling = '10m'\npark_spread = 0.0\n\
         [saga_tracker]\nwatch_every = '100ms'\nlinger = '2ms'\n[saga_tracker.kafka]\n'fetch.min.bytes' = '1'\n",
    )
    .await;
    pipeline.stock("TEA", "a", 100).await;
    let sick = pipeline.place(&tea().paid_with("tok_3ds_passes")).await;
    pipeline.settle().await;
    let held = hold(&pipeline, &sick).await;
    let answer = json!({"outcome": "failed"});
    pipeline.post("payments", &format!("/payments/{sick}/three-d-secure"), answer).await;
    let heard = async |attempts: i64| {
        let heard = format!("select count(*) from saga_tracker.delayed where waits and attempts = {attempts}");
        pipeline.until(|| count(&pipeline, &heard, 1), "the tracker hears of the attempt").await;
    };
    let open = || async {
        let alerts = pipeline.get("saga-tracker", "/alerts").await;
        alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["kind"] == "parked_age").count()
    };
    heard(1).await;
    pipeline.advance(Duration::from_secs(600));
    heard(2).await;
    assert_eq!(open().await, 0, "it waits for ten minutes");
    pipeline.advance(Duration::from_secs(360));
    pipeline.until(|| async { open().await == 1 }, "the alert, six minutes after the second attempt").await;
    held.rollback().await.unwrap();
    pipeline.advance(Duration::from_secs(600));
    pipeline.until(|| async { open().await == 0 }, "the end of the alert").await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&sick).await, "FAILED");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_fails_for_its_order_is_armed_again_and_dead_after_its_last_attempt_until_a_person_has_it_fire() {
    let pipeline = Pipeline::with_settings("[inventory]\npark_attempts = 2\n").await;
    pipeline.stock("TEA", "a", 100).await;
    let sick = pipeline.place(&tea().paid_with("tok_3ds_abandoned")).await;
    let other = pipeline.place(&tea().paid_with("tok_3ds_abandoned").by("c-2")).await;
    pipeline.settle().await;
    let held = hold(&pipeline, &sick).await;
    pipeline.advance(Duration::from_secs(15 * 60 + 1));
    pipeline
        .until(|| count(&pipeline, "select count(*) from inventory.timer where attempts = 1", 1), "its first failure")
        .await;
    pipeline.until(|| count(&pipeline, ENDED, 1), "the other's end").await;
    assert_eq!(pipeline.status(&other).await, "FAILED");
    pipeline.advance(Duration::from_secs(5));
    let dead = "select count(*) from inventory.dead_letter where timer_kind = 'reservation' and attempts = 2";
    pipeline.until(|| count(&pipeline, dead, 1), "its dead letter").await;
    held.rollback().await.unwrap();
    pipeline.settle().await;
    assert_eq!(pipeline.status(&sick).await, "PENDING");
    let letter = open_letters(&pipeline, "inventory").await.remove(0);
    assert_eq!(letter.order_id.map(|id| id.to_string()), Some(sick.clone()));
    retry(&pipeline, "inventory", letter.letter_id, None).await;
    pipeline.until(|| count(&pipeline, ENDED, 2), "its end").await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&sick).await, "FAILED");
    let resolved: Vec<DeadLetterResolved> = said(&pipeline).await;
    assert_eq!((resolved.len(), resolved[0].resolution.as_str()), (1, "recovered"));
    pipeline.finish_with_dead_letters().await;
}

/// Timers that should be gone: as if the clock had jumped, or another instance had been late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_30_timers_that_fire_after_their_order_moved_on_do_nothing() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let done = pipeline.place(&tea()).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&done).await, "COMPLETED");
    let before = pipeline.story(&done).await;
    let shipment = Uuid::from_u128(7).to_string();
    let timers = [
        ("inventory", "reservation", ""),
        ("payments", "attempt", ""),
        ("payments", "authorization", ""),
        ("fraud", "review", ""),
        ("fulfillment", "pick", shipment.as_str()),
        ("fulfillment", "hand-over", ""),
    ];
    for (schema, kind, which) in timers {
        let statement =
            format!("insert into {schema}.timer (order_id, kind, discriminator, due_at) values ($1, $2, $3, $4)");
        let order_id: Uuid = done.parse().unwrap();
        let insert = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(order_id)
            .bind(kind)
            .bind(which)
            .bind(Timestamptz(pipeline.clock.now()));
        insert.execute(&pipeline.database.pool).await.unwrap();
    }
    for (schema, ..) in timers {
        let left = format!("select count(*) from {schema}.timer");
        pipeline.until(|| count(&pipeline, &left, 0), "that they have fired").await;
    }
    pipeline.settle().await;
    assert_eq!(pipeline.story(&done).await, before, "nothing happens");
    pipeline.finish().await;
}
