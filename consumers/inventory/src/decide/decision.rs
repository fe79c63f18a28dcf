//! What a rule decides, and what rules have in common.

use events::{
    AllocationId, Condition, GivenUp, OrderId, ReservationExpired, StockCommitted, StockReallocated, StockRejected,
    StockReleased, StockReserved, Why, derive_id,
};
use runtime::Conflict;

use crate::reservation::{Holding, Reservation};
use crate::stock::LevelChange;

/// What a rule wants done: the order's new row, its changes of stock, and what others must hear.
#[derive(Clone, Debug)]
pub struct Decision {
    pub order: Reservation,
    pub changes: Vec<LevelChange>,
    pub emit: Option<StockEvent>,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)] // the events are documented where they are declared
pub enum StockEvent {
    Reserved(Box<StockReserved>),
    Rejected(StockRejected),
    Expired(ReservationExpired),
    Reallocated(StockReallocated),
    Committed(StockCommitted),
    Released(StockReleased),
}

/// A rule's answer: a decision, nothing to do, or a contradiction.
pub type RuleResult = Result<Option<Decision>, Conflict>;

pub(super) fn conflict(event: &str, order_id: OrderId, order: Option<&Reservation>) -> Conflict {
    let state = order.map_or("unknown here", |order| order.state.as_str());
    Conflict(format!(
        "{event} of order {order_id}, which is {state}: the protocol excludes it; look at the order's history, what came before is missing or wrong"
    ))
}

/// Allocations are the same however often they are decided: derived from the order, the line, the warehouse, and what they replace.
pub(super) fn allocation_id(order_id: OrderId, of: &[&str]) -> AllocationId {
    AllocationId(derive_id(order_id, "inventory", "allocation", &of.join("\u{1f}")))
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
