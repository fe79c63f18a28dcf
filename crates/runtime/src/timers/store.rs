//! Timers: rows of their own, read without locks by a sweeper, decided like events with their order's row locked.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::engine::write_set::{Statement, WriteSet};
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;
use crate::vocabulary::Timer;

#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub timer: Timer,
    /// How often it fired and failed before.
    pub attempts: i32,
    /// The dead letter that it was before a person had it tried again.
    pub letter_id: Option<Uuid>,
}

/// Changes of a batch by (order, kind, discriminator): the last word on each, due when or forgotten.
pub(crate) type TimerChanges = BTreeMap<TimerKey, TimerChange>;

/// Whose timer, what for, which of several.
pub(crate) type TimerKey = (OrderId, String, String);

#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerChange {
    Arm(Timestamp),
    /// Forgotten, whenever it is due.
    Disarm,
    /// It fired: forgotten, unless it was armed anew for another time since.
    Fired(Timestamp),
    /// It fired and failed: due again then, unless it was armed anew for another time since.
    Again {
        was: Timestamp,
        next: Timestamp,
    },
}

#[derive(Clone)]
pub(crate) struct Timers {
    upsert: String,
    delete: String,
    again: String,
    due: String,
    next: String,
}

impl Timers {
    pub(crate) fn of(schema: &str) -> Self {
        Self {
            upsert: format!(
                "insert into {schema}.timer (order_id, kind, discriminator, due_at)
                 select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
                 on conflict (order_id, kind, discriminator) do update set due_at = excluded.due_at, attempts = 0, letter_id = null"
            ),
            again: format!(
                "update {schema}.timer set due_at = failed.next_at, attempts = attempts + 1
                   from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
                          as failed (order_id, kind, discriminator, due_at, next_at)
                  where timer.order_id = failed.order_id and timer.kind = failed.kind and timer.discriminator = failed.discriminator
                    and timer.due_at = failed.due_at"
            ),
            delete: format!(
                "delete from {schema}.timer
                 using unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) as gone (order_id, kind, discriminator, due_at)
                 where timer.order_id = gone.order_id and timer.kind = gone.kind and timer.discriminator = gone.discriminator
                   and (gone.due_at is null or timer.due_at = gone.due_at)"
            ),
            due: format!(
                "select order_id, kind, discriminator, due_at, attempts, letter_id from {schema}.timer where due_at <= $1 order by due_at limit $2"
            ),
            next: format!("select min(due_at) from {schema}.timer"),
        }
    }

    /// Adds a batch's changes to its writes; returns the earliest time that is armed.
    pub(crate) fn save(&self, writes: &mut WriteSet, changes: &TimerChanges) -> Option<Timestamp> {
        let (mut armed, mut gone, mut again, mut next) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, change) in changes {
            match change {
                TimerChange::Arm(due) => armed.push((key, Some(Timestamptz(*due)))),
                TimerChange::Disarm => gone.push((key, None)),
                TimerChange::Fired(due) => gone.push((key, Some(Timestamptz(*due)))),
                TimerChange::Again { was, next: at } => {
                    again.push((key, Some(Timestamptz(*was))));
                    next.push(Some(Timestamptz(*at)));
                }
            }
        }
        let first = armed.iter().map(|(_, due)| due).chain(&next).flatten().map(|due| due.0).min();
        add(writes, &self.delete, &gone);
        add(writes, &self.upsert, &armed);
        if let Some(part) = add(writes, &self.again, &again) {
            part.bind(next);
        }
        first
    }

    /// Timers that are due, without locks: they are decided with their order's row locked.
    pub(crate) async fn due(&self, pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<Fired>, Failure> {
        let rows: Vec<(Uuid, String, String, Timestamptz, i32, Option<Uuid>)> =
            sqlx::query_as(AssertSqlSafe(self.due.clone())).bind(Timestamptz(now)).bind(limit).fetch_all(pool).await?;
        Ok(rows
            .into_iter()
            .map(|(order_id, kind, discriminator, due, attempts, letter_id)| {
                let timer = Timer { order_id: OrderId(order_id), kind, discriminator, due: due.0 };
                Fired { timer, attempts, letter_id }
            })
            .collect())
    }

    pub(crate) async fn next(&self, pool: &PgPool) -> Result<Option<Timestamp>, Failure> {
        let next: Option<Timestamptz> = sqlx::query_scalar(AssertSqlSafe(self.next.clone())).fetch_one(pool).await?;
        Ok(next.map(|due| due.0))
    }
}

/// Adds a statement about these timers, unless there are none.
fn add<'w>(
    writes: &'w mut WriteSet,
    statement: &str,
    timers: &[(&TimerKey, Option<Timestamptz>)],
) -> Option<Statement<'w>> {
    if timers.is_empty() {
        return None;
    }
    let part = writes.add("timer", None, statement);
    let part = part.bind(timers.iter().map(|((order_id, ..), _)| order_id.0).collect::<Vec<_>>());
    let part = part.bind(timers.iter().map(|((_, kind, _), _)| kind.as_str()).collect::<Vec<_>>());
    let part = part.bind(timers.iter().map(|((.., discriminator), _)| discriminator.as_str()).collect::<Vec<_>>());
    Some(part.bind(timers.iter().map(|(_, due)| *due).collect::<Vec<_>>()))
}
