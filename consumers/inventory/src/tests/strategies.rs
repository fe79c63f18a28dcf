//! Allocation strategies: which warehouses give what.

use super::*;
use crate::{Inventory, Pick, Shelves, Strategy, Want, Warehouse};

const LEVELS: [(&str, &str, i64); 5] =
    [("MUG", "A", 1), ("BOWL", "A", 1), ("MUG", "B", 9), ("BOWL", "C", 9), ("FORK", "C", 9)];

fn ordered(mut house: House, lines: Vec<Line>) -> House {
    house.hear(accepted_as(ORDER, lines)).unwrap();
    house
}

#[test]
fn by_priority_the_first_warehouse_gives_all_it_can() {
    let house = ordered(House::stocked(LEVELS), vec![line("1", "MUG", 2), line("2", "BOWL", 1)]);
    assert_eq!(house.plan(), [("1", "A", 1), ("1", "B", 1), ("2", "A", 1)]);
}

#[test]
fn a_lower_number_goes_first_and_then_the_country_the_goods_go_to() {
    let mut house = House::stocked([("MUG", "A", 9), ("MUG", "B", 9), ("MUG", "C", 9)]);
    for (id, priority, country) in [("A", 2, "DE"), ("B", 1, "FR"), ("C", 1, "DE")] {
        let warehouse = Warehouse { name: id.into(), priority, country: country.into() };
        house.hear(Input::Build(id.into(), warehouse)).unwrap();
    }
    let house = ordered(house, vec![line("1", "MUG", 19)]);
    assert_eq!(house.plan(), [("1", "C", 9), ("1", "B", 9), ("1", "A", 1)]);
}

#[test]
fn fewest_shipments_takes_all_from_one_warehouse_if_one_has_all() {
    let house = House::stocked(LEVELS).with(StrategyName::FewestShipments);
    let house = ordered(house, vec![line("1", "BOWL", 2), line("2", "FORK", 1)]);
    assert_eq!(house.plan(), [("1", "C", 2), ("2", "C", 1)]);
}

#[test]
fn fewest_shipments_does_not_split_a_line_that_one_of_the_chosen_has() {
    let house = House::stocked(LEVELS).with(StrategyName::FewestShipments);
    let house = ordered(house, vec![line("1", "MUG", 2), line("2", "BOWL", 1), line("3", "FORK", 1)]);
    assert_eq!(house.plan(), [("1", "B", 2), ("2", "C", 1), ("3", "C", 1)]);
}

#[test]
fn fewest_shipments_finds_a_way_through_more_than_three_warehouses() {
    let names: Vec<String> = (0..30).map(|name| format!("W{name:02}")).collect();
    let house = House::stocked(names.iter().map(|name| ("MUG", name.as_str(), 2)));
    let house = ordered(house.with(StrategyName::FewestShipments), vec![line("1", "MUG", 11)]);
    let units: Vec<i64> = house.plan().iter().map(|(_, _, units)| *units).collect();
    assert_eq!(units, [2, 2, 2, 2, 2, 1]);
}

#[test]
fn two_lines_of_one_sku_share_what_there_is() {
    for strategy in [StrategyName::Priority, StrategyName::FewestShipments] {
        let house = House::stocked([("MUG", "A", 3), ("MUG", "B", 2)]).with(strategy);
        let house = ordered(house, vec![line("1", "MUG", 2), line("2", "MUG", 3)]);
        assert_eq!(house.order().state, State::Reserved);
        assert_eq!(house.plan().iter().map(|(_, _, units)| units).sum::<i64>(), 5);
    }
}

#[derive(Debug)]
struct Greedy;

impl Strategy for Greedy {
    fn allocate(&self, wants: &[Want<'_>], _: &Shelves<'_>) -> Vec<Pick> {
        (0..wants.len()).map(|want| Pick { want, warehouse: 0, quantity: 100 }).collect()
    }
}

#[test]
fn a_strategy_that_gives_what_is_not_there_is_found_out() {
    let mut house = House::stocked(LEVELS);
    house.inventory = Inventory::default().with_strategy(Box::new(Greedy));
    let Conflict(why) = house.hear(accepted()).unwrap_err();
    assert!(!why.is_empty());
    let Conflict(why) = house.hear(accepted_as(ORDER, vec![line("1", "MUG", 1)])).unwrap_err();
    assert!(why.contains("the allocation strategy Greedy is wrong"), "{why}");
}
