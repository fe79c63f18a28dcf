//! Counts and times over the orders of a span of time.

use events::Timestamp;
use runtime::Failure;
use sqlx::{FromRow, PgPool};

use super::least_id;

/// How many orders stand there, for this reason.
#[derive(FromRow)]
pub(crate) struct CountRow {
    pub status: String,
    pub reason: Option<String>,
    pub orders: i64,
}

/// Orders that were placed in `from..until`, by status and reason.
pub(crate) async fn counts(pool: &PgPool, from: Timestamp, until: Timestamp) -> Result<Vec<CountRow>, Failure> {
    let rows = sqlx::query_as(
        "select status, (reason).code as reason, count(*) as orders from saga_tracker.\"order\"
         where order_id >= $1 and order_id < $2 group by rank, status, (reason).code order by rank, (reason).code",
    );
    Ok(rows.bind(least_id(from)).bind(least_id(until)).fetch_all(pool).await?)
}

/// How long a step took, in milliseconds.
#[derive(FromRow)]
pub(crate) struct StepRow {
    pub step: String,
    pub orders: i64,
    /// p50, p95, p99.
    pub quantiles: Vec<i64>,
    pub longest: i64,
}

/// The steps of orders that were placed in `from..until`.
pub(crate) async fn step_times(pool: &PgPool, from: Timestamp, until: Timestamp) -> Result<Vec<StepRow>, Failure> {
    let rows = sqlx::query_as(
        "select step, count(*) as orders, percentile_disc(array[0.5, 0.95, 0.99]) within group (order by took_ms) as quantiles,
           max(took_ms) as longest
         from saga_tracker.step where order_id >= $1 and order_id < $2 group by step",
    );
    Ok(rows.bind(least_id(from)).bind(least_id(until)).fetch_all(pool).await?)
}
