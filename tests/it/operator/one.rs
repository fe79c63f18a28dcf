//! One thing done with one dead letter.

use std::time::Duration;

use events::{
    CaseEntry, Event, EventId, FraudCleared, NotificationSent, OrderStuck, PaymentCaptured, ReservationExpired,
};
use operator::{Act, Filter, MAX_LOOPS, OperatorError};
use operator::{LetterKind, LetterStatus};
use quadrille_tests::{Order, Pipeline, Setup, produce};
use serde_json::json;
use uuid::Uuid;

use super::{KEY, ask, eve, hand, hand_at, letters, of_status, refusal, status_of, the_letter, until_status};

async fn stocked(setup: impl Into<Setup>) -> Pipeline {
    let pipeline = Pipeline::with(setup.into()).await;
    pipeline.stock("TEA", "a", 10).await;
    pipeline.stock("HOLD-1", "a", 10).await;
    pipeline
}

/// A record of an order that can't be read: `cut` bytes under this type.
fn poison<E: Event>(pipeline: &Pipeline, order: &str) {
    pipeline.publish_bytes::<E>(order, b"\x00\x00\x00\x00\x01 cut");
}

fn of_consumer(consumer: &str) -> Filter {
    Filter { consumer: Some(consumer.into()), ..Filter::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_event_is_followed_by_a_cancellation_of_its_order() {
    let pipeline = stocked("").await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 1, 450)])).await;
    pipeline.settle().await;
    poison::<FraudCleared>(&pipeline, &order);
    pipeline.settle().await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &of_consumer("fulfillment")).await;

    // While orders can't be asked, nothing is skipped.
    let nowhere = hand_at(&pipeline, "http://127.0.0.1:9", "http://127.0.0.1:9").await;
    let error = nowhere.one(letter, &Act::Skip, &eve("forged"), MAX_LOOPS, false).await.unwrap_err();
    assert!(matches!(&error, OperatorError::Unavailable(why) if why.contains("orders does not answer")), "{error:?}");
    assert_eq!(status_of(&hand, letter).await, "open");
    assert_eq!(pipeline.count("select count(*) from saga_tracker.action where outcome = 'failed'").await, 1);

    let done = hand.one(letter, &Act::Skip, &eve("forged"), MAX_LOOPS, false).await.unwrap().done.unwrap();
    assert!(done.contains("the cancellation of order") && done.contains("fulfillment leaves it out"), "{done}");
    until_status(&pipeline, &hand, letter, LetterStatus::Skipped).await;
    pipeline.until(|| async { pipeline.status(&order).await == "CANCELLED" }, "the cancellation").await;
    let again = hand.one(letter, &Act::Skip, &eve("forged"), MAX_LOOPS, false).await.unwrap_err();
    assert!(refusal(again).contains("it was skipped"));
    let record = hand.audit(Some(letter), 10).await.unwrap();
    let line = |at: usize| {
        (record[at].who.as_str(), record[at].why.as_str(), record[at].what.as_str(), record[at].outcome.as_str())
    };
    assert_eq!((line(0), line(1)), (("eve", "forged", "skip", "done"), ("eve", "forged", "skip", "failed")));
    assert_eq!(record[0].order_id.map(|id| id.to_string()), Some(order.clone()));
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_mends_a_broken_order_at_the_front_door_and_names_what_does_not_fit() {
    let pipeline = stocked(Setup::keyed("")).await;
    produce(&pipeline.topic("order-placed"), &[(Some(b"key"), b"{\"lines\": [", &[])]);
    pipeline.until_count("select count(*) from saga_tracker.letter", 1, "the dead letter").await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &Filter::default()).await;
    let path = format!("/dead-letters/{letter}/edit");
    let mut order = Order::of(&[("TEA", 2, 450)]).body();
    order["lines"][0]["quantity"] = json!("two");
    let (status, problem) = ask(&pipeline, Some(KEY), &path, json!({"why": "cut by a proxy", "data": order})).await;
    assert_eq!(status, 422, "{problem}");
    let misfit = &problem["misfits"][0];
    assert_eq!(
        (&misfit["field"], &misfit["expected"], &misfit["came"]),
        (&json!("/lines/0/quantity"), &json!("a whole number"), &json!("a text")),
        "{problem}"
    );
    assert_eq!(status_of(&hand, letter).await, "open", "nothing was done");
    order["lines"][0]["quantity"] = json!(2);
    let (status, done) = ask(&pipeline, Some(KEY), &path, json!({"why": "cut by a proxy", "data": order})).await;
    assert_eq!(status, 200, "{done}");
    until_status(&pipeline, &hand, letter, LetterStatus::Recovered).await;
    let completed = "select count(*) from orders.\"order\" where state = 'COMPLETED'";
    pipeline.until_count(completed, 1, "the order").await;
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_mends_broken_bytes_of_an_inner_event_by_its_schema() {
    let pipeline = stocked("").await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    poison::<ReservationExpired>(&pipeline, &order);
    pipeline.settle().await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &of_consumer("payments")).await;
    let expired_at = pipeline.clock.now().as_millis();
    let edit = |order: &str| Act::Edit(json!({"order_id": order, "expired_at": expired_at}));
    let other = hand.one(letter, &edit(&Uuid::nil().to_string()), &eve("cut"), MAX_LOOPS, false).await.unwrap_err();
    assert!(other.to_string().contains("can't move an event to another order"), "{other}");
    hand.one(letter, &edit(&order), &eve("cut"), MAX_LOOPS, false).await.unwrap();
    until_status(&pipeline, &hand, letter, LetterStatus::Recovered).await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED", "it came too late to change anything");
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_without_a_key_and_what_is_done_is_on_record_under_its_owner() {
    let pipeline = stocked(Setup::keyed("")).await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 1, 450)])).await;
    pipeline.settle().await;
    poison::<FraudCleared>(&pipeline, &order);
    pipeline.settle().await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &of_consumer("fulfillment")).await;
    let path = |what: &str| format!("/dead-letters/{letter}/{what}");
    let why = json!({"why": "the customer calls"});
    for what in ["retry", "skip", "compensate"] {
        assert_eq!(ask(&pipeline, None, &path(what), why.clone()).await.0, 401, "{what}");
        assert_eq!(ask(&pipeline, Some("0123456789abcdef-adam"), &path(what), why.clone()).await.0, 401, "{what}");
    }
    let job = json!({"what": "retry", "filter": {}});
    assert_eq!(ask(&pipeline, None, "/dead-letters/jobs", job).await.0, 401);
    let unheard = path("compensate?dry_run=true");
    let (status, problem) = ask(&pipeline, Some(KEY), &unheard, why.clone()).await;
    assert_eq!((status, &problem["title"]), (400, &json!("Unexpected query")), "it is not done: {problem}");
    let (status, problem) = ask(&pipeline, Some(KEY), &path("compensate"), json!({})).await;
    assert_eq!((status, &problem["title"]), (422, &json!("No reason")), "{problem}");
    let (status, would) = ask(&pipeline, Some(KEY), &path("compensate"), json!({"why": "a", "dry_run": true})).await;
    assert_eq!((status, would.get("done")), (200, None), "{would}");
    assert_eq!(pipeline.count("select count(*) from saga_tracker.action").await, 0, "nothing was done so far");
    let (status, done) = ask(&pipeline, Some(KEY), &path("compensate"), why).await;
    assert_eq!(status, 200, "{done}");
    pipeline.until(|| async { pipeline.status(&order).await == "CANCELLED" }, "the cancellation").await;
    let actions = pipeline.get("saga-tracker", &format!("/actions?letter_id={letter}&who=eve")).await;
    let action = &actions["actions"][0];
    assert_eq!(
        (&action["what"], &action["why"], &action["outcome"]),
        (&json!("compensate"), &json!("the customer calls"), &json!("done"))
    );
    let shown = pipeline.get("saga-tracker", &format!("/dead-letters/{letter}")).await;
    assert_eq!(shown["status"], "open", "a cancellation of its order is no word on the event: {shown}");
    assert_eq!(shown["actions"].as_array().map(Vec::len), Some(1));
    let (status, skipped) = ask(&pipeline, Some(KEY), &path("skip"), json!({"why": "its order is cancelled"})).await;
    assert_eq!(status, 200, "{skipped}");
    assert!(skipped["done"].as_str().unwrap().contains("is CANCELLED already"), "{skipped}");
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_attempt_of_payments_is_tried_again_through_its_door() {
    let pipeline = stocked("").await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 2, 450)]).paid_with("tok_refund_fails")).await;
    pipeline.settle().await;
    let body = json!({"requested_by": "customer", "reason": "changed my mind"});
    assert_eq!(pipeline.post("orders", &format!("/orders/{order}/cancel"), body).await.0, 202);
    pipeline.until_count("select count(*) from saga_tracker.letter", 1, "the dead letter").await;
    pipeline.settle().await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &of_consumer("payments")).await;
    let error = hand.one(letter, &Act::Skip, &eve("no"), MAX_LOOPS, false).await.unwrap_err();
    assert!(refusal(error).contains("money hangs on it"));
    let done = hand.one(letter, &Act::Retry, &eve("the bank is back"), MAX_LOOPS, false).await.unwrap().done.unwrap();
    assert!(done.contains("payments tries it again as") && done.contains(":refund:2"), "{done}");
    pipeline.until(|| async { pipeline.status(&order).await == "CANCELLED" }, "the refund").await;
    until_status(&pipeline, &hand, letter, LetterStatus::Recovered).await;
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_order_is_compensated_and_is_recovered_when_it_goes_on() {
    let pipeline = stocked("").await;
    let order = pipeline.place(&Order::of(&[("HOLD-1", 1, 450)])).await;
    pipeline.settle().await;
    let now = pipeline.clock.now();
    let history: Vec<CaseEntry> = Vec::new();
    let captured = "select event_id from saga_tracker.event where event_type = $1";
    let captured: Uuid =
        sqlx::query_scalar(captured).bind(PaymentCaptured::TYPE).fetch_one(&pipeline.database.pool).await.unwrap();
    let stuck = json!({"order_id": order, "status": "CAPTURED", "event_id": EventId(captured), "event_type": PaymentCaptured::TYPE,
        "waiting_for": [], "consumers": ["fulfillment"], "since": now, "due": now, "detail": "no answer", "history": history});
    let stuck: OrderStuck = serde_json::from_value(stuck).unwrap();
    pipeline.publish(&stuck).await;
    pipeline.settle().await;
    let hand = hand(&pipeline).await;
    let letter = the_letter(&hand, &Filter { kind: Some(LetterKind::Order), ..of_status(LetterStatus::Open) }).await;
    // A mail goes out: news of the order, but it is stuck still.
    pipeline.advance(Duration::from_secs(1));
    let sent = json!({"order_id": order, "event_id": EventId(Uuid::nil()), "event_type": FraudCleared::TYPE, "channel": "email",
        "template": "late", "sent_at": pipeline.clock.now()});
    let sent: NotificationSent = serde_json::from_value(sent).unwrap();
    pipeline.publish(&sent).await;
    let heard = "select count(*) from saga_tracker.event where data::jsonb->>'template' = 'late'";
    pipeline.until_count(heard, 1, "the mail, heard of").await;
    assert_eq!(status_of(&hand, letter).await, "open", "a mail to the customer does not help it");
    let error = hand.one(letter, &Act::Retry, &eve(""), MAX_LOOPS, false).await.unwrap_err();
    assert!(refusal(error).contains("deadlines move"));
    let shown = hand.show(letter).await.unwrap().unwrap();
    let can: Vec<&str> = shown.can.iter().filter(|can| can.step.is_some()).map(|can| can.what).collect();
    assert_eq!((can, &shown.data.unwrap()["detail"]), (vec!["compensate"], &json!("no answer")));
    hand.one(letter, &Act::Compensate, &eve("the warehouse burnt down"), MAX_LOOPS, false).await.unwrap();
    pipeline.until(|| async { pipeline.status(&order).await == "CANCELLED" }, "the cancellation").await;
    until_status(&pipeline, &hand, letter, LetterStatus::Recovered).await;
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_found_by_what_they_are_and_by_how_their_id_begins() {
    let pipeline = stocked("").await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    poison::<ReservationExpired>(&pipeline, &order);
    produce(&pipeline.topic("order-placed"), &[(None, b"nonsense", &[])]);
    pipeline.until_count("select count(*) from saga_tracker.letter", 3, "the dead letters").await;
    let hand = hand(&pipeline).await;
    let found = |filter: Filter| {
        let hand = &hand;
        async move { letters(hand, &filter).await.len() }
    };
    let all = Filter::default;
    assert_eq!(
        found(Filter { order_id: Some(order.parse().unwrap()), ..all() }).await,
        2,
        "payments and the tracker can't read it"
    );
    assert_eq!(found(Filter { event_type: Some("ReservationExpired".into()), ..all() }).await, 2);
    assert_eq!(found(Filter { event_type: Some(ReservationExpired::TYPE.into()), ..all() }).await, 2);
    assert_eq!(found(Filter { event_type: Some("Expired".into()), ..all() }).await, 0);
    assert_eq!(found(Filter { kind: Some(LetterKind::Order), ..all() }).await, 0);
    assert_eq!(found(of_consumer("orders")).await, 1);
    assert_eq!(found(Filter { until: Some(events::Timestamp::from_millis(0)), ..all() }).await, 0);
    assert_eq!(found(Filter { from: Some(events::Timestamp::from_millis(0)), ..all() }).await, 3);
    assert_eq!(found(of_status(LetterStatus::Recovered)).await, 0);
    let id = the_letter(&hand, &of_consumer("orders")).await;
    assert_eq!(hand.find(&id.to_string()[..8]).await.unwrap(), id);
    assert_eq!(hand.find(&id.to_string()).await.unwrap(), id);
    for nonsense in ["", "x", "no such id"] {
        assert!(hand.find(nonsense).await.is_err(), "{nonsense:?}");
    }
    let listed = pipeline.get("saga-tracker", "/dead-letters?status=open&event_type=ReservationExpired").await;
    assert_eq!(listed["dead_letters"].as_array().map(Vec::len), Some(2), "{listed}");
    let groups = pipeline.get("saga-tracker", "/dead-letters/groups").await;
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(3), "{groups}");
    pipeline.finish_with_dead_letters().await;
}
