//! Leaving: what a carrier has is no longer in stock.

use events::{ShipmentDispatched, StockCommitted};

use super::decision::{Decision, RuleResult, StockEvent, listed, under_way};
use crate::reservation::Reservation;
use crate::stock::LevelChange;

/// A shipment left: its units are no longer in stock. The last one closes the order.
pub fn dispatched(order: Option<&Reservation>, event: &ShipmentDispatched) -> RuleResult {
    let Some(known) = under_way("ShipmentDispatched", event.order_id, order)? else { return Ok(None) };
    if known.left.contains(&event.shipment_id) {
        return Ok(None);
    }
    let mut order = known.clone();
    let mut changes = Vec::with_capacity(event.items.len());
    for item in &event.items {
        let holding = listed(&mut order, "ShipmentDispatched", event.order_id, item.allocation_id, item.quantity)?;
        holding.reserved -= item.quantity;
        holding.committed += item.quantity;
        changes.push(LevelChange::committed(&holding.sku, &holding.warehouse, item.quantity));
    }
    order.left.push(event.shipment_id);
    let said = StockCommitted {
        order_id: event.order_id,
        shipment_id: event.shipment_id,
        warehouse: event.warehouse.clone(),
        items: event.items.clone(),
        closed: order.close_if_empty(),
    };
    Ok(Some(Decision { order, changes, emit: Some(StockEvent::Committed(said)) }))
}
