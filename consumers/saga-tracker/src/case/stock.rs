//! What became of an order's units, allocation by allocation.

use std::collections::BTreeMap;

use events::{
    AllocationId, Condition, Event as _, GivenUp, StockCommitted, StockReallocated, StockReleased, StockReserved,
};
use runtime::Failure;
use serde::Serialize;

use crate::order_event::stored;
use crate::store::StoredEvent;

/// The units of one allocation. Held = reserved − shipped − released − short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AllocationUnits {
    /// What they are.
    pub sku: String,
    /// Where they lie.
    pub warehouse: String,
    /// Units that were set aside.
    pub reserved: i64,
    /// Units that are still set aside.
    pub held: i64,
    /// Units that left.
    pub shipped: i64,
    /// Units that are on sale again.
    pub released: i64,
    /// Units that the warehouse could not give.
    pub short: i64,
}

#[derive(Default)]
struct Ledger(BTreeMap<AllocationId, AllocationUnits>);

impl Ledger {
    fn of(&mut self, id: &AllocationId) -> &mut AllocationUnits {
        self.0.entry(*id).or_default()
    }

    fn allocate(&mut self, allocation: &events::Allocation) {
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
}

/// The units that the events of an order tell of, by allocation.
pub(super) fn of(events: &[StoredEvent]) -> Result<Vec<AllocationUnits>, Failure> {
    let mut ledger = Ledger::default();
    for event in events {
        fold(&mut ledger, event).map_err(|source| event.unreadable(source))?;
    }
    let held = |units: AllocationUnits| AllocationUnits {
        held: units.reserved - units.shipped - units.released - units.short,
        ..units
    };
    Ok(ledger.0.into_values().map(held).collect())
}

fn fold(ledger: &mut Ledger, event: &StoredEvent) -> serde_json::Result<()> {
    match event.event_type.as_str() {
        StockReserved::TYPE => {
            stored::<StockReserved>(&event.data)?.plan.iter().for_each(|of| ledger.allocate(of));
        }
        StockReallocated::TYPE => {
            let answer: StockReallocated = stored(&event.data)?;
            answer.moved.iter().for_each(|of| ledger.allocate(of));
            answer.missing.iter().for_each(|of| ledger.of(&of.allocation_id).short += of.quantity);
        }
        StockCommitted::TYPE => {
            let committed: StockCommitted = stored(&event.data)?;
            committed.items.iter().for_each(|item| ledger.of(&item.allocation_id).shipped += item.quantity);
        }
        StockReleased::TYPE => {
            stored::<StockReleased>(&event.data)?.items.iter().for_each(|of| ledger.give_up(of));
        }
        _ => {}
    }
    Ok(())
}
