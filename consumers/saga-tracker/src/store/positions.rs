//! How far the tracker has read, and how far relays have published.

use std::collections::{BTreeMap, HashMap};

use events::Timestamp;
use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;

use super::columns::{Tables, run};
use crate::world::{Position, Watermark};
use deadlines::Shard;

/// Moves positions on, never back.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    positions: &BTreeMap<(&'static str, i32), Position>,
) -> Result<(), Failure> {
    if positions.is_empty() {
        return Ok(());
    }
    let query =
        sqlx::query(tables.of("insert into saga_tracker.position as kept (topic, \"partition\", \"offset\", seq, at)
         select * from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::timestamptz[])
         on conflict (topic, \"partition\") do update set \"offset\" = greatest(kept.\"offset\", excluded.\"offset\"),
           seq = greatest(kept.seq, excluded.seq), at = greatest(kept.at, excluded.at)"));
    let query = bind_columns!(query; for ((topic, partition), of) in positions =>
        *topic, *partition, of.offset, of.seq, Timestamptz(of.at),
    );
    run(query, db).await.map(drop)
}

/// Writes watermarks; of two the later stays, as in [`Watermark`]'s order.
pub(super) async fn save_watermarks(
    db: &mut PgConnection,
    tables: Tables,
    watermarks: &BTreeMap<(String, i32), Watermark>,
) -> Result<(), Failure> {
    if watermarks.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.watermark as kept (database, shard, published_until, last_seq, backlog, relay)
         select * from unnest($1::text[], $2::int[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::text[])
         on conflict (database, shard) do update set published_until = excluded.published_until, last_seq = excluded.last_seq,
           backlog = excluded.backlog, relay = excluded.relay
         where (kept.published_until, kept.last_seq, kept.backlog, kept.relay collate \"C\")
             < (excluded.published_until, excluded.last_seq, excluded.backlog, excluded.relay collate \"C\")",
    ));
    let query = bind_columns!(query; for ((database, shard), of) in watermarks =>
        clean(database), *shard, Timestamptz(of.published_until), of.last_seq, of.backlog, clean(&of.relay),
    );
    run(query, db).await.map(drop)
}

/// How far a partition was read.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct PositionView {
    /// The topic.
    topic: String,
    /// The partition.
    partition: i32,
    /// The last record's offset.
    offset: i64,
    /// The highest position of the outbox among them.
    position: String,
    /// When the latest of them happened, RFC 3339.
    #[schema(value_type = String)]
    at: Timestamptz,
}

pub(crate) async fn positions(pool: &PgPool) -> Result<Vec<PositionView>, Failure> {
    let rows = sqlx::query_as(
        "select topic, \"partition\", \"offset\", lpad(seq::text, 20, '0') as position, at from saga_tracker.position order by topic, \"partition\"",
    );
    Ok(rows.fetch_all(pool).await?)
}

/// How far the outbox of a database is published.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct PublishedView {
    /// The database.
    pub database: String,
    /// Everything committed before is in Kafka, RFC 3339.
    #[serde(rename = "until")]
    #[schema(value_type = String)]
    pub published_until: Timestamptz,
    /// Rows that waited when this was said.
    pub backlog: i64,
}

/// How far the outbox of each database is published: as far as its shard that is behind most.
pub(crate) async fn watermarks(pool: &PgPool) -> Result<Vec<PublishedView>, Failure> {
    let rows = sqlx::query_as(
        "select database, min(published_until) as published_until, max(backlog) as backlog
         from saga_tracker.watermark group by database order by database",
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Up to which moment each shard of each database's outbox is published.
pub(crate) async fn published(pool: &PgPool) -> Result<HashMap<Shard, Timestamp>, Failure> {
    let rows: Vec<(String, i32, Timestamptz)> =
        sqlx::query_as("select database, shard, published_until from saga_tracker.watermark").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(database, shard, Timestamptz(until))| ((database, shard), until)).collect())
}
