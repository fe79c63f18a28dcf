//! Rotation of the outbox's slots: appenders write one, the others keep what was published for a while, the oldest is emptied as a whole before it is written again.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::error::RelayError;
use super::session::lock_rescue;
use super::settings::RelaySettings;
use super::statements::SLOTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotated {
    To(i16),
    /// The current slot is young and small, or empty.
    NotDue,
    /// The next slot has rows that some cursor does not cover, or somebody holds it: another time.
    NotYet,
}

/// Notes a moment to rewind to. Moments older than every row there is are forgotten.
pub(super) async fn note_moment(db: &mut PgConnection) -> Result<(), RelayError> {
    sqlx::query("insert into outbox.moment (taken_at, snapshot) values (statement_timestamp(), pg_current_snapshot()) on conflict do nothing").execute(&mut *db).await?;
    sqlx::query("delete from outbox.moment using outbox.rotation where taken_at < emptied_until - interval '1 minute'")
        .execute(db)
        .await?;
    Ok(())
}

/// Moves appenders on to the next slot when the current one is old or large, emptying that one first.
pub(super) async fn rotate(db: &mut PgConnection, settings: &RelaySettings) -> Result<Rotated, RelayError> {
    // The oldest rows are emptied after the other slots had their turns.
    let age_limit = settings.retention.as_secs_f64() / f64::from(SLOTS - 1);
    let (current, age): (i16, f64) = sqlx::query_as(
        "select current_slot, extract(epoch from statement_timestamp() - rotated_at)::float8 from outbox.rotation",
    )
    .fetch_one(&mut *db)
    .await?;
    let size: i64 =
        sqlx::query_scalar(AssertSqlSafe(format!("select pg_total_relation_size('outbox.entry_{current}')")))
            .fetch_one(&mut *db)
            .await?;
    let is_empty: bool =
        sqlx::query_scalar(AssertSqlSafe(format!("select not exists (select from outbox.entry_{current})")))
            .fetch_one(&mut *db)
            .await?;
    if is_empty || (age < age_limit && (size as u64) < settings.slot_bytes) {
        return Ok(Rotated::NotDue);
    }
    let next = (current + 1) % SLOTS;
    match switch(db, next).await {
        Ok(rotated) => Ok(rotated),
        // Somebody reads or writes the slot just now: the readers behind us in the queue must not wait.
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03") => {
            Ok(Rotated::NotYet)
        }
        Err(error) => Err(error.into()),
    }
}

async fn switch(db: &mut PgConnection, next: i16) -> Result<Rotated, sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query("set local synchronous_commit = on").execute(&mut *tx).await?;
    lock_rescue(&mut tx).await?;
    sqlx::query("set local lock_timeout = '50ms'").execute(&mut *tx).await?;
    sqlx::query(AssertSqlSafe(format!("lock table outbox.entry_{next} in access exclusive mode")))
        .execute(&mut *tx)
        .await?;
    // Only now that nobody can be writing it: is every row visible in every cursor?
    let waiting: bool = sqlx::query_scalar(AssertSqlSafe(unpublished(next))).fetch_one(&mut *tx).await?;
    if waiting {
        tx.rollback().await?;
        return Ok(Rotated::NotYet);
    }
    sqlx::query(AssertSqlSafe(format!("truncate outbox.entry_{next}"))).execute(&mut *tx).await?;
    // What was in the emptied slot had been written before appenders left it.
    sqlx::query(
        "update outbox.rotation set current_slot = $1, rotated_at = statement_timestamp(), emptied_until = coalesce(left_at[$1 + 1], emptied_until),
                left_at[current_slot + 1] = statement_timestamp()",
    )
    .bind(next)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Rotated::To(next))
}

/// Whether a slot has rows that are not visible in the cursor of their shard. A shard without a cursor has published nothing.
fn unpublished(slot: i16) -> String {
    format!(
        "select exists (
             select from generate_series(0, 7) as every (shard) left join outbox.relay_cursor using (shard)
             where exists (select from outbox.entry_{slot} as entry
                           where slot = {slot} and every.shard::int2 = any(entry.shards)
                             and xid >= coalesce(pg_snapshot_xmax(relay_cursor.snapshot), '3'::xid8))
                or exists (select from outbox.entry_{slot} as entry
                           where slot = {slot} and every.shard::int2 = any(entry.shards)
                             and xid = any(array(select pg_snapshot_xip(relay_cursor.snapshot)))))"
    )
}
