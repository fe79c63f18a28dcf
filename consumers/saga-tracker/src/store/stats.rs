//! Counts and times over the orders of a span of time: over so many at most, since each is a row that is read.

use events::Timestamp;
use runtime::Failure;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::columns::least_id;

/// The statements of the figures: none of them reads more orders than are counted, however many there are.
pub const FIGURES: [&str; 3] = [NEWEST, COUNTS, STEP_TIMES];

const NEWEST: &str = "select order_id from saga_tracker.\"order\" where order_id >= $1 and order_id < $2 order by order_id desc offset $3 limit 2";
const COUNTS: &str = "select status, (reason).code as reason, count(*) as orders from saga_tracker.\"order\"
     where order_id >= $1 and order_id < $2 group by rank, status, (reason).code order by rank, (reason).code";
const STEP_TIMES: &str = "select step, orders, quantiles[1] as p50_ms, quantiles[2] as p95_ms, quantiles[3] as p99_ms, max_ms
     from (select step, count(*) as orders, percentile_disc(array[0.5, 0.95, 0.99]) within group (order by took_ms) as quantiles,
             max(took_ms) as max_ms
           from saga_tracker.step where order_id >= $1 and order_id < $2 group by step) as steps";

/// Orders from one id on, up to another one that is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: Uuid,
    end: Uuid,
    /// When the first of them was placed, where older ones of the span are left out.
    pub cut_at: Option<Timestamp>,
}

/// The orders that were placed in `from..until`; of more than about `most` the newest.
pub(crate) async fn newest(pool: &PgPool, from: Timestamp, until: Timestamp, most: i64) -> Result<Range, Failure> {
    let (first, end) = (least_id(from), least_id(until));
    let cut: Vec<Uuid> = sqlx::query_scalar(NEWEST).bind(first).bind(end).bind(most - 1).fetch_all(pool).await?;
    Ok(match cut.as_slice() {
        // From the millisecond of the last one on, as a UUIDv7 has it: who asks for what was placed before misses nothing.
        [last, _older] => {
            let cut_at = Timestamp::from_millis((last.as_u128() >> 80) as i64);
            Range { first: least_id(cut_at), end, cut_at: Some(cut_at) }
        }
        _ => Range { first, end, cut_at: None },
    })
}

/// Orders of one status and reason.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct CountView {
    /// Where they stand.
    status: String,
    /// The code of why; absent if nothing was given up.
    reason: Option<String>,
    /// How many.
    orders: i64,
}

pub(crate) async fn counts(pool: &PgPool, of: Range) -> Result<Vec<CountView>, Failure> {
    Ok(sqlx::query_as(COUNTS).bind(of.first).bind(of.end).fetch_all(pool).await?)
}

/// How long a step took, in milliseconds.
#[derive(FromRow, Serialize, ToSchema)]
pub(crate) struct StepTimesView {
    /// Its name; `complete` is from placed to completed, `whole` from placed to any end.
    pub step: String,
    /// Of how many orders.
    orders: i64,
    /// Half of them took no longer.
    p50_ms: i64,
    /// 95 of 100 took no longer.
    p95_ms: i64,
    /// 99 of 100 took no longer.
    p99_ms: i64,
    /// The longest.
    max_ms: i64,
}

pub(crate) async fn step_times(pool: &PgPool, of: Range) -> Result<Vec<StepTimesView>, Failure> {
    Ok(sqlx::query_as(STEP_TIMES).bind(of.first).bind(of.end).fetch_all(pool).await?)
}
