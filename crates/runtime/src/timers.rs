//! Timers: rows of their own, read without locks by a sweeper, decided like events with their order's row locked.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::consumer::Timer;
use crate::failure::Failure;
use crate::sql::At;
use crate::writes::Writes;

/// Changes of a batch by (order, kind, discriminator): the last word on each, due when or forgotten.
pub(crate) type TimerChanges = BTreeMap<(OrderId, String, String), TimerChange>;

/// The last word of a batch on one timer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerChange {
    /// Due then.
    Arm(Timestamp),
    /// Forgotten, whenever it is due.
    Disarm,
    /// It fired: forgotten, unless it was armed anew for another time since.
    Fired(Timestamp),
}

/// The timer statements of one schema.
#[derive(Clone)]
pub(crate) struct Timers {
    upsert: String,
    delete: String,
    due: String,
    next: String,
}

impl Timers {
    pub(crate) fn of(schema: &str) -> Self {
        Self {
            upsert: format!(
                "insert into {schema}.timer (order_id, kind, discriminator, due_at)
                 select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
                 on conflict (order_id, kind, discriminator) do update set due_at = excluded.due_at"
            ),
            delete: format!(
                "delete from {schema}.timer
                 using unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) as gone (order_id, kind, discriminator, due_at)
                 where timer.order_id = gone.order_id and timer.kind = gone.kind and timer.discriminator = gone.discriminator
                   and (gone.due_at is null or timer.due_at = gone.due_at)"
            ),
            due: format!(
                "select order_id, kind, discriminator, due_at from {schema}.timer where due_at <= $1 order by due_at limit $2"
            ),
            next: format!("select min(due_at) from {schema}.timer"),
        }
    }

    /// Adds a batch's changes to its writes; returns the earliest time that is armed.
    pub(crate) fn save(&self, writes: &mut Writes, changes: &TimerChanges) -> Option<Timestamp> {
        let (mut armed, mut gone) = (Columns::default(), Columns::default());
        for (key, change) in changes {
            match change {
                TimerChange::Arm(due) => armed.push(key, Some(*due)),
                TimerChange::Disarm => gone.push(key, None),
                TimerChange::Fired(due) => gone.push(key, Some(*due)),
            }
        }
        let first = armed.due.iter().flatten().map(|due| due.0).min();
        gone.write(writes, &self.delete);
        armed.write(writes, &self.upsert);
        first
    }

    /// Timers that are due, without locks: they are decided with their order's row locked.
    pub(crate) async fn due(&self, pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<Timer>, Failure> {
        let rows: Vec<(Uuid, String, String, At)> =
            sqlx::query_as(AssertSqlSafe(self.due.clone())).bind(At(now)).bind(limit).fetch_all(pool).await?;
        Ok(rows
            .into_iter()
            .map(|(order_id, kind, discriminator, due)| Timer {
                order_id: OrderId(order_id),
                kind,
                discriminator,
                due: due.0,
            })
            .collect())
    }

    /// When the next timer is due; none where there is none.
    pub(crate) async fn next(&self, pool: &PgPool) -> Result<Option<Timestamp>, Failure> {
        let next: Option<At> = sqlx::query_scalar(AssertSqlSafe(self.next.clone())).fetch_one(pool).await?;
        Ok(next.map(|due| due.0))
    }
}

#[derive(Default)]
struct Columns {
    order_id: Vec<Uuid>,
    kind: Vec<String>,
    discriminator: Vec<String>,
    due: Vec<Option<At>>,
}

impl Columns {
    fn push(&mut self, (order_id, kind, discriminator): &(OrderId, String, String), due: Option<Timestamp>) {
        self.order_id.push(order_id.0);
        self.kind.push(kind.clone());
        self.discriminator.push(discriminator.clone());
        self.due.push(due.map(At));
    }

    fn write(self, writes: &mut Writes, statement: &str) {
        if !self.order_id.is_empty() {
            let part = writes.add("timer", None, statement);
            part.bind(self.order_id).bind(self.kind).bind(self.discriminator).bind(self.due);
        }
    }
}
