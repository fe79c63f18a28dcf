//! What a batch knows: its orders, the stock they share, and what is to be written.

use std::collections::{BTreeMap, BTreeSet};

use events::{OrderId, Sku, WarehouseId};
use runtime::rows::Rows;
use uuid::Uuid;

use crate::goods::{LoadedBefore, Receipt};
use crate::reservation::Reservation;
use crate::stock::{LevelChange, Stock};
use crate::supply::{USUAL_PRIORITY, Warehouse, Warehouses};

/// What a batch was loaded into; kept over batches it is an inventory in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: Rows<Reservation>,
    pub stock: Stock,
    pub warehouses: Warehouses,
    /// Quantities of deliveries that were booked, by reference, SKU and warehouse.
    pub receipts: BTreeMap<(String, Sku, WarehouseId), i64>,
    pub(crate) received: Vec<Receipt>,
    pub loads: BTreeMap<String, LoadedBefore>,
    pub(crate) loaded: Vec<(String, Uuid)>,
    pub(crate) rebuilt: BTreeSet<WarehouseId>,
}

impl BatchState {
    /// A world in memory with this stock: SKU, warehouse, units. Panics when a level would have fewer units than none.
    pub fn stocked<'a>(levels: impl IntoIterator<Item = (&'a str, &'a str, i64)>) -> Self {
        let mut world = Self::default();
        for (sku, warehouse, units) in levels {
            let (sku, warehouse) = (Sku::from(sku), WarehouseId::from(warehouse));
            let received = [LevelChange::received(&sku, &warehouse, units)];
            world.know(warehouse, None);
            world.stock.apply(&received, None, Uuid::nil()).unwrap_or_else(|error| panic!("{error}"));
        }
        world
    }

    pub fn order(&self, order_id: OrderId) -> Option<&Reservation> {
        self.orders.get(&order_id)
    }

    pub(crate) fn put(&mut self, order_id: OrderId, row: Reservation) {
        self.orders.insert(order_id, row);
    }

    pub(crate) fn know(&mut self, warehouse: WarehouseId, priority: Option<i64>) {
        let known = self.warehouses.get(&warehouse);
        if known.is_some_and(|known| priority.is_none_or(|priority| priority == known.priority)) {
            return;
        }
        let usual = || Warehouse { name: warehouse.to_string(), priority: USUAL_PRIORITY, country: String::new() };
        let mut known = known.cloned().unwrap_or_else(usual);
        known.priority = priority.unwrap_or(known.priority);
        self.build(warehouse, known);
    }

    pub(crate) fn build(&mut self, id: WarehouseId, warehouse: Warehouse) {
        self.rebuilt.insert(id.clone());
        self.warehouses.insert(id, warehouse);
    }
}
