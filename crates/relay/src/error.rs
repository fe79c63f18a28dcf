//! What can fail in a relay, and whether another try can help.

use std::time::Duration;

use rdkafka::error::KafkaError;

use super::snapshot::NotASnapshot;
use runtime::DatabaseFault;
use runtime::Pooled;
use runtime::postgres::migrations::MigrationError;

/// A failure of a relay on one database.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// PostgreSQL refused a statement or went away.
    #[error("the outbox's database: {}", runtime::cause(.0))]
    Database(#[from] sqlx::Error),
    /// The outbox is not at this binary's version.
    #[error(transparent)]
    Migrations(#[from] MigrationError),
    /// The leases would not last.
    #[error(transparent)]
    Pooled(#[from] Pooled),
    /// PostgreSQL did not answer, nor did the connection break.
    #[error("the outbox's database did not answer within {0:?}; the connection is given up")]
    Silent(Duration),
    /// The settings for Kafka are wrong.
    #[error(
        "no Kafka producer can be made from the settings: {0}; see CONFIGURATION.md of librdkafka 2.12 for names and values"
    )]
    Producer(KafkaError),
    /// The system gave no thread.
    #[error("no thread for Kafka's delivery reports: {0}")]
    Thread(std::io::Error),
    /// Kafka did not say which topics there are.
    #[error("Kafka did not answer about topic {topic}: {source}")]
    Metadata {
        /// The topic with its prefix.
        topic: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// Rows were not acknowledged, for a reason that is not theirs.
    #[error("{rows} rows were not delivered, the first for: {reason}; the relay starts again from its cursor")]
    Undelivered {
        /// How many.
        rows: usize,
        /// What librdkafka said of the first.
        reason: String,
    },
    /// The cursor was moved from outside, or the lease is another's.
    #[error(
        "the cursor of {expected} shards should have been stored, {stored} were: somebody moved it (rewind, rebase); it is read again"
    )]
    CursorMoved {
        /// Shards that are leased.
        expected: usize,
        /// Rows that the update found.
        stored: u64,
    },
    /// The cursor speaks of another cluster.
    #[error(
        "the cursor belongs to the PostgreSQL cluster {expected}, this is {found}: the database was restored from a dump or copied, and transaction ids mean nothing here. \
         Stop the consumers and run `quadrille relay rebase`"
    )]
    AnotherCluster {
        /// System identifier in the cursor.
        expected: i64,
        /// System identifier of the server.
        found: i64,
    },
    /// Transaction ids went backwards.
    #[error(
        "the cursor of shard {shard} stands at transaction {cursor}, the server only at {current}: the database was restored to an earlier state. \
         Stop the consumers and run `quadrille relay rebase`"
    )]
    Backwards {
        /// The shard.
        shard: i16,
        /// The cursor's next transaction id.
        cursor: u64,
        /// The server's next transaction id.
        current: u64,
    },
    /// What stands in the cursor's table is not a snapshot.
    #[error(transparent)]
    Cursor(#[from] NotASnapshot),
    /// A rescue found a relay at work.
    #[error("shards {0:?} are leased by a running relay: stop all relays of this database first")]
    StillRunning(Vec<i16>),
}

impl RelayError {
    /// Whether starting again from the cursor can help. If not, a person must act and the process ends.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Silent(_)
            | Self::Thread(_)
            | Self::Metadata { .. }
            | Self::Undelivered { .. }
            | Self::CursorMoved { .. } => true,
            Self::Producer(_)
            | Self::AnotherCluster { .. }
            | Self::Backwards { .. }
            | Self::Cursor(_)
            | Self::StillRunning(_) => false,
            Self::Database(error) | Self::Migrations(MigrationError::Database { source: error, .. }) => {
                database_is_transient(error)
            }
            Self::Migrations(
                MigrationError::Behind { .. }
                | MigrationError::Foreign { .. }
                | MigrationError::Encoding { .. }
                | MigrationError::NoSchema { .. }
                | MigrationError::Pooled(_)
                | MigrationError::Run { .. },
            )
            | Self::Pooled(_) => false,
        }
    }
}

fn database_is_transient(error: &sqlx::Error) -> bool {
    matches!(DatabaseFault::of(error), DatabaseFault::Parts | DatabaseFault::Connection | DatabaseFault::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_passes_and_a_restored_database_needs_a_person() {
        assert!(RelayError::Database(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())).is_transient());
        assert!(!RelayError::Database(sqlx::Error::Configuration("no host".into())).is_transient());
        let restored = RelayError::AnotherCluster { expected: 1, found: 2 };
        assert!(!restored.is_transient());
        assert!(restored.to_string().contains("quadrille relay rebase"));
    }
}
