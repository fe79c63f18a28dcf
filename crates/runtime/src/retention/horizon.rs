//! The horizon: how old an order is when its consumers may forget it, and what becomes of an event of an order that was forgotten.
//!
//! An order's row is the guard against its events, so it outlives everything that can bring one back. Behind the horizon the order's own id, which
//! says when it was minted, takes over: an event of an order that old, of which there is no row, was decided long ago and does nothing.

use std::collections::HashSet;
use std::time::Duration;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::failure::Failure;
use crate::retention::{Expiring, Retention};
use crate::vocabulary::Conflict;

/// How long after its events are passed over an order's row goes: clocks of instances differ, and none may decide what another has forgotten.
const SLACK: Duration = Duration::from_secs(3_600);

pub(crate) struct Horizon {
    pub keep: Duration,
    /// Which of the orders `$1` have a row.
    known: String,
    /// The next `$3` rows behind `$1` of orders older than `$2`: whether they have ended, and whether they have not changed since `$4` either.
    pub next: String,
    /// Delete what goes with the orders `$1`, then their rows.
    pub forget: Vec<String>,
    /// Deletes at most `$2` dead letters that were resolved before `$1`; open ones wait for a person, however long.
    pub letters: String,
    /// Deletes at most `$2` of the positions at which requests were answered before `$1`.
    pub answers: String,
    /// Delete what else has had its time.
    pub others: Vec<Expiring>,
}

impl Horizon {
    pub fn of(schema: &str, keep: Duration, retention: Retention) -> Self {
        let Retention { rows, guards, ended, changed_at, with, others } = retention;
        let mut forget: Vec<String> = with.into_iter().map(ToOwned::to_owned).collect();
        forget.push(format!("delete from {schema}.timer where order_id = any($1)"));
        forget.push(format!("delete from {rows} where order_id = any($1)"));
        Self {
            keep,
            known: format!("select order_id from {rows} as kept where order_id = any($1) and ({guards})"),
            next: format!(
                "select order_id, coalesce({ended}, false) as ended, coalesce(({ended}) and ({changed_at}) < $4, false) as gone
                 from {rows} as kept where order_id > $1 and order_id < $2 order by order_id limit $3 for update of kept skip locked"
            ),
            forget,
            letters: format!(
                "delete from {schema}.dead_letter where letter_id in (select letter_id from {schema}.dead_letter
                  where resolution in ('recovered', 'skipped', 'died_again') and resolved_at < $1 limit $2 for update skip locked)"
            ),
            answers: format!(
                "delete from {schema}.answer where cause_id in (select cause_id from {schema}.answer where answered_at < $1 limit $2 for update skip locked)"
            ),
            others,
        }
    }

    /// Orders before this id were minted before the horizon.
    pub fn oldest(&self, now: Timestamp) -> OrderId {
        OrderId::least_at(now.minus(self.keep))
    }

    /// What did not change since then may be forgotten.
    pub fn until(&self, now: Timestamp) -> Timestamp {
        now.minus(self.keep).minus(SLACK)
    }

    /// Which of these orders have a row.
    pub async fn known(&self, db: &mut PgConnection, orders: &[Uuid]) -> Result<HashSet<Uuid>, Failure> {
        let known: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(self.known.clone())).bind(orders).fetch_all(db).await?;
        Ok(known.into_iter().collect())
    }

    /// What becomes of an event of a forgotten order: nothing, where it was said while the order was known. One that was said later is news: the
    /// order is open elsewhere, and a person must know.
    pub fn passed_over<R: Default>(
        &self,
        consumer: &str,
        order_id: OrderId,
        minted_at: Timestamp,
        said_at: Option<Timestamp>,
    ) -> Result<R, Conflict> {
        match said_at {
            Some(said_at) if said_at > minted_at.plus(self.keep) => Err(Conflict(format!(
                "{consumer} has forgotten order {order_id}, which was placed at {minted_at}: expected no news of it after {:.1} days, got an event \
                 that was said at {said_at}; the order is open elsewhere, so do by hand what this event asks for",
                self.keep.as_secs_f64() / 86_400.0
            ))),
            Some(_) | None => Ok(R::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one transaction of the pruner deletes is bounded, so that it holds up nobody for longer than a chunk takes.
    #[test]
    fn the_pruner_looks_at_a_chunk_at_a_time() {
        let retention = Retention { rows: "s.t", ended: "true", changed_at: "at", ..Retention::default() };
        let Horizon { next, letters, answers, .. } = Horizon::of("s", Duration::from_secs(1), retention);
        for (statement, limit) in [(next, "limit $3"), (letters, "limit $2"), (answers, "limit $2")] {
            assert!(statement.contains(limit) && statement.contains("skip locked"), "{statement}");
        }
    }

    #[test]
    fn what_was_said_while_the_order_was_known_does_nothing_and_later_news_is_a_conflict() {
        let day = Duration::from_secs(86_400);
        let retention = Retention { rows: "a.b", with: vec!["delete from a.c"], ..Retention::default() };
        let horizon = Horizon::of("a", 60 * day, retention);
        let order_id: OrderId = "019aba2c-3f00-7000-8000-000000000001".parse().unwrap();
        let minted_at = order_id.minted_at().unwrap();
        let meet = |said_at| horizon.passed_over::<()>("fraud", order_id, minted_at, said_at);
        assert_eq!(meet(Some(minted_at.plus(59 * day))), Ok(()));
        assert_eq!(meet(None), Ok(()));
        let Conflict(text) = meet(Some(minted_at.plus(61 * day))).unwrap_err();
        assert!(text.contains("fraud has forgotten order 019aba2c") && text.contains("60.0 days"), "{text}");
        assert_eq!(horizon.forget.first().map(String::as_str), Some("delete from a.c"));
        assert_eq!(horizon.forget.last().map(String::as_str), Some("delete from a.b where order_id = any($1)"));
    }
}
