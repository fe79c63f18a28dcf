//! All SQL of the sandbox's book.

use std::collections::{BTreeMap, BTreeSet};

use events::{OrderId, Timestamp};
use gateway::{Money, RefundStatus};
use runtime::bind_columns;
use runtime::sql::{JsonText, Timestamptz};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::book::{Book, StoredCall};
use crate::entry::{BookEntry, Refund, not_given_back};
use crate::job::Job;

/// Delete what the book holds of the orders `$1`: providers forget too. Keys begin with their order, so they are found without an index of orders.
pub(crate) const FORGETS: [&str; 4] = [
    "delete from sandbox.refund where payment_id in (select payment_id from sandbox.payment where order_id = any($1))",
    "delete from sandbox.operation as done using unnest($1::uuid[]) as gone (order_id)
      where done.key >= 'order:' || gone.order_id || ':' and done.key <= 'order:' || gone.order_id || ':zzz' and done.order_id = gone.order_id",
    "delete from sandbox.early_result where order_id = any($1)",
    "delete from sandbox.payment where order_id = any($1)",
];

pub(crate) async fn load(db: &mut PgConnection, jobs: &[Job]) -> Result<Book, sqlx::Error> {
    let mut book = Book::default();
    let set = |of: fn(&Job) -> Option<String>| jobs.iter().filter_map(of).collect::<BTreeSet<_>>();
    let challenged: Vec<Uuid> = jobs.iter().filter_map(Job::challenged).map(OrderId::as_uuid).collect();
    if !challenged.is_empty() {
        let early = "select order_id, passed from sandbox.early_result where order_id = any($1)";
        let early: Vec<(Uuid, bool)> = sqlx::query_as(early).bind(&challenged).fetch_all(&mut *db).await?;
        book.early = early.into_iter().map(|(order_id, passed)| (OrderId(order_id), passed)).collect();
    }
    let refunds = Vec::from_iter(set(Job::refund_id));
    let mut payments = set(Job::payment_id);
    if !refunds.is_empty() || jobs.iter().any(|job| matches!(job, Job::Act { .. })) {
        let others = "select payment_id from sandbox.refund where refund_id = any($1)
                      union select payment_id from sandbox.payment where order_id = any($2)";
        let others: Vec<String> =
            sqlx::query_scalar(others).bind(&refunds).bind(&challenged).fetch_all(&mut *db).await?;
        payments.extend(others);
    }
    let read = "select payment_id, order_id, token, currency, amount, state, authorized, captured, released, refunded, capture_before, card
                  from sandbox.payment where payment_id = any($1)";
    for row in sqlx::query(read).bind(Vec::from_iter(payments)).fetch_all(&mut *db).await? {
        book.payments.insert(row.try_get("payment_id")?, entry(&row)?);
    }
    if !refunds.is_empty() {
        let read =
            "select refund_id, payment_id, amount, state, created_at from sandbox.refund where refund_id = any($1)";
        for row in sqlx::query(read).bind(&refunds).fetch_all(&mut *db).await? {
            book.refunds.insert(row.try_get("refund_id")?, refund(&row)?);
        }
    }
    let keys: BTreeSet<&str> = jobs.iter().filter_map(Job::key).collect();
    let read = "select key, operation, order_id, payment_id, amount, currency, answer from sandbox.operation where key = any($1)";
    for row in sqlx::query(read).bind(Vec::from_iter(keys)).fetch_all(db).await? {
        book.operations.insert(row.try_get("key")?, stored(&row)?);
    }
    Ok(book)
}

pub(crate) fn named<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_value(text.into()).map_err(|error| {
        let source = format!("the sandbox's book can't be read: {error}; was it written by a newer version?").into();
        sqlx::Error::ColumnDecode { index: column.to_owned(), source }
    })
}

fn stored(row: &PgRow) -> Result<StoredCall, sqlx::Error> {
    Ok(StoredCall {
        operation: named(row, "operation")?,
        order_id: OrderId(row.try_get("order_id")?),
        payment_id: row.try_get("payment_id")?,
        money: Money { amount: row.try_get("amount")?, currency: named(row, "currency")? },
        answer: row.try_get::<JsonText<_>, _>("answer")?.0,
    })
}

fn entry(row: &PgRow) -> Result<BookEntry, sqlx::Error> {
    Ok(BookEntry {
        order_id: OrderId(row.try_get("order_id")?),
        token: row.try_get("token")?,
        currency: named(row, "currency")?,
        amount: row.try_get("amount")?,
        state: named(row, "state")?,
        authorized: row.try_get("authorized")?,
        captured: row.try_get("captured")?,
        released: row.try_get("released")?,
        refunded: row.try_get("refunded")?,
        capture_before: row.try_get::<Timestamptz, _>("capture_before")?.0,
        card: row.try_get::<JsonText<_>, _>("card")?.0,
    })
}

pub(crate) fn refund_status(state: &str) -> Result<RefundStatus, sqlx::Error> {
    match state {
        "pending" => Ok(RefundStatus::Pending),
        "succeeded" => Ok(RefundStatus::Succeeded),
        "failed" => Ok(not_given_back()),
        other => {
            let source = format!(
                "the sandbox's book can't be read: unknown state of a refund: {other:?}; was it written by a newer version?"
            );
            Err(sqlx::Error::ColumnDecode { index: "state".to_owned(), source: source.into() })
        }
    }
}

fn refund(row: &PgRow) -> Result<Refund, sqlx::Error> {
    let status = refund_status(row.try_get("state")?)?;
    let (payment_id, amount, Timestamptz(created_at)) =
        (row.try_get("payment_id")?, row.try_get("amount")?, row.try_get("created_at")?);
    Ok(Refund { payment_id, amount, status, created_at })
}

pub(crate) async fn save(
    db: &mut PgConnection,
    before: &Book,
    after: &Book,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    insert_operations(db, &changed(&before.operations, &after.operations), now).await?;
    save_payments(db, &changed(&before.payments, &after.payments), now).await?;
    save_refunds(db, &changed(&before.refunds, &after.refunds), now).await?;
    let early = changed(&before.early, &after.early);
    if !early.is_empty() {
        let upsert = "insert into sandbox.early_result (order_id, passed, posted_at)
                      select row.*, $3 from unnest($1::uuid[], $2::boolean[]) as row
                          on conflict (order_id) do update set passed = excluded.passed, posted_at = excluded.posted_at";
        let (order_ids, passed): (Vec<Uuid>, Vec<bool>) =
            early.into_iter().map(|(order_id, passed)| (order_id.as_uuid(), *passed)).unzip();
        sqlx::query(upsert).bind(order_ids).bind(passed).bind(Timestamptz(now)).execute(db).await?;
    }
    Ok(())
}

fn changed<'b, K: Ord, R: PartialEq>(before: &BTreeMap<K, R>, after: &'b BTreeMap<K, R>) -> Vec<(&'b K, &'b R)> {
    after.iter().filter(|(key, row)| before.get(*key) != Some(*row)).collect()
}

async fn insert_operations(
    db: &mut PgConnection,
    rows: &[(&String, &StoredCall)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = sqlx::query(
        "insert into sandbox.operation (key, operation, order_id, payment_id, amount, currency, answer, done_at)
         select row.*, $8 from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[]) as row",
    );
    let insert = bind_columns!(insert; for (key, row) in rows =>
        key.as_str(), row.operation.as_str(), row.order_id.as_uuid(), row.payment_id.as_str(), row.money.amount,
        row.money.currency.as_str(), JsonText(&row.answer));
    insert.bind(Timestamptz(now)).execute(db).await.map(drop)
}

async fn save_payments(
    db: &mut PgConnection,
    rows: &[(&String, &BookEntry)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let upsert = sqlx::query(
        "insert into sandbox.payment (payment_id, order_id, token, currency, amount, state, authorized, captured, released, refunded,
                capture_before, card, created_at, updated_at)
         select row.*, $13, $13
           from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::bigint[], $11::timestamptz[], $12::text[]) as row
             on conflict (payment_id) do update set state = excluded.state, authorized = excluded.authorized, captured = excluded.captured,
                released = excluded.released, refunded = excluded.refunded, card = excluded.card, updated_at = excluded.updated_at",
    );
    let upsert = bind_columns!(upsert; for (id, row) in rows =>
        id.as_str(), row.order_id.as_uuid(), row.token.as_str(), row.currency.as_str(), row.amount, row.state.as_str(),
        row.authorized, row.captured, row.released, row.refunded, Timestamptz(row.capture_before), JsonText(&row.card));
    upsert.bind(Timestamptz(now)).execute(db).await.map(drop)
}

async fn save_refunds(db: &mut PgConnection, rows: &[(&String, &Refund)], now: Timestamp) -> Result<(), sqlx::Error> {
    let state = |status: &RefundStatus| match status {
        RefundStatus::Pending => ("pending", None),
        RefundStatus::Succeeded => ("succeeded", Some(Timestamptz(now))),
        RefundStatus::Failed { .. } => ("failed", Some(Timestamptz(now))),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let upsert = sqlx::query(
        "insert into sandbox.refund (refund_id, payment_id, amount, state, created_at, settled_at)
         select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
             on conflict (refund_id) do update set state = excluded.state, settled_at = excluded.settled_at",
    );
    let upsert = bind_columns!(upsert; for (id, row) in rows =>
        id.as_str(), row.payment_id.as_str(), row.amount, state(&row.status).0, Timestamptz(row.created_at),
        state(&row.status).1);
    upsert.execute(db).await.map(drop)
}
