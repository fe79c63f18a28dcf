//! What can fail on the way of a batch, and the one verdict on each failure.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A failure of a whole batch: nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database refused a statement, or did not answer.
    #[error("database: {}", cause(.0))]
    Database(#[from] sqlx::Error),
    /// The database did not answer, nor did the connection break: its machine is gone, or stands still.
    #[error("the database did not answer within {0:?}")]
    Silent(Duration),
    /// Whoever asked left before it was written.
    #[error("a caller left before its request was written")]
    CallerGone,
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
            Self::LostRace { .. } | Self::CallerGone => Verdict::Again,
            Self::Silent(_) => Verdict::Retry,
            Self::Stored { .. } | Self::Panicked(_) => Verdict::Park,
            Self::Unsendable(_) => Verdict::DeadLetter,
            Self::Database(error) => match DatabaseFault::of(error) {
                DatabaseFault::Parts | DatabaseFault::Connection => Verdict::Retry,
                DatabaseFault::Wait | DatabaseFault::Stored => Verdict::Park,
                DatabaseFault::Data => Verdict::DeadLetter,
                DatabaseFault::Program => Verdict::Stop,
            },
        }
    }

    /// Whether another connection may do better than the one on which it failed.
    pub fn is_of_connection(&self) -> bool {
        let is_its_fault = |error| DatabaseFault::of(error) == DatabaseFault::Connection;
        matches!(self, Self::Silent(_)) || matches!(self, Self::Database(error) if is_its_fault(error))
    }

    /// Whether it is a wait that took too long: for a lock (55P03), or for a statement (57014). It may be the whole database's fault, or one row's.
    pub fn is_wait(&self) -> bool {
        matches!(self.class().as_str(), "sqlstate_55P03" | "sqlstate_57014")
    }

    /// A short, stable name of the kind of failure, for metrics and fingerprints.
    pub fn class(&self) -> String {
        match self {
            Self::LostRace { .. } => "lost_race".into(),
            Self::Silent(_) => "database_silent".into(),
            Self::CallerGone => "caller_gone".into(),
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

/// Where the cause of a database error lies, and so what helps against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The server, its state, or what it lets us do, for everyone: it starts, stops, is full, has no connection or no disk left, has lost its database
    /// for a while, refuses the password or a right. It passes, or a person mends it; meanwhile nothing is at fault that we would decide.
    Parts,
    /// This connection: it broke, leads to a server that is read-only now, or its prepared statements are no longer what the server knows. Another one
    /// may do better.
    Connection,
    /// A wait for a lock or a statement that took too long.
    Wait,
    /// What is stored can't be read by this version.
    Stored,
    /// What was to be written.
    Data,
    /// The statement: this program and the database do not fit each other.
    Program,
}

impl DatabaseFault {
    /// The fault behind an error; SQLSTATEs as in PostgreSQL's appendix A.
    #[allow(clippy::wildcard_enum_match_arm)] // sqlx's errors are not our enum, and may grow
    pub fn of(error: &sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Stored,
                sqlx::Error::Encode(_) => Self::Data,
                sqlx::Error::Configuration(_)
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. } => Self::Program,
                sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Parts,
                _ => Self::Connection, // broken off, or something unforeseen on it
            };
        };
        let code = database.code().unwrap_or_default();
        match code.get(..2).unwrap_or_default() {
            _ if code == "55P03" || code == "57014" => Self::Wait,
            // "cached plan must not change result type", by the function that says it: texts are translated.
            _ if code == "0A000" && routine(database) == Some("RevalidateCachedQuery") => Self::Connection,
            // 25: read-only after a failover, or a transaction that was ended; 26000, 42P05: prepared statements that a pooler mixed up.
            "08" | "25" => Self::Connection,
            _ if code == "26000" || code == "42P05" => Self::Connection,
            // 28, 3D000, 42501: password, database and rights can be given back; 58, XX: the server's disk or inside.
            "28" | "3D" | "40" | "53" | "55" | "57" | "58" | "XX" => Self::Parts,
            _ if code == "42501" => Self::Parts,
            "22" | "23" | "54" => Self::Data,
            _ => Self::Program, // 42: no such table or column
        }
    }
}

fn routine(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.routine()
}

/// An error with its causes, each said once: many an error's own text ends with its cause's, as that of the cause does with the next.
pub fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        let last = cause.rsplit(": ").next().unwrap_or(&cause);
        match told.as_str() {
            "" => cause,
            told if !told.contains(last) => format!("{told}: {cause}"),
            _ => told,
        }
    })
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

/// What went wrong, without the words that sqlx puts before it: whoever reports it says of which database.
#[allow(clippy::wildcard_enum_match_arm)] // sqlx's errors are not our enum, and may grow
pub fn cause(error: &sqlx::Error) -> String {
    if let Some(database) = error.as_database_error() {
        let code = database.code().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
        return format!("{}{code}", database.message());
    }
    match error {
        sqlx::Error::Configuration(cause) | sqlx::Error::Tls(cause) => cause.to_string(),
        sqlx::Error::Io(cause) => cause.to_string(),
        sqlx::Error::PoolTimedOut => "no connection to be had in time".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Coded(&'static str);

    impl std::fmt::Display for Coded {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str(self.0)
        }
    }

    impl std::error::Error for Coded {}

    impl sqlx::error::DatabaseError for Coded {
        fn message(&self) -> &str {
            "said so"
        }
        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.into())
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    #[test]
    fn what_parts_do_to_everyone_is_waited_for_and_only_what_no_wait_mends_stops() {
        for (code, fault) in [
            ("25006", DatabaseFault::Connection), // read-only after a failover
            ("25P03", DatabaseFault::Connection), // idle in transaction for too long
            ("08006", DatabaseFault::Connection),
            ("26000", DatabaseFault::Connection), // a pooler's other server connection
            ("42P05", DatabaseFault::Connection),
            ("28P01", DatabaseFault::Parts), // password rotated
            ("28000", DatabaseFault::Parts),
            ("3D000", DatabaseFault::Parts), // a restore drops and creates the database
            ("42501", DatabaseFault::Parts), // rights taken, and given back
            ("53100", DatabaseFault::Parts), // disk full
            ("53300", DatabaseFault::Parts), // too many connections
            ("57P01", DatabaseFault::Parts),
            ("57P03", DatabaseFault::Parts),
            ("58030", DatabaseFault::Parts), // I/O error
            ("XX001", DatabaseFault::Parts),
            ("40001", DatabaseFault::Parts),
            ("55P03", DatabaseFault::Wait),
            ("57014", DatabaseFault::Wait),
            ("22021", DatabaseFault::Data),
            ("23505", DatabaseFault::Data),
            ("54000", DatabaseFault::Data), // index row too large
            ("0A000", DatabaseFault::Program),
            ("42P01", DatabaseFault::Program),
            ("42703", DatabaseFault::Program),
            ("42601", DatabaseFault::Program),
        ] {
            let error = sqlx::Error::Database(Box::new(Coded(code)));
            assert_eq!(DatabaseFault::of(&error), fault, "{code}");
            let stops = Failure::Database(error).verdict() == Verdict::Stop;
            assert_eq!(stops, fault == DatabaseFault::Program, "{code}");
        }
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(DatabaseFault::of(&broken), DatabaseFault::Connection);
        assert_eq!(DatabaseFault::of(&sqlx::Error::PoolTimedOut), DatabaseFault::Parts);
        assert_eq!(DatabaseFault::of(&sqlx::Error::Configuration("no host".into())), DatabaseFault::Program);
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = sqlx::Error::Io(std::io::Error::other("Connection refused"));
        let error = anyhow::Error::from(refused).context("the database at 10.0.0.1:5432/shop");
        assert_eq!(
            told(&error),
            "the database at 10.0.0.1:5432/shop: error communicating with database: Connection refused"
        );
    }

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
