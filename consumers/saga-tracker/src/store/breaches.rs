//! What the audit found, and how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use events::Timestamp;
use runtime::Failure;
use runtime::sql::Timestamptz;
use serde::Serialize;
use sqlx::{FromRow, PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::columns::run;

/// Takes the next run if it is due: of several instances one gets it. Where the walk over older orders goes on.
pub(crate) async fn claim_audit(pool: &PgPool, now: Timestamp, every: Duration) -> Result<Option<Uuid>, Failure> {
    let claimed = sqlx::query_scalar(
        "update saga_tracker.audit set ran_at = $1 where ran_at is null or ran_at <= $2 returning walked",
    );
    Ok(claimed.bind(Timestamptz(now)).bind(Timestamptz(now.minus(every))).fetch_optional(pool).await?)
}

/// The ids between which lie the newest `orders` orders, and a page of as many from `walked` on; none: there are none.
pub(crate) async fn pages(pool: &PgPool, walked: Uuid, orders: i64) -> Result<(Option<Uuid>, Option<Uuid>), Failure> {
    let newest =
        sqlx::query_scalar("select order_id from saga_tracker.\"order\" order by order_id desc offset $1 limit 1");
    let newest = newest.bind(orders).fetch_optional(pool).await?;
    let page = sqlx::query_scalar(
        "select order_id from saga_tracker.\"order\" where order_id >= $1 order by order_id offset $2 limit 1",
    );
    Ok((newest, page.bind(walked).bind(orders).fetch_optional(pool).await?))
}

pub(crate) async fn walked(pool: &PgPool, until: Uuid) -> Result<(), Failure> {
    let query = sqlx::query("update saga_tracker.audit set walked = $1");
    run(query.bind(until), pool).await.map(drop)
}

/// The orders of open breaches: they are looked at again each time.
pub(crate) async fn open_orders(pool: &PgPool) -> Result<Vec<Uuid>, Failure> {
    let subjects: Vec<String> =
        sqlx::query_scalar("select distinct subject from saga_tracker.breach where healed_at is null")
            .fetch_all(pool)
            .await?;
    Ok(subjects.iter().filter_map(|subject| Uuid::parse_str(subject).ok()).collect())
}

/// What one check found, by subject; how many breaches there are, and whether these are all.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckFindings {
    pub lines: BTreeMap<String, String>,
    pub breaches: i64,
    pub all: bool,
}

/// Writes what a check found; what it does not find any more is healed. Returns the subjects of breaches that are new, or open again.
pub(crate) async fn record(
    db: &mut PgConnection,
    check: &str,
    found: &CheckFindings,
    now: Timestamp,
) -> Result<Vec<String>, Failure> {
    let subjects: Vec<&str> = found.lines.keys().map(String::as_str).collect();
    let known: Vec<String> = sqlx::query_scalar(
        "select subject from saga_tracker.breach where \"check\" = $1 and subject = any($2) and healed_at is null",
    )
    .bind(check)
    .bind(&subjects)
    .fetch_all(&mut *db)
    .await?;
    sqlx::query(
        "insert into saga_tracker.breach as kept (\"check\", subject, detail, first_seen, last_seen)
         select $1, told.subject, told.detail, $4, $4 from unnest($2::text[], $3::text[]) as told (subject, detail)
         on conflict (\"check\", subject) do update set detail = excluded.detail, last_seen = excluded.last_seen, healed_at = null",
    )
    .bind(check)
    .bind(&subjects)
    .bind(found.lines.values().map(String::as_str).collect::<Vec<_>>())
    .bind(Timestamptz(now))
    .execute(&mut *db)
    .await?;
    if found.all {
        sqlx::query("update saga_tracker.breach set healed_at = $3 where \"check\" = $1 and healed_at is null and subject <> all($2)")
            .bind(check)
            .bind(&subjects)
            .bind(Timestamptz(now))
            .execute(db)
            .await?;
    }
    Ok(subjects.into_iter().filter(|subject| !known.iter().any(|of| of == subject)).map(ToOwned::to_owned).collect())
}

/// The breaches that are open, the oldest first, as alerts: what is wrong by which check, and the detail.
pub(crate) async fn open(db: &mut PgConnection, limit: i64) -> Result<Vec<(String, String)>, Failure> {
    let rows = sqlx::query_as(
        "select \"check\" || '/' || subject, detail from saga_tracker.breach where healed_at is null
         order by first_seen, \"check\", subject limit $1",
    );
    Ok(rows.bind(limit).fetch_all(db).await?)
}

/// A breach of an invariant.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct BreachView {
    /// Which invariant.
    check: String,
    /// What is wrong: an order's id, `SKU/warehouse`, an event's id.
    subject: String,
    /// What was expected, and what was there when it was last seen.
    detail: String,
    /// When it was first seen, RFC 3339.
    #[schema(value_type = String)]
    first_seen: Timestamptz,
    /// When it was last seen.
    #[schema(value_type = String)]
    last_seen: Timestamptz,
    /// When it was looked for and not found any more; absent: it is open.
    #[schema(value_type = Option<String>)]
    healed_at: Option<Timestamptz>,
}

/// Breaches, open ones first, the newest first; and when the books were last looked at.
pub(crate) async fn breaches(
    pool: &PgPool,
    open: bool,
    limit: i64,
) -> Result<(Option<Timestamptz>, Vec<BreachView>), Failure> {
    let ran_at = sqlx::query_scalar("select ran_at from saga_tracker.audit").fetch_one(pool).await?;
    let rows = sqlx::query_as(
        "select \"check\", subject, detail, first_seen, last_seen, healed_at from saga_tracker.breach
         where healed_at is null or not $1 order by (healed_at is null) desc, first_seen desc, \"check\", subject limit $2",
    );
    Ok((ran_at, rows.bind(open).bind(limit).fetch_all(pool).await?))
}
