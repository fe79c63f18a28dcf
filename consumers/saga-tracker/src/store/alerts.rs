//! Alerts, and how their delivery stands.

use std::time::Duration;

use events::{OrderId, Timestamp, derive_id};
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::watch::{ON_THE_WAY, STILL};
use crate::alerts::AlertKind;

/// Raises an alert unless it is open, or its order has gone on meanwhile; returns whether it is new.
pub(crate) async fn raise(
    db: &mut PgConnection,
    kind: AlertKind,
    key: &str,
    order_id: Option<OrderId>,
    text: &str,
    now: Timestamp,
) -> Result<bool, Failure> {
    let alert_id = derive_id(now, kind.as_str(), "alert", key);
    let so = if kind == AlertKind::CaptureFailed {
        // Told once, whether or not its order has been undone by then.
        "not exists (select from saga_tracker.alert b where b.kind = a.kind and b.key = $3)"
    } else if ON_THE_WAY.contains(&kind) {
        STILL
    } else {
        "true"
    };
    let statement = format!(
        "insert into saga_tracker.alert (alert_id, kind, key, text, order_id, raised_at, next_at)
         select $1, a.kind, $3, $4, a.order_id, $6, $6 from (values ($2::text, $5::uuid)) as a (kind, order_id) where {so}
         on conflict do nothing"
    );
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(alert_id)
        .bind(kind.as_str())
        .bind(clean(key))
        .bind(clean(text))
        .bind(order_id.map(OrderId::as_uuid))
        .bind(Timestamptz(now))
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes one.
pub(crate) async fn resolve(db: &mut PgConnection, kind: AlertKind, key: &str, now: Timestamp) -> Result<(), Failure> {
    sqlx::query("update saga_tracker.alert set resolved_at = $3 where kind = $1 and key = $2 and resolved_at is null")
        .bind(kind.as_str())
        .bind(clean(key))
        .bind(Timestamptz(now))
        .execute(db)
        .await?;
    Ok(())
}

/// Closes those of a kind whose keys are not among these.
pub(crate) async fn resolve_others(
    db: &mut PgConnection,
    kind: AlertKind,
    keys: &[&str],
    now: Timestamp,
) -> Result<(), Failure> {
    sqlx::query(
        "update saga_tracker.alert set resolved_at = $3 where kind = $1 and key <> all ($2) and resolved_at is null",
    )
    .bind(kind.as_str())
    .bind(keys)
    .bind(Timestamptz(now))
    .execute(db)
    .await?;
    Ok(())
}

/// An alert, as it is delivered and shown.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct AlertRow {
    pub alert_id: Uuid,
    pub kind: String,
    pub key: String,
    pub text: String,
    pub order_id: Option<Uuid>,
    pub raised_at: Timestamptz,
    pub resolved_at: Option<Timestamptz>,
    pub attempts: i32,
    pub delivered_at: Option<Timestamptz>,
    pub last_error: Option<String>,
}

/// Takes alerts that are to be delivered now, each for so long that nobody else takes it meanwhile.
pub(crate) async fn take_due(
    pool: &PgPool,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<AlertRow>, Failure> {
    let rows = sqlx::query_as(
        "update saga_tracker.alert a set next_at = $2, attempts = attempts + 1
         from (select alert_id from saga_tracker.alert where delivered_at is null and next_at <= $1
               order by next_at limit $3 for update skip locked) as due
         where a.alert_id = due.alert_id
         returning a.alert_id, kind, key, text, order_id, raised_at, resolved_at, attempts, delivered_at, last_error",
    );
    Ok(rows.bind(Timestamptz(now)).bind(Timestamptz(now.plus(lease))).bind(limit).fetch_all(pool).await?)
}

/// It is delivered.
pub(crate) async fn delivered(db: impl PgExecutor<'_>, alert_id: Uuid, now: Timestamp) -> Result<(), Failure> {
    sqlx::query("update saga_tracker.alert set delivered_at = $2, last_error = null where alert_id = $1")
        .bind(alert_id)
        .bind(Timestamptz(now))
        .execute(db)
        .await?;
    Ok(())
}

/// It was not delivered: why, and when it is tried again.
pub(crate) async fn refused(
    db: impl PgExecutor<'_>,
    alert_id: Uuid,
    error: &str,
    next_at: Timestamp,
) -> Result<(), Failure> {
    sqlx::query("update saga_tracker.alert set last_error = $2, next_at = $3 where alert_id = $1")
        .bind(alert_id)
        .bind(clean(error))
        .bind(Timestamptz(next_at))
        .execute(db)
        .await?;
    Ok(())
}

/// Alerts, the newest first: those that are open, or all.
pub(crate) async fn alerts(pool: &PgPool, open: bool, limit: i64) -> Result<Vec<AlertRow>, Failure> {
    let rows = sqlx::query_as(
        "select alert_id, kind, key, text, order_id, raised_at, resolved_at, attempts, delivered_at, last_error
         from saga_tracker.alert where not $1 or resolved_at is null order by raised_at desc, alert_id limit $2",
    );
    Ok(rows.bind(open).bind(limit).fetch_all(pool).await?)
}

/// How many alerts wait for their webhook.
pub(crate) async fn undelivered(pool: &PgPool) -> Result<i64, Failure> {
    let count = sqlx::query_scalar("select count(*) from saga_tracker.alert where delivered_at is null");
    Ok(count.fetch_one(pool).await?)
}
