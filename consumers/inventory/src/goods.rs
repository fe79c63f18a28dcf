//! What people do with goods: deliveries, counts, stock files, and how a level is shown to them.

use events::{Sku, Timestamp, WarehouseId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::stock::Level;

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
pub struct StockCount {
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
    pub key: String,
    pub digest: Uuid,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedBefore {
    pub digest: Uuid,
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
    pub fn new(sku: &Sku, warehouse: &WarehouseId, level: &Level) -> Self {
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
