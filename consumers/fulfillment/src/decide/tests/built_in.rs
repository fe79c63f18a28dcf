//! The built-in warehouse: what each default rule provokes, and that it is asked again until it answers.

use std::time::Duration;

use events::{FulfillmentCancelled, FulfillmentConfirmed, FulfillmentShortPicked, ShipmentDispatched, Why};
use runtime::{Consumer, Span};

use super::house::{Decided, House, cleared, order_id};
use crate::consignment::State;
use crate::parcel::ParcelState;
use crate::settings::Settings;
use crate::{Call, Fulfillment, What};

/// Answers calls, and the calls that their answers bring, until there are none; returns what was decided.
fn run(house: &mut House, settings: &Settings, first: Decided) -> Vec<Decided> {
    let fulfillment = Fulfillment::new(settings.clone());
    let mut calls = first.calls.clone();
    let mut decided = vec![first];
    while let Some(call) = calls.pop() {
        if let Some(work) = fulfillment.answer(&call) {
            let next = house.decide(&work).unwrap();
            calls.extend(next.calls.clone());
            decided.push(next);
        }
    }
    decided
}

fn begin(settings: &Settings, sku: &str, units: i64) -> (House, Vec<Decided>) {
    let mut house = House::with(settings.clone());
    let first = house.hear(cleared(&[(sku, "BER", units)])).unwrap();
    let decided = run(&mut house, settings, first);
    (house, decided)
}

fn release(house: &mut House, settings: &Settings) -> Vec<Decided> {
    let captured = house.captured();
    let first = house.hear(captured).unwrap();
    run(house, settings, first)
}

fn names(decided: &[Decided]) -> Vec<&str> {
    decided.iter().flat_map(Decided::names).collect()
}

#[test]
fn it_picks_and_hands_over_by_itself() {
    let settings = Settings::default();
    let (mut house, picked) = begin(&settings, "plain", 2);
    assert_eq!(names(&picked), ["FulfillmentConfirmed"]);
    let left = release(&mut house, &settings);
    let dispatched: ShipmentDispatched = left[1].event();
    assert_eq!(dispatched.carrier, "built-in");
    assert!(dispatched.tracking.is_some_and(|tracking| tracking.starts_with("QD")));
    assert_eq!(house.order().state, State::Closed);
}

#[test]
fn a_short_sku_lacks_one_unit_and_its_replacement_does_not() {
    let settings = Settings::default();
    let (mut house, picked) = begin(&settings, "SHORT-1", 3);
    assert_eq!(picked[1].event::<FulfillmentShortPicked>().short[0].quantity, 1);
    let moved = house.reallocate(0, &[("SHORT-1", "HAM", 1)]).unwrap();
    let confirmed: FulfillmentConfirmed = run(&mut house, &settings, moved)[1].event();
    assert_eq!(confirmed.shipments.iter().map(|shipment| shipment.items[0].quantity).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn refused_and_gone_skus_are_given_up_by_every_warehouse_that_their_rule_names() {
    let settings = Settings::default();
    for (sku, why) in [("REFUSE-1", Why::Refused), ("NEVER-1", Why::Refused), ("GONE-1", Why::Short)] {
        let (mut house, picked) = begin(&settings, sku, 2);
        let short: FulfillmentShortPicked = picked[1].event();
        assert_eq!((short.short[0].quantity, &short.short[0].why), (2, &why), "{sku}");
        let moved = house.reallocate(0, &[(sku, "HAM", 2)]).unwrap();
        let again = names(&run(&mut house, &settings, moved)).concat();
        assert_eq!(again, if sku == "REFUSE-1" { "FulfillmentConfirmed" } else { "FulfillmentShortPicked" }, "{sku}");
    }
}

#[test]
fn a_late_sku_is_asked_for_again_until_the_deadline_decides() {
    let settings = Settings::default();
    let (mut house, picked) = begin(&settings, "LATE-1", 1);
    assert!(names(&picked).is_empty());
    house.now = house.now.plus(Duration::from_secs(10));
    let again = house.pick_due(0).unwrap();
    assert!(matches!(&again.calls[..], [Call::Ask(ask)] if ask.what == What::Pick));
    assert_eq!((again.armed(), again.changed), (1, false));
    house.now = house.now.plus(Duration::from_secs(24 * 3_600));
    assert_eq!(house.pick_due(0).unwrap().event::<FulfillmentShortPicked>().short[0].why, Why::Late);
}

#[test]
fn a_damaged_or_lost_parcel_is_given_up_after_the_capture() {
    let settings = Settings::default();
    for (sku, why) in [("DAMAGED-1", Why::Damaged), ("LOST-1", Why::Lost)] {
        let (mut house, _) = begin(&settings, sku, 1);
        let cancelled: FulfillmentCancelled = release(&mut house, &settings)[1].event();
        assert_eq!(cancelled.items[0].why, why);
        assert_eq!(house.order().state, State::Closed);
    }
}

#[test]
fn a_held_parcel_honours_a_recall_and_a_rushed_one_has_left() {
    let settings = Settings::default();
    for (sku, end) in [("HOLD-1", "FulfillmentCancelled"), ("RUSH-1", "ShipmentDispatched")] {
        let (mut house, _) = begin(&settings, sku, 1);
        assert!(names(&release(&mut house, &settings)).is_empty());
        let asked = house.cancel().unwrap();
        assert_eq!(names(&run(&mut house, &settings, asked)), [end], "{sku}");
    }
}

#[test]
fn a_hand_over_that_was_overtaken_by_the_recall_is_no_contradiction() {
    let settings = Settings::default();
    let (mut house, _) = begin(&settings, "plain", 1);
    let captured = house.captured();
    let hand_over = house.hear(captured).unwrap().calls.remove(0);
    let recall = house.cancel().unwrap().calls.remove(0);
    let fulfillment = Fulfillment::new(settings);
    house.decide(&fulfillment.answer(&recall).unwrap()).unwrap();
    let late = house.decide(&fulfillment.answer(&hand_over).unwrap()).unwrap();
    assert!(late.names().is_empty() && !late.changed);
    assert_eq!(house.order().parcels[0].state, ParcelState::Dropped);
}

#[test]
fn with_delays_the_timers_ask() {
    let settings = Settings { pick_delay: Span::secs(5), hand_over_delay: Span::secs(7), ..Settings::default() };
    let (mut house, begun) = begin(&settings, "plain", 1);
    assert!(begun[0].calls.is_empty());
    house.now = house.now.plus(Duration::from_secs(5));
    let due = house.pick_due(0).unwrap();
    assert_eq!(names(&run(&mut house, &settings, due)), ["FulfillmentConfirmed"]);
    assert!(release(&mut house, &settings)[0].calls.is_empty());
    house.now = house.now.plus(Duration::from_secs(7));
    let due = house.hand_over_due().unwrap();
    assert_eq!(names(&run(&mut house, &settings, due)), ["ShipmentDispatched"]);
}

#[test]
fn the_same_answer_twice_says_nothing_the_second_time() {
    let settings = Settings::default();
    let mut house = House::with(settings.clone());
    let asked = house.hear(cleared(&[("plain", "BER", 1)])).unwrap();
    let fulfillment = Fulfillment::new(settings);
    let answer = fulfillment.answer(&asked.calls[0]).unwrap();
    assert_eq!(house.decide(&answer).unwrap().names(), ["FulfillmentConfirmed"]);
    assert!(house.decide(&answer).unwrap().names().is_empty());
    assert_eq!(answer.cause.id, fulfillment.answer(&asked.calls[0]).unwrap().cause.id);
    assert_eq!(answer.input.order_id(), order_id());
}

#[test]
fn a_timer_of_ours_comes_back_as_what_it_was_armed_for() {
    let mut house = House::external();
    house.hear(cleared(&[("a", "BER", 1)])).unwrap();
    let shipment_id = house.order().parcels[0].shipment_id;
    let timer = |kind: &str, discriminator: &str| runtime::Timer {
        order_id: order_id(),
        kind: kind.into(),
        discriminator: discriminator.into(),
        due: house.now,
    };
    let consumer = Fulfillment::default();
    assert!(
        matches!(consumer.due(&timer(crate::PICK, &shipment_id.to_string())), crate::Input::PickDue(_, id) if id == shipment_id)
    );
    assert!(matches!(consumer.due(&timer(crate::HAND_OVER, "")), crate::Input::HandOverDue(_)));
    assert!(matches!(consumer.due(&timer("nap", "")), crate::Input::UnknownTimer(_)));
}
