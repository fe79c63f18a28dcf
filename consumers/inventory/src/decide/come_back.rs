//! Coming back: units of a return are in the house again, beside the order's own way and long after its end.

use events::{OrderId, ReturnId, ReturnedLine, StockReturned};
use runtime::Conflict;

use super::decision::{Decision, RuleResult, StockEvent, conflict};
use crate::reservation::{Reservation, ReturnedUnits, State};
use crate::stock::LevelChange;
use crate::supply::Warehouses;

/// A return arrived: its intact units go on sale again, its damaged ones are missing until counted. Once for each return.
/// Fails when more would come back than left.
pub fn returned(
    order: Option<&Reservation>,
    order_id: OrderId,
    return_id: ReturnId,
    lines: &[ReturnedLine],
) -> RuleResult {
    let known = match order.map(|known| (known.state, known)) {
        Some((State::Reserved | State::Held | State::Closed, known)) => known,
        Some((State::Rejected, _)) | None => return Err(conflict("ReturnReceived", order_id, order)),
    };
    if known.returned.iter().any(|before| before.return_id == return_id) {
        return Ok(None);
    }
    let units: i64 = lines.iter().map(|line| line.intact + line.damaged).sum();
    let out = known.units().committed - known.units_returned();
    if units > out {
        return Err(Conflict(format!(
            "ReturnReceived of order {order_id} brings {units} units back: expected at most {out}, which left and did not come back yet; \
             count them where they are, and look at the order's history"
        )));
    }
    let mut order = known.clone();
    order.returned.push(ReturnedUnits { return_id, units });
    let change = |line: &ReturnedLine| {
        let ReturnedLine { sku, warehouse, intact, damaged, .. } = line;
        let on_sale = (*intact > 0).then(|| LevelChange::returned(sku, warehouse, *intact));
        let missing = (*damaged > 0).then(|| LevelChange::returned_damaged(sku, warehouse, *damaged));
        on_sale.into_iter().chain(missing)
    };
    let changes = lines.iter().flat_map(change).collect();
    let said = StockReturned { order_id, return_id, lines: lines.to_vec() };
    Ok(Some(Decision { order, changes, emit: Some(StockEvent::Returned(said)) }))
}

/// Units can only lie in a warehouse that is known.
pub fn known_warehouses(warehouses: &Warehouses, order_id: OrderId, lines: &[ReturnedLine]) -> Result<(), Conflict> {
    let unknown = lines.iter().map(|line| &line.warehouse).find(|warehouse| !warehouses.contains_key(*warehouse));
    unknown.map_or(Ok(()), |warehouse| {
        Err(Conflict(format!(
            "ReturnReceived of order {order_id} names the warehouse {warehouse}: expected one that is known; make it known \
             (PUT /warehouses/{warehouse}), then have this event tried again"
        )))
    })
}
