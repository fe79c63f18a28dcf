//! Random runs of several orders that share stock: whatever comes in whatever order, no unit is lost and none is sold twice.

use proptest::prelude::*;

use super::*;
use crate::StockCount;

const SKUS: [&str; 2] = ["MUG", "BOWL"];
const WAREHOUSES: [&str; 3] = ["A", "B", "C"];
const WHYS: [Why; 3] = [Why::Short, Why::Refused, Why::Damaged];

/// One step: which order, what happens to it, and with which of its allocations.
#[derive(Clone, Debug)]
struct Step {
    order: u128,
    what: u8,
    holding: usize,
    units: i64,
    shipment: u128,
}

fn step() -> impl Strategy<Value = Step> {
    (0..4_u128, 0..9_u8, 0..4_usize, 1..4_i64, 0..6_u128).prop_map(|(order, what, holding, units, shipment)| Step {
        order,
        what,
        holding,
        units,
        shipment,
    })
}

fn input(house: &House, step: &Step) -> Option<Input> {
    let order_id = OrderId(Uuid::from_u128(step.order));
    let shipment_id = ShipmentId(Uuid::from_u128(step.order * 100 + step.shipment));
    let held = house.world.order(order_id).and_then(|row| row.holdings.get(step.holding));
    let why = &WHYS[step.holding % WHYS.len()];
    let given_up = held.map(|held| held.given_up(step.units, why.condition(), why.clone()));
    let renamed = |input| match input {
        Input::Declined(event) => Input::Declined(PaymentDeclined { order_id, ..event }),
        Input::Voided(event) => Input::Voided(PaymentVoided { order_id, ..event }),
        Input::ShortPicked(event) => Input::ShortPicked(FulfillmentShortPicked { order_id, shipment_id, ..event }),
        Input::Dispatched(event) => Input::Dispatched(ShipmentDispatched { order_id, shipment_id, ..event }),
        Input::Refunded(event) => Input::Refunded(PaymentRefunded { order_id, ..event }),
        Input::Returned(event) => Input::Returned(ReturnReceived { order_id, ..event }),
        other @ (Input::Accepted(_)
        | Input::Expired(_)
        | Input::Authorized(_)
        | Input::Receive(_)
        | Input::Count(_)
        | Input::Load(_)
        | Input::Build(..)) => other,
    };
    Some(match step.what {
        0 | 1 => {
            let lines = vec![line("1", SKUS[step.holding % 2], step.units), line("2", "MUG", 1)];
            accepted_as(order_id, lines)
        }
        2 => Input::Authorized(order_id),
        3 => Input::Expired(order_id),
        4 => renamed(if step.units == 1 { declined() } else { voided_with(given_up.into_iter().collect()) }),
        5 => renamed(house.short(0, vec![given_up?], &[held?.warehouse.as_str()])),
        6 => {
            let held = held?;
            let (line_id, sku) = (held.line_id.clone(), held.sku.clone());
            let item = Item { allocation_id: held.allocation_id, line_id, sku, quantity: step.units };
            renamed(house.left(0, vec![item]))
        }
        7 => renamed(house.refund(vec![given_up?])),
        _ => {
            let (sku, warehouse) = (SKUS[step.holding % 2].into(), WAREHOUSES[step.holding % 3].into());
            Input::Count(StockCount { sku, warehouse, on_hand: step.units })
        }
    })
}

fn check(house: &House) {
    for (sku, warehouse, level) in house.world.stock.levels() {
        let here = |change: &&crate::LevelChange| change.sku == *sku && change.warehouse == *warehouse;
        let moved: Vec<_> = house.world.stock.movements().iter().map(|moved| &moved.change).filter(here).collect();
        let sum = |of: fn(&crate::LevelChange) -> i64| moved.iter().map(|change| of(change)).sum::<i64>();
        let ledger = [sum(|change| change.on_hand), sum(|change| change.reserved), sum(|change| change.missing)];
        assert_eq!([level.on_hand, level.reserved, level.missing], ledger, "the ledger explains {sku} in {warehouse}");
        assert!(level.reserved >= 0 && level.available() >= 0 && level.missing >= 0);
        let held = house.world.orders.iter().flat_map(|(_, row)| &row.holdings);
        let held = held.filter(|held| held.sku == *sku && held.warehouse == *warehouse);
        assert_eq!(
            level.reserved,
            held.map(|held| held.reserved).sum::<i64>(),
            "orders hold what {warehouse} reserves"
        );
    }
    for (_, row) in house.world.orders.iter() {
        for held in &row.holdings {
            assert_eq!(held.reserved + held.committed + held.released + held.missing, held.quantity);
            assert!(held.reserved >= 0 && held.committed >= 0 && held.released >= 0 && held.missing >= 0);
        }
        if row.state == State::Closed {
            let not_shipped = row.holdings.iter().flat_map(|held| &held.unshipped).map(|(_, units)| units);
            let first = row.holdings.iter().filter(|held| held.replaces.is_none()).map(|held| held.quantity);
            assert_eq!(row.units().reserved, 0);
            assert_eq!(row.units().committed + not_shipped.sum::<i64>(), first.sum::<i64>(), "every unit has an end");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_comes_in_whatever_order_no_unit_is_lost_or_sold_twice(
        steps in proptest::collection::vec(step(), 1..60),
        fewest in any::<bool>(),
    ) {
        let strategy = if fewest { StrategyName::FewestShipments } else { StrategyName::Priority };
        let levels = SKUS.iter().flat_map(|sku| WAREHOUSES.iter().map(move |warehouse| (*sku, *warehouse, 4)));
        let mut house = House::stocked(levels).with(strategy);
        let mut ended = std::collections::BTreeMap::<u128, usize>::new();
        for step in &steps {
            let Some(input) = input(&house, step) else { continue };
            let Ok(heard) = house.hear(input.clone()) else { continue };
            for said in &heard.said {
                let closed = match said.headers.text("ce_type") {
                    Some(StockReleased::TYPE) => CODEC.decode::<StockReleased>(said.payload.as_deref()).unwrap().closed,
                    Some(StockCommitted::TYPE) => CODEC.decode::<StockCommitted>(said.payload.as_deref()).unwrap().closed,
                    Some(_) | None => None,
                };
                let rejected = said.headers.text("ce_type") == Some(StockRejected::TYPE);
                *ended.entry(step.order).or_default() += usize::from(closed.is_some() || rejected);
            }
            house.hear(input).map(|again| again.assert_nothing()).unwrap_or_default();
            check(&house);
        }
        prop_assert!(ended.values().all(|times| *times <= 1), "the last word is said once: {ended:?}");
    }
}
