//! The queue of one schema, as its consumer uses it: which lanes are held, what goes behind them, what is due, and what becomes of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use events::Timestamp;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::dead_letter::Death;
use crate::failure::Failure;
use crate::headers::Headers;
use crate::message::Message;
use crate::sql::At;

/// Bytes of an error that are kept with a parked event.
const LONGEST_ERROR: usize = 2_000;

/// The statements of one schema's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    schema: String,
    /// Begins a transaction only if nothing is parked.
    begin_if_empty: String,
    /// Whether something was parked when last looked: then lanes are asked for by name.
    in_use: AtomicBool,
}

/// A row of the queue, as the retrier reads it.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Kept {
    pub arrival: i64,
    pub lane: Vec<u8>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<u8>,
    pub payload: Option<Vec<u8>>,
    pub parked_at: At,
    pub next_at: Option<At>,
    pub attempts: i32,
    pub first_failed_at: Option<At>,
    pub loops: i32,
    pub letter_id: Option<Uuid>,
    pub dead_at: Option<At>,
    pub decided_by: Option<String>,
    pub skipped: bool,
}

/// An event that is parked anew: with its failure, or behind one.
pub(crate) struct Arrival<'m> {
    pub message: &'m Message,
    /// Why, and when it is tried again (never: it is this dead letter); none: it waits behind its head.
    pub failure: Option<(&'m Death, Result<Timestamp, Uuid>)>,
}

/// An event that failed again.
pub(crate) struct Failed<'m> {
    pub arrival: i64,
    pub attempts: i32,
    pub death: &'m Death,
    /// When it is tried again; or the dead letter that it is now.
    pub next: Result<Timestamp, Uuid>,
}

/// How much there is in a queue.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub(crate) struct Extent {
    pub events: i64,
    pub dead: i64,
    pub since: Option<At>,
}

/// The lane of a record: its key; without one, its place, where nothing else comes.
pub(crate) fn lane(message: &Message) -> Vec<u8> {
    message.key.clone().unwrap_or_else(|| format!("\u{1}{}", message.place()).into_bytes())
}

impl Queue {
    pub fn of(schema: &str) -> Self {
        // One round trip while nothing is parked. A division by zero, which PostgreSQL logs, is what a first look at a queue in use costs.
        let begin_if_empty = format!("select 1 / (not exists (select from {schema}.parked))::int; begin");
        Self { schema: schema.to_owned(), begin_if_empty, in_use: AtomicBool::new(true) }
    }

    /// Begins a transaction and says which of these lanes are held. While nothing is parked at all, that costs no statement of its own.
    pub async fn begin(
        &self,
        pool: &PgPool,
        lanes: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<(Transaction<'static, Postgres>, HashSet<Vec<u8>>), Failure> {
        if !self.in_use.load(Ordering::Relaxed) {
            match pool.begin_with(AssertSqlSafe(self.begin_if_empty.clone())).await {
                Ok(tx) => return Ok((tx, HashSet::new())),
                Err(error) if is_division_by_zero(&error) => self.in_use.store(true, Ordering::Relaxed),
                Err(error) => return Err(error.into()),
            }
        }
        let mut tx = pool.begin().await?;
        let held = self.held(&mut tx, &lanes()).await?;
        Ok((tx, held))
    }

    async fn held(&self, db: &mut PgConnection, lanes: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "select distinct lane from {schema}.parked where lane = any($1) union all select null where not exists (select from {schema}.parked)"
        );
        let held: Vec<Option<Vec<u8>>> =
            sqlx::query_scalar(AssertSqlSafe(statement)).bind(lanes).fetch_all(db).await?;
        self.in_use.store(!held.contains(&None), Ordering::Relaxed);
        Ok(held.into_iter().flatten().collect())
    }

    /// Waits no longer for locks and statements than others can bear who are decided beside it.
    pub async fn hasten(db: &mut PgConnection) -> Result<(), Failure> {
        sqlx::raw_sql("set local lock_timeout = '100ms'; set local statement_timeout = '2s'").execute(db).await?;
        Ok(())
    }

    /// Heads that are to be tried next, the most urgent first, whether they are due yet or not.
    pub async fn next(&self, pool: &PgPool, limit: i64) -> Result<Vec<(Vec<u8>, At)>, Failure> {
        let Self { schema, .. } = self;
        let statement =
            format!("select lane, next_at from {schema}.parked where next_at is not null order by next_at limit $1");
        Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(pool).await?)
    }

    /// What waits in these lanes, lane by lane in order.
    pub async fn read(&self, pool: &PgPool, lanes: &[Vec<u8>], limit: i64) -> Result<Vec<Kept>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "select arrival, lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at, next_at, attempts,
                    first_failed_at, loops, letter_id, dead_at, decided_by, skipped
               from {schema}.parked where lane = any($1) order by lane, arrival limit $2"
        );
        Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(lanes).bind(limit).fetch_all(pool).await?)
    }

    /// Locks rows that are as they were read, and that nobody else is at; returns which.
    pub async fn claim(&self, db: &mut PgConnection, rows: &[(i64, i32)]) -> Result<HashSet<i64>, Failure> {
        let Self { schema, .. } = self;
        let (arrivals, attempts): (Vec<i64>, Vec<i32>) = rows.iter().copied().unzip();
        let statement = format!(
            "select parked.arrival from {schema}.parked
               join unnest($1::bigint[], $2::int[]) as read (arrival, attempts) on parked.arrival = read.arrival and parked.attempts = read.attempts
              where parked.dead_at is null for update of parked skip locked"
        );
        let claimed: Vec<i64> =
            sqlx::query_scalar(AssertSqlSafe(statement)).bind(arrivals).bind(attempts).fetch_all(db).await?;
        Ok(claimed.into_iter().collect())
    }

    /// Parks events in this order; those that are parked or dead already are left out. Returns the places of those that were.
    pub async fn park(
        &self,
        db: &mut PgConnection,
        arrivals: &[Arrival<'_>],
        now: Timestamp,
    ) -> Result<HashSet<(String, i32, i64)>, Failure> {
        if arrivals.is_empty() {
            return Ok(HashSet::new());
        }
        let Self { schema, .. } = self;
        let statement = format!(
            "insert into {schema}.parked (lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at, next_at, attempts,
                    first_failed_at, last_failed_at, stage, error_class, message, letter_id, dead_at)
             select lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, $14, next_at, (stage is not null)::int,
                    case when stage is not null then $14 end, case when stage is not null then $14 end, stage, error_class, message, letter_id,
                    case when letter_id is not null then $14 end
               from unnest($1::bytea[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[],
                           $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::uuid[]) with ordinality
                      as new (lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, next_at, stage, error_class, message,
                              letter_id, n)
              where letter_id is not null or not exists (select from {schema}.dead_letter d
                    where d.topic = new.topic and d.\"partition\" = new.\"partition\" and d.\"offset\" = new.\"offset\")
              order by n
             on conflict (topic, \"partition\", \"offset\") do nothing
             returning topic, \"partition\", \"offset\""
        );
        let deaths = || arrivals.iter().map(|arrival| arrival.failure.as_ref().map(|(death, _)| *death));
        let next = || arrivals.iter().map(|arrival| arrival.failure.as_ref().map(|(_, next)| *next));
        let parked: Vec<(String, i32, i64)> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(arrivals.iter().map(|arrival| lane(arrival.message)).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.topic).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.partition).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.offset).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.timestamp_ms).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.key.as_deref()).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.headers.encode()).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.payload.as_deref()).collect::<Vec<_>>())
            .bind(next().map(|next| next.and_then(Result::ok).map(At)).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| death.stage)).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| death.class.as_str())).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| kept_text(&death.message))).collect::<Vec<_>>())
            .bind(next().map(|next| next.and_then(Result::err)).collect::<Vec<_>>())
            .bind(At(now))
            .fetch_all(db)
            .await?;
        self.in_use.store(true, Ordering::Relaxed);
        Ok(parked.into_iter().collect())
    }

    /// Takes rows out that were claimed.
    pub async fn remove(&self, db: &mut PgConnection, arrivals: &[i64]) -> Result<(), Failure> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let statement = format!("delete from {}.parked where arrival = any($1)", self.schema);
        let removed = sqlx::query(AssertSqlSafe(statement)).bind(arrivals).execute(db).await?.rows_affected();
        if removed != arrivals.len() as u64 {
            return Err(Failure::LostRace { table: "parked", saved: removed, decided: arrivals.len() as u64 });
        }
        Ok(())
    }

    /// Notes what failed again.
    pub async fn fail(&self, db: &mut PgConnection, failed: &[Failed<'_>], now: Timestamp) -> Result<(), Failure> {
        if failed.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "update {}.parked set attempts = again.attempts, next_at = again.next_at, first_failed_at = coalesce(first_failed_at, $8),
                    last_failed_at = $8, stage = again.stage, error_class = again.error_class, message = again.message,
                    letter_id = coalesce(again.letter_id, parked.letter_id), dead_at = case when again.letter_id is not null then $8 end
               from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::uuid[])
                      as again (arrival, attempts, next_at, stage, error_class, message, letter_id)
              where parked.arrival = again.arrival",
            self.schema
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(failed.iter().map(|failed| failed.arrival).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.attempts).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.next.ok().map(At)).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.death.stage).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.death.class.as_str()).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| kept_text(&failed.death.message)).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.next.err()).collect::<Vec<_>>())
            .bind(At(now))
            .execute(db)
            .await?;
        Ok(())
    }

    /// Has the heads of these lanes tried now whose predecessors are gone; returns the lanes in which anything waits.
    pub async fn follow_up(
        &self,
        db: &mut PgConnection,
        lanes: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<HashSet<Vec<u8>>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "with head as (select distinct on (lane) lane, arrival from {schema}.parked where lane = any($1) order by lane, arrival),
                  freed as (update {schema}.parked set next_at = $2 from head
                             where parked.arrival = head.arrival and parked.next_at is null and parked.dead_at is null)
             select lane from head"
        );
        let waiting: Vec<Vec<u8>> =
            sqlx::query_scalar(AssertSqlSafe(statement)).bind(lanes).bind(At(now)).fetch_all(db).await?;
        Ok(waiting.into_iter().collect())
    }

    /// Sets right what two transactions at one lane leave behind when they do not see each other: heads that nobody freed are due now, and what
    /// failed behind a head waits for it.
    pub async fn straighten(&self, pool: &PgPool, now: Timestamp) -> Result<(), Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "update {schema}.parked set next_at = case when next_at is null then $1::timestamptz end
              where dead_at is null and (next_at is null)
                 <> exists (select from {schema}.parked earlier where earlier.lane = parked.lane and earlier.arrival < parked.arrival)"
        );
        sqlx::query(AssertSqlSafe(statement)).bind(At(now)).execute(pool).await?;
        Ok(())
    }

    /// How much is parked, how much of it waits for a person, and since when the oldest waits.
    pub async fn extent(&self, pool: &PgPool) -> Result<Extent, Failure> {
        let statement = format!(
            "select count(*) as events, count(dead_at) as dead, min(parked_at) as since from {}.parked",
            self.schema
        );
        Ok(sqlx::query_as(AssertSqlSafe(statement)).fetch_one(pool).await?)
    }
}

impl Kept {
    /// The record, as it was read; none: it is a person's word on a letter without a record.
    pub fn message(&self, topic: &'static str) -> Option<Message> {
        Some(Message {
            topic,
            partition: self.partition?,
            offset: self.offset?,
            timestamp_ms: self.timestamp_ms,
            key: self.key.clone(),
            headers: Headers::decode(&self.headers).ok()?,
            payload: self.payload.clone(),
        })
    }
}

fn is_division_by_zero(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "22012")
}

/// An error as a text column takes it.
fn kept_text(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_ERROR).unwrap_or(text.len());
    text[..end].replace('\0', "\u{fffd}")
}
