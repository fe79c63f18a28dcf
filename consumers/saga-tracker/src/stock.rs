//! What became of an order's units, allocation by allocation.

use std::collections::BTreeMap;

use events::{
    Allocation, AllocationId, Condition, Event as _, GivenUp, Item, StockCommitted, StockReallocated, StockReleased,
    StockReserved,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The units of one allocation. Held = reserved − shipped − released − short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AllocationUnits {
    pub sku: String,
    pub warehouse: String,
    pub reserved: i64,
    pub held: i64,
    pub shipped: i64,
    /// Units that are on sale again.
    pub released: i64,
    /// Units that the warehouse could not give.
    pub short: i64,
}

#[derive(Default)]
pub(crate) struct Ledger(BTreeMap<AllocationId, AllocationUnits>);

impl Ledger {
    fn of(&mut self, id: &AllocationId) -> &mut AllocationUnits {
        self.0.entry(*id).or_default()
    }

    fn allocate(&mut self, allocation: &Allocation) {
        let units = self.of(&allocation.allocation_id);
        (units.sku, units.warehouse) = (allocation.sku.to_string(), allocation.warehouse.to_string());
        units.reserved += allocation.quantity;
        if let Some(replaced) = &allocation.replaces {
            self.of(replaced).short += allocation.quantity;
        }
    }

    fn give_up(&mut self, of: &GivenUp) {
        let units = self.of(&of.allocation_id);
        if of.condition == Condition::Intact {
            units.released += of.quantity;
        } else {
            units.short += of.quantity;
        }
    }

    /// Takes what an event tells of units, if it does.
    pub fn fold(&mut self, event_type: &str, data: &str) -> serde_json::Result<()> {
        match event_type {
            StockReserved::TYPE => list::<Allocation>(data, "plan")?.iter().for_each(|of| self.allocate(of)),
            StockReallocated::TYPE => {
                list::<Allocation>(data, "moved")?.iter().for_each(|of| self.allocate(of));
                list::<GivenUp>(data, "missing")?.iter().for_each(|of| self.of(&of.allocation_id).short += of.quantity);
            }
            StockCommitted::TYPE => {
                list::<Item>(data, "items")?.iter().for_each(|of| self.of(&of.allocation_id).shipped += of.quantity);
            }
            StockReleased::TYPE => list::<GivenUp>(data, "items")?.iter().for_each(|of| self.give_up(of)),
            _ => {}
        }
        Ok(())
    }

    pub fn units(self) -> Vec<AllocationUnits> {
        let held = |units: AllocationUnits| AllocationUnits {
            held: units.reserved - units.shipped - units.released - units.short,
            ..units
        };
        self.0.into_values().map(held).collect()
    }
}

fn list<T: DeserializeOwned>(data: &str, field: &str) -> serde_json::Result<Vec<T>> {
    let list = serde_json::from_str::<Value>(data)?[field].take();
    if list.is_null() { Ok(Vec::new()) } else { serde_json::from_value(list) }
}
