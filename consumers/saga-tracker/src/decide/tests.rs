//! The fold: any order and any repetition end in the same world; and what the events of an order's way make of its row.

mod sample;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use events::{OrderId, Timestamp};
use proptest::prelude::*;
use runtime::{Conflict, Consumer as _, Effects, Timer, Work};

use super::*;
use crate::SagaTracker;
use crate::facts::{Facts, Moment};
use crate::status::Status;
use crate::tracker::NAME;
use sample::{Sample, message, order, own_key, samples, work};

type Levels = BTreeMap<(events::Sku, events::WarehouseId), Level>;
type Row = (BTreeMap<OrderId, Facts>, Levels, BTreeMap<uuid::Uuid, Resolution>, Vec<StoredData>);
type StoredData = ((OrderId, events::EventId), String);

/// What a world comes to: everything but where an event was read first.
fn rows(world: &BatchState) -> Row {
    let kept = |(key, heard): (&(OrderId, events::EventId), &Arc<HeardEvent>)| (*key, heard.data.clone());
    (world.orders.clone(), world.levels.clone(), world.resolutions.clone(), world.events.iter().map(kept).collect())
}

fn folded(inputs: &[Input]) -> BatchState {
    let mut world = BatchState::default();
    inputs.iter().for_each(|input| fold(&mut world, input));
    world
}

fn heard(names: &[Sample]) -> Facts {
    let inputs: Vec<Input> = names.iter().zip(1..).map(|(sample, seq)| work(sample, 1, seq).input).collect();
    folded(&inputs).orders.remove(&order(1)).unwrap_or_default()
}

/// Every event there is, of two orders.
static EVERYTHING: LazyLock<Vec<Input>> = LazyLock::new(|| {
    let numbered = |number| samples().into_iter().zip(1..).map(move |(sample, seq)| work(&sample, number, seq).input);
    numbered(1).chain(numbered(2)).collect()
});

fn status_after(names: &[&str]) -> Status {
    let named = |name: &&str| samples().into_iter().find(|sample| sample.name == *name).unwrap();
    heard(&names.iter().map(named).collect::<Vec<_>>()).status
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_of_events_end_in_the_same_rows(
        shuffled in Just((0..EVERYTHING.len()).collect::<Vec<_>>()).prop_shuffle(),
        again in proptest::collection::vec((0..EVERYTHING.len(), 0..200_usize), 0..60),
        cut in 0..70_usize,
    ) {
        let inputs = &*EVERYTHING;
        let mut order = shuffled;
        for (index, at) in again {
            order.insert(at % (order.len() + 1), index);
        }
        let told: Vec<Input> = order.iter().map(|index| inputs[*index].clone()).collect();
        prop_assert_eq!(rows(&folded(&told)), rows(&folded(inputs)));

        // And in batches, each collapsed by itself and then merged, as the database does it.
        let (first, second) = told.split_at(cut.min(told.len()));
        let mut merged = folded(first).orders;
        for (order_id, facts) in folded(second).orders {
            merged.entry(order_id).or_default().merge(&facts);
        }
        prop_assert_eq!(merged, folded(inputs).orders);
    }
}

#[test]
fn the_furthest_event_says_where_an_order_stands() {
    assert_eq!(status_after(&["OrderAccepted"]), Status::Accepted);
    assert_eq!(status_after(&["PaymentAuthorized", "StockReserved", "OrderAccepted"]), Status::Authorized);
    assert_eq!(status_after(&["PaymentAuthorized", "FraudReviewRequested"]), Status::InReview);
    assert_eq!(status_after(&["FraudCleared", "FraudReviewRequested"]), Status::Cleared);
    assert_eq!(status_after(&["ShipmentDispatched", "PaymentCaptured"]), Status::Shipping);
    assert_eq!(status_after(&["PaymentDeclined", "StockReserved"]), Status::Failing);
    assert_eq!(status_after(&["OrderCancellationRequested", "PaymentVoided"]), Status::Cancelling);
    assert_eq!(status_after(&["OrderCompleted", "FulfillmentCancelled"]), Status::Completed);
    assert_eq!(status_after(&["OrderRejected"]), Status::Rejected);
    assert_eq!(status_after(&["NotificationRecorded"]), Status::Placed, "what says nothing of its way");
}

#[test]
fn an_order_that_ended_shows_what_its_events_told() {
    let facts = heard(&samples().into_iter().filter(|sample| sample.name != "OrderRejected").collect::<Vec<_>>());
    assert_eq!(
        (facts.total, facts.authorized, facts.captured, facts.charged),
        (Some(1_000), Some(1_000), Some(900), Some(900))
    );
    assert_eq!((facts.source.as_deref(), facts.customer_id.as_deref()), (Some("shop"), Some("c-1")));
    assert_eq!(facts.reason.unwrap().code, "terminal", "the terminal event's reason counts most");
    assert_eq!(facts.moments.at(Moment::Accepted), Some(Timestamp::from_millis(sample::BEGAN + 1)));
    assert_eq!(facts.placed_at, Some(Timestamp::from_millis(sample::BEGAN)), "the time in its id");
    let shipment = facts.shipments.values().next().unwrap();
    assert!(shipment.short_at.is_some() && shipment.confirmed_at.is_some() && shipment.delivered_at.is_some());
    assert_eq!((facts.shipments.len(), shipment.carrier.as_deref()), (1, Some("carrier")));
}

#[test]
fn personal_data_is_kept_apart_from_the_event() {
    for sample in samples() {
        let Input::Heard(heard) = work(&sample, 1, 1).input else { continue };
        assert!(!heard.data.contains("personal"), "{}", sample.name);
        let sealed = sample.value.get("personal").is_some_and(|sealed| !sealed.is_null());
        assert_eq!(heard.personal.is_some(), sealed, "{}", sample.name);
    }
}

#[test]
fn a_stored_event_tells_what_it_told_when_it_was_heard() {
    let mut events = 0;
    for sample in samples() {
        let Input::Heard(heard) = work(&sample, 1, 5).input else { continue };
        let (at, seq) = (heard.place.at, heard.place.seq);
        let told = crate::decode::stored_facts(heard.event_type, &heard.data, at, seq).unwrap().unwrap();
        assert_eq!(told, heard.facts, "{}", sample.name);
        events += 1;
    }
    assert_eq!(events, 47);
    let later = "quadrille.orders.OrderGifted";
    let told = crate::decode::stored_facts(later, "{}", Timestamp::from_millis(0), None);
    assert!(told.is_none(), "a later version's");
}

#[test]
fn what_a_later_version_wrote_is_kept_whole() {
    let codec = runtime::Codec::of_catalogue().unwrap();
    let schema = events::entry_of("OrderCancellationRequested").unwrap().schema;
    let later = schema.replacen(
        "\"fields\": [",
        "\"fields\": [{\"name\": \"gift\", \"type\": \"string\", \"default\": \"\"},",
        1,
    );
    assert_ne!(later, schema);
    codec.learn(900, &later).unwrap();
    let sample = samples().into_iter().find(|sample| sample.name == "OrderCancellationRequested").unwrap();
    let mut message = sample::record(&sample, 1, 1);
    let (own, gift) = (message.payload.take().unwrap(), [6, b'y', b'e', b's']);
    message.payload = Some([&[0, 0, 0, 3, 132], &gift[..], &own[5..]].concat());
    let Input::Heard(heard) = SagaTracker::default().decode(&message, &codec).unwrap().input else {
        panic!("an event")
    };
    let kept: serde_json::Value = serde_json::from_str(&heard.data).unwrap();
    assert_eq!((&kept["gift"], &kept["requested_by"]), (&"yes".into(), &"customer".into()), "{kept}");
    let (at, seq) = (heard.place.at, heard.place.seq);
    let told = crate::decode::stored_facts(heard.event_type, &heard.data, at, seq).unwrap().unwrap();
    assert_eq!(told, heard.facts);
}

#[test]
fn of_two_levels_the_higher_version_stays() {
    let of = |version: i64| {
        let mut sample = samples().into_iter().find(|sample| sample.name == "StockLevelChanged").unwrap();
        sample.value["version"] = version.into();
        work(&sample, 1, version).input
    };
    let world = folded(&[of(2), of(3), of(1)]);
    assert_eq!(world.levels.values().map(|level| level.version).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_watermark_never_goes_back() {
    let of = |until: i64| {
        let mut sample = samples().into_iter().find(|sample| sample.name == "RelayAdvanced").unwrap();
        sample.value["published_until"] = until.into();
        work(&sample, 1, until).input
    };
    let world = folded(&[of(2), of(3), of(1)]);
    assert_eq!(world.watermarks.len(), 2, "one for each shard");
    assert!(world.watermarks.values().all(|watermark| watermark.published_until.as_millis() == 3));
}

#[test]
fn of_what_became_of_a_dead_letter_the_latest_word_stays_in_any_order() {
    let of = |resolution: &str, at: i64| {
        let mut sample = samples().into_iter().find(|sample| sample.name == "DeadLetterResolved").unwrap();
        sample.value["resolution"] = resolution.into();
        work(&sample, 1, at).input
    };
    let words = [of("died_again", 1), of("recovered", 3), of("skipped", 2)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let world = folded(&order.map(|at| words[at].clone()));
        let resolution = world.resolutions.values().next().unwrap();
        assert_eq!((world.resolutions.len(), resolution.resolution.as_str()), (1, "recovered"));
    }
}

#[test]
fn an_order_that_is_stuck_is_a_dead_letter_too() {
    let stuck = samples().into_iter().find(|sample| sample.name == "OrderStuck").unwrap();
    let world = folded(&[work(&stuck, 1, 1).input, work(&stuck, 1, 1).input]);
    let letter = world.letters.values().next().unwrap();
    assert_eq!((world.letters.len(), letter.kind, letter.order_id), (1, operator::LetterKind::Order, Some(order(1))));
    assert_eq!(letter.consumers, ["payments"]);
}

#[test]
fn any_bytes_on_the_dead_letter_topic_become_a_dead_letter() {
    let codec = runtime::Codec::of_catalogue().unwrap();
    for value in [None, Some(vec![0, 0, 0, 9, 9, 1]), Some(b"{".to_vec())] {
        let mut message = message("dead-letter-events", own_key(1), value.clone());
        message.headers.push("quadrille-consumer", "orders");
        message.headers.push("quadrille-error-class", "unreadable");
        message.headers.push_bytes("raw", Some(&[0, 255]));
        message.headers.push("kafka_dlt-original-topic", "orders");
        let input = SagaTracker::default().decode(&message, &codec).unwrap().input;
        let Input::DeadLetter(letter, _) = &input else { panic!("{input:?}") };
        assert_eq!((&letter.value, letter.order_id), (&value, Some(order(1))));
        assert_eq!(
            (letter.consumers.as_slice(), letter.error_class.as_str()),
            (&["orders".to_owned()][..], "unreadable")
        );
        let raw = letter.headers.iter().find(|header| header.name == "raw").unwrap();
        assert_eq!(raw.hex.as_deref(), Some("00ff"));
        assert_eq!(folded(&[input.clone(), input]).letters.len(), 1);
    }
}

#[test]
fn a_timer_that_nobody_armed_is_a_conflict() {
    let codec = runtime::Codec::of_catalogue().unwrap();
    let timer =
        Timer { order_id: order(1), kind: "x".into(), discriminator: String::new(), due: Timestamp::from_millis(0) };
    let work = Work { cause: runtime::Cause::timer(&timer), input: SagaTracker::default().on_timer(&timer) };
    let mut effects = Effects::new(&codec, NAME, &work.cause, timer.due);
    let decided = SagaTracker::default().decide(&mut BatchState::default(), &work, timer.due, &mut effects);
    assert!(matches!(decided, Err(Conflict(text)) if text.contains("none; got one")));
}
