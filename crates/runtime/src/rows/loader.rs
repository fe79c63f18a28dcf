//! What a consumer reads a batch's rows with, and what it writes them with.

use events::Timestamp;
use sqlx::PgConnection;

use crate::engine::write_set::WriteSet;

/// Reads what a batch needs ([`Consumer::load`](crate::Consumer::load)).
pub struct Loader<'a> {
    /// The connection, for what is not read as [`Rows`](crate::rows::Rows).
    pub db: &'a mut PgConnection,
    /// The batch's time.
    pub now: Timestamp,
    /// Whether rows are locked as they are read, until the transaction ends. Otherwise they are read as they are, and the write says whether they
    /// are still so.
    pub with_locks: bool,
}

/// Takes what a batch writes ([`Consumer::save`](crate::Consumer::save)).
pub struct Saver<'a> {
    /// The connection, for a consumer that is not [`OPTIMISTIC`](crate::Consumer::OPTIMISTIC) and whose statements need each other's results.
    pub db: &'a mut PgConnection,
    /// The batch's time.
    pub now: Timestamp,
    /// The batch's writes, for what is not written as [`Rows`](crate::rows::Rows).
    pub writes: WriteSet,
}

impl<'a> Saver<'a> {
    pub(crate) fn new(db: &'a mut PgConnection, now: Timestamp) -> Self {
        Self { db, now, writes: WriteSet::default() }
    }
}
