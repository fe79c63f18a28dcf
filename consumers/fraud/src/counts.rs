//! The SQL of what velocity rules count.
//!
//! Counts are not locked: two instances that look at two orders of one customer in the same milliseconds do not see each other's count, so a
//! burst may be counted short by what is in flight elsewhere, until those batches commit. Locks on subjects would stop every instance behind the
//! busiest card or address, and three advisory locks an order are more than PostgreSQL's lock table is made for; a rule that gives points bears
//! being a few milliseconds late, as the next order sees them all. Rows are only appended, and an order is counted in the transaction that writes
//! its own row, so nothing is counted twice.

use std::collections::BTreeSet;
use std::time::Duration;

use events::Currency;
use runtime::rows::Append;
use runtime::sql::Timestamptz;
use runtime::{Expiring, Failure, WriteSet};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::velocity::{CountedOrder, Near, Subject, Tallies};

pub(crate) async fn tallies(
    db: &mut PgConnection,
    wanted: BTreeSet<(Subject, Near)>,
    window: Duration,
) -> Result<Tallies, Failure> {
    let wanted: Vec<(Subject, Near)> = wanted.into_iter().collect();
    let mut tallies = Tallies::default();
    if wanted.is_empty() {
        return Ok(tallies);
    }
    let bounds = || wanted.iter().map(|(_, near)| near.bounds(window));
    let sums: Vec<(i64, String, i64, i64)> = sqlx::query_as(
        "select wanted.n, currency, count(*), least(sum(amount), 9223372036854775807)::bigint
           from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) with ordinality as wanted (subject, after, until, n)
           join fraud.velocity as counted on counted.subject = wanted.subject and counted.at > wanted.after and counted.at <= wanted.until
          group by wanted.n, currency",
    )
    .bind(wanted.iter().map(|(subject, _)| subject.0).collect::<Vec<Uuid>>())
    .bind(bounds().map(|(after, _)| Timestamptz(after)).collect::<Vec<_>>())
    .bind(bounds().map(|(_, until)| Timestamptz(until)).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    for (n, currency, orders, amount) in sums {
        let Some((subject, near)) = wanted.get(n as usize - 1) else { continue };
        let what = || format!("fraud.velocity {}, currency", subject.0);
        let currency: Currency =
            serde_json::from_value(currency.into()).map_err(|source| Failure::Stored { what: what(), source })?;
        tallies.stored(*subject, *near, orders, currency, amount);
    }
    Ok(tallies)
}

/// Counts of orders that are decided for the first time: none of them is there yet.
pub(crate) fn save(writes: &mut WriteSet, counts: &[&CountedOrder]) {
    Append::to("fraud.velocity", counts)
        .column("subject", |count| count.subject.0)
        .column("order_id", |count| count.order_id.as_uuid())
        .column("kind", |count| count.kind.as_str())
        .column("currency", |count| count.currency.as_str())
        .column("amount", |count| count.amount)
        .column("at", |count| Timestamptz(count.at))
        .write(writes);
}

/// Counts go by the window of the velocity rules, not by the horizon; rows that another instance deletes at this moment are left to it.
pub(crate) fn expiring(age: Duration) -> Expiring {
    let statement = "delete from fraud.velocity as gone
         using (select subject, order_id from fraud.velocity where at <= $1 order by at limit $2 for update skip locked) as old
         where gone.subject = old.subject and gone.order_id = old.order_id";
    Expiring { statement, age: Some(age) }
}
