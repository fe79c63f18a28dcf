//! Many orders on the same stock, in one batch.

use super::*;

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(1_000 + number))
}

#[test]
fn of_two_buyers_of_the_last_unit_one_gets_it() {
    let mut house = House::stocked([("MUG", "A", 1)]);
    let said: Vec<_> = (0..2)
        .flat_map(|number| house.hear(accepted_as(order(number), vec![line("1", "MUG", 1)])).unwrap().names())
        .collect();
    assert_eq!(said, ["StockReserved", "StockRejected"]);
    assert_eq!(house.level("MUG", "A"), [1, 1, 0]);
}

#[test]
fn a_batch_of_hundreds_on_one_sku_announces_its_level_once() {
    let mut house = House::stocked([("MUG", "A", 250), ("BOWL", "A", 1)]);
    let names: Vec<_> = (0..400)
        .flat_map(|number| house.hear(accepted_as(order(number), vec![line("1", "MUG", 1)])).unwrap().names())
        .collect();
    assert_eq!(names.iter().filter(|name| **name == "StockReserved").count(), 250);
    let announced = house.announced();
    assert_eq!(announced.len(), 1);
    let StockLevelChanged { version, on_hand, reserved, available, .. } = announced[0];
    assert_eq!((version, on_hand, reserved, available), (2, 250, 250, 0));
    assert_eq!(house.world.stock.changed().count(), 2, "one row each, as none of them is stored yet");
}

#[test]
fn a_level_is_announced_under_an_id_of_its_own_version() {
    let mut house = House::stocked([("MUG", "A", 5)]);
    let cause = Cause::request("inventory", "the same");
    let mut ids = Vec::new();
    for number in 0..2 {
        house.hear(accepted_as(order(number), vec![line("1", "MUG", 1)])).unwrap();
        let mut effects = Effects::new(&CODEC, Inventory::NAME, &cause, NOW);
        house.inventory.finish(&mut house.world, NOW, &mut effects);
        ids.extend(effects.said().iter().map(|said| said.event_id));
    }
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn an_order_decided_again_says_the_same_under_the_same_ids() {
    let cause =
        Cause::topic(Uuid::from_u128(5), TraceContext { correlation_id: "c".into(), ..TraceContext::default() });
    let said = || {
        let mut house = in_state(None);
        house.decide(cause.clone(), accepted()).unwrap().said
    };
    assert_eq!(said(), said());
}
