//! Which units are held for an order, by what inventory said of it.

use std::collections::BTreeMap;

use events::{
    Allocation, AllocationId, Event as _, GivenUp, Item, StockAtStake, StockCommitted, StockReallocated, StockReleased,
    StockReserved,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Units by allocation: what, where, how many.
type UnitsByAllocation = BTreeMap<AllocationId, (String, String, i64)>;

/// What is reserved and neither left the house nor was given back, by (type, data) of the order's events in any order.
pub(super) fn held(events: &[(&str, &Value)]) -> Vec<StockAtStake> {
    let mut units = UnitsByAllocation::new();
    for data in of(events, StockReserved::TYPE) {
        list::<Allocation>(data, "plan").iter().for_each(|allocation| add(&mut units, allocation));
    }
    for data in of(events, StockReallocated::TYPE) {
        for moved in list::<Allocation>(data, "moved") {
            add(&mut units, &moved);
            if let Some(replaced) = moved.replaces {
                take(&mut units, replaced, moved.quantity);
            }
        }
        list::<GivenUp>(data, "missing").iter().for_each(|gone| take(&mut units, gone.allocation_id, gone.quantity));
    }
    for data in of(events, StockCommitted::TYPE) {
        list::<Item>(data, "items").iter().for_each(|item| take(&mut units, item.allocation_id, item.quantity));
    }
    for data in of(events, StockReleased::TYPE) {
        list::<GivenUp>(data, "items").iter().for_each(|back| take(&mut units, back.allocation_id, back.quantity));
    }
    let mut held: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (sku, warehouse, quantity) in units.into_values().filter(|(_, _, quantity)| *quantity > 0) {
        *held.entry((sku, warehouse)).or_default() += quantity;
    }
    held.into_iter().map(|((sku, warehouse), quantity)| StockAtStake { sku, warehouse, quantity }).collect()
}

fn of<'e>(events: &'e [(&'e str, &'e Value)], event_type: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |(of, _)| *of == event_type).map(|(_, data)| *data)
}

/// A list in an event; what can't be read as one holds nothing: the case is for people, who see the event itself.
fn list<T: DeserializeOwned>(data: &Value, field: &str) -> Vec<T> {
    serde_json::from_value(data[field].clone()).unwrap_or_default()
}

fn add(units: &mut UnitsByAllocation, allocation: &Allocation) {
    let (sku, warehouse) = (allocation.sku.to_string(), allocation.warehouse.to_string());
    units.entry(allocation.allocation_id).or_insert((sku, warehouse, 0)).2 += allocation.quantity;
}

fn take(units: &mut UnitsByAllocation, allocation_id: AllocationId, quantity: i64) {
    if let Some(units) = units.get_mut(&allocation_id) {
        units.2 -= quantity;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> String {
        Uuid::from_u128(number).to_string()
    }

    #[test]
    fn what_was_moved_lost_shipped_or_given_back_is_not_held() {
        let allocation = |number, warehouse: &str, quantity, replaces: Option<u128>| {
            json!({"allocation_id": id(number), "line_id": "1", "sku": "TEA", "warehouse": warehouse, "quantity": quantity,
                   "replaces": replaces.map(id)})
        };
        let gone = |number, quantity| json!([{"allocation_id": id(number), "line_id": "1", "sku": "TEA", "quantity": quantity, "condition": "gone", "why": "short"}]);
        let reserved = json!({"plan": [allocation(1, "a", 5, None), allocation(2, "b", 4, None)]});
        let moved = json!({"moved": [allocation(3, "b", 2, Some(1))], "missing": gone(1, 1)});
        let committed = json!({"items": [{"allocation_id": id(1), "line_id": "1", "sku": "TEA", "quantity": 2}]});
        let released = json!({"items": gone(2, 3)});
        let events = [
            (StockReleased::TYPE, &released),
            (StockCommitted::TYPE, &committed),
            (StockReallocated::TYPE, &moved),
            (StockReserved::TYPE, &reserved),
        ];
        let held = held(&events);
        assert_eq!(held, [StockAtStake { sku: "TEA".into(), warehouse: "b".into(), quantity: 3 }]);
    }
}
