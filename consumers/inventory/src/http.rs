//! The routes of inventory: deliveries, counts, stock files and warehouses come in here; levels can be looked up.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use events::{Fault, WarehouseId, is_country};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes};
use runtime::{Cause, Consumer as _, RequestQueue, Work};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::goods::{LevelView, Load, LoadRow, Loaded, Receipt, StockCount};
use crate::input::{Input, Reply};
use crate::row;
use crate::settings::Inventory;
use crate::supply::Warehouse;

pub const LARGEST_LOAD: usize = 10_000;
/// The largest body, in bytes.
const LARGEST_BODY: usize = 8_000_000;
/// The most units that one request may speak of.
const MOST_UNITS: i64 = 1_000_000_000;
/// The longest key of a load, in characters.
const LONGEST_KEY: usize = 255;
/// The longest SKU, warehouse, reference, aisle and bin, in characters.
const LONGEST_NAME: usize = 100;

#[derive(Clone)]
pub(crate) struct InventoryRoutes {
    pub requests: RequestQueue<Inventory>,
    pub pool: PgPool,
}

pub(crate) fn routes() -> Routes<InventoryRoutes> {
    let (own_stock, look) = (&[Role::Warehouse, Role::Operator], &[Role::Viewer, Role::Shop, Role::Warehouse]);
    Routes::new()
        .route(Access::to(own_stock), routes!(receive))
        .route(Access::to(own_stock), routes!(count))
        .route(Access::to(&[Role::Admin]).largest_body(LARGEST_BODY), routes!(load))
        .route(Access::to(look), routes!(stock))
        .route(Access::to(&[Role::Admin]), routes!(build))
        .route(Access::to(look), routes!(warehouses))
}

impl InventoryRoutes {
    async fn submit(&self, key: &str, input: Input) -> Result<Reply, Problem> {
        let cause = Cause::request(Inventory::NAME, key);
        let reply = self.requests.submit(Work { cause, input }).await?.reply;
        if let Reply::NoWarehouse(id) = reply {
            let detail = format!(
                "there is no warehouse {id}: make it with PUT /warehouses/{id}, or load a stock file that names it"
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, "No such warehouse").detail(detail));
        }
        Ok(reply)
    }
}

fn valid(faults: Vec<Fault>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let shown = serde_json::to_value(&faults).unwrap_or_default();
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request")
        .detail("nothing was changed: `faults` names everything that is wrong")
        .with("faults", shown))
}

fn name(faults: &mut Vec<Fault>, field: &str, value: &str) {
    let length = value.chars().count();
    if length == 0 || length > LONGEST_NAME || value.trim() != value || value.chars().any(char::is_control) {
        let detail =
            format!("expected 1 to {LONGEST_NAME} characters, no control characters, no blanks around, got {value:?}");
        faults.push(Fault { field: field.to_owned(), code: "invalid_name".into(), detail });
    }
}

/// As any name, and without a slash: the key of a level is `sku/warehouse`, and the last slash must part them.
fn warehouse_id(faults: &mut Vec<Fault>, field: &str, id: &WarehouseId) {
    name(faults, field, id.as_str());
    if id.as_str().contains('/') {
        let detail = format!("expected a warehouse without a slash, got {:?}", id.as_str());
        faults.push(Fault { field: field.to_owned(), code: "invalid_name".into(), detail });
    }
}

fn units(faults: &mut Vec<Fault>, field: &str, least: i64, value: i64) {
    if !(least..=MOST_UNITS).contains(&value) {
        let detail = format!("expected {least} to {MOST_UNITS} units, got {value}");
        faults.push(Fault { field: field.to_owned(), code: "out_of_range".into(), detail });
    }
}

fn unexpected() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Unexpected reply")
        .detail("inventory answered something else: report this")
}

/// Books a delivery
///
/// The same `reference`, `sku` and `warehouse` is booked once, however often it is sent.
#[utoipa::path(post, path = "/stock/received", tag = "stock", request_body = Receipt, responses(
    (status = 200, description = "It is booked; the level as it is now.", body = LevelView),
    (status = 404, description = "There is no such warehouse.", body = Problem),
    (status = 409, description = "It was booked with another quantity.", body = Problem),
    (status = 422, description = "It is not valid; `faults` says why.", body = Problem),
))]
async fn receive(
    routes: State<InventoryRoutes>,
    caller: Caller,
    Json(receipt): Json<Receipt>,
) -> JsonResult<LevelView> {
    caller.may_act_for(receipt.warehouse.as_str())?;
    let mut faults = Vec::new();
    name(&mut faults, "/sku", receipt.sku.as_str());
    warehouse_id(&mut faults, "/warehouse", &receipt.warehouse);
    name(&mut faults, "/reference", &receipt.reference);
    units(&mut faults, "/quantity", 1, receipt.quantity);
    valid(faults)?;
    let key = format!("received\u{1f}{}\u{1f}{}\u{1f}{}", receipt.reference, receipt.sku, receipt.warehouse);
    let Reply::Level(level) = routes.submit(&key, Input::Receive(receipt)).await? else { return Err(unexpected()) };
    Ok(Json(level))
}

/// Sets a level to what was counted
///
/// Count all units in the building, those set aside for orders included. What was missing is found, or written off.
#[utoipa::path(post, path = "/stock/counted", tag = "stock", request_body = StockCount, responses(
    (status = 200, description = "The level as it is now.", body = LevelView),
    (status = 404, description = "There is no such warehouse.", body = Problem),
    (status = 409, description = "Fewer units were counted than are reserved for orders.", body = Problem),
    (status = 422, description = "It is not valid; `faults` says why.", body = Problem),
))]
async fn count(routes: State<InventoryRoutes>, caller: Caller, Json(count): Json<StockCount>) -> JsonResult<LevelView> {
    caller.may_act_for(count.warehouse.as_str())?;
    let mut faults = Vec::new();
    name(&mut faults, "/sku", count.sku.as_str());
    warehouse_id(&mut faults, "/warehouse", &count.warehouse);
    units(&mut faults, "/on_hand", 0, count.on_hand);
    valid(faults)?;
    let key = format!("counted\u{1f}{}\u{1f}{}\u{1f}{}", count.sku, count.warehouse, count.on_hand);
    let Reply::Level(level) = routes.submit(&key, Input::Count(count)).await? else { return Err(unexpected()) };
    Ok(Json(level))
}

/// Sets many levels at once
///
/// All of them, or none. Warehouses that are not known yet are made. The same load again (its `Idempotency-Key`, or else its rows) changes
/// nothing, and says so: units that were sold since do not come back. To set the same levels anew, count, or send a new key.
#[utoipa::path(post, path = "/stock/load", tag = "stock", request_body = Vec<LoadRow>, params(
    ("Idempotency-Key" = Option<String>, Header, description = "What the load is known by. Up to 255 characters; default: its rows."),
), responses(
    (status = 200, description = "How many rows changed something.", body = Loaded),
    (status = 409, description = "Rows have fewer units than are reserved for orders, or other rows were loaded under this key.", body = Problem),
    (status = 422, description = "Rows are not valid; `faults` says which and why.", body = Problem),
))]
async fn load(
    routes: State<InventoryRoutes>,
    headers: HeaderMap,
    Json(rows): Json<Vec<LoadRow>>,
) -> JsonResult<Loaded> {
    let key = headers.get("idempotency-key").map(|value| value.to_str().unwrap_or_default());
    let mut faults = load_faults(&rows);
    if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        let detail = format!("expected 1 to {LONGEST_KEY} visible ASCII characters in Idempotency-Key");
        faults.push(Fault { field: String::new(), code: "invalid_key".into(), detail });
    }
    valid(faults)?;
    let load = Load::new(key.map(ToOwned::to_owned), rows);
    let key = format!("load\u{1f}{}\u{1f}{}", load.key, load.digest);
    let Reply::Loaded(loaded) = routes.submit(&key, Input::Load(load)).await? else { return Err(unexpected()) };
    Ok(Json(loaded))
}

fn load_faults(rows: &[LoadRow]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if rows.len() > LARGEST_LOAD {
        let detail = format!("expected at most {LARGEST_LOAD} rows, got {}: send them in parts", rows.len());
        return vec![Fault { field: String::new(), code: "too_many".into(), detail }];
    }
    let mut seen = BTreeSet::new();
    for (position, row) in rows.iter().enumerate() {
        name(&mut faults, &format!("/{position}/sku"), row.sku.as_str());
        warehouse_id(&mut faults, &format!("/{position}/warehouse"), &row.warehouse);
        units(&mut faults, &format!("/{position}/on_hand"), 0, row.on_hand);
        for (field, value) in [("aisle", &row.aisle), ("bin", &row.bin)] {
            if let Some(value) = value {
                name(&mut faults, &format!("/{position}/{field}"), value);
            }
        }
        if !seen.insert((&row.sku, &row.warehouse)) {
            let detail = format!("expected each level once, got {} in {} again", row.sku, row.warehouse);
            faults.push(Fault { field: format!("/{position}"), code: "repeated".into(), detail });
        }
    }
    faults
}

/// The stock of one SKU.
#[derive(Serialize, ToSchema)]
struct StockView {
    /// What is in stock.
    sku: String,
    /// Units in all buildings, reserved ones included, missing ones not.
    on_hand: i64,
    /// Units held for orders.
    reserved: i64,
    /// Units that should be there and were not found.
    missing: i64,
    /// Units that can be reserved.
    available: i64,
    /// The same by warehouse.
    levels: Vec<LevelView>,
}

/// The stock of one SKU, in all and by warehouse; a warehouse sees its own
#[utoipa::path(get, path = "/stock/{sku}", tag = "stock", params(("sku" = String, Path, description = "The SKU.")), responses(
    (status = 200, description = "Its levels.", body = StockView),
    (status = 404, description = "No warehouse ever had it.", body = Problem),
))]
async fn stock(routes: State<InventoryRoutes>, caller: Caller, Path(sku): Path<String>) -> JsonResult<StockView> {
    let mut levels = row::levels(&routes.pool, &sku).await?;
    if let Some(own) = caller.warehouse() {
        levels.retain(|level| level.warehouse.as_str() == own);
    }
    if levels.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such SKU").detail(format!(
            "no warehouse ever had {sku}: book a delivery with POST /stock/received, or load a stock file"
        )));
    }
    let sum = |of: fn(&LevelView) -> i64| levels.iter().map(of).sum();
    Ok(Json(StockView {
        on_hand: sum(|level| level.on_hand),
        reserved: sum(|level| level.reserved),
        missing: sum(|level| level.missing),
        available: sum(|level| level.available),
        sku,
        levels,
    }))
}

/// A warehouse with its id.
#[derive(Serialize, ToSchema)]
struct WarehouseView {
    /// The shop's own code for it.
    warehouse: String,
    #[serde(flatten)]
    known: Warehouse,
}

/// Makes a warehouse, or changes it
#[utoipa::path(put, path = "/warehouses/{warehouse}", tag = "warehouses", request_body = Warehouse,
    params(("warehouse" = String, Path, description = "The shop's own code for it.")), responses(
    (status = 200, description = "The warehouse as it is now.", body = WarehouseView),
    (status = 422, description = "It is not valid; `faults` says why.", body = Problem),
))]
async fn build(
    routes: State<InventoryRoutes>,
    Path(id): Path<WarehouseId>,
    Json(warehouse): Json<Warehouse>,
) -> JsonResult<WarehouseView> {
    let mut faults = Vec::new();
    warehouse_id(&mut faults, "", &id);
    name(&mut faults, "/name", &warehouse.name);
    let country = &warehouse.country;
    if !(country.is_empty() || is_country(country)) {
        let detail = format!("expected the code of a country as in ISO 3166-1, or nothing, got {country:?}");
        faults.push(Fault { field: "/country".into(), code: "invalid_country".into(), detail });
    }
    valid(faults)?;
    let input = Input::Build(id.clone(), warehouse.clone());
    let Reply::Built = routes.submit(&format!("warehouse\u{1f}{id}"), input).await? else { return Err(unexpected()) };
    Ok(Json(WarehouseView { warehouse: id.0, known: warehouse }))
}

/// All warehouses, the one that is taken from first at the top
#[utoipa::path(get, path = "/warehouses", tag = "warehouses", responses(
    (status = 200, description = "All warehouses.", body = Vec<WarehouseView>),
))]
async fn warehouses(routes: State<InventoryRoutes>) -> JsonResult<Vec<WarehouseView>> {
    let known = row::warehouses(&routes.pool).await?;
    let view = |(id, known): (WarehouseId, Warehouse)| WarehouseView { warehouse: id.0, known };
    let mut views: Vec<_> = known.into_iter().map(view).collect();
    views.sort_by_key(|view| view.known.priority);
    Ok(Json(views))
}
