//! All SQL of fraud.
//!
//! Orders are locked in the order of their ids; what velocity rules count is in [`velocity`], and is not locked.

use std::collections::BTreeSet;
use std::time::Duration;

use events::{Currency, OrderId, RuleHit, Timestamp};
use runtime::sql::{JsonText, Timestamptz};
use runtime::{Failure, Meets, Reading, Recall, Recent, Retention, TraceContext, WriteSet};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::handlers::Input;
use crate::velocity::{Near, Subject};
use crate::world::{Assessment, BatchState, Carried, Slot, State};

mod velocity;

pub(crate) use velocity::delete_counts;

/// Orders that were decided, or that were over before: all but open reviews. What velocity rules count goes by its own window.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: "fraud.assessment",
        guards: "true",
        ended: "state <> 'REVIEW'",
        changed_at: "coalesce(decided_at, opened_at)",
        with: Vec::new(),
    }
}

/// The column `data`.
#[derive(Deserialize)]
struct Data {
    rules: Vec<RuleHit>,
    thread: TraceContext,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    carried: Option<Carried>,
}

/// The same, to be written.
#[derive(Serialize)]
struct DataOf<'r> {
    rules: &'r [RuleHit],
    thread: &'r TraceContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carried: Option<&'r Carried>,
}

/// A row of `fraud.assessment`.
#[derive(FromRow)]
struct Row {
    order_id: Uuid,
    state: String,
    version: i64,
    score: i64,
    amount: i64,
    currency: Option<String>,
    opened_at: Timestamptz,
    deadline: Option<Timestamptz>,
    decided_by: Option<String>,
    decided_at: Option<Timestamptz>,
    data: String,
}

impl Row {
    fn read(self) -> Result<(OrderId, i64, Assessment), Failure> {
        let unreadable = |column: &str, source| Failure::Stored {
            what: format!("fraud.assessment {}, {column}", self.order_id),
            source,
        };
        let Data { rules, thread, note, carried } =
            serde_json::from_str(&self.data).map_err(|error| unreadable("data", error))?;
        let unknown = || serde::de::Error::custom(format!("unknown state {:?}", self.state));
        let currency: Option<Currency> = match &self.currency {
            Some(code) => {
                Some(serde_json::from_value(code.as_str().into()).map_err(|error| unreadable("currency", error))?)
            }
            None => None,
        };
        let row = Assessment {
            state: State::of(&self.state).ok_or_else(|| unreadable("state", unknown()))?,
            score: self.score,
            rules,
            amount: self.amount,
            currency,
            opened_at: self.opened_at.0,
            deadline: self.deadline.map(|at| at.0),
            decided_by: self.decided_by,
            decided_at: self.decided_at.map(|at| at.0),
            note,
            thread,
            carried,
        };
        Ok((OrderId(self.order_id), self.version, row))
    }
}

/// Reads the orders of a batch, then sums what was counted for the subjects of those that are looked at for the first time.
pub(crate) async fn load(
    db: &mut PgConnection,
    batch: &[&Input],
    recent: &Recent<Assessment>,
    window: Duration,
    now: Timestamp,
    reading: Reading,
) -> Result<BatchState, Failure> {
    let orders = batch.iter().map(|input| {
        let meets = if matches!(input, Input::Authorized(_)) { Meets::New } else { Meets::Known };
        (input.order_id(), meets)
    });
    let Recall { rows, recalled, others } = recent.recall(orders, now, reading);
    let mut world = BatchState { recalled, ..BatchState::default() };
    for (order_id, version, row) in rows {
        world.orders.insert(order_id, Slot { loaded: Some(version), row, changed: false });
    }
    if !others.is_empty() {
        for row in assessments(db, others, reading).await? {
            let (order_id, version, row) = row.read()?;
            world.orders.insert(order_id, Slot { loaded: Some(version), row, changed: false });
        }
    }
    let wanted: BTreeSet<(Subject, Near)> = batch
        .iter()
        .filter(|input| !world.orders.contains_key(&input.order_id()))
        .filter_map(|input| match input {
            Input::Authorized(authorized) => Some(authorized),
            Input::Voided(_) | Input::Deadline(_) | Input::Ruled { .. } => None,
        })
        .flat_map(|authorized| {
            let near = Near::of(authorized.placed_at(now), window);
            authorized.subjects.iter().map(move |(_, subject)| (*subject, near))
        })
        .collect();
    if !wanted.is_empty() {
        velocity::tallies(db, wanted, window, &mut world.tallies).await?;
    }
    Ok(world)
}

async fn assessments(db: &mut PgConnection, order_ids: Vec<Uuid>, reading: Reading) -> Result<Vec<Row>, Failure> {
    let rows = sqlx::query_as(reading.of(
        "select order_id, state, version, score, amount, currency, opened_at, deadline, decided_by, decided_at, data
         from fraud.assessment where order_id = any($1) order by order_id",
    ));
    Ok(rows.bind(order_ids).fetch_all(db).await?)
}

/// Adds what a batch changed to its writes.
pub(crate) fn save(writes: &mut WriteSet, world: &BatchState) -> Result<(), Failure> {
    let BatchState { orders, tallies, recalled } = world;
    recalled.check(|order_id| orders.get(&order_id).is_some_and(|slot| slot.changed))?;
    let mut changed: Vec<(&OrderId, &Slot)> = orders.iter().filter(|(_, slot)| slot.changed).collect();
    changed.sort_unstable_by_key(|(order_id, _)| **order_id);
    let (mut new, mut known) = (Columns::default(), Columns::default());
    for (order_id, slot) in changed {
        if slot.loaded.is_none() { &mut new } else { &mut known }.push(*order_id, slot);
    }
    new.write(writes, INSERT);
    known.write(writes, UPDATE);
    let counts = tallies.counts();
    if !counts.is_empty() {
        velocity::save_counts(writes, &counts);
    }
    Ok(())
}

const INSERT: &str =
    "insert into fraud.assessment (order_id, state, version, score, amount, currency, opened_at, deadline, decided_by, decided_at, data)
     select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[],
            $8::timestamptz[], $9::text[], $10::timestamptz[], $11::text[])";

const UPDATE: &str =
    "update fraud.assessment as kept set state = new.state, version = new.version, decided_by = new.decided_by,
            decided_at = new.decided_at, data = new.data
       from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[],
            $8::timestamptz[], $9::text[], $10::timestamptz[], $11::text[])
            as new (order_id, state, version, score, amount, currency, opened_at, deadline, decided_by, decided_at, data)
      where kept.order_id = new.order_id and kept.version = new.version - 1";

#[derive(Default)]
struct Columns<'r> {
    order_id: Vec<Uuid>,
    state: Vec<&'static str>,
    version: Vec<i64>,
    score: Vec<i64>,
    amount: Vec<i64>,
    currency: Vec<Option<&'r str>>,
    opened_at: Vec<Timestamptz>,
    deadline: Vec<Option<Timestamptz>>,
    decided_by: Vec<Option<&'r str>>,
    decided_at: Vec<Option<Timestamptz>>,
    data: Vec<JsonText<DataOf<'r>>>,
}

impl<'r> Columns<'r> {
    fn push(&mut self, order_id: OrderId, Slot { loaded, row, .. }: &'r Slot) {
        self.order_id.push(order_id.as_uuid());
        self.state.push(row.state.as_str());
        self.version.push(loaded.unwrap_or(0) + 1);
        self.score.push(row.score);
        self.amount.push(row.amount);
        self.currency.push(row.currency.as_ref().map(Currency::as_str));
        self.opened_at.push(Timestamptz(row.opened_at));
        self.deadline.push(row.deadline.map(Timestamptz));
        self.decided_by.push(row.decided_by.as_deref());
        self.decided_at.push(row.decided_at.map(Timestamptz));
        self.data.push(JsonText(DataOf {
            rules: &row.rules,
            thread: &row.thread,
            note: row.note.as_deref(),
            carried: row.carried.as_ref(),
        }));
    }

    fn write(self, writes: &mut WriteSet, statement: &str) {
        if self.order_id.is_empty() {
            return;
        }
        writes
            .add("fraud.assessment", Some(self.order_id.len()), statement)
            .bind(self.order_id)
            .bind(self.state)
            .bind(self.version)
            .bind(self.score)
            .bind(self.amount)
            .bind(self.currency)
            .bind(self.opened_at)
            .bind(self.deadline)
            .bind(self.decided_by)
            .bind(self.decided_at)
            .bind(self.data);
    }
}

/// Open reviews behind this deadline and order, the oldest deadline first.
pub(crate) async fn open_reviews(
    pool: &PgPool,
    (deadline, order_id): (Timestamp, OrderId),
    limit: i64,
) -> Result<Vec<(OrderId, Assessment)>, Failure> {
    let rows: Vec<Row> = sqlx::query_as(
        "select order_id, state, version, score, amount, currency, opened_at, deadline, decided_by, decided_at, data
         from fraud.assessment where state = 'REVIEW' and (deadline, order_id) > ($1, $2) order by deadline, order_id limit $3",
    )
    .bind(Timestamptz(deadline))
    .bind(order_id.as_uuid())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| row.read().map(|(order_id, _, row)| (order_id, row))).collect()
}

/// One order that was looked at, whether it is under review or not.
pub(crate) async fn assessment(pool: &PgPool, order_id: OrderId) -> Result<Option<Assessment>, Failure> {
    let row: Option<Row> = sqlx::query_as(
        "select order_id, state, version, score, amount, currency, opened_at, deadline, decided_by, decided_at, data
         from fraud.assessment where order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_optional(pool)
    .await?;
    row.map(|row| row.read().map(|(_, _, row)| row)).transpose()
}
