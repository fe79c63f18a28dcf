//! The two halves of a relay's cycle: rows are read and given to Kafka; what Kafka acknowledged is remembered.

use std::time::{Duration, Instant};

use events::Timestamp;
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _};

use super::catch_up::CatchUp;
use super::error::RelayError;
use super::outbound::{Outbound, OutboundBatch, ShardPosition};
use super::record::OutboxEntry;
use super::session::{Session, ShardCursor, Unstored, bind_store, bits, now};
use super::set_aside::{set_aside, try_alone};
use super::snapshot::Snapshot;
use super::statements::{POLL, STORE_AND_POLL};
use super::worker::{ReadOutcome, ReadSource, Worker, answered};

/// After a pause of this length the next read goes by pages: more may wait than one statement should sort.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// The least that a page holds, however large its events are.
const SMALLEST_PAGE: u32 = 64;
/// Entries that a poll reads: with more to come the relay goes on by pages, which are cut by how many events they have. A read is held until Kafka
/// has acknowledged all of it, and an entry may have some hundred events.
const POLLED: u32 = 64;

impl Worker<'_> {
    pub(super) async fn read(&mut self) -> Result<ReadOutcome, RelayError> {
        match &self.reading {
            ReadSource::Nothing => Ok(ReadOutcome::Nothing),
            ReadSource::Following { since, read_at } if read_at.elapsed() < LONG_PAUSE => {
                self.follow(since.clone()).await
            }
            ReadSource::Following { since, .. } => {
                let from = self.held_at(since, None);
                let taken = self.clock.now();
                let target = answered(self.settings, now(&mut self.session.db)).await?;
                self.catch_up(from, target, taken).await?;
                Ok(ReadOutcome::More)
            }
            ReadSource::CatchingUp(_) => self.next_page().await,
        }
    }

    fn held_at(&self, snapshot: &Snapshot, ahead: Option<&(Snapshot, i64)>) -> Vec<ShardCursor> {
        let held = self.session.held.iter();
        held.map(|shard| ShardCursor { shard: *shard, snapshot: snapshot.clone(), ahead: ahead.cloned() }).collect()
    }

    /// Starts from the stored cursors of all held shards, up to now.
    pub(super) async fn begin_to_catch_up(&mut self) -> Result<(), RelayError> {
        if self.session.held.is_empty() {
            self.reading = ReadSource::Nothing;
            return Ok(());
        }
        let taken = self.clock.now();
        let (from, target) = answered(self.settings, self.session.cursors()).await?;
        self.catch_up(from, target, taken).await
    }

    async fn catch_up(&mut self, from: Vec<ShardCursor>, target: Snapshot, taken: Timestamp) -> Result<(), RelayError> {
        let catch_up = answered(self.settings, CatchUp::begin(&mut self.session.db, from, target, taken)).await?;
        if catch_up.waiting > i64::from(self.settings.page_rows) {
            tracing::info!(database = self.session.database, rows = catch_up.waiting, "catching up");
        }
        self.reading = ReadSource::CatchingUp(Box::new(catch_up));
        Ok(())
    }

    async fn follow(&mut self, since: Snapshot) -> Result<ReadOutcome, RelayError> {
        let (taken, read_at) = (self.clock.now(), Instant::now());
        let stored = self.unstored.rows.then(|| std::mem::take(&mut self.unstored));
        let polled = poll(&mut self.session, &mut self.outbound, &since, stored.as_ref(), taken);
        let (batch, target, is_all) = answered(self.settings, polled).await?;
        let Some(mut batch) = batch else {
            if !self.outbound.extend(&target, taken) {
                self.reached(target.clone(), taken);
            }
            self.reading = ReadSource::Following { since: target, read_at };
            return Ok(ReadOutcome::Nothing);
        };
        if is_all {
            self.reading = ReadSource::Following { since: target, read_at };
            return Ok(ReadOutcome::Rows(self.outbound.seal(batch)));
        }
        let ahead = (target.clone(), batch.last_seq);
        batch.position = ShardPosition::Ahead(ahead.0.clone(), ahead.1);
        self.outbound.seal(batch);
        self.catch_up(self.held_at(&since, Some(&ahead)), target, taken).await?;
        Ok(ReadOutcome::More)
    }

    async fn next_page(&mut self) -> Result<ReadOutcome, RelayError> {
        if self.unstored.rows {
            self.store_reached().await?; // this read is no poll, which would do it in passing
        }
        let events = self.page_rows();
        let ReadSource::CatchingUp(catch_up) = &mut self.reading else { return Ok(ReadOutcome::Nothing) };
        let page = answered(self.settings, catch_up.next_page(&mut self.session.db, events)).await?;
        let (target, taken) = (catch_up.target.clone(), catch_up.taken);
        let Some(page) = page else {
            if !self.outbound.extend(&target, taken) {
                self.reached(target.clone(), taken);
                self.store_reached().await?;
            }
            self.reading = ReadSource::Following { since: target, read_at: Instant::now() };
            return Ok(ReadOutcome::More);
        };
        let mut batch = self.outbound.open(ShardPosition::Ahead(target, page.end - 1), taken);
        let (db, outbound) = (&mut self.session.db, &mut self.outbound);
        answered(self.settings, async {
            let mut rows = page.rows(db);
            while let Some(row) = rows.try_next().await? {
                let wanted: i16 = row.try_get(0)?;
                for record in OutboxEntry::of(&row, 1)?.records(wanted as u8) {
                    outbound.give(&mut batch, &record?).await?;
                }
            }
            Ok(())
        })
        .await?;
        catch_up.waiting -= self.outbound.seal(batch) as i64;
        Ok(ReadOutcome::More)
    }

    fn page_rows(&self) -> u32 {
        let rows = self.outbound.rows_for(self.settings.page_bytes);
        rows.clamp(SMALLEST_PAGE, self.settings.page_rows.max(SMALLEST_PAGE))
    }

    /// Remembers what Kafka acknowledged, in the order in which it was read.
    pub(super) async fn settle(&mut self) -> Result<(), RelayError> {
        while let Some(batch) = self.outbound.next_done()? {
            let mut batches = vec![batch];
            if !batches[0].again.is_empty() {
                // What was read behind it is on its way: later events of the same keys go once more behind those that are tried again.
                self.reported().await?;
                while let Some(batch) = self.outbound.next_done()? {
                    batches.push(batch);
                }
                try_alone(&mut self.session.db, &mut self.outbound, &mut batches).await?;
            }
            for batch in batches {
                self.done(batch).await?;
            }
        }
        Ok(())
    }

    async fn done(&mut self, batch: OutboundBatch) -> Result<(), RelayError> {
        if !batch.refused.is_empty() {
            answered(self.settings, set_aside(&mut self.session.db, &mut self.outbound, &batch.refused)).await?;
        }
        self.meter.published.increment((batch.len() - batch.refused.len()) as u64);
        self.last_seq = self.last_seq.max(batch.last_seq);
        self.moved = true;
        match batch.position {
            ShardPosition::Reached(snapshot) => {
                self.unstored.ahead = None;
                self.reached(snapshot, batch.taken);
            }
            ShardPosition::Ahead(snapshot, seq) => self.unstored.ahead = Some((snapshot, seq)),
        }
        self.unstored.rows = true;
        Ok(())
    }

    fn reached(&mut self, snapshot: Snapshot, taken: Timestamp) {
        self.unstored.snapshot = Some(snapshot);
        self.published_until = Some(taken);
    }

    /// Stores how far the relay is, with or without rows since.
    pub(super) async fn store_reached(&mut self) -> Result<(), RelayError> {
        let reached = std::mem::take(&mut self.unstored);
        if reached.snapshot.is_none() && !reached.rows {
            return Ok(());
        }
        answered(self.settings, self.session.store(&reached)).await
    }
}

/// Reads what became visible and says under which snapshot, and whether that was all: at most [`POLLED`] entries, one more is not published. Stores in passing
/// what was `reached`.
async fn poll(
    session: &mut Session,
    outbound: &mut Outbound,
    since: &Snapshot,
    reached: Option<&Unstored>,
    taken: Timestamp,
) -> Result<(Option<OutboundBatch>, Snapshot, bool), RelayError> {
    let text = if reached.is_some() { STORE_AND_POLL.as_str() } else { POLL.as_str() };
    let (first, last): (Vec<_>, Vec<_>) =
        since.unseen().map(|(first, last)| (first.to_string(), last.to_string())).unzip();
    let most = i64::from(POLLED) + 2; // the snapshot has a row of its own
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(session.held.as_slice()).bind(first).bind(most).bind(last);
    if let Some(reached) = reached {
        query = bind_store(query, &session.held, session.epoch, reached);
    }
    let held = bits(&session.held);
    let mut stored = None;
    let mut rows = query.fetch(&mut session.db);
    let mut target: Option<Snapshot> = None;
    let (mut batch, mut entries) = (None, 0);
    while let Some(row) = rows.try_next().await? {
        let Some(target) = &target else {
            target = Some(row.try_get::<&str, _>(0)?.parse()?);
            stored = row.try_get::<Option<i16>, _>(1)?;
            continue;
        };
        entries += 1;
        if entries <= POLLED {
            let batch = batch.get_or_insert_with(|| outbound.open(ShardPosition::Reached(target.clone()), taken));
            for record in OutboxEntry::of(&row, 1)?.records(held) {
                outbound.give(batch, &record?).await?;
            }
        }
    }
    drop(rows);
    if let Some(stored) = stored {
        session.check_stored(stored as u64)?;
    }
    let target = target.ok_or(sqlx::Error::RowNotFound)?;
    Ok((batch, target, entries <= POLLED))
}
