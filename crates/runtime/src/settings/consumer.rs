//! What the runtime lets be set for each consumer, and how durations are written.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::{Properties, Secret};

/// A duration, written like `15m`, `250ms` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "humantime_serde")] pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl ToSchema for Span {}

impl utoipa::PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Duration);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

/// What the runtime lets be set for each consumer, beside the consumer's own settings.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Where its HTTP routes, probes and metrics listen. Port 0: any free one, for a second instance on the same machine.
    #[schema(value_type = Option<String>, format = "address")]
    pub http: Option<SocketAddr>,
    /// A database of its own; else the common one.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(inline, default)]
    pub database_url: Option<Secret>,
    /// Database connections at most.
    pub connections: u32,
    /// Events of one batch at most.
    pub batch_events: usize,
    /// Bytes of one batch at most.
    pub batch_bytes: usize,
    /// How long a batch waits for more events. Not at all after one of one or two events; after one of many (32) as long as that one took, where that is
    /// longer, up to 50 ms.
    pub linger: Span,
    /// How often what fails for its order alone is tried before it becomes a dead letter, the first time included.
    pub retry_attempts: u32,
    /// How long it waits after the first attempt; twice as long after each further one.
    pub retry_initial_backoff: Span,
    /// The longest that it waits between two attempts.
    pub retry_max_backoff: Span,
    /// By which share each wait is longer or shorter, from 0 to 1, so that what failed together does not come back together.
    pub retry_jitter: f64,
    /// Kafka's `group.instance.id`: an instance that restarts under it resumes its partitions at once.
    pub instance_id: Option<String>,
    /// librdkafka properties for this consumer alone.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub kafka: Properties,
    /// How long this consumer keeps its orders, where that is longer than the horizon.
    #[schema(inline)]
    pub keep: Option<Span>,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            http: None,
            database_url: None,
            connections: 6,
            batch_events: 400,
            batch_bytes: 1_000_000,
            linger: Span::millis(2),
            retry_attempts: 8,
            retry_initial_backoff: Span::secs(1),
            retry_max_backoff: Span::secs(300),
            retry_jitter: 0.2,
            instance_id: None,
            kafka: Properties::default(),
            keep: None,
        }
    }
}

impl ConsumerSettings {
    /// For a consumer that nobody waits for: the broker answers it when there is much to tell, or after a tenth of a second.
    pub fn in_bundles() -> Self {
        let fetch = [("fetch.min.bytes", "65536"), ("fetch.wait.max.ms", "100")];
        Self {
            kafka: fetch.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
            ..Self::default()
        }
    }
}
