//! What can be set about a relay, with defaults that suit a shop of any size.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use runtime::kafka::properties;
use runtime::postgres::sql;
use runtime::settings::{Properties, Secret, Span};

/// Settings of a relay. Only `database_urls` and `kafka` (with `bootstrap.servers`) have to be given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RelaySettings {
    /// The databases whose outboxes are published, as `postgres://user:password@host:port/database`. Direct addresses:
    /// a pooler in transaction mode would lose the leases, which live in the session.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(default)]
    pub database_urls: Vec<Secret>,
    /// How `database_urls` are read again, when a password is refused.
    #[serde(skip)]
    pub read_again: ReadAgain,
    /// Properties for librdkafka: `bootstrap.servers`, TLS and SASL, and what shall differ from the relay's own choices.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub kafka: Properties,
    /// What stands before each topic's name in this installation; the common one.
    #[serde(skip)]
    pub topic_prefix: String,
    /// The name of this relay in its watermarks and in `pg_stat_activity`.
    pub name: String,
    /// Wait after a read that found rows, at least; a read that took longer is followed by as long a wait.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub pause: Duration,
    /// Wait after a read that found nothing; half a second after the last that found something it begins to double, up to `idle_pause_max`.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub idle_pause: Duration,
    /// Longest wait between two reads.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub idle_pause_max: Duration,
    /// Events that a page of a backlog has, about; twice as many may be on their way before the next read waits.
    pub page_rows: u32,
    /// Bytes of keys, headers and payloads that a page aims at; large events make smaller pages.
    pub page_bytes: u32,
    /// Reads that may wait for Kafka's acknowledgement at once, up to two full pages.
    pub reads_ahead: usize,
    /// How often leases are compared with how many relays live: the time that a dead relay's shards wait for another.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub lease_interval: Duration,
    /// PostgreSQL ends the session of a relay that sends nothing for so long, and with it its leases.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub session_timeout: Duration,
    /// Limit of one statement.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub statement_timeout: Duration,
    /// Limit of one wait for a lock.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub lock_timeout: Duration,
    /// Published rows stay at least so long, so that the relay can be rewound, unless `slot_bytes` is reached first; by default as long as
    /// topics.yaml says (`outbox_retention`).
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub retention: Duration,
    /// A slot of the outbox that has grown to this is left for the next one, whatever its age: four slots bound the disk.
    pub slot_bytes: u64,
    /// How often it is looked whether the outbox's slots shall rotate, and a moment is noted to rewind to.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub rotation_interval: Duration,
    /// How often a watermark is published while the relay advances.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub watermark_interval: Duration,
    /// How often a watermark is published while there is nothing to do.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub idle_watermark_interval: Duration,
    /// How long a topic that Kafka does not know may be on its way before rows for it are set aside.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub topic_grace: Duration,
    /// How long a relay that is told to stop waits for acknowledgements; what is missing then is published again by the next.
    #[serde(with = "humantime_serde")]
    #[schema(value_type = Span)]
    pub drain_timeout: Duration,
}

/// How the addresses of the databases are read again: a secret that stands in a file may be another one.
#[derive(Clone, Default)]
pub struct ReadAgain(pub Option<Arc<ReadUrls>>);

/// Reads addresses again, in their order; none: they can't be read at present.
pub type ReadUrls = dyn Fn() -> Option<Vec<Secret>> + Send + Sync;

impl fmt::Debug for ReadAgain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReadAgain")
    }
}

impl RelaySettings {
    /// Refuses what no relay could start with.
    ///
    /// # Errors
    /// At an address that can't be read, or a property of librdkafka that can't be used.
    pub fn check(&self) -> anyhow::Result<()> {
        for url in self.database_urls.iter().filter(|url| !url.is_empty()) {
            sql::address(url.expose()).context("DATABASE_URL of the relay")?;
        }
        properties::check(&self.kafka).context("KAFKA_… settings of the relay")
    }

    /// The address at this place as it is now.
    pub(super) fn url(&self, index: usize) -> Option<Secret> {
        let now = self.read_again.0.as_ref().and_then(|read| read());
        now.and_then(|urls| urls.into_iter().nth(index)).or_else(|| self.database_urls.get(index).cloned())
    }
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            database_urls: Vec::new(),
            read_again: ReadAgain::default(),
            kafka: Properties::default(),
            topic_prefix: String::new(),
            name: "outbox-relay".into(),
            pause: Duration::from_millis(1),
            idle_pause: Duration::from_millis(2),
            idle_pause_max: Duration::from_millis(40),
            page_rows: 4_000,
            page_bytes: 4 << 20,
            reads_ahead: 4,
            lease_interval: Duration::from_millis(250),
            session_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
            retention: choreography::Choreography::embedded().outbox_retention,
            slot_bytes: 4 << 30,
            rotation_interval: Duration::from_secs(10),
            watermark_interval: Duration::from_secs(1),
            idle_watermark_interval: Duration::from_secs(10),
            topic_grace: Duration::from_secs(3),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_rows_stay_as_long_as_topics_yaml_says() {
        assert_eq!(RelaySettings::default().retention, Duration::from_secs(86_400));
    }
}
