//! All SQL of the sandbox's book. Locks: challenged orders, then payments, then refunds, each in the order of their ids.

use std::collections::BTreeSet;

use events::{Card, OrderId, Timestamp};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Reading, WriteSet};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::book::{Book, Stored};
use super::entry::{Entry, EntryState, Refund, not_given_back};
use super::job::Job;
use crate::gateway::{Money, Operation, Outcome};
use crate::world::RefundStatus;

/// Delete what the book holds of the orders `$1`: providers forget too. Keys begin with their order, so they are found without an index of orders.
pub(crate) const FORGETS: [&str; 4] = [
    "delete from sandbox.refund where payment_id in (select payment_id from sandbox.payment where order_id = any($1))",
    "delete from sandbox.operation as done using unnest($1::uuid[]) as gone (order_id)
      where done.key >= 'order:' || gone.order_id || ':' and done.key <= 'order:' || gone.order_id || ':zzz' and done.order_id = gone.order_id",
    "delete from sandbox.early_result where order_id = any($1)",
    "delete from sandbox.payment where order_id = any($1)",
];

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
    /// Another instance did one of its calls first: do it again, and find that.
    #[error("another instance did one of these calls at the same time, again and again")]
    Raced,
    /// The database refused, or did not answer.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that this version can't read.
    #[error("the sandbox's book can't be read: {0}; was it written by a newer version?")]
    Stored(#[from] serde_json::Error),
}

#[derive(FromRow)]
struct OperationRow {
    key: String,
    operation: String,
    order_id: Uuid,
    payment_id: String,
    amount: i64,
    currency: String,
    answer: JsonText<Outcome>,
}

#[derive(FromRow)]
struct PaymentRow {
    payment_id: String,
    order_id: Uuid,
    token: String,
    currency: String,
    amount: i64,
    state: String,
    authorized: i64,
    captured: i64,
    released: i64,
    refunded: i64,
    capture_before: Timestamptz,
    card: JsonText<Card>,
    version: i64,
}

#[derive(FromRow)]
struct RefundRow {
    refund_id: String,
    payment_id: String,
    amount: i64,
    state: String,
    created_at: Timestamptz,
}

/// Reads what the jobs need, and locks it where it is to be locked. With [`Reading::Recalled`] each key is presumed to be new, with the payment that it
/// authorizes: the write says if it was not, since what is done under a key is written under it.
pub(super) async fn load(db: &mut PgConnection, jobs: &[Job], reading: Reading) -> Result<Book, BookError> {
    let mut book = Book::default();
    let challenged: Vec<Uuid> =
        set(jobs.iter().filter_map(Job::challenged)).into_iter().map(OrderId::as_uuid).collect();
    if !challenged.is_empty() {
        lock_challenges(db, &challenged).await?;
        book.early = early_results(db, &challenged)
            .await?
            .into_iter()
            .map(|(order_id, passed)| (OrderId(order_id), passed))
            .collect();
    }
    let refunds: Vec<String> = set(jobs.iter().filter_map(Job::refund_id)).into_iter().collect();
    let presumed_new = |job: &&Job| reading == Reading::Recalled && matches!(job, Job::Authorize { .. });
    let mut payments = set(jobs.iter().filter(|job| !presumed_new(job)).filter_map(Job::payment_id));
    if !refunds.is_empty() {
        payments.extend(payments_of(db, &refunds).await?);
    }
    let acted: Vec<Uuid> = jobs
        .iter()
        .filter(|job| matches!(job, Job::Act { .. }))
        .filter_map(Job::challenged)
        .map(OrderId::as_uuid)
        .collect();
    if !acted.is_empty() {
        payments.extend(payments_of_orders(db, &acted).await?);
    }
    if !payments.is_empty() {
        for row in payments_by_id(db, &payments.into_iter().collect::<Vec<_>>(), reading).await? {
            book.versions.insert(row.payment_id.clone(), row.version);
            book.payments.insert(row.payment_id.clone(), entry(row)?);
        }
    }
    if !refunds.is_empty() {
        for row in lock_refunds(db, &refunds).await? {
            book.refunds.insert(row.refund_id.clone(), refund(row)?);
        }
    }
    // Last, so that what was done under a key while a lock was waited for is seen.
    let presumed_new = |job: &&Job| reading == Reading::Recalled && !matches!(job, Job::LookUp { .. });
    let keys: Vec<&str> = set(jobs.iter().filter(|job| !presumed_new(job)).filter_map(Job::key)).into_iter().collect();
    if !keys.is_empty() {
        for row in operations(db, &keys).await? {
            book.operations.insert(row.key.clone(), stored(row)?);
        }
    }
    Ok(book)
}

fn set<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    items.collect()
}

fn named<T: serde::de::DeserializeOwned>(text: String) -> Result<T, serde_json::Error> {
    serde_json::from_value(text.into())
}

fn stored(row: OperationRow) -> Result<Stored, BookError> {
    Ok(Stored {
        operation: named::<Operation>(row.operation)?,
        order_id: OrderId(row.order_id),
        payment_id: row.payment_id,
        money: Money { amount: row.amount, currency: named(row.currency)? },
        answer: row.answer.0,
    })
}

fn entry(row: PaymentRow) -> Result<Entry, BookError> {
    Ok(Entry {
        order_id: OrderId(row.order_id),
        token: row.token,
        currency: named(row.currency)?,
        amount: row.amount,
        state: named::<EntryState>(row.state)?,
        authorized: row.authorized,
        captured: row.captured,
        released: row.released,
        refunded: row.refunded,
        capture_before: row.capture_before.0,
        card: row.card.0,
    })
}

fn refund(row: RefundRow) -> Result<Refund, BookError> {
    let status = match row.state.as_str() {
        "pending" => RefundStatus::Pending,
        "succeeded" => RefundStatus::Succeeded,
        "failed" => not_given_back(),
        other => {
            return Err(BookError::Stored(serde::de::Error::custom(format!("unknown state of a refund: {other:?}"))));
        }
    };
    Ok(Refund { payment_id: row.payment_id, amount: row.amount, status, created_at: row.created_at.0 })
}

/// Whoever brings a 3-D Secure result, and whoever needs it, wait for each other.
async fn lock_challenges(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<(), sqlx::Error> {
    let statement = "select pg_advisory_xact_lock(hashtextextended('sandbox:' || id, 0)) from (select unnest($1::uuid[]) as id order by 1) as one";
    sqlx::query(statement).bind(order_ids).execute(db).await?;
    Ok(())
}

async fn early_results(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    sqlx::query_as("select order_id, passed from sandbox.early_result where order_id = any($1)")
        .bind(order_ids)
        .fetch_all(db)
        .await
}

async fn payments_of(db: &mut PgConnection, refund_ids: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select payment_id from sandbox.refund where refund_id = any($1)")
        .bind(refund_ids)
        .fetch_all(db)
        .await
}

async fn payments_of_orders(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select payment_id from sandbox.payment where order_id = any($1)")
        .bind(order_ids)
        .fetch_all(db)
        .await
}

async fn payments_by_id(
    db: &mut PgConnection,
    payment_ids: &[String],
    reading: Reading,
) -> Result<Vec<PaymentRow>, sqlx::Error> {
    let statement = "select payment_id, order_id, token, currency, amount, state, authorized, captured, released, refunded, capture_before, card, version
           from sandbox.payment where payment_id = any($1) order by payment_id";
    sqlx::query_as(reading.of(statement)).bind(payment_ids).fetch_all(db).await
}

async fn lock_refunds(db: &mut PgConnection, refund_ids: &[String]) -> Result<Vec<RefundRow>, sqlx::Error> {
    let statement = "select refund_id, payment_id, amount, state, created_at from sandbox.refund
          where refund_id = any($1) order by refund_id for no key update";
    sqlx::query_as(statement).bind(refund_ids).fetch_all(db).await
}

async fn operations(db: &mut PgConnection, keys: &[&str]) -> Result<Vec<OperationRow>, sqlx::Error> {
    let statement = "select key, operation, order_id, payment_id, amount, currency, answer from sandbox.operation where key = any($1)";
    sqlx::query_as(statement).bind(keys).fetch_all(db).await
}

/// What the jobs changed. Of two instances that do one call the second finds its key taken, or its payment changed, and does it all again.
pub(super) fn save<'b>(book: &'b Book, now: Timestamp) -> WriteSet {
    let operations: Vec<_> = book
        .new_operations
        .iter()
        .filter_map(|key| book.operations.get(key).map(|stored| (key.as_str(), stored)))
        .collect();
    let mut writes = WriteSet::default();
    if !operations.is_empty() {
        insert_operations(&mut writes, &operations, now);
    }
    let payment = |id: &'b String| {
        let version = book.versions.get(id).copied().unwrap_or_default();
        book.payments.get(id).map(|entry| (id.as_str(), entry, version + 1))
    };
    let payments: Vec<_> = book.changed_payments.iter().filter_map(payment).collect();
    let (known, new): (Vec<_>, Vec<_>) = payments.into_iter().partition(|(_, _, version)| *version > 1);
    save_payments(&mut writes, INSERT_PAYMENTS, &new, now);
    save_payments(&mut writes, UPDATE_PAYMENTS, &known, now);
    let refunds: Vec<_> =
        book.changed_refunds.iter().filter_map(|id| book.refunds.get(id).map(|refund| (id.as_str(), refund))).collect();
    if !refunds.is_empty() {
        upsert_refunds(&mut writes, &refunds, now);
    }
    let early: Vec<_> =
        book.changed_early.iter().filter_map(|id| book.early.get(id).map(|passed| (id.as_uuid(), *passed))).collect();
    if !early.is_empty() {
        upsert_early_results(&mut writes, &early, now);
    }
    writes
}

/// Why they were not written.
pub(super) fn failed(failure: Failure) -> BookError {
    match failure {
        Failure::Database(error) => BookError::Database(error),
        Failure::LostRace { .. }
        | Failure::Unsure
        | Failure::Silent(_)
        | Failure::CallerGone
        | Failure::Stored { .. }
        | Failure::Panicked(_)
        | Failure::Unsendable(_) => BookError::Raced,
    }
}

fn insert_operations(writes: &mut WriteSet, rows: &[(&str, &Stored)], now: Timestamp) {
    writes.add("sandbox.operation", Some(rows.len()),
        "insert into sandbox.operation (key, operation, order_id, payment_id, amount, currency, answer, done_at)
         select row.*, $8 from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[]) as row",
    )
    .bind(rows.iter().map(|(key, _)| *key).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| row.operation.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| row.order_id.as_uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| row.payment_id.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| row.money.amount).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| row.money.currency.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, row)| JsonText(&row.answer)).collect::<Vec<_>>())
    .bind(Timestamptz(now));
}

const INSERT_PAYMENTS: &str =
    "insert into sandbox.payment (payment_id, order_id, token, currency, amount, state, authorized, captured, released, refunded,
            capture_before, card, version, created_at, updated_at)
     select row.*, $14, $14
       from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::timestamptz[], $12::text[], $13::bigint[]) as row";

const UPDATE_PAYMENTS: &str =
    "update sandbox.payment as kept set state = new.state, authorized = new.authorized, captured = new.captured,
            released = new.released, refunded = new.refunded, card = new.card, version = new.version, updated_at = $14
       from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::timestamptz[], $12::text[], $13::bigint[]) as new (payment_id, order_id, token, currency, amount, state,
            authorized, captured, released, refunded, capture_before, card, version)
      where kept.payment_id = new.payment_id and kept.version = new.version - 1";

fn save_payments(writes: &mut WriteSet, statement: &str, rows: &[(&str, &Entry, i64)], now: Timestamp) {
    if rows.is_empty() {
        return;
    }
    writes
        .add("sandbox.payment", Some(rows.len()), statement)
        .bind(rows.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.order_id.as_uuid()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.token.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.currency.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.amount).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.state.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.authorized).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.captured).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.released).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| row.refunded).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| Timestamptz(row.capture_before)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row, _)| JsonText(&row.card)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(.., version)| *version).collect::<Vec<_>>())
        .bind(Timestamptz(now));
}

fn upsert_refunds(writes: &mut WriteSet, rows: &[(&str, &Refund)], now: Timestamp) {
    let state = |status: &RefundStatus| match status {
        RefundStatus::Pending => "pending",
        RefundStatus::Succeeded => "succeeded",
        RefundStatus::Failed { .. } => "failed",
    };
    let settled = |status: &RefundStatus| match status {
        RefundStatus::Pending => None,
        RefundStatus::Succeeded | RefundStatus::Failed { .. } => Some(Timestamptz(now)),
    };
    writes
        .add(
            "sandbox.refund",
            None,
            "insert into sandbox.refund (refund_id, payment_id, amount, state, created_at, settled_at)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
         on conflict (refund_id) do update set state = excluded.state, settled_at = excluded.settled_at",
        )
        .bind(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.payment_id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.amount).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| state(&row.status)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| Timestamptz(row.created_at)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| settled(&row.status)).collect::<Vec<_>>());
}

fn upsert_early_results(writes: &mut WriteSet, rows: &[(Uuid, bool)], now: Timestamp) {
    writes
        .add(
            "sandbox.early_result",
            None,
            "insert into sandbox.early_result (order_id, passed, posted_at)
         select row.*, $3 from unnest($1::uuid[], $2::boolean[]) as row
         on conflict (order_id) do update set passed = excluded.passed, posted_at = excluded.posted_at",
        )
        .bind(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, passed)| *passed).collect::<Vec<_>>())
        .bind(Timestamptz(now));
}
