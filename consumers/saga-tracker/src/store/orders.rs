//! The orders' read model.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use events::{OrderId, Timestamp};
use runtime::sql::{Timestamptz, clean, clean_option};
use runtime::{Failure, bind_columns};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::columns::Tables;
use crate::facts::{Facts, Moment};
use reading::way;

pub(crate) use reading::{OrderFilter, OrderRow, order, orders};

mod reading;

/// An order is looked at so long after it was placed if it has not ended: the shortest `within` of topics.yaml. An event that is heard of an older
/// one brings that look back: whoever looked at it last knew less.
const LOOK_AFTER: Duration = Duration::from_secs(120);
/// In whole steps, so that it says no more than it has to.
const MINUTE: i64 = 60_000;

fn deadline(placed_at: Timestamp) -> Timestamptz {
    let due = placed_at.plus(LOOK_AFTER).as_millis();
    Timestamptz(Timestamp::from_millis(due.div_euclid(MINUTE) * MINUTE + MINUTE))
}

/// Merges what a batch tells into the orders' rows; returns what is known of their ways now. Statement and [`Facts::merge`] are the same merge.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    orders: &BTreeMap<OrderId, Facts>,
) -> Result<HashMap<OrderId, Facts>, Failure> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let placed = |facts: &Facts| facts.placed_at.unwrap_or(Timestamp::from_millis(0));
    let mut query = bind_columns!(sqlx::query(tables.of(MERGE)); for (order_id, facts) in orders =>
        order_id.as_uuid(), facts.seen, facts.status.rank(), facts.position,
        clean_option(&facts.source), clean_option(&facts.reference), clean_option(&facts.customer_id), clean_option(&facts.currency),
        facts.total, facts.authorized, facts.captured, facts.refunded, facts.voided, facts.charged,
        clean_option(&facts.lines), clean_option(&facts.faults), clean_option(&facts.shipped), clean_option(&facts.unshipped),
        facts.reason.as_ref().map(|of| of.rank), facts.reason.as_ref().map(|of| clean(&of.code)),
        facts.reason.as_ref().map(|of| clean(&of.detail)), clean_option(&facts.cancellation), Timestamptz(placed(facts)),
    );
    for (moment, _) in Moment::ALL {
        query = bind_columns!(query; for (_, facts) in orders => facts.moments.at(moment).map(Timestamptz));
    }
    let query = bind_columns!(query; for (_, facts) in orders => facts.changed_at.map(Timestamptz), deadline(placed(facts)), facts.exchange_for);
    let rows: Vec<PgRow> = query.fetch_all(db).await?;
    let read = |row: &PgRow| Ok((OrderId(row.try_get("order_id")?), way(row)?));
    rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(Failure::from)
}

/// `greatest` and `least` pass over nulls: what is not known counts for nothing.
const MERGE: &str = "
insert into saga_tracker.\"order\" as kept
  (order_id, seen, rank, position, source, reference, customer_id, currency, total, authorized, captured, refunded, voided, charged,
   lines, faults, shipped, unshipped, reason, cancellation, placed_at, accepted_at, reserved_at, authorized_at, review_at, cleared_at,
   confirmed_at, captured_at, dispatched_at, committed_at, cancel_asked_at, let_go_at, undo_at, closed_at, ended_at, changed_at, deadline, exchange_for)
select order_id, seen, rank, position, source, reference, customer_id, currency, total, authorized, captured, refunded, voided, charged,
   lines, faults, shipped, unshipped,
   case when reason_rank is not null then row (reason_rank, reason_code, reason_detail)::saga_tracker.reason end,
   cancellation, placed_at, accepted_at, reserved_at, authorized_at, review_at, cleared_at,
   confirmed_at, captured_at, dispatched_at, committed_at, cancel_asked_at, let_go_at, undo_at, closed_at, ended_at, changed_at, deadline, exchange_for
from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
   $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
   $15::text[], $16::text[], $17::text[], $18::text[], $19::smallint[], $20::text[], $21::text[], $22::text[],
   $23::timestamptz[], $24::timestamptz[], $25::timestamptz[], $26::timestamptz[], $27::timestamptz[], $28::timestamptz[],
   $29::timestamptz[], $30::timestamptz[], $31::timestamptz[], $32::timestamptz[], $33::timestamptz[], $34::timestamptz[],
   $35::timestamptz[], $36::timestamptz[], $37::timestamptz[], $38::timestamptz[], $39::timestamptz[], $40::uuid[])
  as told (order_id, seen, rank, position, source, reference, customer_id, currency, total, authorized, captured, refunded, voided, charged,
   lines, faults, shipped, unshipped, reason_rank, reason_code, reason_detail, cancellation, placed_at, accepted_at, reserved_at,
   authorized_at, review_at, cleared_at, confirmed_at, captured_at, dispatched_at, committed_at, cancel_asked_at, let_go_at, undo_at,
   closed_at, ended_at, changed_at, deadline, exchange_for)
on conflict (order_id) do update set
   seen = kept.seen | excluded.seen, rank = greatest(kept.rank, excluded.rank), position = greatest(kept.position, excluded.position),
   source = greatest(kept.source, excluded.source), reference = greatest(kept.reference, excluded.reference),
   customer_id = greatest(kept.customer_id, excluded.customer_id), currency = greatest(kept.currency, excluded.currency),
   total = greatest(kept.total, excluded.total), authorized = greatest(kept.authorized, excluded.authorized),
   captured = greatest(kept.captured, excluded.captured), refunded = greatest(kept.refunded, excluded.refunded),
   voided = greatest(kept.voided, excluded.voided), charged = greatest(kept.charged, excluded.charged),
   lines = greatest(kept.lines, excluded.lines), faults = greatest(kept.faults, excluded.faults),
   shipped = greatest(kept.shipped, excluded.shipped), unshipped = greatest(kept.unshipped, excluded.unshipped),
   reason = greatest(kept.reason, excluded.reason), cancellation = greatest(kept.cancellation, excluded.cancellation),
   placed_at = least(kept.placed_at, excluded.placed_at), accepted_at = least(kept.accepted_at, excluded.accepted_at),
   reserved_at = least(kept.reserved_at, excluded.reserved_at), authorized_at = least(kept.authorized_at, excluded.authorized_at),
   review_at = least(kept.review_at, excluded.review_at), cleared_at = least(kept.cleared_at, excluded.cleared_at),
   confirmed_at = least(kept.confirmed_at, excluded.confirmed_at), captured_at = least(kept.captured_at, excluded.captured_at),
   dispatched_at = least(kept.dispatched_at, excluded.dispatched_at), committed_at = least(kept.committed_at, excluded.committed_at),
   cancel_asked_at = least(kept.cancel_asked_at, excluded.cancel_asked_at), let_go_at = least(kept.let_go_at, excluded.let_go_at),
   undo_at = least(kept.undo_at, excluded.undo_at), closed_at = least(kept.closed_at, excluded.closed_at),
   ended_at = least(kept.ended_at, excluded.ended_at), changed_at = greatest(kept.changed_at, excluded.changed_at),
   deadline = least(kept.deadline, excluded.deadline), exchange_for = greatest(kept.exchange_for, excluded.exchange_for)
returning order_id, rank, placed_at, accepted_at, reserved_at, authorized_at, review_at, cleared_at, confirmed_at, captured_at,
   dispatched_at, committed_at, cancel_asked_at, let_go_at, undo_at, closed_at, ended_at";
