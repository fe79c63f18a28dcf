//! Shortages: what is looked for where, what is missing, and how it ends.

use super::*;

/// Five mugs: three in A, two in B; C and D have some more.
fn split() -> House {
    let mut house = House::stocked([("MUG", "A", 3), ("MUG", "B", 3), ("MUG", "C", 2), ("MUG", "D", 1)]);
    house.hear(accepted_as(ORDER, vec![line("1", "MUG", 5)])).unwrap();
    house.hear(Input::Authorized(ORDER)).unwrap();
    assert_eq!(house.plan(), [("1", "A", 3), ("1", "B", 2)]);
    house
}

#[test]
fn units_that_are_gone_are_missing_and_found_where_nobody_looked_yet() {
    let mut house = split();
    let input = house.short(1, vec![house.given_up(0, 3, Why::Short)], &["A"]);
    let said: StockReallocated = house.hear(input).unwrap().only();
    assert_eq!(house.plan(), [("1", "A", 3), ("1", "B", 2), ("1", "B", 1), ("1", "C", 2)]);
    assert!(said.missing.is_empty());
    assert!(said.moved.iter().all(|held| held.replaces == Some(house.order().holdings[0].allocation_id)));
    assert_eq!(house.level("MUG", "A"), [0, 0, 3]);
    assert_eq!((house.level("MUG", "B"), house.level("MUG", "C")), ([3, 3, 0], [2, 2, 0]));
}

#[test]
fn units_that_a_warehouse_refuses_are_on_sale_again_but_not_for_this_order() {
    let mut house = split();
    let input = house.short(1, vec![house.given_up(0, 3, Why::Refused)], &["B", "C", "A"]);
    let said: StockReallocated = house.hear(input).unwrap().only();
    assert_eq!(said.moved.iter().map(|held| (held.warehouse.as_str(), held.quantity)).collect::<Vec<_>>(), [("D", 1)]);
    assert_eq!(
        said.missing.iter().map(|gone| (gone.quantity, gone.why.clone())).collect::<Vec<_>>(),
        [(2, Why::Refused)]
    );
    assert_eq!(house.level("MUG", "A"), [3, 0, 0]);
}

#[test]
fn a_replacement_that_is_short_too_is_a_shortage_of_its_own() {
    let mut house = split();
    let first = house.short(1, vec![house.given_up(0, 1, Why::Short)], &["A"]);
    house.hear(first.clone()).unwrap();
    let second = house.short(2, vec![house.given_up(2, 1, Why::Short)], &["A", "B"]);
    let said: StockReallocated = house.hear(second).unwrap().only();
    assert_eq!(said.shipment_id, ShipmentId(Uuid::from_u128(2)));
    assert_eq!(said.moved[0].warehouse, "C".into());
    house.assert_repeats_silently(first);
}

#[test]
fn a_shortage_of_everything_never_closes_and_the_void_that_follows_says_why() {
    let mut house = split();
    let all = vec![house.given_up(0, 3, Why::Short), house.given_up(1, 2, Why::Late)];
    let input = house.short(1, all, &["A", "B", "C", "D"]);
    let said: StockReallocated = house.hear(input).unwrap().only();
    assert_eq!((said.moved.len(), said.missing.len()), (0, 2));
    assert_eq!((house.order().state, house.order().units().reserved), (State::Held, 0));
    let closed = house.hear(voided_with(vec![])).unwrap().only::<StockReleased>().closed.unwrap();
    let unshipped: Vec<_> = closed.unshipped.iter().map(|line| (line.quantity, line.why.clone())).collect();
    assert_eq!(unshipped, [(3, Why::Short), (2, Why::Late)]);
}

#[test]
fn what_ships_without_the_missing_units_closes_with_them_and_a_reason() {
    let mut house = split();
    let input = house.short(1, vec![house.given_up(0, 2, Why::Short)], &["A", "B", "C", "D"]);
    house.hear(input).unwrap();
    let last = house.left(2, vec![house.item(0, 1), house.item(1, 2)]);
    let closed = house.hear(last).unwrap().only::<StockCommitted>().closed.unwrap();
    assert_eq!(closed.shipped.iter().map(|line| line.quantity).collect::<Vec<_>>(), [3]);
    assert_eq!(closed.unshipped[0].quantity, 2);
    let reason = closed.reason.unwrap();
    assert_eq!(reason.code, ReasonCode::OutOfStock);
    assert_eq!(reason.detail, "2 of its units could not be picked, and no other warehouse had them");
}

#[test]
fn two_kinds_of_shortage_replaced_from_one_shelf_are_one_allocation() {
    let mut house = split();
    let input = house.short(1, vec![house.given_up(0, 1, Why::Short), house.given_up(0, 1, Why::Late)], &["A", "B"]);
    let said: StockReallocated = house.hear(input).unwrap().only();
    assert_eq!(said.moved.iter().map(|held| (held.warehouse.as_str(), held.quantity)).collect::<Vec<_>>(), [("C", 2)]);
    assert_eq!(house.level("MUG", "A"), [2, 1, 1]);
}

#[test]
fn a_shortage_of_more_than_is_reserved_is_a_conflict() {
    let mut house = split();
    let input = house.short(1, vec![house.given_up(0, 2, Why::Short), house.given_up(0, 2, Why::Short)], &["A"]);
    let Conflict(why) = house.hear(input).unwrap_err();
    assert!(why.contains("expected 1 to 1"), "{why}");
}
