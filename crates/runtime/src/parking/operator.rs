//! A person's hand: a dead letter is tried again, or skipped. The consumer carries it out.

use events::Timestamp;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};
use uuid::Uuid;

use super::queue::lane_of_letter;
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;

/// A dead letter that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriedDeadLetter {
    /// How often a person has had it tried again, this time included.
    pub loops: i32,
    /// Whether its consumer was given an edited value.
    pub edited: bool,
}

/// Why nothing is done about a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum RetryRefusal {
    /// The consumer's schema has no such letter.
    #[error("schema {0} has no dead letter {1}: expected one of its own, by the id in `quadrille-dead-letter-id`")]
    Unknown(String, Uuid),
    /// It was decided on before: `retrying`, `recovered`, `skipped` or `died_again`.
    #[error("dead letter {0} is {1} already: expected an open one; a letter that died again has another id")]
    Decided(Uuid, String),
    /// It has neither a record nor a timer that could be tried again.
    #[error(
        "dead letter {0} keeps no record: its message says by which door it is tried again, or publish its bytes from dead-letter-events"
    )]
    NoRecord(Uuid),
    /// An edited value for what has no value.
    #[error("dead letter {0} was a timer: it has no value that could be edited; retry it as it is")]
    NoValue(Uuid),
    /// The database refuses.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<sqlx::Error> for RetryRefusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

#[derive(FromRow)]
struct DeadLetterCase {
    topic: Option<String>,
    held: bool,
    timer: bool,
    loops: i32,
    resolution: Option<String>,
}

/// Has a dead letter tried again by its consumer, at once and with its attempts ahead of it: at its own place among the waiting events of its
/// key, which is before all that came later. With `edited`, with this value instead of its own.
pub async fn retry(
    db: &mut PgConnection,
    schema: &str,
    letter_id: Uuid,
    edited: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<RetriedDeadLetter, RetryRefusal> {
    let mut tx = db.begin().await?;
    let letter = open(&mut tx, schema, letter_id).await?;
    let retried = RetriedDeadLetter { loops: letter.loops + 1, edited: edited.is_some() };
    if letter.timer {
        if edited.is_some() {
            return Err(RetryRefusal::NoValue(letter_id));
        }
        arm(&mut tx, schema, letter_id, now).await?;
    } else {
        if letter.topic.is_none() || !letter.held {
            return Err(RetryRefusal::NoRecord(letter_id));
        }
        requeue(&mut tx, schema, letter_id, edited, now).await?;
    }
    decide(&mut tx, schema, letter_id, "retrying", None, now).await?;
    tx.commit().await?;
    Ok(retried)
}

/// Leaves a dead letter out, by this person's account; what waits behind it goes on. An event of an order that is left out must be followed by
/// a compensation of its order: that is the caller's.
pub async fn skip(
    db: &mut PgConnection,
    schema: &str,
    letter_id: Uuid,
    by: &str,
    now: Timestamp,
) -> Result<(), RetryRefusal> {
    let mut tx = db.begin().await?;
    open(&mut tx, schema, letter_id).await?;
    let marked = format!(
        "update {schema}.parked set skipped = true, decided_by = $2, dead_at = null, next_at = $3 where letter_id = $1"
    );
    let marked =
        sqlx::query(AssertSqlSafe(marked)).bind(letter_id).bind(by).bind(Timestamptz(now)).execute(&mut *tx).await?;
    if marked.rows_affected() == 0 {
        // It held nobody up: its consumer only has to say so, in a lane of its own.
        let word = format!(
            "insert into {schema}.parked (lane, key, headers, parked_at, next_at, attempts, letter_id, decided_by, skipped)
             select convert_to(chr(1) || letter_id::text, 'UTF8'), coalesce(key, convert_to(order_id::text, 'UTF8')), ''::bytea, $3, $3, 0, letter_id, $2, true
               from {schema}.dead_letter where letter_id = $1"
        );
        sqlx::query(AssertSqlSafe(word)).bind(letter_id).bind(by).bind(Timestamptz(now)).execute(&mut *tx).await?;
    }
    decide(&mut tx, schema, letter_id, "skipped", Some(by), now).await?;
    tx.commit().await?;
    Ok(())
}

async fn open(db: &mut PgConnection, schema: &str, letter_id: Uuid) -> Result<DeadLetterCase, RetryRefusal> {
    let statement = format!(
        "select topic, headers is not null as held, timer_kind is not null as timer, loops, resolution
           from {schema}.dead_letter where letter_id = $1 for update"
    );
    let letter: Option<DeadLetterCase> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(letter_id).fetch_optional(db).await?;
    let letter = letter.ok_or_else(|| RetryRefusal::Unknown(schema.to_owned(), letter_id))?;
    match letter.resolution {
        Some(resolution) => Err(RetryRefusal::Decided(letter_id, resolution)),
        None => Ok(letter),
    }
}

/// Puts its record back into its lane, or frees it where it holds the lane.
async fn requeue(
    db: &mut PgConnection,
    schema: &str,
    letter_id: Uuid,
    edited: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let statement = format!(
        "insert into {schema}.parked as kept (arrival, lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at,
                next_at, attempts, loops, letter_id, incarnation)
         select arrival, {}, topic, \"partition\", \"offset\", timestamp_ms, key, headers, coalesce($2, payload), $3, $3, 0, loops + 1, letter_id, incarnation
           from {schema}.dead_letter where letter_id = $1
         on conflict (topic, \"partition\", \"offset\", incarnation) do update set
                payload = excluded.payload, next_at = excluded.next_at, attempts = 0, loops = excluded.loops, letter_id = excluded.letter_id,
                dead_at = null",
        lane_of_letter()
    );
    sqlx::query(AssertSqlSafe(statement)).bind(letter_id).bind(edited).bind(Timestamptz(now)).execute(db).await?;
    Ok(())
}

/// Arms the timer that it was, due now; one of the same name that was armed since stands for it.
async fn arm(db: &mut PgConnection, schema: &str, letter_id: Uuid, now: Timestamp) -> Result<(), sqlx::Error> {
    let statement = format!(
        "insert into {schema}.timer (order_id, kind, discriminator, due_at, attempts, letter_id)
         select order_id, timer_kind, timer_discriminator, $2, 0, letter_id from {schema}.dead_letter where letter_id = $1
         on conflict (order_id, kind, discriminator) do update set letter_id = excluded.letter_id"
    );
    sqlx::query(AssertSqlSafe(statement)).bind(letter_id).bind(Timestamptz(now)).execute(db).await?;
    Ok(())
}

async fn decide(
    db: &mut PgConnection,
    schema: &str,
    letter_id: Uuid,
    resolution: &str,
    by: Option<&str>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let statement = format!(
        "update {schema}.dead_letter set resolution = $2, resolved_by = $3, resolved_at = $4 where letter_id = $1"
    );
    sqlx::query(AssertSqlSafe(statement))
        .bind(letter_id)
        .bind(resolution)
        .bind(by)
        .bind(Timestamptz(now))
        .execute(db)
        .await?;
    Ok(())
}
