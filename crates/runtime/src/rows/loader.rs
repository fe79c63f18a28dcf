//! What a consumer reads a batch's rows with, and what it writes them with.

use events::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::engine::write_set::WriteSet;
use crate::rows::cache::RowCaches;

/// How a batch learns what its rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It reads and locks them until the transaction ends: nobody else changes them meanwhile.
    Locked,
    /// It reads them, without a transaction: the write says whether they were still as they had been read.
    Fresh,
    /// The same, but what is in the cache is not read.
    Recalled,
}

impl Reading {
    /// A `select` of rows of one table, in the order in which they are locked.
    pub fn of(self, select: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self {
            Self::Locked => format!("{select} for no key update"),
            Self::Fresh | Self::Recalled => select.to_owned(),
        })
    }
}

/// Reads what a batch needs ([`Consumer::load`](crate::Consumer::load)).
pub struct Loader<'a> {
    /// The connection, for what is not read as [`Rows`](crate::rows::Rows).
    pub db: &'a mut PgConnection,
    /// The batch's time.
    pub now: Timestamp,
    pub(crate) reading: Reading,
    pub(super) caches: &'a RowCaches,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(db: &'a mut PgConnection, now: Timestamp, reading: Reading, caches: &'a RowCaches) -> Self {
        Self { db, now, reading, caches }
    }

    /// How rows are to be read.
    pub fn reading(&self) -> Reading {
        self.reading
    }
}

/// Takes what a batch writes ([`Consumer::save`](crate::Consumer::save)).
pub struct Saver<'a> {
    /// The connection, for a consumer that is not [`OPTIMISTIC`](crate::Consumer::OPTIMISTIC) and whose statements need each other's results.
    pub db: &'a mut PgConnection,
    /// The batch's time.
    pub now: Timestamp,
    /// The batch's writes, for what is not written as [`Rows`](crate::rows::Rows).
    pub writes: WriteSet,
    after_commit: AfterCommit,
}

impl<'a> Saver<'a> {
    pub(crate) fn new(db: &'a mut PgConnection, now: Timestamp) -> Self {
        Self { db, now, writes: WriteSet::default(), after_commit: AfterCommit::default() }
    }

    /// Has something done once the batch is committed, and never if it is not.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(hook));
    }

    pub(crate) fn into_parts(self) -> (WriteSet, AfterCommit) {
        (self.writes, self.after_commit)
    }
}

pub(crate) type AfterCommit = Vec<Box<dyn FnOnce() + Send>>;
