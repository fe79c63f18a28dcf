//! Cancellation, failed capture, release, hand-over and what comes after.

use std::time::Duration;

use events::{
    Condition, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentShortPicked, ShipmentDelivered,
    ShipmentDispatched, Why,
};

use super::house::{self, House, all, cleared};
use crate::input::Answer;
use crate::parcel::{Fate, ParcelState};
use crate::row::{NextStep, State};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_cancellation_before_the_release_is_decided_at_once() {
    for (mut house, units) in [(House::picking(), 0), (House::confirmed(), 3)] {
        let cancelled: FulfillmentCancelled = house.cancel().unwrap().event();
        assert_eq!(
            cancelled.items.iter().map(|item| item.quantity).sum::<i64>(),
            units,
            "only what was confirmed is listed"
        );
        assert!(
            cancelled.items.iter().all(|item| item.condition == Condition::Intact && item.why.as_str() == "cancelled")
        );
        assert_eq!(cancelled.reason.code.as_str(), "cancelled");
        assert_eq!(house.order().state, State::Closed);
        assert!(house.order().parcels.iter().all(|parcel| house.order().next_step(parcel) == NextStep::PutBack));
    }
}

#[test]
fn a_cancellation_after_the_release_recalls_and_each_shipments_answer_counts() {
    let mut house = House::released();
    assert!(house.cancel().unwrap().names().is_empty());
    assert!(house.cancel().unwrap().names().is_empty(), "the second is the same wish");
    assert_eq!(house.step(0), NextStep::Recall);
    assert_eq!(house.answer(0, house::left()).unwrap().names(), ["ShipmentDispatched"]);
    let cancelled: FulfillmentCancelled =
        house.answer(1, Answer::WillNotShip(Fate::of(Why::Recalled))).unwrap().event();
    assert_eq!(cancelled.items.len(), 1, "what left stays sold");
    assert_eq!((cancelled.items[0].why.as_str(), cancelled.reason.code.as_str()), ("recalled", "cancelled"));
    assert_eq!(house.order().state, State::Closed);
}

#[test]
fn a_cancellation_after_all_left_is_too_late() {
    let mut house = House::closed();
    assert!(house.cancel().unwrap().names().is_empty());
    assert_eq!(house.order().units_dispatched(), 3);
}

#[test]
fn whoever_stops_an_order_before_it_came_leaves_a_tombstone_and_passes_the_word_on() {
    for stop in [house::cancellation(), house::capture_failed()] {
        let mut house = House::external();
        let cancelled: FulfillmentCancelled = house.hear(stop.clone()).unwrap().event();
        assert!(cancelled.items.is_empty());
        assert_eq!(house.order().state, State::Closed);
        house.means_nothing(stop);
        house.means_nothing(cleared(&[("a", "BER", 2)]));
    }
}

#[test]
fn a_failed_capture_stops_parcels_that_are_still_in_the_house() {
    for mut house in [House::picking(), House::confirmed()] {
        let cancelled: FulfillmentCancelled = house.hear(house::capture_failed()).unwrap().event();
        assert_eq!(cancelled.reason.code.as_str(), "capture_failed");
        assert_eq!(house.order().state, State::Closed);
        house.means_nothing(house::capture_failed());
    }
    assert!(House::released().hear(house::capture_failed()).is_err());
    House::closed().means_nothing(house::capture_failed());
}

#[test]
fn payment_captured_releases_only_what_was_confirmed_and_only_once() {
    let mut house = House::confirmed();
    let captured = house.captured();
    assert!(house.hear(captured.clone()).unwrap().names().is_empty());
    assert_eq!((house.order().state, house.step(0)), (State::Released, NextStep::HandOver));
    house.means_nothing(captured.clone());
    House::closed().means_nothing(captured.clone());
    assert!(House::picking().hear(captured.clone()).is_err());
    assert!(House::external().hear(captured).is_err());
}

#[test]
fn nothing_leaves_that_the_capture_does_not_pay_for() {
    let mut house = House::confirmed();
    let unpaid = house.captured_less();
    assert!(house.hear(unpaid).is_err());
    assert_eq!(house.order().state, State::Confirmed);
}

#[test]
fn the_last_shipment_that_leaves_closes_the_order() {
    let mut house = House::released();
    let first: ShipmentDispatched = house.answer(0, house::left()).unwrap().event();
    assert_eq!((first.warehouse.as_str(), first.items[0].quantity, first.tracking.as_deref()), ("BER", 2, Some("T1")));
    assert_eq!(house.order().state, State::Released);
    assert_eq!(house.answer(1, house::left()).unwrap().names(), ["ShipmentDispatched"]);
    assert_eq!(house.order().state, State::Closed);
    assert!(house.answer(1, house::left()).unwrap().names().is_empty(), "it leaves once");
}

#[test]
fn a_shipment_that_leaves_without_release_is_a_conflict() {
    for mut house in [House::picking(), House::confirmed()] {
        assert!(house.answer(0, house::left()).is_err());
        house.cancel().unwrap();
        assert!(house.answer(0, house::left()).is_err(), "nor after it was given up");
    }
}

#[test]
fn a_shipment_can_not_both_leave_and_stay() {
    let mut house = House::released();
    house.answer(0, house::left()).unwrap();
    assert!(house.answer(0, Answer::WillNotShip(Fate::of(Why::Lost))).is_err());
    let mut house = House::released();
    house.answer(0, Answer::WillNotShip(Fate::of(Why::Lost))).unwrap();
    assert!(house.answer(0, house::left()).is_err());
    assert!(house.answer(0, Answer::WillNotShip(Fate::of(Why::Lost))).unwrap().names().is_empty(), "it stays once");
}

#[test]
fn what_breaks_after_the_capture_is_given_up_once_all_others_have_left() {
    let mut house = House::released();
    assert!(house.answer(0, Answer::WillNotShip(Fate::of(Why::Damaged))).unwrap().names().is_empty());
    let decided = house.answer(1, house::left()).unwrap();
    assert_eq!(decided.names(), ["ShipmentDispatched", "FulfillmentCancelled"]);
    let cancelled: FulfillmentCancelled = decided.event();
    assert_eq!((cancelled.items[0].quantity, &cancelled.items[0].condition), (2, &Condition::Gone));
    assert_eq!(cancelled.reason.code.as_str(), "nothing_to_ship");
}

#[test]
fn what_breaks_before_the_release_is_kept_until_then() {
    let broken = || Answer::WillNotShip(Fate::of(Why::Damaged));
    let mut house = House::confirmed();
    assert!(house.answer(0, broken()).unwrap().names().is_empty());
    assert!(!house.answer(0, Answer::WillNotShip(Fate::of(Why::Lost))).unwrap().changed, "the first word counts");
    let captured = house.captured();
    assert!(house.hear(captured).unwrap().names().is_empty());
    assert_eq!(house.order().parcels[0].state, ParcelState::Dropped);
    let decided = house.answer(1, house::left()).unwrap();
    assert_eq!(decided.event::<FulfillmentCancelled>().items[0].why, Why::Damaged);

    let mut house = House::confirmed();
    house.answer(0, broken()).unwrap();
    house.answer(1, broken()).unwrap();
    let captured = house.captured();
    assert_eq!(
        house.hear(captured).unwrap().event::<FulfillmentCancelled>().items.len(),
        2,
        "nothing is left to wait for"
    );
    assert_eq!(house.order().state, State::Closed);

    let mut house = House::confirmed();
    house.answer(0, broken()).unwrap();
    let cancelled: FulfillmentCancelled = house.cancel().unwrap().event();
    assert_eq!(cancelled.items.iter().map(|item| item.why.as_str()).collect::<Vec<_>>(), ["damaged", "cancelled"]);
}

#[test]
fn a_shipment_that_breaks_while_it_is_packed_and_others_are_picked_is_kept_too() {
    let mut house = House::picking();
    house.answer(0, all()).unwrap();
    assert!(house.answer(0, Answer::WillNotShip(Fate::of(Why::Damaged))).unwrap().names().is_empty());
    assert_eq!(house.answer(1, all()).unwrap().event::<FulfillmentConfirmed>().shipments.len(), 2);
}

#[test]
fn will_not_ship_while_it_is_being_picked_is_a_refusal_of_the_list() {
    let mut house = House::picking();
    let short: FulfillmentShortPicked = house.answer(0, Answer::WillNotShip(Fate::of(Why::Refused))).unwrap().event();
    assert_eq!((short.short[0].quantity, &short.short[0].why), (2, &Why::Refused));
}

#[test]
fn a_delivery_is_said_once_and_only_of_what_left() {
    let mut house = House::closed();
    let delivered: ShipmentDelivered = house.answer(0, Answer::Delivered { at: None }).unwrap().event();
    assert_eq!(delivered.delivered_at, house.now);
    assert!(house.answer(0, Answer::Delivered { at: None }).unwrap().names().is_empty());
    assert!(House::confirmed().answer(0, Answer::Delivered { at: None }).is_err());
}

#[test]
fn only_goods_that_do_not_ship_are_put_back() {
    assert!(House::confirmed().answer(0, Answer::PutBack).is_err());
    let mut house = House::confirmed();
    house.cancel().unwrap();
    assert!(house.answer(0, Answer::PutBack).unwrap().changed);
    assert!(!house.answer(0, Answer::PutBack).unwrap().changed);
}

#[test]
fn an_overdue_hand_over_alerts_once_and_decides_nothing() {
    let mut house = House::released();
    house.now = house.now.plus(23 * HOUR);
    assert_eq!(house.hand_over_due().unwrap().armed(), 1, "not yet");
    house.now = house.now.plus(HOUR);
    let decided = house.hand_over_due().unwrap();
    assert!(decided.names().is_empty() && decided.calls.len() == 1);
    assert_eq!(house.order().overdue_since, Some(house.now));
    assert!(house.hand_over_due().unwrap().calls.is_empty());
    assert_eq!(house.order().state, State::Released);
    for mut house in [House::picking(), House::confirmed(), House::closed()] {
        assert!(!house.hand_over_due().unwrap().changed);
    }
}
