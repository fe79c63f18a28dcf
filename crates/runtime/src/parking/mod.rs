//! Parking: what fails for its order alone waits in the consumer's own schema, everything later of its key behind it in order, and the rest flows.
//!
//! A lane is the events of one key in the order of their arrival. Only its head is tried, with growing waits; when it succeeds those behind it
//! follow. After its last attempt the head is a dead letter that still holds its lane, until a person decides. This module is what a person's
//! tools use: it marks rows, and the consumer carries out what is marked and says what became of it, in one transaction.

pub(crate) mod change;
mod operator;
mod pace;
pub(crate) mod queue;
pub(crate) mod retrier;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

use crate::failure::Failure;
use crate::kafka::headers::Headers;
use crate::postgres::sql::Timestamptz;

pub use operator::{RetriedDeadLetter, RetryRefusal, retry, skip};
pub(crate) use pace::{RetryPace, is_told};

/// The record that a dead letter keeps, as it was read, or as a person edited it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord {
    /// The topic, without the deployment's prefix.
    pub topic: String,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's headers.
    pub headers: Headers,
    /// The record's value.
    pub payload: Option<Vec<u8>>,
    /// The record's own time, milliseconds since the epoch, where it has one.
    pub timestamp_ms: Option<i64>,
}

/// A timer that could not fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTimer {
    /// What for, as the consumer names it.
    pub kind: String,
    /// Which of several; else empty.
    pub discriminator: String,
}

/// A dead letter as its consumer keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLetter {
    /// Its id, as on `dead-letter-events`.
    pub letter_id: Uuid,
    /// Whose, where it is known.
    pub order_id: Option<OrderId>,
    /// What it was; none: a timer, an answer or a decision without a record, or a letter of a version that kept none.
    pub record: Option<HeldRecord>,
    /// The timer that it was.
    pub timer: Option<HeldTimer>,
    /// At which stage it died: `decode`, `decide`, `save` or `call`.
    pub stage: Option<String>,
    /// The kind of error.
    pub class: String,
    /// What was expected, what came.
    pub message: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it failed first; none of a letter of an earlier version.
    pub first_failed_at: Option<Timestamp>,
    /// When it died.
    pub died_at: Timestamp,
    /// How often a person had had it tried again before.
    pub loops: i32,
    /// Whether later events of its key wait behind it.
    pub blocking: bool,
    /// None: open; `retrying`, `recovered`, `skipped`, `died_again`.
    pub resolution: Option<String>,
    /// The account of the person behind the resolution.
    pub resolved_by: Option<String>,
}

/// A row of a consumer's parking, the earliest of its key first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// The key, as far as it is text; of a record without a key, its place.
    pub lane: String,
    /// The topic, without the deployment's prefix; none: a person's word on a letter without a record.
    pub topic: Option<String>,
    /// The partition it was read from.
    pub partition: Option<i32>,
    /// Its offset there.
    pub offset: Option<i64>,
    /// The event's type, where its headers say so.
    pub event_type: Option<String>,
    /// Since when it waits.
    pub parked_at: Timestamp,
    /// When it is tried; none: it waits behind its head, or for a person.
    pub next_at: Option<Timestamp>,
    /// Attempts that failed.
    pub attempts: i32,
    /// The kind of the last error.
    pub class: Option<String>,
    /// The last error.
    pub message: Option<String>,
    /// The dead letter that it is, or was.
    pub letter_id: Option<Uuid>,
    /// Since when it waits for a person.
    pub dead_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct DeadLetterRow {
    letter_id: Uuid,
    order_id: Option<Uuid>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    key: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
    timer_kind: Option<String>,
    timer_discriminator: Option<String>,
    stage: Option<String>,
    error_class: String,
    message: String,
    attempts: i32,
    first_failed_at: Option<Timestamptz>,
    died_at: Timestamptz,
    loops: i32,
    blocking: bool,
    resolution: Option<String>,
    resolved_by: Option<String>,
}

impl DeadLetterRow {
    fn read(self) -> HeldLetter {
        let place = self.topic.zip(self.partition).zip(self.offset);
        let headers = self.headers.as_deref().and_then(|bytes| Headers::decode(bytes).ok());
        let (key, payload, timestamp_ms) = (self.key, self.payload, self.timestamp_ms);
        let record = place.zip(headers).map(|(((topic, partition), offset), headers)| HeldRecord {
            topic,
            partition,
            offset,
            key,
            headers,
            payload,
            timestamp_ms,
        });
        let timer =
            self.timer_kind.map(|kind| HeldTimer { kind, discriminator: self.timer_discriminator.unwrap_or_default() });
        HeldLetter {
            letter_id: self.letter_id,
            order_id: self.order_id.map(OrderId),
            record,
            timer,
            stage: self.stage,
            class: self.error_class,
            message: self.message,
            attempts: self.attempts,
            first_failed_at: self.first_failed_at.map(|at| at.0),
            died_at: self.died_at.0,
            loops: self.loops,
            blocking: self.blocking,
            resolution: self.resolution,
            resolved_by: self.resolved_by,
        }
    }
}

const LETTER: &str = "letter_id, order_id, topic, \"partition\", \"offset\", key, headers, payload, timestamp_ms, timer_kind, timer_discriminator,
    stage, error_class, message, attempts, first_failed_at, died_at, loops, blocking, resolution, resolved_by";

/// Dead letters of a consumer, by their ids, the earliest first; what it does not know is left out.
///
/// # Errors
/// What the database says.
pub async fn letters(db: &mut PgConnection, schema: &str, ids: &[Uuid]) -> Result<Vec<HeldLetter>, Failure> {
    let statement = format!("select {LETTER} from {schema}.dead_letter where letter_id = any($1) order by arrival");
    let rows: Vec<DeadLetterRow> = sqlx::query_as(AssertSqlSafe(statement)).bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(DeadLetterRow::read).collect())
}

/// Dead letters of a consumer that nobody has decided on yet, the earliest first.
///
/// # Errors
/// What the database says.
pub async fn open_letters(db: &mut PgConnection, schema: &str, limit: i64) -> Result<Vec<HeldLetter>, Failure> {
    let statement =
        format!("select {LETTER} from {schema}.dead_letter where resolution is null order by arrival limit $1");
    let rows: Vec<DeadLetterRow> = sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(db).await?;
    Ok(rows.into_iter().map(DeadLetterRow::read).collect())
}

#[derive(FromRow)]
struct QueueRow {
    lane: Vec<u8>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    headers: Vec<u8>,
    parked_at: Timestamptz,
    next_at: Option<Timestamptz>,
    attempts: i32,
    error_class: Option<String>,
    message: Option<String>,
    letter_id: Option<Uuid>,
    dead_at: Option<Timestamptz>,
}

/// What a consumer has parked, lane by lane.
///
/// # Errors
/// What the database says.
pub async fn queue(db: &mut PgConnection, schema: &str, limit: i64) -> Result<Vec<ParkedRow>, Failure> {
    let statement = format!(
        "select lane, topic, \"partition\", \"offset\", headers, parked_at, next_at, attempts, error_class, message, letter_id, dead_at
           from {schema}.parked order by lane, arrival limit $1"
    );
    let rows: Vec<QueueRow> = sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(db).await?;
    let read = |row: QueueRow| ParkedRow {
        lane: queue::shown(&row.lane),
        topic: row.topic,
        partition: row.partition,
        offset: row.offset,
        event_type: Headers::decode(&row.headers).ok().and_then(|all| all.text("ce_type").map(ToOwned::to_owned)),
        parked_at: row.parked_at.0,
        next_at: row.next_at.map(|at| at.0),
        attempts: row.attempts,
        class: row.error_class,
        message: row.message,
        letter_id: row.letter_id,
        dead_at: row.dead_at.map(|at| at.0),
    };
    Ok(rows.into_iter().map(read).collect())
}
