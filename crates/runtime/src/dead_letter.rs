//! Dead letters: what can't be decided goes to `dead-letter-events` through the outbox, its bytes unchanged, its case in headers, and is kept with its
//! record in the consumer's own schema, so that a person can have it tried again; the rest flows.

pub(crate) mod burial;
mod letter;

use std::collections::HashSet;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

pub use burial::TOPIC;
pub(crate) use burial::{NewDeadLetter, order_of};

use crate::engine::effects::Outgoing;
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;

/// Keeps dead letters that are not kept yet, and returns their rows for the outbox.
pub(crate) async fn record_dead_letters(
    db: &mut PgConnection,
    consumer: &'static str,
    schema: &str,
    dead_letters: &[NewDeadLetter<'_>],
    now: Timestamp,
) -> Result<Vec<Outgoing>, Failure> {
    // A dead letter that can't be heard does not die again: another one of it would be heard, and die, for ever.
    let dead_letters: Vec<&NewDeadLetter<'_>> =
        dead_letters.iter().filter(|burial| burial.message.is_none_or(|message| message.topic != TOPIC)).collect();
    if dead_letters.is_empty() {
        return Ok(Vec::new());
    }
    let mut kept = keep(db, consumer, schema, &dead_letters, now).await?;
    let new = dead_letters.into_iter().filter(|burial| kept.remove(&burial.letter_id(consumer)));
    Ok(new.map(|burial| letter::letter(consumer, schema, burial, now)).collect())
}

/// Returns the ids of those that were not kept before: what is read again is a dead letter already.
async fn keep(
    db: &mut PgConnection,
    consumer: &str,
    schema: &str,
    dead_letters: &[&NewDeadLetter<'_>],
    now: Timestamp,
) -> Result<HashSet<Uuid>, Failure> {
    let statement = format!(
        "insert into {schema}.dead_letter (letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind,
                timer_discriminator, stage, error_class, message, attempts, first_failed_at, loops, blocking, arrival, died_at, incarnation)
         select letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind, timer_discriminator, stage,
                error_class, message, attempts, first_failed_at, loops, blocking, coalesce(arrival, nextval('{schema}.arrival')), $20, incarnation
           from unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::uuid[],
                       $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::int[], $16::timestamptz[], $17::int[],
                       $18::boolean[], $19::bigint[], $21::uuid[])
                  as dead (letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind,
                           timer_discriminator, stage, error_class, message, attempts, first_failed_at, loops, blocking, arrival, incarnation)
          where not exists (select from {schema}.dead_letter d where d.topic = dead.topic and d.\"partition\" = dead.\"partition\"
                               and d.\"offset\" = dead.\"offset\" and d.loops = dead.loops and d.incarnation is null)
         on conflict do nothing returning letter_id"
    );
    let message = || dead_letters.iter().map(|burial| burial.message);
    let timer = || dead_letters.iter().map(|burial| burial.timer);
    let kept: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(dead_letters.iter().map(|burial| burial.letter_id(consumer)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.topic)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.partition)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.offset)).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.timestamp_ms)).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.key.as_deref())).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.headers.encode())).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.payload.as_deref())).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.order_id().map(OrderId::as_uuid)).collect::<Vec<_>>())
        .bind(timer().map(|timer| timer.map(|timer| timer.kind.as_str())).collect::<Vec<_>>())
        .bind(timer().map(|timer| timer.map(|timer| timer.discriminator.as_str())).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.death.stage).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.death.class.as_str()).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.death.message.replace('\0', "\u{fffd}")).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.tried.attempts).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| Timestamptz(burial.tried.first_failed_at)).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.tried.loops).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.blocking).collect::<Vec<_>>())
        .bind(dead_letters.iter().map(|burial| burial.tried.arrival).collect::<Vec<_>>())
        .bind(Timestamptz(now))
        .bind(dead_letters.iter().map(|burial| burial.incarnation).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    Ok(kept.into_iter().collect())
}
