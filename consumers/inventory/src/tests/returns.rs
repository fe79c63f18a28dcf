//! Returns: units are in stock again, once, at most as many as left, where a warehouse is known.

use events::{ReturnId, ReturnReceived, ReturnedLine, StockReturned};
use uuid::Uuid;

use super::*;

fn returned(number: u128, lines: &[(&str, i64, i64, &str)]) -> Input {
    let line = |(sku, intact, damaged, warehouse): &(&str, i64, i64, &str)| ReturnedLine {
        line_id: "1".into(),
        sku: (*sku).into(),
        intact: *intact,
        damaged: *damaged,
        warehouse: (*warehouse).into(),
    };
    Input::Returned(ReturnReceived {
        order_id: ORDER,
        return_id: ReturnId(Uuid::from_u128(number)),
        lines: lines.iter().map(line).collect(),
        refund: true,
        reason: "too small".into(),
        received_by: "hall".into(),
    })
}

/// Two mugs and three bowls have left A.
fn shipped() -> House {
    let mut house = in_state(Some(State::Held));
    let all = house.left(1, vec![house.item(0, 2), house.item(1, 3)]);
    house.hear(all).unwrap();
    assert_eq!((house.order().state, house.level("MUG", "A")), (State::Closed, [8, 0, 0]));
    house.announced();
    house
}

#[test]
fn intact_units_go_on_sale_damaged_ones_are_missing_and_a_repetition_does_nothing() {
    let mut house = shipped();
    let input = returned(1, &[("MUG", 1, 1, "A"), ("BOWL", 1, 0, "B")]);
    let said: StockReturned = house.hear(input.clone()).unwrap().only();
    assert_eq!(said.lines.len(), 2);
    assert_eq!((house.level("MUG", "A"), house.level("BOWL", "B")), ([9, 0, 1], [1, 0, 0]));
    assert_eq!((house.order().state, house.order().units_returned()), (State::Closed, 3));
    assert_eq!(house.announced().len(), 2, "each level is announced");
    let kinds: Vec<_> =
        house.world.stock.movements().iter().rev().take(3).map(|moved| moved.change.kind.as_str()).collect();
    assert_eq!(kinds, ["returned", "returned_damaged", "returned"]);
    house.assert_repeats_silently(input);
}

#[test]
fn no_more_comes_back_than_left_and_only_to_a_warehouse_that_is_known() {
    let mut house = shipped();
    house.hear(returned(1, &[("BOWL", 3, 0, "A")])).unwrap();
    let Conflict(text) = house.hear(returned(2, &[("MUG", 3, 0, "A")])).unwrap_err();
    assert!(text.contains("brings 3 units back: expected at most 2"), "{text}");
    let Conflict(text) = house.hear(returned(2, &[("MUG", 1, 0, "Q")])).unwrap_err();
    assert!(text.contains("PUT /warehouses/Q"), "{text}");
    house
        .hear(Input::Build("Q".into(), crate::Warehouse { name: "Q".into(), priority: 9, country: "DE".into() }))
        .unwrap();
    house.hear(returned(2, &[("MUG", 1, 0, "Q")])).unwrap();
    assert_eq!(house.level("MUG", "Q"), [1, 0, 0]);
}

#[test]
fn nothing_comes_back_of_an_order_of_which_nothing_left() {
    for state in [None, Some(State::Reserved), Some(State::Held), Some(State::Closed), Some(State::Rejected)] {
        let mut house = in_state(state);
        house.hear(returned(1, &[("MUG", 1, 0, "A")])).unwrap_err();
    }
}
