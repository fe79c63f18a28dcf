//! Catching up: everything between the cursors of some shards and one fixed snapshot, by pages, in short statements and little memory.
//! The way into the steady state, and the way through a backlog.

use events::Timestamp;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::error::RelayError;
use super::session::{SessionQuery, ShardCursor, bits, held};
use super::snapshot::Snapshot;
use super::statements::{EXTENT, PAGE, WINDOW};
use runtime::outbox::STEP;

/// Positions whose transactions are held in memory at once: those of 250,000 entries, 24 bytes each at most.
const WINDOW_POSITIONS: i64 = 250_000 * STEP as i64;

/// Entries of one transaction in shards with equal cursors, within the window.
#[derive(Clone, Copy, Debug)]
struct WaitingEntries {
    xid: u64,
    /// First and last position, counted from the window's start.
    first: u32,
    last: u32,
    events: u32,
    slot: i16,
    /// A bit for each.
    shards: u8,
}

impl WaitingEntries {
    /// The position before which it has about so many events.
    fn end_of(&self, events: u32) -> u32 {
        let entries = ((self.last - self.first) / STEP + 1).min(self.events.max(1)); // of others there may be some between them
        let each = (self.events / entries).max(1);
        self.first.saturating_add(events.div_ceil(each).saturating_mul(STEP))
    }
}

/// Shards whose cursors are equal: mostly all of them, since they are stored together.
#[derive(Debug)]
struct Group {
    shards: u8,
    cursor: ShardCursor,
}

fn grouped(cursors: Vec<ShardCursor>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for cursor in cursors {
        let shards = bits(&[cursor.shard]);
        let same =
            |group: &&mut Group| (&group.cursor.snapshot, &group.cursor.ahead) == (&cursor.snapshot, &cursor.ahead);
        match groups.iter_mut().find(same) {
            Some(group) => group.shards |= shards,
            None => groups.push(Group { shards, cursor }),
        }
    }
    groups
}

/// What is left to publish up to a target snapshot.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub target: Snapshot,
    /// Everything committed before this moment is visible in the target.
    pub taken: Timestamp,
    /// Events that wait, about.
    pub waiting: i64,
    from: Vec<Group>,
    last_position: i64,
    /// Everything before this position was handed out.
    position: i64,
    window: Vec<WaitingEntries>,
    window_start: i64,
    window_end: i64,
    /// Transactions of the window before this one have no rows left.
    started: usize,
    /// Of those that were begun, the ones that reach beyond the page.
    open: Vec<WaitingEntries>,
}

/// The next page: which transactions, from which positions, before which.
#[derive(Debug, Default)]
pub(super) struct CatchUpPage {
    slots: Vec<i16>,
    /// Of each, a bit for each.
    shards: Vec<i16>,
    xids: Vec<String>,
    firsts: Vec<i64>,
    /// Entries at this position and later are on later pages.
    pub end: i64,
}

impl CatchUp {
    pub async fn begin(
        db: &mut PgConnection,
        from: Vec<ShardCursor>,
        target: Snapshot,
        taken: Timestamp,
    ) -> Result<Self, RelayError> {
        let (mut waiting, mut first, mut last) = (0, i64::MAX, i64::MIN);
        let from = grouped(from);
        for group in &from {
            if let Some(extent) = extent(db, group.shards, &group.cursor, &target).await? {
                waiting += extent.events;
                first = first.min(extent.first);
                last = last.max(extent.last);
            }
        }
        let (window, open) = (Vec::new(), Vec::new());
        let (position, last_position, window_start, window_end) = (first, last, first, first);
        let started = 0;
        Ok(Self {
            target,
            taken,
            waiting,
            from,
            last_position,
            position,
            window,
            window_start,
            window_end,
            started,
            open,
        })
    }

    /// The next page of about `events` events; none when the target is reached.
    pub async fn next_page(&mut self, db: &mut PgConnection, events: u32) -> Result<Option<CatchUpPage>, RelayError> {
        while self.position <= self.last_position {
            if self.position >= self.window_end {
                self.load_window(db).await?;
            }
            if let Some(page) = self.cut_page(events) {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    async fn load_window(&mut self, db: &mut PgConnection) -> Result<(), RelayError> {
        (self.window_start, self.window_end) = (self.position, self.position.saturating_add(WINDOW_POSITIONS));
        (self.started, self.open, self.window) = (0, Vec::new(), Vec::new());
        let target = self.target.to_string();
        for Group { shards, cursor } in &self.from {
            let query = bind_cursor(sqlx::query(AssertSqlSafe(WINDOW.as_str())), *shards, cursor, &target);
            let mut rows = query.bind(self.window_start).bind(self.window_end).fetch(&mut *db);
            while let Some(row) = rows.try_next().await? {
                let position = |column: usize| -> Result<u32, sqlx::Error> {
                    Ok((row.try_get::<i64, _>(column)? - self.window_start) as u32)
                };
                let xid =
                    row.try_get_raw(1)?.as_bytes().ok().and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
                let xid = xid.ok_or_else(|| sqlx::Error::ColumnNotFound("xid".into()))?;
                self.window.push(WaitingEntries {
                    xid,
                    first: position(2)?,
                    last: position(3)?,
                    events: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
                    slot: row.try_get(0)?,
                    shards: *shards,
                });
            }
        }
        self.window.sort_unstable_by_key(|told| told.first);
        Ok(())
    }

    /// Cuts a page from the window; none when the window has no entries left.
    fn cut_page(&mut self, events: u32) -> Option<CatchUpPage> {
        let mut end = (self.window_end - self.window_start) as u32;
        let (mut left, mut found) = (events, false);
        for told in self.open.iter().chain(&self.window[self.started..]) {
            if told.first >= end {
                break;
            }
            found = true;
            if told.events >= left {
                end = end.min(told.end_of(left));
                break;
            }
            left -= told.events;
        }
        if !found {
            self.position = self.window_end;
            return None;
        }
        let mut page = CatchUpPage { end: self.window_start + i64::from(end), ..CatchUpPage::default() };
        let opened = self.window[self.started..].partition_point(|told| told.first < end);
        let begun = std::mem::take(&mut self.open)
            .into_iter()
            .chain(self.window[self.started..self.started + opened].iter().copied());
        for told in begun {
            if told.first < end {
                page.slots.push(told.slot);
                page.shards.push(told.shards.into());
                page.xids.push(told.xid.to_string());
                page.firsts.push(self.window_start + i64::from(told.first));
            }
            if told.last >= end {
                let first = told.first.max(end);
                let gone =
                    u64::from(told.events) * u64::from(first - told.first) / u64::from(told.last - told.first + 1);
                self.open.push(WaitingEntries { first, events: told.events - gone as u32, ..told });
            }
        }
        self.started += opened;
        self.position = page.end;
        Some(page)
    }
}

impl CatchUpPage {
    /// The page's entries, by position; before the columns of each, the shards that are wanted of it.
    pub fn rows(self, db: &mut PgConnection) -> BoxStream<'_, Result<PgRow, sqlx::Error>> {
        sqlx::query(PAGE).bind(self.slots).bind(self.shards).bind(self.xids).bind(self.firsts).bind(self.end).fetch(db)
    }
}

pub(super) struct Backlog {
    pub events: i64,
    first: i64,
    last: i64,
}

/// What waits between the cursor of some shards and a snapshot; none when nothing does.
pub(super) async fn extent(
    db: &mut PgConnection,
    shards: u8,
    cursor: &ShardCursor,
    target: &Snapshot,
) -> Result<Option<Backlog>, RelayError> {
    let query = bind_cursor(sqlx::query(AssertSqlSafe(EXTENT.as_str())), shards, cursor, &target.to_string());
    let row = query.fetch_one(db).await?;
    let (events, first, last) = (row.try_get(0)?, row.try_get::<Option<i64>, _>(1)?, row.try_get(2)?);
    Ok(first.zip(last).map(|(first, last)| Backlog { events, first, last }))
}

/// Binds $1 to $6 of the statements about what waits.
fn bind_cursor<'q>(query: SessionQuery<'q>, shards: u8, cursor: &ShardCursor, target: &str) -> SessionQuery<'q> {
    let (ahead, ahead_seq) = match &cursor.ahead {
        Some((ahead, seq)) => (ahead.to_string(), *seq),
        None => (Snapshot::start().to_string(), 0),
    };
    query
        .bind(held(shards))
        .bind(cursor.snapshot.xmax().to_string())
        .bind(cursor.snapshot.in_progress().iter().map(u64::to_string).collect::<Vec<_>>())
        .bind(ahead)
        .bind(ahead_seq)
        .bind(target.to_owned())
}
