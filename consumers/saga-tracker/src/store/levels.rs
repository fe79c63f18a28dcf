//! The stock levels' read model.

use std::collections::BTreeMap;

use events::{Sku, WarehouseId};
use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;

use super::columns::{Tables, run};
use crate::world::Level;

/// Writes levels; of two versions the higher stays.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    levels: &BTreeMap<(Sku, WarehouseId), Level>,
) -> Result<(), Failure> {
    if levels.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.level as kept (sku, warehouse, version, on_hand, reserved, missing, available, changed_at, position)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
           $9::bigint[])
         on conflict (sku, warehouse) do update set
           version = excluded.version, on_hand = excluded.on_hand, reserved = excluded.reserved, missing = excluded.missing,
           available = excluded.available, changed_at = excluded.changed_at, position = excluded.position
         where kept.version < excluded.version",
    ));
    let query = bind_columns!(query; for ((sku, warehouse), level) in levels =>
        clean(sku.as_str()), clean(warehouse.as_str()), level.version, level.on_hand, level.reserved, level.missing, level.available,
        Timestamptz(level.changed_at), level.position,
    );
    run(query, db).await.map(drop)
}

/// The stock of one SKU in one warehouse.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct LevelView {
    /// What.
    pub sku: String,
    /// Where.
    pub warehouse: String,
    /// Counts its changes.
    pub version: i64,
    /// Units in the building, reserved ones included, missing ones not.
    pub on_hand: i64,
    /// Units held for orders.
    pub reserved: i64,
    /// Units that should be there and were not found.
    pub missing: i64,
    /// Units that can be reserved.
    pub available: i64,
    /// When it changed, RFC 3339.
    #[schema(value_type = String)]
    pub changed_at: Timestamptz,
}

pub(crate) async fn levels(
    pool: &PgPool,
    sku: Option<String>,
    warehouse: Option<String>,
    behind: Option<(String, String)>,
    limit: i64,
) -> Result<Vec<LevelView>, Failure> {
    let (last_sku, last_warehouse) = behind.unzip();
    let rows = sqlx::query_as(
        "select sku, warehouse, version, on_hand, reserved, missing, available, changed_at from saga_tracker.level
         where ($1::text is null or sku = $1) and ($2::text is null or warehouse = $2)
           and ($3::text is null or (sku, warehouse) > ($3, $4::text))
         order by sku, warehouse limit $5",
    )
    .bind(sku)
    .bind(warehouse)
    .bind(last_sku)
    .bind(last_warehouse)
    .bind(limit);
    Ok(rows.fetch_all(pool).await?)
}

/// Where in the outbox a level was said; none: nothing was heard of it.
pub(crate) async fn level_position(pool: &PgPool, sku: &str, warehouse: &str) -> Result<Option<i64>, Failure> {
    let row = sqlx::query_scalar("select position from saga_tracker.level where sku = $1 and warehouse = $2");
    Ok(row.bind(sku).bind(warehouse).fetch_optional(pool).await?)
}
