//! Shortage: what one warehouse can't give is looked for in those that were not tried.

use events::{Allocation, FulfillmentShortPicked, GivenUp, StockReallocated};
use runtime::Conflict;

use super::bounds;
use super::decision::{Decision, RuleResult, StockEvent, allocation, given_up, listed, under_way};
use crate::reservation::{Holding, Reservation};
use crate::stock::LevelChange;
use crate::strategy::Want;
use crate::supply::Supply;

/// A warehouse is short: what is found elsewhere is reserved there instead, the order goes on without the rest. Never closes the order.
pub fn short_picked(order: Option<&Reservation>, event: &FulfillmentShortPicked, supply: &Supply<'_>) -> RuleResult {
    let Some((mut order, mut changes)) = shorted(order, event)? else { return Ok(None) };
    let (moved, missing) = replace(&mut order, event, supply)?;
    changes.extend(moved.iter().map(|held| LevelChange::reserved(&held.sku, &held.warehouse, held.quantity)));
    order.holdings.extend(moved.iter().map(Holding::new));
    order.answered.push(event.shipment_id);
    let said = StockReallocated { order_id: event.order_id, shipment_id: event.shipment_id, moved, missing };
    Ok(Some(Decision { order, changes, emit: Some(StockEvent::Reallocated(said)) }))
}

/// The order without the units that are short, and what that changes of the stock; nothing where it was answered, or has ended.
fn shorted(
    order: Option<&Reservation>,
    event: &FulfillmentShortPicked,
) -> Result<Option<(Reservation, Vec<LevelChange>)>, Conflict> {
    let Some(known) = under_way("FulfillmentShortPicked", event.order_id, order)? else { return Ok(None) };
    if known.answered.contains(&event.shipment_id) {
        return Ok(None);
    }
    let mut order = known.clone();
    let mut changes = Vec::new();
    for item in &event.short {
        let holding = listed(&mut order, "FulfillmentShortPicked", event.order_id, item.allocation_id, item.quantity)?;
        holding.give_up(item.quantity, &item.condition);
        changes.push(given_up(holding, item.quantity, &item.condition));
    }
    Ok(Some((order, changes)))
}

/// A shortage that was answered so: told again as it was, whatever stock there is now. Fails as [`short_picked`].
pub fn reallocated(
    order: Option<&Reservation>,
    event: &FulfillmentShortPicked,
    answer: &StockReallocated,
) -> RuleResult {
    let Some((mut order, mut changes)) = shorted(order, event)? else { return Ok(None) };
    for item in &answer.missing {
        if let Some(holding) = order.holding(item.allocation_id) {
            holding.not_shipped(item.quantity, &item.why);
        }
    }
    changes.extend(answer.moved.iter().map(|held| LevelChange::reserved(&held.sku, &held.warehouse, held.quantity)));
    order.holdings.extend(answer.moved.iter().map(Holding::new));
    order.answered.push(event.shipment_id);
    Ok(Some(Decision { order, changes, emit: None }))
}

fn replace(
    order: &mut Reservation,
    event: &FulfillmentShortPicked,
    supply: &Supply<'_>,
) -> Result<(Vec<Allocation>, Vec<GivenUp>), Conflict> {
    let tried = event.tried.iter().chain([&event.warehouse]).collect();
    let wants: Vec<Want<'_>> =
        event.short.iter().map(|item| Want { sku: &item.sku, quantity: item.quantity }).collect();
    let found = supply.find(&wants, &tried, &order.ship_to_country)?;
    let (mut moved, mut missing) = (Vec::new(), Vec::new());
    let mut room = bounds::room_left(&order.holdings);
    for (item, picks) in event.short.iter().zip(found) {
        let mut open = item.quantity;
        for (warehouse, quantity) in picks {
            let (line, replaces) = ((&item.line_id, &item.sku), Some((event.shipment_id, item.allocation_id)));
            let replacement = allocation(supply, event.order_id, line, (warehouse, quantity), replaces);
            // What would split the order into too many parts is not looked for: it goes on without those units.
            let Some(rest) = room.checked_sub(bounds::size(&replacement)) else { break };
            room = rest;
            open -= quantity;
            add(&mut moved, replacement);
        }
        if open > 0 {
            missing.push(GivenUp { quantity: open, ..item.clone() });
            if let Some(holding) = order.holding(item.allocation_id) {
                holding.not_shipped(open, &item.why);
            }
        }
    }
    Ok((moved, missing))
}

/// Two shortages of one allocation (one unit not found, one damaged) may be replaced from one shelf: that is one allocation.
fn add(moved: &mut Vec<Allocation>, allocation: Allocation) {
    match moved.iter_mut().find(|other| other.allocation_id == allocation.allocation_id) {
        Some(other) => other.quantity += allocation.quantity,
        None => moved.push(allocation),
    }
}
