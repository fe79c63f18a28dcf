//! Plans shipments: one for each warehouse that holds units, with its picking list in walking order.

use std::collections::BTreeSet;

use events::{Allocation, OrderId, ShipmentId, Timestamp, WarehouseId, derive_id};

use crate::parcel::{Parcel, ParcelState, PickLine, Shortage};
use crate::settings::NAME;

/// One shipment for each warehouse of a plan, with its picking list in walking order. `shortage` is the shipment whose missing
/// units the plan makes good: it makes the ids of these shipments others than those of the first plan.
pub fn plan(order_id: OrderId, shortage: Option<ShipmentId>, plan: &[Allocation], pick_by: Timestamp) -> Vec<Parcel> {
    let given = plan.iter().filter(|allocation| allocation.quantity > 0);
    let warehouses: BTreeSet<&WarehouseId> = given.map(|allocation| &allocation.warehouse).collect();
    let makes_good = shortage.map(|shipment| shipment.to_string()).unwrap_or_default();
    let parcel = |warehouse: &WarehouseId| Parcel {
        shipment_id: ShipmentId(derive_id(order_id, NAME, "shipment", &format!("{makes_good}/{warehouse}"))),
        warehouse: warehouse.clone(),
        state: ParcelState::Picking,
        picks: picking_list(plan, warehouse),
        pick_by,
        shortage: Shortage::None,
        short: None,
        will_not_ship: None,
        put_back: false,
        carrier: None,
        tracking: None,
        dispatched_at: None,
        delivered_at: None,
    };
    warehouses.into_iter().map(parcel).collect()
}

fn picking_list(plan: &[Allocation], warehouse: &WarehouseId) -> Vec<PickLine> {
    let here = plan.iter().filter(|allocation| allocation.warehouse == *warehouse && allocation.quantity > 0);
    let mut picks: Vec<PickLine> = here
        .map(|allocation| PickLine {
            allocation_id: allocation.allocation_id,
            line_id: allocation.line_id.clone(),
            sku: allocation.sku.clone(),
            quantity: allocation.quantity,
            picked: 0,
            aisle: allocation.aisle.clone(),
            bin: allocation.bin.clone(),
            replaces: allocation.replaces,
        })
        .collect();
    picks.sort_by_cached_key(|pick| (walk(pick.aisle.as_deref()), walk(pick.bin.as_deref()), pick.allocation_id));
    picks
}

/// Sorts as people number shelves: `A2` before `A10`, and what has no place last.
fn walk(place: Option<&str>) -> (bool, Vec<(String, u64)>) {
    let mut parts = Vec::new();
    let mut rest = place.unwrap_or_default();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        parts.push((word.to_owned(), digits.parse().unwrap_or(if digits.is_empty() { 0 } else { u64::MAX })));
        rest = after;
    }
    (place.is_none(), parts)
}
