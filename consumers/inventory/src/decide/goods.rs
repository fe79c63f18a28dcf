//! The rules for what people do with goods: deliveries, counts, loads, and the warehouses themselves.

use events::{Sku, Timestamp, WarehouseId};
use runtime::Conflict;
use uuid::Uuid;

use crate::batch::BatchState;
use crate::goods::{LevelView, Load, Loaded, LoadedBefore, Receipt, StockCount};
use crate::input::Reply;
use crate::stock::{Level, LevelChange};
use crate::supply::Warehouse;

/// Books a delivery, once. Fails when it was booked with another quantity.
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
    world.stock.apply(&[LevelChange::received(sku, warehouse, *quantity)], None, cause)?;
    world.receipts.insert(key, *quantity);
    world.received.push(receipt.clone());
    Ok(level(world, sku, warehouse))
}

fn level(world: &BatchState, sku: &Sku, warehouse: &WarehouseId) -> Reply {
    let level = world.stock.level(sku, warehouse).cloned().unwrap_or_default();
    Reply::Level(LevelView::new(sku, warehouse, &level))
}

/// Sets a level to what was counted; what was missing is found, or written off.
pub fn count(world: &mut BatchState, count: &StockCount, cause: Uuid) -> Result<Reply, Conflict> {
    let StockCount { sku, warehouse, on_hand } = count;
    if !world.warehouses.contains_key(warehouse) {
        return Ok(Reply::NoWarehouse(warehouse.clone()));
    }
    let changes = counted(world.stock.level(sku, warehouse), sku, warehouse, *on_hand).map_err(Conflict)?;
    world.stock.apply(&changes, None, cause)?;
    Ok(level(world, sku, warehouse))
}

fn counted(
    level: Option<&Level>,
    sku: &Sku,
    warehouse: &WarehouseId,
    on_hand: i64,
) -> Result<Vec<LevelChange>, String> {
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
        changes.push(LevelChange::found(sku, warehouse, found));
    }
    if more != found || missing != found {
        changes.push(LevelChange::counted(sku, warehouse, more - found, found - missing));
    }
    Ok(changes)
}

/// Sets all these levels, or none; the same load again changes nothing, whatever became of the levels since. No level may stand in it twice.
/// Fails when a row has fewer units than are reserved for orders (it names up to ten of them), or other rows were loaded under its key.
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

pub fn build(world: &mut BatchState, id: &WarehouseId, warehouse: &Warehouse) -> Reply {
    if world.warehouses.get(id) != Some(warehouse) {
        world.build(id.clone(), warehouse.clone());
    }
    Reply::Built
}
