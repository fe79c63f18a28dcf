//! Alerts, and how their delivery stands.

use std::time::Duration;

use events::{OrderId, Timestamp, derive_id};
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::columns::run;
use super::watch::{ON_THE_WAY, STILL, TOLD_ONCE};
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
    let so = if kind == AlertKind::CaptureFailed || TOLD_ONCE.contains(&kind) {
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

/// Closes those of a kind whose keys are not among these.
pub(crate) async fn resolve_others(
    db: &mut PgConnection,
    kind: AlertKind,
    keys: &[&str],
    now: Timestamp,
) -> Result<(), Failure> {
    let query = sqlx::query(
        "update saga_tracker.alert set resolved_at = $3 where kind = $1 and key <> all ($2) and resolved_at is null",
    );
    run(query.bind(kind.as_str()).bind(keys).bind(Timestamptz(now)), db).await.map(drop)
}

/// An alert.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct AlertView {
    /// Its id, as the webhook has it.
    #[serde(rename = "id")]
    #[schema(value_type = String)]
    pub alert_id: Uuid,
    /// What is wrong: `order_stuck`, `money_at_risk`, `dead_letter_rate`, `relay_lag`, `parked_age`, `invariant_breach`, `review_expiring`,
    /// `refund_failed`, `capture_failed`, `hold_expiring`, `hand_over_overdue`, `set_aside`, `circuit_open`, `dead_letter`,
    /// `dispute_open`, `dispute_lost`, `fraud_warning`, `payment_changed_outside`.
    pub kind: String,
    /// Which of its kind: an order, a currency, a database, a consumer, an invariant, a cause of dead letters (`fingerprint`).
    pub key: String,
    /// What was expected, what came, what to do.
    pub text: String,
    /// The order, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub order_id: Option<Uuid>,
    /// When it was raised, RFC 3339.
    #[schema(value_type = String)]
    pub raised_at: Timestamptz,
    /// When it was no longer so; absent while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub resolved_at: Option<Timestamptz>,
    /// When the webhook took it; absent if it has not, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub delivered_at: Option<Timestamptz>,
    /// How often it was posted.
    pub attempts: i32,
    /// Why it was not taken the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Takes alerts that are to be delivered now, each for so long that nobody else takes it meanwhile.
pub(crate) async fn take_due(
    pool: &PgPool,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<AlertView>, Failure> {
    let rows = sqlx::query_as(
        "update saga_tracker.alert a set next_at = $2, attempts = attempts + 1
         from (select alert_id from saga_tracker.alert where delivered_at is null and next_at <= $1
               order by next_at limit $3 for update skip locked) as due
         where a.alert_id = due.alert_id
         returning a.alert_id, kind, key, text, order_id, raised_at, resolved_at, attempts, delivered_at, last_error",
    );
    Ok(rows.bind(Timestamptz(now)).bind(Timestamptz(now.plus(lease))).bind(limit).fetch_all(pool).await?)
}

pub(crate) async fn delivered(db: impl PgExecutor<'_>, alert_id: Uuid, now: Timestamp) -> Result<(), Failure> {
    let query = sqlx::query("update saga_tracker.alert set delivered_at = $2, last_error = null where alert_id = $1");
    run(query.bind(alert_id).bind(Timestamptz(now)), db).await.map(drop)
}

/// It was not delivered: why, and when it is tried again.
pub(crate) async fn refused(
    db: impl PgExecutor<'_>,
    alert_id: Uuid,
    error: &str,
    next_at: Timestamp,
) -> Result<(), Failure> {
    let query = sqlx::query("update saga_tracker.alert set last_error = $2, next_at = $3 where alert_id = $1");
    run(query.bind(alert_id).bind(clean(error)).bind(Timestamptz(next_at)), db).await.map(drop)
}

/// Alerts, the newest first: those that are open, or all.
pub(crate) async fn alerts(pool: &PgPool, open: bool, limit: i64) -> Result<Vec<AlertView>, Failure> {
    let rows = sqlx::query_as(
        "select alert_id, kind, key, text, order_id, raised_at, resolved_at, attempts, delivered_at, last_error
         from saga_tracker.alert where not $1 or resolved_at is null order by raised_at desc, alert_id limit $2",
    );
    Ok(rows.bind(open).bind(limit).fetch_all(pool).await?)
}

pub(crate) async fn undelivered(pool: &PgPool) -> Result<i64, Failure> {
    let count = sqlx::query_scalar("select count(*) from saga_tracker.alert where delivered_at is null");
    Ok(count.fetch_one(pool).await?)
}
