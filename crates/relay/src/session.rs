//! The relay's one connection: it polls, and it holds the leases, so that a relay that is gone lets go of its shards.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::error::RelayError;
use super::settings::RelaySettings;
use super::snapshot::Snapshot;
use super::statements::STORE;
use runtime::databases::{self, Identity};
use runtime::sql;

/// Class of the relay's advisory locks: "rlay". Within it the shards, and:
const LOCKS: i32 = 0x726c_6179;
/// held in share mode by every relay that lives, to be counted;
const PRESENCE: i32 = 1_000;
/// held by whoever rotates, rewinds or rebases.
const RESCUE: i32 = 1_001;

/// Shards of the outbox.
pub(super) const SHARDS: i16 = runtime::outbox::SHARDS as i16;

/// Shards as a set: a bit for each.
pub(super) fn bits(shards: &[i16]) -> u8 {
    shards.iter().fold(0, |bits, shard| bits | 1_u8 << shard)
}

/// The shards of a set, as statements take them.
pub(super) fn held(bits: u8) -> Vec<i16> {
    (0..SHARDS).filter(|shard| bits & 1 << shard != 0).collect()
}

/// Up to where a shard is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardCursor {
    pub shard: i16,
    /// Everything that it sees is published.
    pub snapshot: Snapshot,
    /// Of what this one sees besides, everything up to the position.
    pub ahead: Option<(Snapshot, i64)>,
}

/// What is published and not stored yet.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    /// Everything that it sees is published; none: no more than what the stored one sees.
    pub snapshot: Option<Snapshot>,
    pub ahead: Option<(Snapshot, i64)>,
    pub rows: bool,
}

pub(super) type SessionQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

pub(super) fn bind_store<'q>(
    query: SessionQuery<'q>,
    shards: &[i16],
    epoch: i64,
    reached: &Unstored,
) -> SessionQuery<'q> {
    query
        .bind(shards.to_vec())
        .bind(epoch)
        .bind(reached.snapshot.as_ref().map(Snapshot::to_string))
        .bind(reached.ahead.as_ref().map(|(ahead, _)| ahead.to_string()))
        .bind(reached.ahead.as_ref().map(|(_, seq)| *seq))
}

/// Beside its limits.
const SESSION: [(&str, &str); 11] = [
    ("default_transaction_isolation", "read committed"),
    // A cursor that is lost publishes again under the same ids. What else is written here comes before its cursor in the log.
    ("synchronous_commit", "off"),
    // The outbox has no statistics and needs none: primary keys, in the order in which a statement names them.
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("work_mem", "16MB"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_hashagg", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

pub(super) struct Session {
    pub db: PgConnection,
    pub database: String,
    pub held: Vec<i16>,
    system_identifier: i64,
    /// Of the cursors, as they were read.
    pub epoch: i64,
}

impl Session {
    pub async fn open(url: &str, settings: &RelaySettings) -> Result<Self, RelayError> {
        let limits = [
            ("statement_timeout", settings.statement_timeout),
            ("lock_timeout", settings.lock_timeout),
            ("idle_session_timeout", settings.session_timeout),
            ("idle_in_transaction_session_timeout", settings.session_timeout),
        ];
        let limits = limits.map(|(name, limit)| (name, limit.as_millis().to_string()));
        let set = limits.iter().map(|(name, limit)| (*name, limit.as_str())).chain(SESSION);
        let options = sql::address(url)?.application_name(&settings.name);
        let mut db = options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql::set_statements(set))).execute(&mut db).await?;
        let Identity { name: database, system_identifier } = databases::identity(&mut db).await?;
        sqlx::query("select pg_advisory_lock_shared($1, $2)").bind(LOCKS).bind(PRESENCE).execute(&mut db).await?;
        // Every shard has a cursor; a fresh one sees nothing.
        sqlx::query(
            "insert into outbox.relay_cursor (shard, snapshot, system_identifier)
             select shard, '3:3:', $2 from generate_series(0, $1 - 1) as shard
             where not exists (select from outbox.relay_cursor having count(*) = $1) on conflict do nothing",
        )
        .bind(i32::from(SHARDS))
        .bind(system_identifier)
        .execute(&mut db)
        .await?;
        Ok(Self { db, database, held: Vec::new(), system_identifier, epoch: 0 })
    }

    /// How many shards are this relay's fair share, by how many relays live.
    pub async fn fair_share(&mut self) -> Result<usize, RelayError> {
        let relays: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where locktype = 'advisory' and granted and classid::int8 = $1 and objid::int8 = $2 and objsubid = 2
             and database = (select oid from pg_database where datname = current_database())",
        )
        .bind(i64::from(LOCKS))
        .bind(i64::from(PRESENCE))
        .fetch_one(&mut self.db)
        .await?;
        Ok((SHARDS as usize).div_ceil(relays.max(1) as usize))
    }

    /// Leases free shards until, with those held, `share` are ours; the new ones are [`Session::adopt`]ed once what was read before is settled.
    pub async fn lease(&mut self, share: usize) -> Result<Vec<i16>, RelayError> {
        let mut new = Vec::new();
        for shard in 0..SHARDS {
            if self.held.len() + new.len() >= share || self.held.contains(&shard) {
                continue;
            }
            let lock = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)").bind(LOCKS).bind(i32::from(shard));
            if lock.fetch_one(&mut self.db).await? {
                new.push(shard);
            }
        }
        Ok(new)
    }

    /// From now on these shards are read and their cursors stored with the others'.
    pub fn adopt(&mut self, new: Vec<i16>) {
        self.held.extend(new);
        self.held.sort_unstable();
    }

    /// Gives shards back until `share` are held. Everything read from them must be settled.
    pub async fn release(&mut self, share: usize) -> Result<(), RelayError> {
        while self.held.len() > share
            && let Some(shard) = self.held.pop()
        {
            let unlock = sqlx::query("select pg_advisory_unlock($1, $2)").bind(LOCKS).bind(i32::from(shard));
            unlock.execute(&mut self.db).await?;
        }
        Ok(())
    }

    /// The cursors of the held shards, and a snapshot of now.
    ///
    /// # Errors
    /// When they speak of another cluster or of a later state than this one's.
    pub async fn cursors(&mut self) -> Result<(Vec<ShardCursor>, Snapshot), RelayError> {
        let now = now(&mut self.db).await?;
        let stored = stored(&mut self.db, &self.held).await?;
        for StoredCursor { cursor: ShardCursor { shard, snapshot, .. }, system_identifier, .. } in &stored {
            if *system_identifier != self.system_identifier {
                return Err(RelayError::Restored(format!(
                    "the cursor belongs to the PostgreSQL cluster {system_identifier}, this is {}: the database was restored from a dump or copied, and transaction ids mean nothing here",
                    self.system_identifier
                )));
            }
            let (cursor, current) = (snapshot.xmax(), now.xmax());
            if cursor > current {
                return Err(RelayError::Restored(format!(
                    "the cursor of shard {shard} stands at transaction {cursor}, the server only at {current}: the database was restored to an earlier state"
                )));
            }
        }
        self.epoch = stored.first().map_or(self.epoch, |stored| stored.epoch);
        Ok((stored.into_iter().map(|stored| stored.cursor).collect(), now))
    }

    pub async fn store(&mut self, reached: &Unstored) -> Result<(), RelayError> {
        let statement = sqlx::query(AssertSqlSafe(STORE.as_str()));
        let done = bind_store(statement, &self.held, self.epoch, reached).execute(&mut self.db).await?;
        self.check_stored(done.rows_affected())
    }

    pub fn check_stored(&self, stored: u64) -> Result<(), RelayError> {
        let expected = self.held.len();
        if stored == expected as u64 { Ok(()) } else { Err(RelayError::CursorMoved(expected, stored)) }
    }

    /// Sees that nobody moved the cursor while there was nothing to store, and keeps the session from being idle.
    pub async fn check_epoch(&mut self) -> Result<(), RelayError> {
        let moved: i64 = sqlx::query_scalar("select count(*) from outbox.relay_cursor where epoch <> $1")
            .bind(self.epoch)
            .fetch_one(&mut self.db)
            .await?;
        if moved != 0 && !self.held.is_empty() {
            let expected = self.held.len();
            return Err(RelayError::CursorMoved(expected, expected.saturating_sub(moved as usize) as u64));
        }
        Ok(())
    }

    /// Says goodbye, so that the leases are free at once.
    pub async fn close(self) -> Result<(), RelayError> {
        Ok(self.db.close().await?)
    }
}

pub(super) async fn now(db: &mut PgConnection) -> Result<Snapshot, RelayError> {
    let text: String = sqlx::query_scalar("select pg_current_snapshot()::text").fetch_one(db).await?;
    Ok(text.parse()?)
}

pub(super) struct StoredCursor {
    pub cursor: ShardCursor,
    system_identifier: i64,
    epoch: i64,
}

pub(super) async fn stored(db: &mut PgConnection, shards: &[i16]) -> Result<Vec<StoredCursor>, RelayError> {
    let rows = sqlx::query_as::<_, (i16, String, Option<String>, Option<i64>, i64, i64)>(
        "select shard, snapshot::text, ahead::text, ahead_seq, system_identifier, epoch from outbox.relay_cursor
         where shard = any($1) order by shard",
    )
    .bind(shards)
    .fetch_all(db)
    .await?;
    let read = rows.into_iter().map(|(shard, snapshot, ahead, seq, system_identifier, epoch)| {
        let ahead = ahead.zip(seq).map(|(ahead, seq)| Ok::<_, RelayError>((ahead.parse()?, seq))).transpose()?;
        Ok(StoredCursor { cursor: ShardCursor { shard, snapshot: snapshot.parse()?, ahead }, system_identifier, epoch })
    });
    read.collect()
}

/// Within a transaction: waits until nobody else rotates, rewinds or rebases.
pub(super) async fn lock_rescue(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1, $2)").bind(LOCKS).bind(RESCUE).execute(db).await.map(drop)
}

/// How long a relay that just ended may take to let go.
const LET_GO: Duration = Duration::from_secs(2);

/// Within a transaction: takes every shard's lease until its end, or says which are held by running relays.
pub(super) async fn lock_out_relays(db: &mut PgConnection) -> Result<(), RelayError> {
    let mut running: Vec<i32> = (0..i32::from(SHARDS)).collect();
    let since = Instant::now();
    loop {
        running = sqlx::query_scalar(
            "select shard from unnest($2::int4[]) as shard where not pg_try_advisory_xact_lock($1, shard)",
        )
        .bind(LOCKS)
        .bind(&running)
        .fetch_all(&mut *db)
        .await?;
        if running.is_empty() {
            return Ok(());
        }
        if since.elapsed() > LET_GO {
            return Err(RelayError::StillRunning(running.into_iter().map(|shard| shard as i16).collect()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
