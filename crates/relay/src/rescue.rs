//! What an operator does with the outbox when something went wrong outside: `quadrille relay rewind`, `rebase` and `release`.

use std::time::Duration;

use events::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::catch_up::extent;
use super::error::RelayError;
use super::session::{SHARDS, ShardCursor, bits, lock_out_relays, lock_rescue, now, stored};
use super::snapshot::Snapshot;
use super::statements::{RELEASED, appended};
use runtime::postgres::sql::Timestamptz;

/// What a rewind did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// The noted moment that the relay went back to: the last one before the wish; none: back to the oldest row there is.
    pub to: Option<Timestamp>,
    /// Shards that were beyond it and went back; the others had not come so far.
    pub shards: u64,
    /// Rows committed before this moment had been emptied already, and are not published again.
    pub emptied_until: Option<Timestamp>,
}

/// Publishes everything again that was committed since `since` (by the database's clock), under the same ids: for a broker that lost acknowledged
/// data. Relays may run; they notice within their lease interval.
pub async fn rewind(db: &mut PgConnection, since: Timestamp) -> Result<Rewound, RelayError> {
    let mut tx = db.begin().await?;
    lock_rescue(&mut tx).await?;
    let moment: Option<(Timestamptz, String)> = sqlx::query_as(
        "select taken_at, snapshot::text from outbox.moment where taken_at <= $1 order by taken_at desc limit 1",
    )
    .bind(Timestamptz(since))
    .fetch_optional(&mut *tx)
    .await?;
    let (to, target) = match moment {
        Some((taken_at, snapshot)) => (Some(taken_at.0), snapshot.parse()?),
        None => (None, Snapshot::start()),
    };
    let cursors: Vec<(i16, String)> =
        sqlx::query_as("select shard, snapshot::text from outbox.relay_cursor order by shard for update")
            .fetch_all(&mut *tx)
            .await?;
    let mut back = Vec::new();
    for (shard, snapshot) in cursors {
        // Never forward: a shard that has not come so far keeps its place.
        if snapshot.parse::<Snapshot>()?.covers(&target) {
            back.push(shard);
        }
    }
    let shards = sqlx::query("update outbox.relay_cursor set snapshot = $2::text::pg_snapshot, ahead = null, ahead_seq = null where shard = any($1)")
        .bind(&back)
        .bind(target.to_string())
        .execute(&mut *tx)
        .await?
        .rows_affected();
    sqlx::query("update outbox.relay_cursor set epoch = epoch + 1").execute(&mut *tx).await?;
    let emptied: Option<Timestamptz> =
        sqlx::query_scalar("select emptied_until from outbox.rotation").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(Rewound { to, shards, emptied_until: emptied.map(|at| at.0) })
}

/// What a rebase did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebased {
    /// Rows that had not been published, and now follow all others.
    pub unpublished: i64,
}

/// Makes the outbox of a restored or copied database publishable: what was not published is written again, in its order, by a transaction of this
/// cluster; what was published is removed. Consumers and relays of the database must be stopped.
///
/// # Errors
/// [`RelayError::StillRunning`], or what the database says.
pub async fn rebase(db: &mut PgConnection) -> Result<Rebased, RelayError> {
    let mut tx = db.begin().await?;
    sqlx::query("set local statement_timeout = 0").execute(&mut *tx).await?;
    lock_rescue(&mut tx).await?;
    lock_out_relays(&mut tx).await?;
    sqlx::query("lock table outbox.entry, outbox.relay_cursor in access exclusive mode").execute(&mut *tx).await?;
    // An entry that this cluster wrote itself (its xid is the one that the server knows of it) was written after the restore: no relay has seen it.
    // Of the others, those events count as published that the cursor of their shard sees, or has published ahead.
    sqlx::query(
        "create temporary table unpublished on commit drop as
         select event.* from outbox.event
         join (select slot, xid, seq, (xid::text::numeric % 4294967296)::text = xmin::text as is_ours from outbox.entry) as written
              on written.slot = event.slot and written.xid = event.xid and written.seq = event.entry
         left join outbox.relay_cursor using (shard)
         where written.is_ours
            or relay_cursor.shard is null
            or not (pg_visible_in_snapshot(event.xid, relay_cursor.snapshot)
                    or coalesce(event.seq <= ahead_seq and pg_visible_in_snapshot(event.xid, ahead), false))",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query("truncate outbox.entry").execute(&mut *tx).await?;
    // A dump made while events were written may carry a sequence that is behind its rows.
    sqlx::query("select setval(pg_get_serial_sequence('outbox.entry', 'seq'), greatest((select max(seq) from unpublished), nextval(pg_get_serial_sequence('outbox.entry', 'seq'))))")
        .execute(&mut *tx)
        .await?;
    let unpublished = sqlx::query_scalar(AssertSqlSafe(appended("", "unpublished"))).fetch_one(&mut *tx).await?;
    let (snapshot, own, system_identifier): (String, String, i64) = sqlx::query_as(
        "select pg_current_snapshot()::text, pg_current_xact_id()::text, system_identifier from pg_control_system()",
    )
    .fetch_one(&mut *tx)
    .await?;
    let own: u64 = own.parse().map_err(|_| sqlx::Error::ColumnNotFound("pg_current_xact_id".into()))?;
    let snapshot = snapshot.parse::<Snapshot>()?.with_in_progress(own);
    sqlx::query("delete from outbox.moment").execute(&mut *tx).await?;
    sqlx::query("delete from outbox.relay_cursor").execute(&mut *tx).await?;
    sqlx::query("insert into outbox.relay_cursor (shard, snapshot, system_identifier) select shard, $1::text::pg_snapshot, $2 from generate_series(0, $3 - 1) as shard")
        .bind(snapshot.to_string())
        .bind(system_identifier)
        .bind(i32::from(SHARDS))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Rebased { unpublished })
}

/// Gives rows that were set aside to the relay again, in their order, once their cause is mended; all of them, or those of one topic.
/// They follow what was said since under the same ids.
pub async fn release(db: &mut PgConnection, topic: Option<&str>) -> Result<i64, RelayError> {
    let statement = appended(RELEASED, "released");
    Ok(sqlx::query_scalar(AssertSqlSafe(statement)).bind(topic).fetch_one(db).await?)
}

/// How a database's outbox stands, for `quadrille relay status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayStatus {
    /// Rows that wait to be published.
    pub waiting: i64,
    /// Rows that were set aside.
    pub set_aside: i64,
    /// The oldest of them.
    pub aside: Vec<Aside>,
    /// The slot that appenders write.
    pub current_slot: i16,
    /// How long they have.
    pub slot_age: Duration,
}

/// A row that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its position.
    pub seq: i64,
    /// Its topic, without the prefix of the installation.
    pub topic: String,
    /// Its key, as far as it is text; cut.
    pub key: Option<String>,
    /// Bytes of its value.
    pub bytes: i64,
    /// Since when.
    pub since: Timestamp,
    /// Why Kafka did not take it.
    pub error: String,
}

/// How many of the rows that were set aside are named.
const NAMED: i64 = 20;

/// Counts what waits and what was set aside.
pub async fn status(db: &mut PgConnection) -> Result<RelayStatus, RelayError> {
    let target = now(db).await?;
    let shards: Vec<i16> = (0..SHARDS).collect();
    let mut cursors: Vec<ShardCursor> = stored(db, &shards).await?.into_iter().map(|stored| stored.cursor).collect();
    for shard in shards {
        if cursors.iter().all(|cursor| cursor.shard != shard) {
            cursors.push(ShardCursor { shard, snapshot: Snapshot::start(), ahead: None }); // no relay has ever run
        }
    }
    let mut waiting = 0;
    for cursor in &cursors {
        waiting += extent(db, bits(&[cursor.shard]), cursor, &target).await?.map_or(0, |extent| extent.events);
    }
    let (set_aside, current_slot, slot_age): (i64, i16, f64) = sqlx::query_as(
        "select (select count(*) from outbox.set_aside), current_slot,
                extract(epoch from statement_timestamp() - rotated_at)::float8
         from outbox.rotation",
    )
    .fetch_one(&mut *db)
    .await?;
    let slot_age = Duration::try_from_secs_f64(slot_age).unwrap_or_default();
    let rows = sqlx::query_as::<_, (i64, String, Option<Vec<u8>>, i64, Timestamptz, String)>(
        "select seq, topic, substr(key, 1, 100) as key, coalesce(octet_length(payload), 0)::int8 as bytes, set_aside_at, error
           from outbox.set_aside order by set_aside_at, seq limit $1",
    )
    .bind(NAMED)
    .fetch_all(db)
    .await?;
    let aside = rows.into_iter().map(|(seq, topic, key, bytes, Timestamptz(since), error)| {
        let key = key.map(|key| String::from_utf8_lossy(&key).into_owned());
        Aside { seq, topic, key, bytes, since, error }
    });
    Ok(RelayStatus { waiting, set_aside, aside: aside.collect(), current_slot, slot_age })
}
