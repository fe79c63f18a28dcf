//! Stock levels as one batch sees them: changes are folded here, each noted in the ledger, and written once.

use std::collections::BTreeMap;

use events::{OrderId, Sku, WarehouseId};
use runtime::Conflict;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovementKind {
    Received,
    Counted,
    Found,
    Reserved,
    Released,
    Committed,
    Missing,
    Returned,
    ReturnedDamaged,
}

runtime::names!(MovementKind {
    Received: "received",
    Counted: "counted",
    Found: "found",
    Reserved: "reserved",
    Released: "released",
    Committed: "committed",
    Missing: "missing",
    Returned: "returned",
    ReturnedDamaged: "returned_damaged",
});

/// One change of one level: what it adds to each of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelChange {
    pub sku: Sku,
    pub warehouse: WarehouseId,
    pub kind: MovementKind,
    pub on_hand: i64,
    pub reserved: i64,
    pub missing: i64,
}

impl LevelChange {
    fn new(kind: MovementKind, sku: &Sku, warehouse: &WarehouseId, [on_hand, reserved, missing]: [i64; 3]) -> Self {
        Self { sku: sku.clone(), warehouse: warehouse.clone(), kind, on_hand, reserved, missing }
    }

    pub fn received(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Received, sku, warehouse, [units, 0, 0])
    }

    /// A count: so many more (or less) in the building, and in what is missing.
    pub fn counted(sku: &Sku, warehouse: &WarehouseId, on_hand: i64, missing: i64) -> Self {
        Self::new(MovementKind::Counted, sku, warehouse, [on_hand, 0, missing])
    }

    pub fn found(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Found, sku, warehouse, [units, 0, -units])
    }

    pub fn reserved(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Reserved, sku, warehouse, [0, units, 0])
    }

    pub fn released(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Released, sku, warehouse, [0, -units, 0])
    }

    pub fn committed(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Committed, sku, warehouse, [-units, -units, 0])
    }

    pub fn missing(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Missing, sku, warehouse, [-units, -units, units])
    }

    /// Units of a return that can be sold again.
    pub fn returned(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::Returned, sku, warehouse, [units, 0, 0])
    }

    /// Units of a return that can't.
    pub fn returned_damaged(sku: &Sku, warehouse: &WarehouseId, units: i64) -> Self {
        Self::new(MovementKind::ReturnedDamaged, sku, warehouse, [0, 0, units])
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    pub change: LevelChange,
    pub order_id: Option<OrderId>,
    pub cause: Uuid,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Units in the building, reserved ones included, missing ones not.
    pub on_hand: i64,
    pub reserved: i64,
    /// Units that should be there and were not found; not on sale until counted.
    pub missing: i64,
    /// Counts the changes, one for each batch that touched it; 0: it is new.
    pub version: i64,
    pub aisle: Option<String>,
    pub bin: Option<String>,
    /// The version that is stored; 0: none.
    pub(crate) stored: i64,
    pub(crate) touched: bool,
}

impl Level {
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The levels that a batch locked, or all there are in a world that is kept in memory.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    levels: BTreeMap<Sku, BTreeMap<WarehouseId, Level>>,
    movements: Vec<Movement>,
}

impl Stock {
    pub fn put(&mut self, sku: Sku, warehouse: WarehouseId, level: Level) {
        self.levels.entry(sku).or_default().insert(warehouse, level);
    }

    pub fn level(&self, sku: &Sku, warehouse: &WarehouseId) -> Option<&Level> {
        self.levels.get(sku)?.get(warehouse)
    }

    pub fn of(&self, sku: &Sku) -> impl Iterator<Item = (&WarehouseId, &Level)> {
        self.levels.get(sku).into_iter().flatten()
    }

    pub fn levels(&self) -> impl Iterator<Item = (&Sku, &WarehouseId, &Level)> {
        self.levels.iter().flat_map(|(sku, of)| of.iter().map(move |(warehouse, level)| (sku, warehouse, level)))
    }

    pub fn available(&self, sku: &Sku) -> i64 {
        self.of(sku).map(|(_, level)| level.available()).sum()
    }

    pub fn movements(&self) -> &[Movement] {
        &self.movements
    }

    /// Makes all changes and notes them in the ledger, or none of them.
    /// Fails when a level would have fewer units than are reserved, or fewer than none: the stock does not know what the order says it holds.
    pub fn apply(&mut self, changes: &[LevelChange], order_id: Option<OrderId>, cause: Uuid) -> Result<(), Conflict> {
        for (done, change) in changes.iter().enumerate() {
            let Err(impossible) = self.add(change, 1) else { continue };
            for change in &changes[..done] {
                self.add(change, -1)?; // it was made a moment ago, so it can be taken back
            }
            return Err(impossible);
        }
        for change in changes {
            self.entry(&change.sku, &change.warehouse).touched = true;
            self.movements.push(Movement { change: change.clone(), order_id, cause });
        }
        Ok(())
    }

    /// Adds a change to its level (or takes it back again, with the sign −1), if the level can take it.
    fn add(&mut self, change: &LevelChange, sign: i64) -> Result<(), Conflict> {
        let LevelChange { sku, warehouse, kind, .. } = change;
        let brings = match kind {
            MovementKind::Received | MovementKind::Counted => true,
            MovementKind::Returned | MovementKind::ReturnedDamaged => true,
            MovementKind::Found | MovementKind::Reserved | MovementKind::Released => false,
            MovementKind::Committed | MovementKind::Missing => false,
        };
        let impossible =
            |why: String| Err(Conflict(format!("stock of {sku} in {warehouse} can't be {}: {why}", kind.as_str())));
        let before = match self.level(sku, warehouse) {
            Some(level) => [level.on_hand, level.reserved, level.missing],
            None if brings => [0; 3],
            None => return impossible("there never was any".into()),
        };
        let on_hand = before[0] + sign * change.on_hand;
        let reserved = before[1] + sign * change.reserved;
        let missing = before[2] + sign * change.missing;
        if sign > 0 && (reserved < 0 || on_hand < reserved || missing < 0) {
            return impossible(format!(
                "it would leave {on_hand} on hand, {reserved} reserved, {missing} missing; look at the ledger of this level"
            ));
        }
        let level = self.entry(sku, warehouse);
        (level.on_hand, level.reserved, level.missing) = (on_hand, reserved, missing);
        Ok(())
    }

    /// Notes where in its warehouse a SKU lies, and that it is kept there at all; says whether that is new.
    pub fn map(&mut self, sku: &Sku, warehouse: &WarehouseId, aisle: Option<&str>, bin: Option<&str>) -> bool {
        let level = self.entry(sku, warehouse);
        if level.version > 0 && level.aisle.as_deref() == aisle && level.bin.as_deref() == bin {
            return false;
        }
        level.aisle = aisle.map(ToOwned::to_owned);
        level.bin = bin.map(ToOwned::to_owned);
        level.touched = true;
        true
    }

    /// Gives each level that was touched its next version, and hands it out to be announced: once, however often it changed.
    pub fn announce(&mut self, mut emit: impl FnMut(&Sku, &WarehouseId, &Level)) {
        for (sku, of) in &mut self.levels {
            for (warehouse, level) in of.iter_mut().filter(|(_, level)| level.touched) {
                level.touched = false;
                level.version += 1;
                emit(sku, warehouse, level);
            }
        }
    }

    /// Levels that are not stored as they are now, in the order in which they are locked.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&Sku, &WarehouseId, &Level)> {
        self.levels().filter(|(_, _, level)| level.version != level.stored)
    }

    fn entry(&mut self, sku: &Sku, warehouse: &WarehouseId) -> &mut Level {
        self.levels.entry(sku.clone()).or_default().entry(warehouse.clone()).or_default()
    }
}
