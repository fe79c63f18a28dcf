//! At which position each request was answered: kept with what the request said, so that the same request gets the same answer however often it comes,
//! also when the outbox has long forgotten the row. Requests only: events and timers are answered to nobody.

use std::collections::{BTreeMap, HashMap};

use events::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::batch::Attempt;
use crate::engine::item::BatchItem;
use crate::engine::write_set::WriteSet;
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;

/// The requests of a batch that said something.
#[derive(Debug)]
pub(crate) struct Answers {
    schema: String,
    /// By the request's cause, as two batches may keep the same ones: the last row of the batch that it said.
    last: BTreeMap<Uuid, usize>,
    now: Timestamp,
}

impl Answers {
    /// Adds what is to be kept to a batch's writes, behind the outbox's rows, which are cut into entries of so many rows.
    pub fn add(&self, writes: &mut WriteSet, entries: impl Iterator<Item = usize>) {
        if self.last.is_empty() {
            return;
        }
        let sizes: Vec<usize> = entries.collect();
        let (entries, places): (Vec<i32>, Vec<i32>) = self.last.values().map(|row| place(&sizes, *row)).unzip();
        let Self { schema, .. } = self;
        let insert = format!(
            "insert into {schema}.answer as kept (cause_id, position, answered_at)
             select asked.cause_id, entry.seq + asked.place, $4
               from unnest($1::uuid[], $2::int4[], $3::int4[]) as asked (cause_id, entry, place)
               join (select seq, row_number() over (order by seq) as n from said) as entry on entry.n = asked.entry
              order by asked.cause_id
             on conflict (cause_id) do update set position = excluded.position, answered_at = excluded.answered_at"
        );
        let part = writes.append_kept("answered", &insert).bind(self.last.keys().copied().collect::<Vec<_>>());
        part.bind(entries).bind(places).bind(Timestamptz(self.now));
    }
}

/// In which entry a row is, from 1 on, and where in it, from 0 on.
fn place(entries: &[usize], row: usize) -> (i32, i32) {
    let (mut first, mut number) = (0, 1);
    for rows in entries {
        if row < first + rows {
            break;
        }
        (first, number) = (first + rows, number + 1);
    }
    (number, (row - first) as i32)
}

fn request<C: Consumer>(item: &BatchItem<C>) -> Option<Uuid> {
    item.reply.as_ref()?;
    item.work.as_ref().ok().map(|work| work.cause.id)
}

impl<C: Consumer> Engine<C> {
    /// What this batch's requests said, to be kept.
    pub(crate) fn answers(&self, items: &[BatchItem<C>], attempt: &Attempt<C>, now: Timestamp) -> Answers {
        let last = items.iter().zip(&attempt.own).filter_map(|(item, own)| {
            Some((request(item)?, own.end.checked_sub(1).filter(|last| own.contains(last))?))
        });
        Answers { schema: self.schema.clone(), last: last.collect(), now }
    }

    /// Where requests that say nothing now were answered before. Asked before anything is written: what comes after a commit may fail no more.
    pub(crate) async fn answered_before(
        &self,
        db: &mut PgConnection,
        causes: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, i64>, Failure> {
        if causes.is_empty() {
            return Ok(HashMap::new());
        }
        let statement = format!("select cause_id, position from {}.answer where cause_id = any($1)", self.schema);
        let known: Vec<(Uuid, i64)> = sqlx::query_as(AssertSqlSafe(statement)).bind(causes).fetch_all(db).await?;
        Ok(known.into_iter().collect())
    }
}

/// The causes of requests that say nothing.
pub(crate) fn silent<C: Consumer>(items: &[BatchItem<C>], attempt: &Attempt<C>) -> Vec<Uuid> {
    let all = items.iter().zip(&attempt.own).zip(&attempt.outcomes);
    let silent = all.filter(|((_, own), outcome)| own.is_empty() && matches!(outcome, Some(Ok(_))));
    silent.filter_map(|((item, _), _)| request(item)).collect()
}

/// The position that each item is answered with: of the last that it said itself, or else of what the same request said before, in this batch or in an
/// earlier one.
pub(crate) fn positions<C: Consumer>(
    items: &[BatchItem<C>],
    attempt: &Attempt<C>,
    mut known: HashMap<Uuid, i64>,
) -> Vec<Option<i64>> {
    let mut positions = Vec::with_capacity(items.len());
    for (item, own) in items.iter().zip(&attempt.own) {
        let said = own.clone().last().and_then(|last| attempt.positions.get(last).copied());
        let cause = request(item);
        if let (Some(cause), Some(said)) = (cause, said) {
            known.insert(cause, said);
        }
        positions.push(said.or_else(|| known.get(&cause?).copied()));
    }
    positions
}

#[cfg(test)]
mod tests;
