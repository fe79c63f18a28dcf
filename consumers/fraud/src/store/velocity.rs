//! The SQL of what velocity rules count.
//!
//! Counts are not locked: two instances that look at two orders of one customer in the same milliseconds do not see each other's count, so a
//! burst may be counted short by what is in flight elsewhere, until those batches commit. Locks on subjects would stop every instance behind the
//! busiest card or address, and three advisory locks an order are more than PostgreSQL's lock table is made for; a rule that gives points bears
//! being a few milliseconds late, as the next order sees them all. Rows are only appended, and an order is counted in the transaction that writes
//! its own row, so nothing is counted twice.

use std::sync::atomic::Ordering;

use events::{Currency, Timestamp};
use runtime::sql::At;
use runtime::{Failure, Writes};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Fraud;
use crate::velocity::{Count, Subject, Tallies};

/// How many old counts are deleted in one batch at most: what is left goes with the next.
const PRUNED_AT_ONCE: i64 = 5_000;
/// How often old counts are looked for.
const PRUNED_EVERY_MS: i64 = 60_000;

/// Sums what was counted for these subjects since `from`.
pub(super) async fn tallies(
    db: &mut PgConnection,
    subjects: Vec<Uuid>,
    from: Timestamp,
    tallies: &mut Tallies,
) -> Result<(), Failure> {
    let sums: Vec<(Uuid, String, i64, i64)> = sqlx::query_as(
        "select subject, currency, count(*), least(sum(amount), 9223372036854775807)::bigint
         from fraud.velocity where subject = any($1) and at > $2 group by subject, currency",
    )
    .bind(subjects)
    .bind(At(from))
    .fetch_all(db)
    .await?;
    for (subject, currency, orders, amount) in sums {
        let what = || format!("fraud.velocity {subject}, currency");
        let currency: Currency =
            serde_json::from_value(currency.into()).map_err(|source| Failure::Stored { what: what(), source })?;
        tallies.stored(Subject(subject), orders, currency, amount);
    }
    Ok(())
}

/// Counts of orders that are decided for the first time: none of them is there yet.
pub(super) fn save_counts(writes: &mut Writes, counts: &[&Count]) {
    writes
        .add(
            "fraud.velocity",
            Some(counts.len()),
            "insert into fraud.velocity (subject, order_id, kind, currency, amount, at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])",
        )
        .bind(counts.iter().map(|count| count.subject.0).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.order_id.as_uuid()).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.kind.as_str()).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.currency.as_str()).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.amount).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| At(count.at)).collect::<Vec<_>>());
}

impl Fraud {
    /// Deletes counts that left the window: once a minute, and again with the next batch while some are left.
    pub(crate) async fn prune(&self, db: &mut PgConnection, now: Timestamp) -> Result<(), Failure> {
        let last = self.pruned_at.load(Ordering::Relaxed);
        if now.as_millis() - last < PRUNED_EVERY_MS {
            return Ok(());
        }
        let pruned = delete_counts(db, now.minus(self.settings.velocity.window.0)).await?;
        if pruned < PRUNED_AT_ONCE as u64 {
            self.pruned_at.store(now.as_millis(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Rows that another instance deletes at this moment are left to it.
async fn delete_counts(db: &mut PgConnection, until: Timestamp) -> Result<u64, Failure> {
    let done = sqlx::query(
        "delete from fraud.velocity as gone
         using (select subject, order_id from fraud.velocity where at <= $1 order by at limit $2 for update skip locked) as old
         where gone.subject = old.subject and gone.order_id = old.order_id",
    )
    .bind(At(until))
    .bind(PRUNED_AT_ONCE)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
