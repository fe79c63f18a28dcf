//! Deliveries, counts, loads and warehouses.

use super::*;
use crate::{Load, LoadRow, Loaded, MovementKind, Receipt, StockCount, Warehouse};

fn receipt(reference: &str, quantity: i64) -> Input {
    let (sku, warehouse) = ("MUG".into(), "A".into());
    Input::Receive(Receipt { sku, warehouse, quantity, reference: reference.into() })
}

fn count(on_hand: i64) -> Input {
    Input::Count(StockCount { sku: "MUG".into(), warehouse: "A".into(), on_hand })
}

fn row(sku: &str, warehouse: &str, on_hand: i64) -> LoadRow {
    let (aisle, bin) = (Some("3".to_owned()), Some("17".to_owned()));
    LoadRow { sku: sku.into(), warehouse: warehouse.into(), on_hand, aisle, bin, priority: None }
}

fn load(rows: Vec<LoadRow>) -> Input {
    Input::Load(Load::new(None, rows))
}

fn loaded(changed: usize, unchanged: usize, before: bool) -> Reply {
    Reply::Loaded(Loaded { changed, unchanged, loaded_before: before.then(|| NOW.to_string()) })
}

fn kinds(house: &House) -> Vec<MovementKind> {
    house.world.stock.movements().iter().skip(1).map(|moved| moved.change.kind).collect()
}

#[test]
fn a_delivery_is_booked_once() {
    let mut house = House::stocked([("MUG", "A", 10)]);
    let Reply::Level(level) = house.hear(receipt("d1", 5)).unwrap().reply else { panic!("no level") };
    assert_eq!((level.on_hand, level.available, level.version), (15, 15, 2));
    house.hear(receipt("d1", 5)).unwrap();
    house.hear(receipt("d2", 5)).unwrap();
    assert_eq!(house.level("MUG", "A"), [20, 0, 0]);
    let announced = house.announced();
    assert_eq!((announced.len(), announced[0].version, announced[0].on_hand), (1, 2, 20));
    let Conflict(why) = house.hear(receipt("d1", 6)).unwrap_err();
    assert!(why.contains("booked with 5 units"), "{why}");
}

#[test]
fn a_delivery_to_or_a_count_in_an_unknown_warehouse_is_refused() {
    let mut house = House::default();
    assert_eq!(house.hear(receipt("d1", 5)).unwrap().reply, Reply::NoWarehouse("A".into()));
    assert_eq!(house.hear(count(5)).unwrap().reply, Reply::NoWarehouse("A".into()));
    assert!(house.announced().is_empty());
}

/// Five mugs on hand, two of them reserved, three missing.
fn with_missing() -> House {
    let mut house = House::stocked([("MUG", "A", 8)]);
    house.hear(accepted_as(ORDER, vec![line("1", "MUG", 5)])).unwrap();
    let input = house.short(1, vec![house.given_up(0, 3, Why::Lost)], &["A"]);
    house.hear(input).unwrap();
    assert_eq!(house.level("MUG", "A"), [5, 2, 3]);
    house.announced();
    house
}

#[test]
fn a_count_finds_or_writes_off_what_was_missing() {
    for (counted, after) in [
        (5, vec![MovementKind::Counted]),
        (8, vec![MovementKind::Found]),
        (7, vec![MovementKind::Found, MovementKind::Counted]),
        (11, vec![MovementKind::Found, MovementKind::Counted]),
        (4, vec![MovementKind::Counted]),
    ] {
        let mut house = with_missing();
        let before = kinds(&house).len();
        house.hear(count(counted)).unwrap();
        assert_eq!(house.level("MUG", "A"), [counted, 2, 0]);
        assert_eq!(kinds(&house)[before..], after);
        assert_eq!(house.announced().len(), 1);
        house.hear(count(counted)).unwrap();
        assert!(house.announced().is_empty(), "the same count again changes nothing");
    }
}

#[test]
fn a_count_below_what_is_reserved_is_refused_and_says_what_to_do() {
    let mut house = with_missing();
    let Conflict(why) = house.hear(count(1)).unwrap_err();
    assert!(why.contains("1 units of MUG were counted in A, but 2 are reserved"), "{why}");
}

#[test]
fn a_load_sets_levels_makes_warehouses_and_changes_nothing_the_second_time() {
    let mut house = House::default();
    let rows = vec![row("MUG", "A", 10), LoadRow { priority: Some(1), ..row("MUG", "B", 0) }, row("BOWL", "B", 7)];
    let heard = house.hear(load(rows.clone())).unwrap();
    assert_eq!(heard.reply, loaded(3, 0, false));
    assert_eq!((house.world.warehouses.len(), house.world.warehouses["B"].priority), (2, 1));
    assert_eq!(house.announced().len(), 3);
    house.hear(accepted_as(ORDER, vec![line("1", "BOWL", 2)])).unwrap();
    let plan = house.order().holdings[0].clone();
    assert_eq!((plan.warehouse.as_str(), house.level("BOWL", "B")), ("B", [7, 2, 0]));
    house.announced();
    let heard = house.hear(load(rows)).unwrap();
    assert_eq!(heard.reply, loaded(0, 3, true));
    assert!(house.announced().is_empty());
}

/// Report 26: a job that runs twice, with a sale between.
#[test]
fn the_same_file_again_does_not_bring_back_what_was_sold_since() {
    let mut house = House::default();
    let file = || vec![row("MUG", "A", 10), row("BOWL", "A", 5)];
    house.hear(load(file())).unwrap();
    house.announced();
    house.hear(accepted_as(ORDER, vec![line("1", "MUG", 3)])).unwrap();
    house.hear(Input::Authorized(ORDER)).unwrap();
    let left = house.left(1, vec![house.item(0, 3)]);
    house.hear(left).unwrap();
    assert_eq!(house.level("MUG", "A"), [7, 0, 0]);
    // The same rows in another order, as an export without one gives them, are the same file.
    for again in [file(), file().into_iter().rev().collect()] {
        assert_eq!(house.hear(load(again)).unwrap().reply, loaded(0, 2, true));
        assert_eq!(house.level("MUG", "A"), [7, 0, 0]);
    }
    // A count, or the same rows as a load of their own, are another matter.
    let anew = |key: &str, rows| Input::Load(Load::new(Some(key.into()), rows));
    assert_eq!(house.hear(anew("monday", file())).unwrap().reply, loaded(1, 1, false));
    assert_eq!(house.level("MUG", "A"), [10, 0, 0]);
    let Conflict(why) = house.hear(anew("monday", vec![row("MUG", "A", 1)])).unwrap_err();
    assert!(why.contains("a key of their own"), "{why}");
    assert_eq!(house.hear(anew("monday", file())).unwrap().reply, loaded(0, 2, true));
}

#[test]
fn a_plan_says_where_the_units_lie() {
    let mut house = House::default();
    house.hear(load(vec![row("MUG", "A", 10)])).unwrap();
    let said: StockReserved = house.hear(accepted_as(ORDER, vec![line("1", "MUG", 1)])).unwrap().only();
    assert_eq!((said.plan[0].aisle.as_deref(), said.plan[0].bin.as_deref()), (Some("3"), Some("17")));
}

#[test]
fn a_load_with_one_row_below_what_is_reserved_loads_nothing() {
    let mut house = with_missing();
    let Conflict(why) = house.hear(load(vec![row("BOWL", "A", 7), row("MUG", "A", 1)])).unwrap_err();
    assert!(why.starts_with("nothing was loaded: 1 of 2 rows"), "{why}");
    assert!(house.announced().is_empty());
}

#[test]
fn a_warehouse_is_made_and_changed() {
    let mut house = House::default();
    let warehouse = Warehouse { name: "Berlin".into(), priority: 3, country: "DE".into() };
    assert_eq!(house.hear(Input::Build("A".into(), warehouse.clone())).unwrap().reply, Reply::Built);
    assert_eq!(house.world.warehouses["A"], warehouse);
    assert_eq!(house.hear(receipt("d1", 5)).unwrap().names(), [""; 0]);
    assert_eq!(house.level("MUG", "A"), [5, 0, 0]);
}
