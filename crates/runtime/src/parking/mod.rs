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
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row as _};
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

impl FromRow<'_, PgRow> for HeldLetter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let headers = row.try_get::<Option<Vec<u8>>, _>("headers")?;
        let headers = headers.and_then(|bytes| Headers::decode(&bytes).ok());
        let record = match (row.try_get("topic")?, row.try_get("partition")?, row.try_get("offset")?, headers) {
            (Some(topic), Some(partition), Some(offset), Some(headers)) => {
                let (key, payload) = (row.try_get("key")?, row.try_get("payload")?);
                let timestamp_ms = row.try_get("timestamp_ms")?;
                Some(HeldRecord { topic, partition, offset, key, headers, payload, timestamp_ms })
            }
            _ => None,
        };
        let discriminator = row.try_get::<Option<String>, _>("timer_discriminator")?.unwrap_or_default();
        let kind: Option<String> = row.try_get("timer_kind")?;
        Ok(Self {
            letter_id: row.try_get("letter_id")?,
            order_id: row.try_get::<Option<Uuid>, _>("order_id")?.map(OrderId),
            record,
            timer: kind.map(|kind| HeldTimer { kind, discriminator }),
            stage: row.try_get("stage")?,
            class: row.try_get("error_class")?,
            message: row.try_get("message")?,
            attempts: row.try_get("attempts")?,
            first_failed_at: row.try_get::<Option<Timestamptz>, _>("first_failed_at")?.map(|at| at.0),
            died_at: row.try_get::<Timestamptz, _>("died_at")?.0,
            loops: row.try_get("loops")?,
            blocking: row.try_get("blocking")?,
            resolution: row.try_get("resolution")?,
            resolved_by: row.try_get("resolved_by")?,
        })
    }
}

const LETTER: &str = "letter_id, order_id, topic, \"partition\", \"offset\", key, headers, payload, timestamp_ms, timer_kind, timer_discriminator,
    stage, error_class, message, attempts, first_failed_at, died_at, loops, blocking, resolution, resolved_by";

/// Dead letters of a consumer, by their ids, the earliest first; what it does not know is left out.
pub async fn letters(db: &mut PgConnection, schema: &str, ids: &[Uuid]) -> Result<Vec<HeldLetter>, Failure> {
    let statement = format!("select {LETTER} from {schema}.dead_letter where letter_id = any($1) order by arrival");
    Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(ids).fetch_all(db).await?)
}

/// Dead letters of a consumer that nobody has decided on yet, the earliest first.
pub async fn open_letters(db: &mut PgConnection, schema: &str, limit: i64) -> Result<Vec<HeldLetter>, Failure> {
    let statement =
        format!("select {LETTER} from {schema}.dead_letter where resolution is null order by arrival limit $1");
    Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(db).await?)
}

impl FromRow<'_, PgRow> for ParkedRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let at = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<Timestamptz>, _>(column)?.map(|at| at.0));
        let headers = Headers::decode(row.try_get("headers")?).ok();
        Ok(Self {
            lane: queue::shown(row.try_get("lane")?),
            topic: row.try_get("topic")?,
            partition: row.try_get("partition")?,
            offset: row.try_get("offset")?,
            event_type: headers.and_then(|all| all.text("ce_type").map(ToOwned::to_owned)),
            parked_at: row.try_get::<Timestamptz, _>("parked_at")?.0,
            next_at: at("next_at")?,
            attempts: row.try_get("attempts")?,
            class: row.try_get("error_class")?,
            message: row.try_get("message")?,
            letter_id: row.try_get("letter_id")?,
            dead_at: at("dead_at")?,
        })
    }
}

/// What a consumer has parked, lane by lane.
pub async fn queue(db: &mut PgConnection, schema: &str, limit: i64) -> Result<Vec<ParkedRow>, Failure> {
    let statement = format!(
        "select lane, topic, \"partition\", \"offset\", headers, parked_at, next_at, attempts, error_class, message, letter_id, dead_at
           from {schema}.parked order by lane, arrival limit $1"
    );
    Ok(sqlx::query_as(AssertSqlSafe(statement)).bind(limit).fetch_all(db).await?)
}
