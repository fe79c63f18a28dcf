//! One thing done with all dead letters of a filter.

use std::time::{Duration, Instant};

use events::{Event, OrderFailed, OrderId, Reason, ReasonCode, StockRejected};
use operator::{Act, Bulk, Filter, MAX_LOOPS, Operator, Report};
use operator::{LetterKind, LetterStatus};
use quadrille_tests::{NewRecord, Order, Pipeline, Setup, produce, read_all};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{eve, hand, letters, of_status};

/// A pipeline of orders alone, one order in its books, and dead letters: inventory rejected the stock of orders that orders does not know.
pub async fn with_unknown_orders(setup: impl Into<Setup>, orders: &[OrderId]) -> (Pipeline, String) {
    let consumers = vec!["orders", "saga-tracker", "outbox-relay"];
    let pipeline = Pipeline::with(Setup { consumers, ..setup.into() }).await;
    let known = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    let codec = pipeline.codec().await;
    let rejected = |order_id: OrderId| {
        let reason = Reason { code: ReasonCode::OutOfStock, detail: "none left".into() };
        codec.encode(&StockRejected { order_id, lines: Vec::new(), reason, payment: None }).unwrap()
    };
    let texts: Vec<(String, String, Vec<u8>)> = orders
        .iter()
        .map(|order| {
            (order.to_string(), events::derive_id(order, "test", StockRejected::TYPE, "").to_string(), rejected(*order))
        })
        .collect();
    let time = pipeline.clock.now().to_string();
    let headers: Vec<[(&str, &str); 4]> = texts
        .iter()
        .map(|(key, id, _)| {
            [
                ("ce_type", StockRejected::TYPE),
                ("ce_id", id.as_str()),
                ("ce_correlationid", key.as_str()),
                ("ce_time", time.as_str()),
            ]
        })
        .collect();
    let records: Vec<NewRecord<'_>> = texts
        .iter()
        .zip(&headers)
        .map(|((key, _, value), headers)| (Some(key.as_bytes()), value.as_slice(), headers.as_slice()))
        .collect();
    produce(&pipeline.topic(StockRejected::TOPIC), &records);
    let all = orders.len() as i64;
    let heard =
        || async { pipeline.count("select count(*) from saga_tracker.letter where kind = 'event'").await == all };
    pipeline.until(heard, "every dead letter").await;
    (pipeline, known)
}

/// The cause is mended: the orders' rows are there, as after a backup was restored.
pub async fn restore(pipeline: &Pipeline, known: &str, orders: &[OrderId]) {
    let restored = sqlx::query(
        "insert into orders.\"order\" (order_id, placement, source, reference, state, version, currency, total, placed_at, details, body_digest)
         select id, id, source, id::text, state, version, currency, total, placed_at, details, body_digest
         from orders.\"order\", unnest($2::uuid[]) id where order_id = $1::uuid",
    )
    .bind(known.parse::<Uuid>().unwrap())
    .bind(orders.iter().map(|order| order.as_uuid()).collect::<Vec<_>>())
    .execute(&pipeline.database.pool)
    .await
    .unwrap();
    assert_eq!(restored.rows_affected(), orders.len() as u64);
}

/// Orders that were minted just now: older ones would be stuck by the hard limit besides.
pub fn unknown(orders: u128) -> Vec<OrderId> {
    let now = runtime::Clock::default().now().as_millis() as u128;
    (1..=orders).map(|number| OrderId(Uuid::from_u128(now << 80 | 7 << 76 | 2 << 62 | number))).collect()
}

/// Events alone: a slow machine may find orders of these tests late, and stuck in the end.
fn events_that_are(status: LetterStatus) -> Filter {
    Filter { kind: Some(LetterKind::Event), ..of_status(status) }
}

fn retry_all(rate: Option<f64>) -> Bulk {
    let filter = Filter { consumer: Some("orders".into()), ..Filter::default() }.fit_for(&Act::Retry);
    Bulk { act: Act::Retry, filter, note: eve("the backup is restored"), rate, max_loops: MAX_LOOPS, dry_run: false }
}

/// Runs, and stops as Ctrl-C does after so many.
async fn run(hand: &Operator, bulk: &Bulk, stop_after: u64) -> Report {
    let (stop, mut told) = (CancellationToken::new(), 0);
    let report = hand
        .all(bulk, &stop, |of| {
            assert!(of.outcome.is_ok(), "{of:?}");
            told += 1;
            if told == stop_after {
                stop.cancel();
            }
        })
        .await
        .unwrap();
    assert!(report.error.is_none(), "{report:?}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_dead_letters_are_retried_at_a_rate_stopped_in_the_middle_and_resumed_nothing_lost_and_nothing_twice()
 {
    let orders = unknown(10_000);
    let (pipeline, known) = with_unknown_orders("", &orders).await;
    restore(&pipeline, &known, &orders).await;
    let hand = hand(&pipeline).await;
    let groups = hand.groups(&events_that_are(LetterStatus::Open), 10).await.unwrap();
    assert_eq!((groups.len(), groups[0].letters, groups[0].orders), (1, 10_000, 10_000), "one cause: {groups:#?}");

    let began = Instant::now();
    let first = run(&hand, &retry_all(Some(400.0)), 3_000).await;
    assert!(began.elapsed() >= Duration::from_millis(7_400), "3,000 at 400 a second: {:?}", began.elapsed());
    assert_eq!((first.total, first.done, first.refused, first.left(), first.stopped), (10_000, 3_000, 0, 7_000, true));

    let second = run(&hand, &retry_all(None), u64::MAX).await;
    assert_eq!((second.total, second.done, second.left(), second.stopped), (7_000, 7_000, 0, false));
    let recovered = "select count(*) from saga_tracker.resolution where resolution = 'recovered'";
    pipeline.until_count(recovered, 10_000, "every dead letter to recover").await;
    pipeline.settle().await; // what else these decisions say is of other topics, and may be read later

    let failed = |distinct: &str| {
        format!("select count({distinct}) from saga_tracker.event where event_type = '{}'", OrderFailed::TYPE)
    };
    assert_eq!(pipeline.count(&failed("*")).await, 10_000, "nothing lost, nothing twice");
    assert_eq!(pipeline.count(&failed("distinct order_id")).await, 10_000);
    let ended = read_all(&pipeline.topic(OrderFailed::TOPIC))
        .into_iter()
        .filter(|record| record.header("ce_type") == OrderFailed::TYPE);
    assert_eq!(ended.count(), 10_000, "and so it stands in the topic");
    assert_eq!(pipeline.count("select count(*) from orders.\"order\" where state = 'FAILED'").await, 10_000);
    assert_eq!(letters(&hand, &events_that_are(LetterStatus::Open)).await.len(), 0);
    assert_eq!(
        pipeline.count("select count(*) from saga_tracker.letter where kind = 'event'").await,
        10_000,
        "none died again"
    );
    let on_record = "select count(distinct letter_id) from saga_tracker.action where what = 'retry' and who = 'eve' and outcome = 'done'";
    assert_eq!(pipeline.count(on_record).await, 10_000);
    assert_eq!(pipeline.count("select count(*) from saga_tracker.action").await, 10_000, "each is on record once");
    let third = run(&hand, &retry_all(None), u64::MAX).await;
    assert_eq!((third.total, third.done), (0, 0), "once more finds nothing to do");
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_be_done_and_changes_nothing() {
    let orders = unknown(5);
    let (pipeline, _) = with_unknown_orders("", &orders).await;
    let hand = hand(&pipeline).await;
    let mut told = Vec::new();
    for act in [Act::Retry, Act::Skip, Act::Compensate] {
        let bulk = Bulk { act, dry_run: true, ..retry_all(None) };
        let report =
            hand.all(&bulk, &CancellationToken::new(), |of| told.push(of.outcome.unwrap().clone())).await.unwrap();
        assert_eq!((report.total, report.done, report.refused), (5, 5, 0));
    }
    assert!(told.iter().all(|outcome| outcome.done.is_none()), "{told:#?}");
    assert!(told[0].step.contains("orders decides its record again"), "{:?}", told[0]);
    assert!(told[5].step.contains("the cancellation of order"), "{:?}", told[5]);
    pipeline.settle().await;
    assert_eq!(letters(&hand, &events_that_are(LetterStatus::Open)).await.len(), 5);
    for untouched in [
        "select count(*) from saga_tracker.action",
        "select count(*) from orders.parked",
        "select count(*) from orders.dead_letter where resolution is not null",
    ] {
        assert_eq!(pipeline.count(untouched).await, 0, "{untouched}");
    }
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_dies_again_is_a_dead_letter_of_its_own_until_the_cap_on_loops_refuses_it() {
    let orders = unknown(1);
    let (pipeline, _) = with_unknown_orders("", &orders).await;
    let hand = hand(&pipeline).await;
    let capped = Bulk { max_loops: 2, ..retry_all(None) };
    for loops in 1..=2 {
        assert_eq!(run(&hand, &capped, u64::MAX).await.done, 1);
        let again = format!("select count(*) from saga_tracker.letter where loops = {loops}");
        pipeline.until_count(&again, 1, "the next dead letter").await;
        pipeline.settle().await;
        let open = letters(&hand, &events_that_are(LetterStatus::Open)).await;
        assert_eq!((open.len(), open[0].loops), (1, loops), "{open:#?}");
        let died_again = letters(&hand, &events_that_are(LetterStatus::DiedAgain)).await;
        assert_eq!(died_again.len(), usize::try_from(loops).unwrap());
    }
    let mut why = Vec::new();
    let report =
        hand.all(&capped, &CancellationToken::new(), |of| why.push(of.outcome.unwrap_err().to_string())).await.unwrap();
    assert_eq!((report.done, report.refused), (0, 1));
    assert!(why[0].contains("fewer than 2 times, this one did 2 times"), "{why:?}");
    assert_eq!(pipeline.count("select count(*) from orders.parked").await, 0, "it was left alone");
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}
