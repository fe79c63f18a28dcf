//! Disputes of the payment: what has not left is held, goes on, or is cancelled.

use std::time::Duration;

use events::{Currency, DisputeClosed, DisputeOutcome, FulfillmentCancelled, PaymentDisputed, Why};

use super::house::{self, House, cleared, order_id};
use crate::input::{Answer, Input};
use crate::parcel::Fate;
use crate::row::{NextStep, State};
use crate::settings::Settings;

fn disputed(dispute_id: &str) -> Input {
    Input::Disputed(Box::new(PaymentDisputed {
        order_id: order_id(),
        payment_id: "pi_1".into(),
        dispute_id: dispute_id.into(),
        status: "needs_response".into(),
        amount: 1,
        currency: Currency::EUR,
        funds: "withdrawn".into(),
        disputed: 1,
        reason: "fraudulent".into(),
        evidence_due_by: None,
    }))
}

fn closed(dispute_id: &str, outcome: DisputeOutcome) -> Input {
    Input::DisputeClosed(Box::new(DisputeClosed {
        order_id: order_id(),
        payment_id: "pi_1".into(),
        dispute_id: dispute_id.into(),
        outcome,
        amount: 1,
        currency: Currency::EUR,
        funds: "withdrawn".into(),
        disputed: 1,
        reason: "fraudulent".into(),
    }))
}

fn released() -> Input {
    Input::HoldReleased(order_id())
}

#[test]
fn what_is_disputed_is_not_handed_over_until_the_dispute_is_over() {
    for outcome in [DisputeOutcome::Won, DisputeOutcome::Closed] {
        let mut house = House::released();
        house.answer(0, house::left()).unwrap();
        assert!(house.hear(disputed("du_1")).unwrap().names().is_empty());
        assert_eq!((house.step(0), house.step(1)), (NextStep::Nothing, NextStep::Hold));
        let refused = house.answer(1, house::left()).err().expect("it is held");
        assert!(refused.0.contains("its payment is disputed") && refused.0.contains("release-hold"), "{refused:?}");
        house.means_nothing(disputed("du_1"));
        house.now = house.now.plus(Duration::from_secs(90 * 24 * 3_600));
        assert!(house.hand_over_due().unwrap().calls.is_empty(), "nobody is asked why it has not left");
        let decided = house.hear(closed("du_1", outcome.clone())).unwrap();
        assert_eq!((decided.armed(), house.step(1)), (1, NextStep::HandOver), "with its whole time before it");
        for late in [closed("du_1", outcome), disputed("du_1")] {
            house.means_nothing(late);
        }
        assert_eq!(house.answer(1, house::left()).unwrap().names(), ["ShipmentDispatched"]);
        house.means_nothing(disputed("du_2"));
    }
}

#[test]
fn two_disputes_hold_until_both_are_over_and_a_person_may_release_them() {
    let mut house = House::released();
    house.hear(disputed("du_1")).unwrap();
    house.hear(disputed("du_2")).unwrap();
    house.hear(closed("du_1", DisputeOutcome::Won)).unwrap();
    assert_eq!(house.step(0), NextStep::Hold);
    house.hear(released()).unwrap();
    assert_eq!(house.step(0), NextStep::HandOver);
    house.means_nothing(disputed("du_2"));
    assert!(house.hear(released()).is_err(), "nothing is held");
    assert_eq!(house.answer(0, house::left()).unwrap().names(), ["ShipmentDispatched"]);
    for mut house in House::in_every_state() {
        assert!(house.hear(released()).is_err());
    }
    assert!(House::external().hear(released()).is_err());
    House::external().means_nothing(disputed("du_1"));
}

#[test]
fn a_lost_dispute_cancels_what_has_not_shipped() {
    for (mut house, units) in [(House::picking(), 0), (House::confirmed(), 3)] {
        house.hear(disputed("du_1")).unwrap();
        let cancelled: FulfillmentCancelled = house.hear(closed("du_1", DisputeOutcome::Lost)).unwrap().event();
        assert_eq!(cancelled.items.iter().map(|item| item.quantity).sum::<i64>(), units);
        assert!(cancelled.reason.detail.contains("du_1"), "{}", cancelled.reason.detail);
        assert_eq!(house.order().state, State::Closed);
    }
    let mut house = House::released();
    house.answer(0, house::left()).unwrap();
    house.hear(closed("du_1", DisputeOutcome::Lost)).unwrap();
    assert_eq!(house.step(1), NextStep::Recall, "its end may be heard of first");
    house.means_nothing(disputed("du_1"));
    let cancelled: FulfillmentCancelled =
        house.answer(1, Answer::WillNotShip(Fate::of(Why::Recalled))).unwrap().event();
    assert_eq!((cancelled.items.len(), house.order().state), (1, State::Closed), "what left stays sold");
    House::closed().means_nothing(closed("du_1", DisputeOutcome::Lost));
}

#[test]
fn the_built_in_warehouse_keeps_what_is_held_and_goes_on_by_itself() {
    let held = || {
        let mut house = House::with(Settings::demo());
        house.hear(cleared(&[("a", "BER", 2)])).unwrap();
        house.hear(disputed("du_1")).unwrap();
        let captured = house.captured();
        assert!(house.hear(captured).unwrap().names().is_empty());
        house
    };
    assert_eq!(held().hear(closed("du_1", DisputeOutcome::Won)).unwrap().names(), ["ShipmentDispatched"]);
    assert_eq!(held().hear(released()).unwrap().names(), ["ShipmentDispatched"]);
    assert_eq!(held().hear(closed("du_1", DisputeOutcome::Lost)).unwrap().names(), ["FulfillmentCancelled"]);
    assert_eq!(held().cancel().unwrap().names(), ["FulfillmentCancelled"]);
}
