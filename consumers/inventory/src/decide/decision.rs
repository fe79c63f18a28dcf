//! What a rule decides, and what rules have in common.

use events::{
    Allocation, AllocationId, Condition, GivenUp, LineId, OrderId, ReservationExpired, ShipmentId, Sku, StockCommitted,
    StockReallocated, StockRejected, StockReleased, StockReserved, StockReturned, WarehouseId, Why, derive_id,
};
use runtime::Conflict;

use crate::reservation::{Holding, Reservation, State};
use crate::stock::LevelChange;
use crate::supply::Supply;

#[derive(Clone, Debug)]
pub struct Decision {
    pub order: Reservation,
    pub changes: Vec<LevelChange>,
    pub emit: Option<StockEvent>,
}

#[derive(Clone, Debug)]
pub enum StockEvent {
    Reserved(Box<StockReserved>),
    Rejected(StockRejected),
    Expired(ReservationExpired),
    Reallocated(StockReallocated),
    Committed(StockCommitted),
    Released(StockReleased),
    Returned(StockReturned),
}

pub type RuleResult = Result<Option<Decision>, Conflict>;

pub(super) fn conflict(event: &str, order_id: OrderId, order: Option<&Reservation>) -> Conflict {
    let state = order.map_or("unknown here", |order| order.state.as_str());
    Conflict(format!(
        "{event} of order {order_id}, which is {state}: the protocol excludes it; look at the order's history, what came before is missing or wrong"
    ))
}

/// The order, where units of it may still be reserved; none where it is closed. Fails where the protocol excludes the event.
pub(super) fn under_way<'o>(
    event: &str,
    order_id: OrderId,
    order: Option<&'o Reservation>,
) -> Result<Option<&'o Reservation>, Conflict> {
    match order.map(|known| known.state) {
        Some(State::Reserved | State::Held) => Ok(order),
        Some(State::Closed) => Ok(None),
        Some(State::Rejected) | None => Err(conflict(event, order_id, order)),
    }
}

/// Units of a line that a warehouse gives, and where they lie there; `replaces` names the shipment and the allocation that lacked them. The id is the same
/// however often it is decided: derived from the order, the line, the warehouse, and what is replaced.
pub(super) fn allocation(
    supply: &Supply<'_>,
    order_id: OrderId,
    (line_id, sku): (&LineId, &Sku),
    (warehouse, quantity): (&WarehouseId, i64),
    replaces: Option<(ShipmentId, AllocationId)>,
) -> Allocation {
    let mut of = vec![line_id.to_string(), warehouse.to_string()];
    of.extend(replaces.into_iter().flat_map(|(shipment, replaced)| [shipment.to_string(), replaced.to_string()]));
    let level = supply.stock.level(sku, warehouse);
    Allocation {
        allocation_id: AllocationId(derive_id(order_id, "inventory", "allocation", &of.join("\u{1f}"))),
        line_id: line_id.clone(),
        sku: sku.clone(),
        warehouse: warehouse.clone(),
        quantity,
        aisle: level.and_then(|level| level.aisle.clone()),
        bin: level.and_then(|level| level.bin.clone()),
        replaces: replaces.map(|(_, replaced)| replaced),
    }
}

/// Gives up units that are replaced nowhere, in the row, in stock and in the event.
pub(super) fn give_up(
    holding: &mut Holding,
    units: i64,
    condition: &Condition,
    why: &Why,
    items: &mut Vec<GivenUp>,
    changes: &mut Vec<LevelChange>,
) {
    if units > 0 {
        holding.give_up(units, condition);
        holding.not_shipped(units, why);
        items.push(holding.given_up(units, condition.clone(), why.clone()));
        changes.push(given_up(holding, units, condition));
    }
}

pub(super) fn given_up(holding: &Holding, units: i64, condition: &Condition) -> LevelChange {
    match condition {
        Condition::Intact => LevelChange::released(&holding.sku, &holding.warehouse, units),
        Condition::Gone | Condition::Other(_) => LevelChange::missing(&holding.sku, &holding.warehouse, units),
    }
}

/// The allocation that an event lists so many units of, if they are still reserved.
pub(super) fn listed<'a>(
    order: &'a mut Reservation,
    event: &str,
    order_id: OrderId,
    allocation_id: AllocationId,
    units: i64,
) -> Result<&'a mut Holding, Conflict> {
    match order.holding(allocation_id) {
        Some(holding) if (1..=holding.reserved).contains(&units) => Ok(holding),
        Some(holding) => Err(Conflict(format!(
            "{event} of order {order_id} lists {units} units of allocation {allocation_id}: expected 1 to {}, which are still reserved; \
             count {} in {}",
            holding.reserved, holding.sku, holding.warehouse
        ))),
        None => Err(Conflict(format!(
            "{event} of order {order_id} lists allocation {allocation_id}, which is not one of its"
        ))),
    }
}
