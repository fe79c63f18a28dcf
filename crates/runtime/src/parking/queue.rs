//! The queue of one schema, as its consumer uses it: which lanes are held, what goes behind them, what is due, and what becomes of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use events::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::engine::write_set::is_division_by_zero;
use crate::failure::Failure;
use crate::kafka::headers::Headers;
use crate::kafka::record::Message;
use crate::postgres::sql::Timestamptz;

#[derive(Debug)]
pub(crate) struct ParkingQueue {
    pub(super) schema: String,
    /// Finds a row if anything is parked.
    pub any: String,
    /// Begins a transaction only if nothing is parked.
    begin_if_empty: String,
    /// Whether something was parked when last looked: then lanes are asked for by name.
    pub(super) in_use: AtomicBool,
}

#[derive(Clone, Debug, FromRow)]
pub(crate) struct ParkedRecord {
    pub arrival: i64,
    pub lane: Vec<u8>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<u8>,
    pub payload: Option<Vec<u8>>,
    pub parked_at: Timestamptz,
    pub next_at: Option<Timestamptz>,
    pub attempts: i32,
    pub first_failed_at: Option<Timestamptz>,
    pub loops: i32,
    pub letter_id: Option<Uuid>,
    pub dead_at: Option<Timestamptz>,
    pub decided_by: Option<String>,
    pub skipped: bool,
    /// What tells the record from others at its place, as it was when it was read; none: of a version that did not keep it.
    pub incarnation: Option<Uuid>,
}

/// The longest key that is a lane by itself, in bytes: an index holds no more.
const LONGEST_LANE: usize = 2_600;
/// What the lanes of longer keys begin with.
const DIGEST: u8 = 2;

/// The lane of a record: its key, or a digest of a key that no index can hold; without one, its place, where nothing else comes.
pub(crate) fn lane(message: &Message) -> Vec<u8> {
    match &message.key {
        Some(key) if key.len() > LONGEST_LANE => {
            let digest: [u8; 32] = Sha256::digest(key).into();
            std::iter::once(DIGEST).chain(digest).collect()
        }
        Some(key) => key.clone(),
        None => format!("\u{1}{}/{}", message.place(), message.incarnation()).into_bytes(),
    }
}

/// The lane of a row of `dead_letter` as SQL: the same as [`lane`] of its record.
pub(super) fn lane_of_letter() -> String {
    format!(
        "case when key is null then convert_to(chr(1) || topic || '/' || \"partition\" || '@' || \"offset\" || '/' || coalesce(incarnation::text, ''), 'UTF8')
              when octet_length(key) > {LONGEST_LANE} then '\\x{DIGEST:02x}'::bytea || sha256(key) else key end"
    )
}

/// A lane for people: the key, as far as it is text.
pub(super) fn shown(lane: &[u8]) -> String {
    match lane.split_first() {
        Some((&DIGEST, digest)) if digest.len() == 32 => {
            let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("a key of more than {LONGEST_LANE} bytes, SHA-256 {hex}…")
        }
        Some(_) | None => String::from_utf8_lossy(lane).replace('\u{1}', ""),
    }
}

impl ParkingQueue {
    pub fn of(schema: &str) -> Self {
        let any = format!("select from {schema}.parked");
        // One round trip while nothing is parked. A division by zero, which PostgreSQL logs, is what a first look at a queue in use costs.
        let begin_if_empty = format!("select 1 / (not exists ({any}))::int; begin");
        Self { schema: schema.to_owned(), any, begin_if_empty, in_use: AtomicBool::new(true) }
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

    /// Whether something was parked when last looked.
    pub fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    async fn held(&self, db: &mut PgConnection, lanes: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "select distinct lane from {schema}.parked where lane = any($1) union all select null where not exists (select from {schema}.parked)"
        );
        let held: Vec<Option<Vec<u8>>> = sqlx::query_scalar(AssertSqlSafe(statement)).bind(lanes).fetch_all(db).await?;
        self.in_use.store(!held.contains(&None), Ordering::Relaxed);
        Ok(held.into_iter().flatten().collect())
    }

    /// Waits no longer for locks and statements than others can bear who are decided beside it.
    pub async fn hasten(db: &mut PgConnection) -> Result<(), Failure> {
        sqlx::raw_sql("set local lock_timeout = '100ms'; set local statement_timeout = '2s'").execute(db).await?;
        Ok(())
    }

    /// Heads that are to be tried next, the most urgent first, whether they are due yet or not.
    pub async fn next(&self, pool: &PgPool, limit: i64) -> Result<Vec<(Vec<u8>, Timestamptz)>, Failure> {
        let Self { schema, .. } = self;
        let statement =
            format!("select lane, next_at from {schema}.parked where next_at is not null order by next_at limit $1");
        Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(pool).await?)
    }

    /// What waits in these lanes, lane by lane in order.
    pub async fn read(&self, pool: &PgPool, lanes: &[Vec<u8>], limit: i64) -> Result<Vec<ParkedRecord>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "select arrival, lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at, next_at, attempts,
                    first_failed_at, loops, letter_id, dead_at, decided_by, skipped, incarnation
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

    /// Which of these lanes hold anything that came before this arrival.
    pub async fn ahead(
        &self,
        db: &mut PgConnection,
        firsts: BTreeMap<&[u8], i64>,
    ) -> Result<HashSet<Vec<u8>>, Failure> {
        let (lanes, arrivals): (Vec<&[u8]>, Vec<i64>) = firsts.into_iter().unzip();
        let statement = format!(
            "select first.lane from unnest($1::bytea[], $2::bigint[]) as first (lane, arrival)
              where exists (select from {}.parked where parked.lane = first.lane and parked.arrival < first.arrival)",
            self.schema
        );
        let ahead: Vec<Vec<u8>> =
            sqlx::query_scalar(AssertSqlSafe(statement)).bind(lanes).bind(arrivals).fetch_all(db).await?;
        Ok(ahead.into_iter().collect())
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
        sqlx::query(AssertSqlSafe(statement)).bind(Timestamptz(now)).execute(pool).await?;
        Ok(())
    }

    /// Has heads that wait for one and the same thing tried now.
    pub async fn call_back(&self, pool: &PgPool, class: &str, now: Timestamp) -> Result<(), Failure> {
        let statement = format!(
            "update {}.parked set next_at = $2::timestamptz where error_class = $1 and dead_at is null and next_at > $2::timestamptz",
            self.schema
        );
        sqlx::query(AssertSqlSafe(statement)).bind(class).bind(Timestamptz(now)).execute(pool).await?;
        Ok(())
    }

    /// How much is parked, how much of it waits for a person, and since when the oldest waits.
    pub async fn extent(&self, pool: &PgPool) -> Result<(i64, i64, Option<Timestamptz>), Failure> {
        let Self { schema, .. } = self;
        let statement = format!("select count(*), count(dead_at), min(parked_at) from {schema}.parked");
        Ok(sqlx::query_as(AssertSqlSafe(statement)).fetch_one(pool).await?)
    }
}

impl ParkedRecord {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<Vec<u8>>, timestamp_ms: i64, value: &[u8]) -> Message {
        let (headers, payload) = (Headers::default(), Some(value.to_vec()));
        Message { topic: "orders", partition: 0, offset: 7, timestamp_ms: Some(timestamp_ms), key, headers, payload }
    }

    #[test]
    fn keys_of_any_length_have_a_lane_that_an_index_holds() {
        for length in [0, 1, LONGEST_LANE, LONGEST_LANE + 1, 5_000, 1_000_000] {
            let key: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let lane_of = |key: &[u8]| lane(&record(Some(key.to_vec()), 1, b""));
            assert!(lane_of(&key).len() <= LONGEST_LANE, "{length}");
            assert_eq!(lane_of(&key), lane_of(&key));
            if let Some((_, rest)) = key.split_first() {
                assert_ne!(lane_of(&key), lane_of(rest), "{length}");
            }
        }
        assert_eq!(lane(&record(Some(b"key".to_vec()), 1, b"")), b"key");
        assert!(shown(&lane(&record(Some(vec![0xff; 5_000]), 1, b""))).starts_with("a key of more than 2600 bytes"));
        assert!(shown(&lane(&record(None, 1, b""))).starts_with("orders/0@7"));
    }

    #[test]
    fn a_record_is_told_from_another_at_its_place_by_its_time_and_its_value() {
        let one = record(None, 1, b"value").incarnation();
        assert_eq!(one, record(Some(b"k".to_vec()), 1, b"value").incarnation());
        assert_ne!(one, record(None, 2, b"value").incarnation());
        assert_ne!(one, record(None, 1, b"other").incarnation());
        assert_ne!(lane(&record(None, 1, b"a")), lane(&record(None, 1, b"b")));
    }
}
