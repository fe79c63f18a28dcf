//! What came back is refunded, once, of what is left.

use events::{RefundId, RefundRequested, ReturnId, ReturnReceived, ReturnedLine, ShipmentDispatched, derive_id};

use super::*;
use crate::refunds::{Asked, CustomerRefund, RefundInput, RefundRequest, RefundState};

fn return_id(number: u128) -> ReturnId {
    ReturnId(Uuid::from_u128(number))
}

fn returned(number: u128, lines: &[(&str, i64, i64)], refund: bool) -> Input {
    let line = |(line, intact, damaged): &(&str, i64, i64)| ReturnedLine {
        line_id: (*line).into(),
        sku: (*line).into(),
        intact: *intact,
        damaged: *damaged,
        warehouse: "north".into(),
    };
    Input::Refund(RefundInput::Returned(Box::new(ReturnReceived {
        order_id: ORDER,
        return_id: return_id(number),
        lines: lines.iter().map(line).collect(),
        refund,
        reason: "too small".into(),
        received_by: "hall".into(),
    })))
}

fn dispatched() -> Input {
    Input::Refund(RefundInput::Dispatched(Box::new(ShipmentDispatched {
        order_id: ORDER,
        shipment_id: ShipmentId(Uuid::from_u128(1)),
        warehouse: "north".into(),
        items: vec![item(1, "1", 2), item(2, "2", 1)],
        carrier: "DHL".into(),
        tracking: None,
        dispatched_at: START,
    })))
}

fn by_hand(asked: Asked) -> Input {
    Input::Refund(RefundInput::Asked(Box::new(RefundRequest {
        order_id: ORDER,
        refund_id: RefundId(Uuid::from_u128(77)),
        asked,
        currency: None,
        reason: "goodwill".into(),
        requested_by: "eve".into(),
    })))
}

/// All shipped: 2 of line 1 for 10.00, 1 of line 2 for 5.01.
fn shipped() -> Desk {
    let mut desk = Desk::at(State::Captured);
    desk.does(dispatched());
    desk
}

fn refund_of(desk: &Desk, number: u128) -> Option<&CustomerRefund> {
    let id = RefundId(derive_id(ORDER, "fulfillment", "return", &return_id(number).to_string()));
    desk.world.refunds().find(|(refund_id, _)| **refund_id == id).map(|(_, refund)| refund)
}

#[test]
fn what_came_intact_or_damaged_is_refunded_once_and_names_its_return() {
    let mut desk = shipped();
    desk.does(returned(1, &[("1", 1, 1), ("2", 0, 1)], true));
    let asked: RefundRequested = desk.event();
    assert_eq!((asked.amount, asked.lines.len(), asked.asked.as_str()), (1_501, 2, "lines"));
    assert_eq!((asked.reason.as_str(), asked.requested_by), ("too small", format!("return:{}", return_id(1))));
    assert_eq!(desk.called(), ["refund:1"]);
    for _ in 0..2 {
        desk.does(returned(1, &[("1", 1, 1), ("2", 0, 1)], true));
        assert!(desk.said.is_empty() && desk.calls.is_empty(), "a repetition is nothing");
    }
    assert_eq!(desk.payment().case.returns.get(&return_id(1)), Some(&1_501));
}

#[test]
fn a_return_that_is_exchanged_is_not_refunded() {
    let mut desk = shipped();
    desk.does(returned(1, &[("1", 2, 0)], false));
    assert!(desk.said.is_empty() && desk.payment().case.returns.is_empty());
}

#[test]
fn a_refund_by_hand_comes_first_and_nothing_left_is_nothing_even_if_it_fails_later() {
    let mut desk = shipped();
    desk.does(by_hand(Asked::All));
    desk.does(returned(1, &[("1", 2, 0)], true));
    assert!(desk.said.is_empty() && desk.dead.is_empty() && refund_of(&desk, 1).is_none());
    assert_eq!(desk.payment().case.returns.get(&return_id(1)), Some(&0));
    let outcome = Outcome::RefundFailed { refund_id: None, detail: "closed account".into() };
    let refund_id = RefundId(Uuid::from_u128(77));
    desk.does(Input::Refund(RefundInput::Answer { order_id: ORDER, refund_id, attempt: 1, outcome }));
    assert_eq!(desk.payment().refunds_open, 0);
    desk.does(returned(1, &[("1", 2, 0)], true));
    assert!(desk.said.is_empty(), "a replay pays nothing");
}

#[test]
fn units_and_money_that_went_back_already_are_not_paid_again() {
    let mut desk = shipped();
    desk.does(by_hand(Asked::Lines(vec![("1".into(), 1)])));
    desk.does(returned(1, &[("1", 2, 0)], true));
    assert_eq!(desk.event::<RefundRequested>().amount, 500, "one of the two was refunded by hand");
    let mut desk = shipped();
    desk.does(by_hand(Asked::Amount(1_200)));
    desk.does(returned(1, &[("1", 2, 0), ("2", 1, 0)], true));
    let asked: RefundRequested = desk.event();
    assert_eq!((asked.amount, asked.lines.iter().map(|line| line.amount).sum::<i64>()), (301, 301), "what is left");
    assert_eq!(refund_of(&desk, 1).map(CustomerRefund::state), Some(RefundState::Refunding));
}

#[test]
fn returns_unit_by_unit_pay_exactly_what_was_captured() {
    let mut desk = shipped();
    for (number, line) in [(1, "1"), (2, "2"), (3, "1")] {
        desk.does(returned(number, &[(line, 0, 1)], true));
    }
    assert_eq!(desk.payment().refunds_open, 1_501);
}

#[test]
fn more_than_payments_knows_to_have_shipped_is_a_persons_case() {
    for state in [State::Authorized, State::Captured] {
        let mut desk = Desk::at(state);
        desk.decide(returned(1, &[("1", 1, 0)], true)).unwrap_err();
    }
    let mut desk = shipped();
    let Conflict(text) = desk.decide(returned(1, &[("2", 1, 1)], true)).unwrap_err();
    assert!(text.contains("2 units of 2 back: expected at most 1"), "{text}");
}
