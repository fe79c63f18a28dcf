//! All SQL of inventory. Locks are taken in one order: orders by id, then levels by SKU and warehouse, then new rows table by table, each by its key.

use std::collections::BTreeSet;

use events::{OrderId, Sku, Timestamp, WarehouseId};
use runtime::sql::{At, JsonText};
use runtime::{Failure, Meets, Reading, Recall, Recent, Work, Writes};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::batch::{Slot, World};
use crate::goods::{LevelView, LoadedBefore, Receipt};
use crate::input::Input;
use crate::reservation::{Reservation, State};
use crate::stock::{Level, Movement};
use crate::supply::{Warehouse, Warehouses};
use crate::warehouses::WarehouseCache;

const RESERVATION: &str = "inventory.reservation";
const STOCK_LEVEL: &str = "inventory.stock_level";
const RECEIPT: &str = "inventory.receipt";

/// Reads what a batch needs, and nothing of what it does not touch.
pub(crate) async fn load(
    db: &mut PgConnection,
    batch: &[&Work<Input>],
    (recent, cached_warehouses): (&Recent<Reservation>, &WarehouseCache),
    now: Timestamp,
    reading: Reading,
) -> Result<World, Failure> {
    let orders = batch.iter().filter_map(|work| {
        let meets = if matches!(work.input, Input::Accepted(_)) { Meets::New } else { Meets::Known };
        Some((work.input.order_id()?, meets))
    });
    let Recall { rows, recalled, others } = recent.recall(orders, now, reading);
    let mut world = World { recalled, ..World::default() };
    for (order_id, stored, row) in rows {
        world.orders.insert(order_id, Slot { row: Some(row), stored, changed: false });
    }
    if !others.is_empty() {
        read_orders(db, &others, &mut world, reading).await?;
    }
    let inputs: Vec<&Input> = batch.iter().map(|work| &work.input).collect();
    let skus: BTreeSet<&str> = inputs.iter().flat_map(|input| skus(input, &world)).map(Sku::as_str).collect();
    let skus: Vec<String> = skus.into_iter().map(ToOwned::to_owned).collect();
    if !skus.is_empty() {
        read_levels(db, &skus, &mut world, reading).await?;
    }
    if inputs.iter().any(|input| asks_for_warehouses(input)) {
        let of_orders = inputs.iter().all(|input| input.order_id().is_some());
        let recalled = cached_warehouses.recall(now).filter(|_| of_orders && reading == Reading::Recalled);
        world.warehouses = match recalled {
            Some(recalled) => recalled,
            None => {
                let read = warehouses(&mut *db).await?;
                cached_warehouses.remember(&read, now);
                read
            }
        };
    }
    let receipts: Vec<&Receipt> = inputs.iter().filter_map(|input| receipt(input)).collect();
    if !receipts.is_empty() {
        read_receipts(db, &receipts, &mut world).await?;
    }
    let loads: Vec<&str> = inputs.iter().filter_map(|input| load_key(input)).collect();
    if !loads.is_empty() {
        read_loads(db, &loads, &mut world).await?;
    }
    Ok(world)
}

/// The SKUs whose levels an input may change. An order that is decided from its beginning in this batch brings them with its lines.
fn skus<'a>(input: &'a Input, world: &'a World) -> Vec<&'a Sku> {
    let order = input.order_id().and_then(|order_id| world.order(order_id));
    match (input, order) {
        (Input::Accepted(event), None) => event.lines.iter().map(|line| &line.sku).collect(),
        (Input::Accepted(_), Some(_)) | (Input::Expired(_) | Input::Authorized(_) | Input::Build(..), _) => Vec::new(),
        (
            Input::Declined(_) | Input::Voided(_) | Input::ShortPicked(_) | Input::Dispatched(_) | Input::Refunded(_),
            order,
        ) => match order {
            Some(order) if matches!(order.state, State::Reserved | State::Held) => {
                order.holdings.iter().map(|holding| &holding.sku).collect()
            }
            Some(_) | None => Vec::new(),
        },
        (Input::Receive(receipt), _) => vec![&receipt.sku],
        (Input::Count(count), _) => vec![&count.sku],
        (Input::Load(load), _) => load.rows.iter().map(|row| &row.sku).collect(),
    }
}

fn asks_for_warehouses(input: &Input) -> bool {
    match input {
        Input::Accepted(_)
        | Input::ShortPicked(_)
        | Input::Receive(_)
        | Input::Count(_)
        | Input::Load(_)
        | Input::Build(..) => true,
        Input::Expired(_)
        | Input::Authorized(_)
        | Input::Declined(_)
        | Input::Voided(_)
        | Input::Dispatched(_)
        | Input::Refunded(_) => false,
    }
}

fn receipt(input: &Input) -> Option<&Receipt> {
    if let Input::Receive(receipt) = input { Some(receipt) } else { None }
}

fn load_key(input: &Input) -> Option<&str> {
    if let Input::Load(load) = input { Some(&load.key) } else { None }
}

/// Adds what the batch changed to its writes.
pub(crate) fn save(writes: &mut Writes, world: &World, now: Timestamp) -> Result<(), Failure> {
    world.recalled.check(|order_id| world.orders.get(&order_id).is_some_and(|slot| slot.changed))?;
    let orders: Vec<_> = world.orders.iter().filter(|(_, slot)| slot.changed).collect();
    let (new, known): (Vec<_>, Vec<_>) = orders.into_iter().partition(|(_, slot)| slot.stored == 0);
    save_orders(writes, INSERT_ORDERS, &new, now);
    save_orders(writes, UPDATE_ORDERS, &known, now);
    if !world.rebuilt.is_empty() {
        let rebuilt = world.warehouses.iter().filter(|(id, _)| world.rebuilt.contains(*id));
        save_warehouses(writes, &Vec::from_iter(rebuilt));
    }
    let (new, known): (Vec<_>, Vec<_>) = world.stock.changed().partition(|(_, _, level)| level.stored == 0);
    save_levels(writes, INSERT_LEVELS, &new);
    save_levels(writes, UPDATE_LEVELS, &known);
    if !world.stock.movements().is_empty() {
        append_movements(writes, world.stock.movements(), now);
    }
    if !world.received.is_empty() {
        save_receipts(writes, &world.received, now);
    }
    if !world.loaded.is_empty() {
        save_loads(writes, &world.loaded, now);
    }
    Ok(())
}

async fn read_orders(
    db: &mut PgConnection,
    orders: &[Uuid],
    world: &mut World,
    reading: Reading,
) -> Result<(), Failure> {
    let rows: Vec<(Uuid, i64, JsonText<Reservation>)> =
        sqlx::query_as(reading.of("select order_id, version, data from inventory.reservation
          where order_id = any($1) order by order_id"))
        .bind(orders)
        .fetch_all(db)
        .await?;
    for (order_id, stored, JsonText(row)) in rows {
        world.orders.insert(OrderId(order_id), Slot { row: Some(row), stored, changed: false });
    }
    Ok(())
}

type LevelRow = (String, String, i64, i64, i64, i64, Option<String>, Option<String>);

async fn read_levels(
    db: &mut PgConnection,
    skus: &[String],
    world: &mut World,
    reading: Reading,
) -> Result<(), Failure> {
    let rows: Vec<LevelRow> = sqlx::query_as(
        reading.of("select sku, warehouse, on_hand, reserved, missing, version, aisle, bin from inventory.stock_level
          where sku = any($1) order by sku, warehouse"),
    )
    .bind(skus)
    .fetch_all(db)
    .await?;
    for row in rows {
        let (sku, warehouse, level) = level(row);
        world.stock.put(sku, warehouse, level);
    }
    Ok(())
}

fn level((sku, warehouse, on_hand, reserved, missing, version, aisle, bin): LevelRow) -> (Sku, WarehouseId, Level) {
    let level = Level { on_hand, reserved, missing, version, aisle, bin, stored: version, touched: false };
    (Sku(sku), WarehouseId(warehouse), level)
}

/// The levels of one SKU, by warehouse.
pub(crate) async fn levels(pool: &PgPool, sku: &str) -> Result<Vec<LevelView>, sqlx::Error> {
    let rows: Vec<LevelRow> = sqlx::query_as(
        "select sku, warehouse, on_hand, reserved, missing, version, aisle, bin from inventory.stock_level
          where sku = $1 order by warehouse",
    )
    .bind(sku)
    .fetch_all(pool)
    .await?;
    let view = |row| {
        let (sku, warehouse, level) = level(row);
        LevelView::new(&sku, &warehouse, &level)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// All warehouses.
pub(crate) async fn warehouses(db: impl sqlx::PgExecutor<'_>) -> Result<Warehouses, sqlx::Error> {
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as("select warehouse, name, priority, country from inventory.warehouse").fetch_all(db).await?;
    let known = |(id, name, priority, country)| (WarehouseId(id), Warehouse { name, priority, country });
    Ok(rows.into_iter().map(known).collect())
}

async fn read_receipts(db: &mut PgConnection, receipts: &[&Receipt], world: &mut World) -> Result<(), Failure> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "select reference, sku, warehouse, quantity from inventory.receipt
          where (reference, sku, warehouse) in (select * from unnest($1::text[], $2::text[], $3::text[]))",
    )
    .bind(Vec::from_iter(receipts.iter().map(|receipt| receipt.reference.as_str())))
    .bind(Vec::from_iter(receipts.iter().map(|receipt| receipt.sku.as_str())))
    .bind(Vec::from_iter(receipts.iter().map(|receipt| receipt.warehouse.as_str())))
    .fetch_all(db)
    .await?;
    let booked = rows
        .into_iter()
        .map(|(reference, sku, warehouse, quantity)| ((reference, Sku(sku), WarehouseId(warehouse)), quantity));
    world.receipts.extend(booked);
    Ok(())
}

async fn read_loads(db: &mut PgConnection, keys: &[&str], world: &mut World) -> Result<(), Failure> {
    let rows: Vec<(String, Uuid, At)> =
        sqlx::query_as("select load_key, digest, loaded_at from inventory.load where load_key = any($1)")
            .bind(keys)
            .fetch_all(db)
            .await?;
    world.loads.extend(rows.into_iter().map(|(key, digest, At(at))| (key, LoadedBefore { digest, at })));
    Ok(())
}

const INSERT_ORDERS: &str = "insert into inventory.reservation
            (order_id, state, version, reserved, committed, released, missing, expires_at, changed_at, data)
     select order_id, state, version, reserved, committed, released, missing, expires_at, $9, data
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
            $10::text[]) as new (order_id, state, version, reserved, committed, released, missing, expires_at, data)";

const UPDATE_ORDERS: &str = "update inventory.reservation as stored
        set state = new.state, version = new.version, reserved = new.reserved, committed = new.committed,
            released = new.released, missing = new.missing, changed_at = $9, data = new.data
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
            $10::text[]) as new (order_id, state, version, reserved, committed, released, missing, expires_at, data)
      where stored.order_id = new.order_id and stored.version = new.version - 1";

fn save_orders(writes: &mut Writes, statement: &str, orders: &[(&OrderId, &Slot)], now: Timestamp) {
    if orders.is_empty() {
        return;
    }
    let rows = || orders.iter().filter_map(|(order_id, slot)| Some((**order_id, slot.stored, slot.row.as_ref()?)));
    let units = Vec::from_iter(rows().map(|(_, _, row)| row.units()));
    writes
        .add(RESERVATION, Some(orders.len()), statement)
        .bind(Vec::from_iter(rows().map(|(order_id, _, _)| order_id.as_uuid())))
        .bind(Vec::from_iter(rows().map(|(_, _, row)| row.state.as_str())))
        .bind(Vec::from_iter(rows().map(|(_, stored, _)| stored + 1)))
        .bind(Vec::from_iter(units.iter().map(|units| units.reserved)))
        .bind(Vec::from_iter(units.iter().map(|units| units.committed)))
        .bind(Vec::from_iter(units.iter().map(|units| units.released)))
        .bind(Vec::from_iter(units.iter().map(|units| units.missing)))
        .bind(Vec::from_iter(rows().map(|(_, _, row)| row.expires_at.map(At))))
        .bind(At(now))
        .bind(Vec::from_iter(rows().map(|(_, _, row)| JsonText(row))));
}

fn save_warehouses(writes: &mut Writes, rebuilt: &[(&WarehouseId, &Warehouse)]) {
    writes
        .add(
            "inventory.warehouse",
            None,
            "insert into inventory.warehouse (warehouse, name, priority, country)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
             on conflict (warehouse) do update
            set name = excluded.name, priority = excluded.priority, country = excluded.country",
        )
        .bind(Vec::from_iter(rebuilt.iter().map(|(id, _)| id.as_str())))
        .bind(Vec::from_iter(rebuilt.iter().map(|(_, warehouse)| warehouse.name.as_str())))
        .bind(Vec::from_iter(rebuilt.iter().map(|(_, warehouse)| warehouse.priority)))
        .bind(Vec::from_iter(rebuilt.iter().map(|(_, warehouse)| warehouse.country.as_str())));
}

const INSERT_LEVELS: &str = "insert into inventory.stock_level (sku, warehouse, on_hand, reserved, missing, version, aisle, bin)
     select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])";

const UPDATE_LEVELS: &str = "update inventory.stock_level as stored
        set on_hand = new.on_hand, reserved = new.reserved, missing = new.missing, version = new.version, aisle = new.aisle, bin = new.bin
       from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])
            as new (sku, warehouse, on_hand, reserved, missing, version, aisle, bin)
      where stored.sku = new.sku and stored.warehouse = new.warehouse and stored.version = new.version - 1";

fn save_levels(writes: &mut Writes, statement: &str, levels: &[(&Sku, &WarehouseId, &Level)]) {
    if levels.is_empty() {
        return;
    }
    let numbers = |of: fn(&Level) -> i64| Vec::from_iter(levels.iter().map(|(_, _, level)| of(level)));
    writes
        .add(STOCK_LEVEL, Some(levels.len()), statement)
        .bind(Vec::from_iter(levels.iter().map(|(sku, _, _)| sku.as_str())))
        .bind(Vec::from_iter(levels.iter().map(|(_, warehouse, _)| warehouse.as_str())))
        .bind(numbers(|level| level.on_hand))
        .bind(numbers(|level| level.reserved))
        .bind(numbers(|level| level.missing))
        .bind(numbers(|level| level.version))
        .bind(Vec::from_iter(levels.iter().map(|(_, _, level)| level.aisle.as_deref())))
        .bind(Vec::from_iter(levels.iter().map(|(_, _, level)| level.bin.as_deref())));
}

fn append_movements(writes: &mut Writes, movements: &[Movement], now: Timestamp) {
    let numbers = |of: fn(&Movement) -> i64| Vec::from_iter(movements.iter().map(of));
    writes.add("inventory.movement", None,
        "insert into inventory.movement (sku, warehouse, kind, on_hand, reserved, missing, order_id, cause_id, moved_at)
         select sku, warehouse, kind, on_hand, reserved, missing, order_id, cause_id, $9
           from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[], $8::uuid[])
             as new (sku, warehouse, kind, on_hand, reserved, missing, order_id, cause_id)",
    )
    .bind(Vec::from_iter(movements.iter().map(|moved| moved.change.sku.as_str())))
    .bind(Vec::from_iter(movements.iter().map(|moved| moved.change.warehouse.as_str())))
    .bind(Vec::from_iter(movements.iter().map(|moved| moved.change.kind.as_str())))
    .bind(numbers(|moved| moved.change.on_hand))
    .bind(numbers(|moved| moved.change.reserved))
    .bind(numbers(|moved| moved.change.missing))
    .bind(Vec::from_iter(movements.iter().map(|moved| moved.order_id.map(OrderId::as_uuid))))
    .bind(Vec::from_iter(movements.iter().map(|moved| moved.cause)))
    .bind(At(now));
}

/// One that another instance booked first is a lost race: decided again, it changes nothing, or names the difference.
fn save_receipts(writes: &mut Writes, received: &[Receipt], now: Timestamp) {
    writes
        .add(
            RECEIPT,
            Some(received.len()),
            "insert into inventory.receipt (reference, sku, warehouse, quantity, received_at)
         select reference, sku, warehouse, quantity, $5
           from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as new (reference, sku, warehouse, quantity)
          order by reference, sku, warehouse
             on conflict do nothing",
        )
        .bind(Vec::from_iter(received.iter().map(|receipt| receipt.reference.as_str())))
        .bind(Vec::from_iter(received.iter().map(|receipt| receipt.sku.as_str())))
        .bind(Vec::from_iter(received.iter().map(|receipt| receipt.warehouse.as_str())))
        .bind(Vec::from_iter(received.iter().map(|receipt| receipt.quantity)))
        .bind(At(now));
}

/// One that another instance took first is a lost race: decided again, it changes nothing, or names the difference.
fn save_loads(writes: &mut Writes, loaded: &[(String, Uuid)], now: Timestamp) {
    writes
        .add(
            "inventory.load",
            Some(loaded.len()),
            "insert into inventory.load (load_key, digest, loaded_at)
         select load_key, digest, $3 from unnest($1::text[], $2::uuid[]) as new (load_key, digest) order by load_key
             on conflict do nothing",
        )
        .bind(Vec::from_iter(loaded.iter().map(|(key, _)| key.as_str())))
        .bind(Vec::from_iter(loaded.iter().map(|(_, digest)| *digest)))
        .bind(At(now));
}
