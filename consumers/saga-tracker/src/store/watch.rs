//! The figures behind alerts and metrics. Each is one statement over rows that are few while all is well.

use events::Timestamp;
use runtime::Failure;
use runtime::sql::Timestamptz;
use sqlx::{AssertSqlSafe, FromRow, PgPool};

use crate::alerts::AlertKind;
use crate::status::Status;

#[derive(FromRow)]
pub(crate) struct MoneyRow {
    pub currency: String,
    pub amount: i64,
    pub orders: i64,
}

/// Money at risk: of open orders that are stuck, or have a dead letter.
pub(crate) async fn money_at_risk(pool: &PgPool) -> Result<Vec<MoneyRow>, Failure> {
    let rows = sqlx::query_as(
        "with ill as (select order_id from saga_tracker.stuck_now
                      union select order_id from saga_tracker.letter l where kind = 'event' and order_id is not null
                        and not exists (select from saga_tracker.resolution r
                                        where r.letter_id = l.letter_id and r.resolution in ('recovered', 'skipped')))
         select currency, count(*) as orders,
                sum(case when captured is not null then captured - coalesce(refunded, 0)
                         else greatest(coalesce(authorized, 0) - coalesce(voided, 0), 0) end)::bigint as amount
         from saga_tracker.\"order\" join ill using (order_id)
         where outcome is null and currency is not null group by currency order by currency",
    );
    Ok(rows.fetch_all(pool).await?)
}

pub(crate) async fn stuck(pool: &PgPool) -> Result<i64, Failure> {
    let count = sqlx::query_scalar("select count(distinct order_id) from saga_tracker.stuck_now");
    Ok(count.fetch_one(pool).await?)
}

pub(crate) async fn dead_letters_since(pool: &PgPool, since: Timestamp) -> Result<i64, Failure> {
    let count = sqlx::query_scalar("select count(*) from saga_tracker.letter where kind = 'event' and died_at > $1");
    Ok(count.bind(Timestamptz(since)).fetch_one(pool).await?)
}

#[derive(FromRow)]
pub(crate) struct ParkedFigures {
    pub consumer: String,
    pub orders: i64,
    pub oldest: Timestamptz,
}

pub(crate) async fn parked(pool: &PgPool) -> Result<Vec<ParkedFigures>, Failure> {
    let rows = sqlx::query_as(
        "select consumer, count(*) as orders, min(parked_at) as oldest from saga_tracker.delayed where waits group by consumer order by consumer",
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Closes alerts of orders that are so no longer. Under the one snapshot in which both stand: what is raised meanwhile is not seen.
pub(crate) async fn resolve_orders(pool: &PgPool, now: Timestamp, told_since: Timestamp) -> Result<(), Failure> {
    let statement = format!(
        "update saga_tracker.alert a set resolved_at = $1
         where resolved_at is null
           and (kind = $2 and not exists (select from saga_tracker.stuck_now s where s.order_id = a.order_id)
             or kind = $3 and not exists (select from saga_tracker.\"order\" o where o.order_id = a.order_id and o.rank = $4)
             or kind = any($5) and not {STILL}
             or kind = any($6) and raised_at < $7)"
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(Timestamptz(now))
        .bind(AlertKind::OrderStuck.as_str())
        .bind(AlertKind::ReviewExpiring.as_str())
        .bind(Status::InReview.rank())
        .bind(ON_THE_WAY.map(AlertKind::as_str))
        .bind(TOLD_ONCE.map(AlertKind::as_str))
        .bind(Timestamptz(told_since))
        .execute(pool)
        .await?;
    Ok(())
}

/// Alerts of what an order's row says in itself.
pub(crate) const ON_THE_WAY: [AlertKind; 4] =
    [AlertKind::RefundFailed, AlertKind::CaptureFailed, AlertKind::HoldExpiring, AlertKind::HandOverOverdue];

/// Alerts of what people are told once, for some days.
pub(crate) const TOLD_ONCE: [AlertKind; 2] = [AlertKind::FraudWarning, AlertKind::PaymentChangedOutside];

/// Whether an alert `a` of those is (still) so. A refund may fail long after its order has ended; it is over once it is given back after all.
pub(crate) const STILL: &str = "case a.kind when 'refund_failed' then exists (
    select from saga_tracker.event f where f.order_id = a.order_id and f.event_type = 'quadrille.payments.PaymentRefundFailed'
       and not exists (select from saga_tracker.event d where d.order_id = a.order_id and (d.at, d.seq) > (f.at, f.seq)
                          and d.event_type in ('quadrille.payments.PaymentRefunded', 'quadrille.payments.PaymentVoided')))
    else exists (
    select from saga_tracker.\"order\" o where o.order_id = a.order_id and o.outcome is null and case a.kind
        when 'hold_expiring' then o.captured_at is null and o.undo_at is null
        when 'hand_over_overdue' then o.let_go_at is null and exists (
            select from saga_tracker.shipment s where s.order_id = o.order_id and s.confirmed_at is not null and s.dispatched_at is null)
            and not exists (select from saga_tracker.dispute d where d.order_id = o.order_id and not d.closed)
        else true end) end";

/// Open dead letters of one cause: the cause, how many they are, one of their consumers, the class of error, and the id of the newest.
pub(crate) type CauseRow = (String, i64, String, String, String);

/// Dead letters of events that nobody has dealt with, by cause, the one that is open for longest first.
pub(crate) async fn open_dead_letters(pool: &PgPool) -> Result<Vec<CauseRow>, Failure> {
    let rows = sqlx::query_as(
        "select fingerprint, count(*) as letters, min(consumers[1]) as consumer, min(error_class) as error_class,
                (array_agg(letter_id::text order by died_at desc))[1] as example
         from saga_tracker.letter l where kind = 'event'
           and not exists (select from saga_tracker.resolution r where r.letter_id = l.letter_id)
         group by fingerprint order by min(died_at), fingerprint",
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Events that Kafka does not take, in the outbox of any database: which it is, how many they are, and their topics.
pub(crate) async fn set_aside(pool: &PgPool) -> Result<(String, i64, String), Failure> {
    let row = sqlx::query_as(
        "select current_database()::text as database, count(*) as events, coalesce(string_agg(distinct topic, ', '), '') as topics from outbox.set_aside",
    );
    Ok(row.fetch_one(pool).await?)
}

pub(crate) async fn open_alerts(pool: &PgPool) -> Result<Vec<(String, i64)>, Failure> {
    let rows = sqlx::query_as("select kind, count(*) from saga_tracker.alert where resolved_at is null group by kind");
    Ok(rows.fetch_all(pool).await?)
}
