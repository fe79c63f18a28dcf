//! What can fail on the way of a batch, and the one verdict on each failure.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A failure of a whole batch: nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database refused a statement, or did not answer.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A save touched fewer rows than were decided: another instance was first.
    #[error(
        "lost race: {table} took {saved} of {decided} rows that were decided; another instance changed the others first"
    )]
    LostRace {
        /// The table that was saved to.
        table: &'static str,
        /// Rows that the statement touched.
        saved: u64,
        /// Rows that were decided.
        decided: u64,
    },
    /// An order was decided on a row that was recalled, not read, and that nothing will guard.
    #[error("decided on a remembered row without changing it: it is read before that counts")]
    Unsure,
    /// A stored value that this version can't read.
    #[error("stored data of {what} can't be read: {source}; was it written by a newer version?")]
    Stored {
        /// Which row and column.
        what: String,
        /// What the decoder said.
        source: serde_json::Error,
    },
    /// A rule panicked over the batch as a whole, after each of its inputs was decided.
    #[error("{0}")]
    Panicked(String),
    /// An event could not be encoded, or is too large for its topic.
    #[error("an event that was decided can't be sent: {0}")]
    Unsendable(String),
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole batch again, after a pause: the cause is not in the batch.
    Retry,
    /// The whole batch again, at once: it was decided on what is no longer so.
    Again,
    /// One of the batch is at fault, for its order alone and perhaps for a while: split it until the offender is alone, then it is parked.
    Park,
    /// One of the batch is at fault, and no repetition helps: split it until the offender is alone, then it is a dead letter.
    DeadLetter,
    /// Nobody can go on: exit with an error, offsets untouched.
    Stop,
}

impl Failure {
    /// What the error of an insert of `rows` rows is: a lost race where one of them should have been new and is there already.
    pub fn of_insert(error: sqlx::Error, table: &'static str, rows: usize) -> Self {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => {
                Self::LostRace { table, saved: 0, decided: rows as u64 }
            }
            Some(_) | None => Self::Database(error),
        }
    }

    /// The verdict on this failure; SQLSTATE classes as in PostgreSQL's appendix A.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::LostRace { .. } | Self::Unsure => Verdict::Again,
            Self::Stored { .. } | Self::Panicked(_) => Verdict::Park,
            Self::Unsendable(_) => Verdict::DeadLetter,
            Self::Database(error) => database_verdict(error),
        }
    }

    /// Whether it is a wait that took too long: for a lock (55P03), or for a statement (57014). It may be the whole database's fault, or one row's.
    pub fn is_wait(&self) -> bool {
        matches!(self.class().as_str(), "sqlstate_55P03" | "sqlstate_57014")
    }

    /// A short, stable name of the kind of failure, for metrics and fingerprints.
    pub fn class(&self) -> String {
        match self {
            Self::LostRace { .. } => "lost_race".into(),
            Self::Unsure => "unsure".into(),
            Self::Stored { .. } => "stored_data".into(),
            Self::Panicked(_) => "panic".into(),
            Self::Unsendable(_) => "unsendable".into(),
            Self::Database(error) => match error.as_database_error().and_then(|error| error.code()) {
                Some(code) => format!("sqlstate_{code}"),
                None => "database_connection".into(),
            },
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm)] // sqlx's errors are not our enum, and may grow
fn database_verdict(error: &sqlx::Error) -> Verdict {
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
        return match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Verdict::Park,
            sqlx::Error::Encode(_) => Verdict::DeadLetter,
            sqlx::Error::Configuration(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => Verdict::Stop,
            _ => Verdict::Retry, // pool and I/O errors
        };
    };
    match code.get(..2).unwrap_or_default() {
        _ if code == "55P03" || code == "57014" => Verdict::Park,
        "08" | "40" | "53" | "55" | "57" => Verdict::Retry,
        _ if code == "25P03" => Verdict::Retry,
        "22" | "23" | "54" => Verdict::DeadLetter, // 54: a value beyond what PostgreSQL can hold, or index
        _ => Verdict::Stop,                        // 42 (no such table), 28 (refused), 58, XX: no repetition helps
    }
}

/// Waits between repetitions: doubling from 50 ms to 5 s, each spread by chance so that instances part. Not by the process id: in containers all are 1.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
    /// Seeded at random, for each of them anew.
    chance: RandomState,
}

impl Backoff {
    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let base = 50_u64.saturating_mul(1 << self.attempts.min(7)).min(5_000);
        self.attempts += 1;
        let spread = self.chance.hash_one(self.attempts) % 201;
        Duration::from_micros(base * (900 + spread))
    }

    /// Repetitions so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_that_fail_together_do_not_come_back_together_whatever_their_process_ids() {
        let waits = |mut backoff: Backoff| (0..12).map(|_| backoff.next_wait()).collect::<Vec<_>>();
        let all: Vec<Vec<Duration>> = (0..8).map(|_| waits(Backoff::default())).collect();
        for (attempt, base) in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].into_iter().enumerate() {
            let bounds = Duration::from_millis(base * 9 / 10)..=Duration::from_millis(base * 11 / 10);
            assert!(all.iter().all(|waits| bounds.contains(&waits[attempt])), "{attempt}: {all:?}");
        }
        for waits in &all[1..] {
            assert_ne!(*waits, all[0]);
        }
    }
}
