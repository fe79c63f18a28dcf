//! The rows of inventory: how they are read and written. They are locked in one order: orders by id, then levels by SKU and warehouse, then new rows
//! table by table, each by its key.

use std::collections::BTreeSet;

use events::{OrderId, Sku, WarehouseId};
use runtime::rows::{Append, Columns, Rows, Select, StoredRow, TableRow};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Loader, Saver, Work, WriteSet};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::batch::BatchState;
use crate::goods::{LevelView, LoadedBefore, Receipt};
use crate::input::Input;
use crate::reservation::{Reservation, State};
use crate::stock::Level;
use crate::supply::{Warehouse, Warehouses};

impl TableRow for Reservation {
    type Key = OrderId;
    const TABLE: &'static str = "inventory.reservation";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing_unread("state", |row| row.state.as_str())
            .changing_unread("reserved", |row| row.units().reserved)
            .changing_unread("committed", |row| row.units().committed)
            .changing_unread("released", |row| row.units().released)
            .changing_unread("missing", |row| row.units().missing)
            .changing_unread("returned", Reservation::units_returned)
            .fixed_unread("expires_at", |row| row.expires_at.map(Timestamptz))
            .changing("data", JsonText)
            .changed_at("changed_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        Ok((OrderId(row.get("order_id")?), row.json("data")?))
    }
}

impl TableRow for Level {
    type Key = (Sku, WarehouseId);
    const TABLE: &'static str = "inventory.stock_level";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("sku", |(sku, _)| sku.as_str())
            .key("warehouse", |(_, warehouse)| warehouse.as_str())
            .changing("on_hand", |row| row.on_hand)
            .changing("reserved", |row| row.reserved)
            .changing("missing", |row| row.missing)
            .changing("aisle", |row| row.aisle.as_deref())
            .changing("bin", |row| row.bin.as_deref())
    }

    fn read(row: &StoredRow<'_>) -> Result<((Sku, WarehouseId), Self), Failure> {
        let version = row.get("version")?;
        let level = Self {
            on_hand: row.get("on_hand")?,
            reserved: row.get("reserved")?,
            missing: row.get("missing")?,
            version,
            aisle: row.get("aisle")?,
            bin: row.get("bin")?,
            stored: version,
            touched: false,
        };
        Ok(((Sku(row.get("sku")?), WarehouseId(row.get("warehouse")?)), level))
    }
}

pub(crate) async fn load(loader: &mut Loader<'_>, batch: &[&Work<Input>]) -> Result<BatchState, Failure> {
    let inputs: Vec<&Input> = batch.iter().map(|work| &work.input).collect();
    let orders = inputs.iter().filter_map(|input| input.order_id());
    let mut world = BatchState { orders: Rows::of_orders(loader, orders).await?, ..BatchState::default() };
    let skus: BTreeSet<&str> = inputs.iter().flat_map(|input| skus(input, &world)).map(Sku::as_str).collect();
    let skus: Vec<String> = skus.into_iter().map(ToOwned::to_owned).collect();
    if !skus.is_empty() {
        let levels = Rows::<Level>::load(loader, Select::filter("sku = any($1)").bind(skus)).await?;
        for ((sku, warehouse), level) in levels.iter() {
            world.stock.put(sku.clone(), warehouse.clone(), level.clone());
        }
    }
    if inputs.iter().any(|input| asks_for_warehouses(input)) {
        world.warehouses = warehouses(&mut *loader.db).await?;
    }
    let receipts: Vec<&Receipt> = inputs.iter().filter_map(|input| receipt(input)).collect();
    if !receipts.is_empty() {
        read_receipts(loader.db, &receipts, &mut world).await?;
    }
    let loads: Vec<&str> = inputs.iter().filter_map(|input| load_key(input)).collect();
    if !loads.is_empty() {
        read_loads(loader.db, &loads, &mut world).await?;
    }
    Ok(world)
}

/// The SKUs whose levels an input may change. An order that is decided from its beginning in this batch brings them with its lines.
fn skus<'a>(input: &'a Input, world: &'a BatchState) -> Vec<&'a Sku> {
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
        (Input::Returned(event), Some(_)) => event.lines.iter().map(|line| &line.sku).collect(),
        (Input::Returned(_), None) => Vec::new(),
        (Input::Receive(receipt), _) => vec![&receipt.sku],
        (Input::Count(count), _) => vec![&count.sku],
        (Input::Load(load), _) => load.rows.iter().map(|row| &row.sku).collect(),
    }
}

/// Whether an input asks for the warehouses: what people do with goods, what is allocated, and what comes back.
fn asks_for_warehouses(input: &Input) -> bool {
    input.order_id().is_none() || matches!(input, Input::Accepted(_) | Input::ShortPicked(_) | Input::Returned(_))
}

fn receipt(input: &Input) -> Option<&Receipt> {
    if let Input::Receive(receipt) = input { Some(receipt) } else { None }
}

fn load_key(input: &Input) -> Option<&str> {
    if let Input::Load(load) = input { Some(&load.key) } else { None }
}

pub(crate) fn save(world: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
    let BatchState { orders, stock, warehouses, mut received, mut loaded, rebuilt, .. } = world;
    let now = saver.now;
    orders.save(saver);
    if !rebuilt.is_empty() {
        let rebuilt = warehouses.iter().filter(|(id, _)| rebuilt.contains(*id));
        save_warehouses(&mut saver.writes, &Vec::from_iter(rebuilt));
    }
    let mut levels = Rows::default();
    for (sku, warehouse, level) in stock.changed() {
        let key = (sku.clone(), warehouse.clone());
        levels.take([(key.clone(), level.stored, level.clone())]);
        levels.insert(key, level.clone());
    }
    levels.save(saver);
    Append::to("inventory.movement", stock.movements())
        .column("sku", |moved| moved.change.sku.as_str())
        .column("warehouse", |moved| moved.change.warehouse.as_str())
        .column("kind", |moved| moved.change.kind.as_str())
        .column("on_hand", |moved| moved.change.on_hand)
        .column("reserved", |moved| moved.change.reserved)
        .column("missing", |moved| moved.change.missing)
        .column("order_id", |moved| moved.order_id.map(OrderId::as_uuid))
        .column("cause_id", |moved| moved.cause)
        .column("moved_at", |_| Timestamptz(now))
        .write(&mut saver.writes);
    // A delivery or a load that another instance took first is a lost race: decided again, it changes nothing, or names the difference.
    let key = |receipt: &Receipt| (receipt.reference.clone(), receipt.sku.clone(), receipt.warehouse.clone());
    received.sort_by_cached_key(key);
    Append::to("inventory.receipt", &received)
        .column("reference", |receipt| receipt.reference.as_str())
        .column("sku", |receipt| receipt.sku.as_str())
        .column("warehouse", |receipt| receipt.warehouse.as_str())
        .column("quantity", |receipt| receipt.quantity)
        .column("received_at", |_| Timestamptz(now))
        .write(&mut saver.writes);
    loaded.sort();
    Append::to("inventory.load", &loaded)
        .column("load_key", |(key, _)| key.as_str())
        .column("digest", |(_, digest)| *digest)
        .column("loaded_at", |_| Timestamptz(now))
        .write(&mut saver.writes);
    Ok(())
}

pub(crate) async fn levels(pool: &PgPool, sku: &str) -> Result<Vec<LevelView>, Failure> {
    let levels = Select::<Level>::filter("sku = $1 order by warehouse").bind(sku).all(pool).await?;
    Ok(levels.iter().map(|((sku, warehouse), level)| LevelView::new(sku, warehouse, level)).collect())
}

pub(crate) async fn warehouses(db: impl sqlx::PgExecutor<'_>) -> Result<Warehouses, sqlx::Error> {
    let rows: Vec<(String, String, i64, String)> =
        sqlx::query_as("select warehouse, name, priority, country from inventory.warehouse").fetch_all(db).await?;
    let known = |(id, name, priority, country)| (WarehouseId(id), Warehouse { name, priority, country });
    Ok(rows.into_iter().map(known).collect())
}

async fn read_receipts(db: &mut PgConnection, receipts: &[&Receipt], world: &mut BatchState) -> Result<(), Failure> {
    let booked = sqlx::query_as(
        "select reference, sku, warehouse, quantity from inventory.receipt
          where (reference, sku, warehouse) in (select * from unnest($1::text[], $2::text[], $3::text[]))",
    );
    let booked = runtime::bind_columns!(booked; for receipt in receipts =>
        receipt.reference.as_str(), receipt.sku.as_str(), receipt.warehouse.as_str());
    let rows: Vec<(String, String, String, i64)> = booked.fetch_all(db).await?;
    let booked = rows
        .into_iter()
        .map(|(reference, sku, warehouse, quantity)| ((reference, Sku(sku), WarehouseId(warehouse)), quantity));
    world.receipts.extend(booked);
    Ok(())
}

async fn read_loads(db: &mut PgConnection, keys: &[&str], world: &mut BatchState) -> Result<(), Failure> {
    let rows: Vec<(String, Uuid, Timestamptz)> =
        sqlx::query_as("select load_key, digest, loaded_at from inventory.load where load_key = any($1)")
            .bind(keys)
            .fetch_all(db)
            .await?;
    world.loads.extend(rows.into_iter().map(|(key, digest, Timestamptz(at))| (key, LoadedBefore { digest, at })));
    Ok(())
}

fn save_warehouses(writes: &mut WriteSet, rebuilt: &[(&WarehouseId, &Warehouse)]) {
    let statement = "insert into inventory.warehouse (warehouse, name, priority, country)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
             on conflict (warehouse) do update
            set name = excluded.name, priority = excluded.priority, country = excluded.country";
    let part = writes.add("inventory.warehouse", None, statement);
    runtime::bind_columns!(part; for (id, warehouse) in rebuilt =>
        id.as_str(), warehouse.name.as_str(), warehouse.priority, warehouse.country.as_str());
}
