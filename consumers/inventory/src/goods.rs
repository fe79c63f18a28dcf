//! The rules for what people do with goods: deliveries, counts, loads, and the warehouses themselves.

use events::{Sku, Timestamp, WarehouseId};
use runtime::Conflict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stock::{Change, Level};
use crate::supply::Warehouse;
use crate::world::BatchState;

/// Units that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "SKU-0001", "warehouse": "berlin", "quantity": 40, "reference": "delivery-17"}))]
pub struct Receipt {
    /// What came.
    #[schema(value_type = String, example = "MUG-BLUE")]
    pub sku: Sku,
    /// Where it is now.
    #[schema(value_type = String, example = "BER")]
    pub warehouse: WarehouseId,
    /// How many units, at least one.
    #[schema(example = 240)]
    pub quantity: i64,
    /// The delivery's own name, such as a delivery note's number: the same reference, SKU and warehouse is booked once.
    #[schema(example = "DN-2026-0117")]
    pub reference: String,
}

/// What someone counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "SKU-0001", "warehouse": "berlin", "on_hand": 38}))]
pub struct Count {
    /// What was counted.
    #[schema(value_type = String, example = "MUG-BLUE")]
    pub sku: Sku,
    /// Where.
    #[schema(value_type = String, example = "BER")]
    pub warehouse: WarehouseId,
    /// All units in the building, those reserved for orders included.
    #[schema(example = 238)]
    pub on_hand: i64,
}

/// One level as a stock file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "SKU-0001", "warehouse": "berlin", "on_hand": 40, "aisle": "A", "bin": "7"}))]
pub struct LoadRow {
    /// What is in stock.
    #[schema(value_type = String, example = "MUG-BLUE")]
    pub sku: Sku,
    /// Where. A warehouse that is not known yet is made.
    #[schema(value_type = String, example = "BER")]
    pub warehouse: WarehouseId,
    /// All units in the building, those reserved for orders included: the row counts like a count.
    #[schema(example = 500)]
    pub on_hand: i64,
    /// Aisle where the units lie, if it is mapped.
    #[serde(default)]
    #[schema(example = "A3")]
    pub aisle: Option<String>,
    /// Bin within the aisle, if it is mapped.
    #[serde(default)]
    #[schema(example = "17")]
    pub bin: Option<String>,
    /// The warehouse's priority from now on: 1 is taken from first. Of several rows for one warehouse the last counts.
    #[serde(default)]
    #[schema(example = 1)]
    pub priority: Option<i64>,
}

/// A stock file, or a part of one, with what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// What it is known by: the same key is loaded once.
    pub key: String,
    /// A digest of its rows.
    pub digest: Uuid,
    /// Its rows.
    pub rows: Vec<LoadRow>,
}

impl Load {
    /// A load under its sender's key, or else known by its rows, in whichever order they stand.
    pub fn new(key: Option<String>, rows: Vec<LoadRow>) -> Self {
        let mut sorted: Vec<&LoadRow> = rows.iter().collect();
        sorted.sort_by_key(|row| (row.sku.as_str(), row.warehouse.as_str()));
        let text = serde_json::to_string(&sorted).unwrap_or_default();
        let digest = events::derive_id(text, "inventory", "load", "");
        Self { key: key.unwrap_or_else(|| digest.to_string()), digest, rows }
    }
}

/// A load that was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedBefore {
    /// A digest of its rows.
    pub digest: Uuid,
    /// When.
    pub at: Timestamp,
}

/// The stock of one SKU in one warehouse, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LevelView {
    /// What is in stock.
    pub sku: String,
    /// Where.
    pub warehouse: String,
    /// Units in the building, reserved ones included, missing ones not.
    pub on_hand: i64,
    /// Units held for orders.
    pub reserved: i64,
    /// Units that should be there and were not found; not on sale until counted.
    pub missing: i64,
    /// Units that can be reserved: on hand − reserved.
    pub available: i64,
    /// Counts the changes of this level, as `StockLevelChanged` does.
    pub version: i64,
    /// Aisle where the units lie, if it is mapped.
    pub aisle: Option<String>,
    /// Bin within the aisle, if it is mapped.
    pub bin: Option<String>,
}

impl LevelView {
    /// A level as it will be once its batch is committed.
    pub fn of(sku: &Sku, warehouse: &WarehouseId, level: &Level) -> Self {
        Self {
            sku: sku.to_string(),
            warehouse: warehouse.to_string(),
            on_hand: level.on_hand,
            reserved: level.reserved,
            missing: level.missing,
            available: level.available(),
            version: level.version + i64::from(level.touched),
            aisle: level.aisle.clone(),
            bin: level.bin.clone(),
        }
    }
}

/// What became of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loaded {
    /// Rows whose level, or place, was changed by it.
    pub changed: usize,
    /// Rows that were so already.
    pub unchanged: usize,
    /// When the same load was taken before, as RFC 3339: then nothing was changed now, as units may have left since. Absent if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_before: Option<String>,
}

/// What a caller at a door gets to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: it was an event.
    #[default]
    Nothing,
    /// The level as it is now.
    Level(LevelView),
    /// What became of a load.
    Loaded(Loaded),
    /// The warehouse is as was asked.
    Built,
    /// There is no such warehouse.
    NoWarehouse(WarehouseId),
}

/// Books a delivery, once.
///
/// # Errors
/// When it was booked with another quantity.
pub fn receive(world: &mut BatchState, receipt: &Receipt, cause: Uuid) -> Result<Reply, Conflict> {
    let Receipt { sku, warehouse, quantity, reference } = receipt;
    if !world.warehouses.contains_key(warehouse) {
        return Ok(Reply::NoWarehouse(warehouse.clone()));
    }
    let key = (reference.clone(), sku.clone(), warehouse.clone());
    match world.receipts.get(&key) {
        Some(booked) if booked == quantity => return Ok(level(world, sku, warehouse)),
        Some(booked) => {
            return Err(Conflict(format!(
                "delivery {reference} was booked with {booked} units of {sku} in {warehouse}, now it says {quantity}: \
                 correct the level with a count, or use another reference for another delivery"
            )));
        }
        None => {}
    }
    world.stock.apply(&[Change::received(sku, warehouse, *quantity)], None, cause)?;
    world.receipts.insert(key, *quantity);
    world.received.push(receipt.clone());
    Ok(level(world, sku, warehouse))
}

fn level(world: &BatchState, sku: &Sku, warehouse: &WarehouseId) -> Reply {
    let level = world.stock.level(sku, warehouse).cloned().unwrap_or_default();
    Reply::Level(LevelView::of(sku, warehouse, &level))
}

/// Sets a level to what was counted; what was missing is found, or written off.
///
/// # Errors
/// When fewer units were counted than are reserved for orders.
pub fn count(world: &mut BatchState, count: &Count, cause: Uuid) -> Result<Reply, Conflict> {
    let Count { sku, warehouse, on_hand } = count;
    if !world.warehouses.contains_key(warehouse) {
        return Ok(Reply::NoWarehouse(warehouse.clone()));
    }
    let changes = counted(world.stock.level(sku, warehouse), sku, warehouse, *on_hand).map_err(Conflict)?;
    world.stock.apply(&changes, None, cause)?;
    Ok(level(world, sku, warehouse))
}

/// What a count changes; nothing if it confirms the level.
fn counted(level: Option<&Level>, sku: &Sku, warehouse: &WarehouseId, on_hand: i64) -> Result<Vec<Change>, String> {
    let (known, reserved, missing) = level.map_or((0, 0, 0), |level| (level.on_hand, level.reserved, level.missing));
    if on_hand < reserved {
        return Err(format!(
            "{on_hand} units of {sku} were counted in {warehouse}, but {reserved} are reserved for orders: count those that are set aside \
             for them too; if they are not there, have the warehouse report a short pick, and count again"
        ));
    }
    let more = on_hand - known;
    let found = more.clamp(0, missing);
    let mut changes = Vec::new();
    if found > 0 {
        changes.push(Change::found(sku, warehouse, found));
    }
    if more != found || missing != found {
        changes.push(Change::counted(sku, warehouse, more - found, found - missing));
    }
    Ok(changes)
}

/// Sets all these levels, or none; the same load again changes nothing, whatever became of the levels since. No level may stand in it twice.
///
/// # Errors
/// When a row has fewer units than are reserved for orders (it names up to ten of them), or other rows were loaded under its key.
pub fn load(world: &mut BatchState, load: &Load, cause: Uuid, now: Timestamp) -> Result<Reply, Conflict> {
    let Load { key, digest, rows } = load;
    if let Some(before) = world.loads.get(key) {
        if before.digest != *digest {
            return Err(Conflict(format!(
                "expected the rows that were loaded under this key at {}, got others: load them under a key of their own",
                before.at
            )));
        }
        let loaded_before = Some(before.at.to_string());
        return Ok(Reply::Loaded(Loaded { changed: 0, unchanged: rows.len(), loaded_before }));
    }
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    let mut corrected = Vec::with_capacity(rows.len());
    for row in rows {
        match counted(world.stock.level(&row.sku, &row.warehouse), &row.sku, &row.warehouse, row.on_hand) {
            Ok(of_row) => {
                corrected.push(!of_row.is_empty());
                changes.extend(of_row);
            }
            Err(why) => refused.push(why),
        }
    }
    if !refused.is_empty() {
        let shown = refused.iter().take(10).cloned().collect::<Vec<_>>().join("; ");
        return Err(Conflict(format!(
            "nothing was loaded: {} of {} rows can't be. {shown}",
            refused.len(),
            rows.len()
        )));
    }
    world.stock.apply(&changes, None, cause)?;
    let mut changed = 0;
    for (row, corrected) in rows.iter().zip(corrected) {
        world.know(row.warehouse.clone(), row.priority);
        let mapped = world.stock.map(&row.sku, &row.warehouse, row.aisle.as_deref(), row.bin.as_deref());
        changed += usize::from(corrected || mapped);
    }
    world.loads.insert(key.clone(), LoadedBefore { digest: *digest, at: now });
    world.loaded.push((key.clone(), *digest));
    Ok(Reply::Loaded(Loaded { changed, unchanged: rows.len() - changed, loaded_before: None }))
}

/// Makes a warehouse, or changes it.
pub fn build(world: &mut BatchState, id: &WarehouseId, warehouse: &Warehouse) -> Reply {
    if world.warehouses.get(id) != Some(warehouse) {
        world.build(id.clone(), warehouse.clone());
    }
    Reply::Built
}
