//! The orders as the routes read them.

use events::{OrderId, Timestamp};
use runtime::Failure;
use runtime::sql::Timestamptz;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgExecutor, PgPool, Row};

use crate::facts::{Facts, GivenUpReason, Moment, Moments};
use crate::status::Status;
use crate::store::columns::least_id;

/// What a row says of an order's way.
pub(super) fn way(row: &PgRow) -> Result<Facts, sqlx::Error> {
    let at = |column: &str| row.try_get::<Option<Timestamptz>, _>(column).map(|at| at.map(|Timestamptz(at)| at));
    let mut moments = Moments::default();
    for (moment, column) in Moment::ALL {
        if let Some(at) = at(column)? {
            moments.tell(moment, at);
        }
    }
    let rank = row.try_get("rank")?;
    let unknown = || sqlx::Error::ColumnDecode { index: "rank".into(), source: format!("unknown rank {rank}").into() };
    let status = Status::of_rank(rank).ok_or_else(unknown)?;
    Ok(Facts { placed_at: at("placed_at")?, moments, status, ..Facts::default() })
}

pub(crate) struct OrderRow {
    pub order_id: OrderId,
    pub facts: Facts,
}

impl FromRow<'_, PgRow> for OrderRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let reason = match row.try_get("reason_code")? {
            Some(code) => {
                Some(GivenUpReason { rank: row.try_get("reason_rank")?, code, detail: row.try_get("reason_detail")? })
            }
            None => None,
        };
        let facts = Facts {
            seen: row.try_get("seen")?,
            position: row.try_get("position")?,
            changed_at: row.try_get::<Option<Timestamptz>, _>("changed_at")?.map(|Timestamptz(at)| at),
            source: row.try_get("source")?,
            reference: row.try_get("reference")?,
            customer_id: row.try_get("customer_id")?,
            currency: row.try_get("currency")?,
            total: row.try_get("total")?,
            authorized: row.try_get("authorized")?,
            captured: row.try_get("captured")?,
            refunded: row.try_get("refunded")?,
            voided: row.try_get("voided")?,
            charged: row.try_get("charged")?,
            lines: row.try_get("lines")?,
            faults: row.try_get("faults")?,
            shipped: row.try_get("shipped")?,
            unshipped: row.try_get("unshipped")?,
            reason,
            cancellation: row.try_get("cancellation")?,
            exchange_for: row.try_get("exchange_for")?,
            ..way(row)?
        };
        Ok(Self { order_id: OrderId(row.try_get("order_id")?), facts })
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OrderFilter {
    pub status: Option<Status>,
    pub customer_id: Option<String>,
    pub reference: Option<String>,
    pub placed_after: Option<Timestamp>,
    pub placed_before: Option<Timestamp>,
    /// Only older ones than this.
    pub behind: Option<OrderId>,
    pub limit: i64,
}

macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "select order_id, seen, rank, position, source, reference, customer_id, currency, total, authorized, captured, refunded, voided,
               charged, lines, faults, shipped, unshipped, (reason).rank as reason_rank, (reason).code as reason_code,
               (reason).detail as reason_detail, cancellation, placed_at, accepted_at, reserved_at, authorized_at, review_at, cleared_at,
               confirmed_at, captured_at, dispatched_at, committed_at, cancel_asked_at, let_go_at, undo_at, closed_at, ended_at, changed_at,
               exchange_for
             from saga_tracker.\"order\" ",
            $rest
        )
    };
}

/// Orders, the newest first. Their ids are in the order in which they were placed, so times and cursor are ranges of the key.
pub(crate) async fn orders(pool: &PgPool, filter: &OrderFilter) -> Result<Vec<OrderRow>, Failure> {
    let ended = filter.status.filter(|status| status.is_end());
    let open = filter.status.filter(|status| !status.is_end());
    let rows = sqlx::query_as(select_orders!(
        "where ($1::text is null or outcome = $1) and ($2::text is null or outcome is null and status = $2)
           and ($3::text is null or customer_id = $3) and ($8::text is null or reference = $8) and ($4::uuid is null or order_id >= $4)
           and ($5::uuid is null or order_id < $5) and ($6::uuid is null or order_id < $6)
         order by order_id desc limit $7"
    ))
    .bind(ended.map(Status::as_str))
    .bind(open.map(Status::as_str))
    .bind(&filter.customer_id)
    .bind(filter.placed_after.map(least_id))
    .bind(filter.placed_before.map(least_id))
    .bind(filter.behind.map(OrderId::as_uuid))
    .bind(filter.limit)
    .bind(&filter.reference)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(crate) async fn order(db: impl PgExecutor<'_>, order_id: OrderId) -> Result<Option<OrderRow>, Failure> {
    let row = sqlx::query_as(select_orders!("where order_id = $1")).bind(order_id.as_uuid());
    Ok(row.fetch_optional(db).await?)
}
