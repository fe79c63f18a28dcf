//! What can fail in a relay, and whether another try can help.

use std::time::Duration;

use rdkafka::error::KafkaError;

use super::snapshot::NotASnapshot;
use runtime::postgres::migrations::MigrationError;
use runtime::{Circuit, DatabaseFault, Pooled};

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
    #[error("Kafka did not answer about topic {0}: {1}")]
    Metadata(String, KafkaError),
    /// Rows were not acknowledged, for a reason that is not theirs.
    #[error("{0} rows were not delivered, the first for: {1}; the relay starts again from its cursor")]
    Undelivered(usize, String),
    /// The cursor was moved from outside, or the lease is another's.
    #[error(
        "the cursor of {0} shards should have been stored, {1} were: somebody moved it (rewind, rebase); it is read again"
    )]
    CursorMoved(usize, u64),
    /// The cursor speaks of another cluster, or of a later state than the server's.
    #[error("{0}. Stop the consumers and run `quadrille relay rebase`")]
    Restored(String),
    /// What stands in the cursor's table is not a snapshot.
    #[error(transparent)]
    Cursor(#[from] NotASnapshot),
    /// A rescue found a relay at work.
    #[error("shards {0:?} are leased by a running relay: stop all relays of this database first")]
    StillRunning(Vec<i16>),
}

impl RelayError {
    /// What is away where starting again from the cursor can help. Without it a person must act, and the process ends.
    pub(crate) fn circuit(&self) -> Option<Circuit> {
        match self {
            Self::Silent(_) | Self::Thread(_) | Self::CursorMoved(..) => Some(Circuit::Database),
            Self::Metadata(..) | Self::Undelivered(..) => Some(Circuit::Kafka),
            Self::Database(error) | Self::Migrations(MigrationError::Database { source: error, .. }) => {
                use DatabaseFault::{Connection, Parts, Wait};
                matches!(DatabaseFault::of(error), Parts | Connection | Wait).then_some(Circuit::Database)
            }
            Self::Producer(_)
            | Self::Restored(_)
            | Self::Cursor(_)
            | Self::StillRunning(_)
            | Self::Migrations(MigrationError::Unfit(_) | MigrationError::Pooled(_))
            | Self::Pooled(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_passes_and_a_restored_database_needs_a_person() {
        let broken = RelayError::Database(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert_eq!(broken.circuit(), Some(Circuit::Database));
        assert_eq!(RelayError::Database(sqlx::Error::Configuration("no host".into())).circuit(), None);
        let restored = RelayError::Restored("the database was copied".into());
        assert_eq!(restored.circuit(), None);
        assert!(restored.to_string().contains("quadrille relay rebase"));
    }
}
