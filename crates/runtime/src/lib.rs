//! The runtime of consumers: consumer loop, outbox, timers, requests, dead letters, settings, telemetry, shutdown.
//!
//! It knows Kafka, Avro and PostgreSQL; it knows no order, no stock and no card. A consumer is a [`Consumer`]: rules, tables and calls;
//! a [`Host`] runs any number of them in one process.

mod addresses;
mod avro;
mod clock;
mod consumer;
mod dead_letter;
mod engine;
mod failure;
mod health;
mod host;
pub mod http;
pub mod json;
pub mod kafka;
mod names;
mod nearest;
pub mod outbox;
pub mod parking;
pub mod postgres;
mod programs;
pub mod restore;
mod retention;
pub mod rows;
pub mod settings;
pub mod telemetry;
mod timers;
mod vocabulary;

/// Batches allocate and free thousands of small things at once: with the system's allocator that was a quarter of a consumer's CPU, and mimalloc held
/// twice the memory. Its settings are compiled in, in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub use avro::codec::{Codec, CodecError};
pub use avro::registry::{Corrected, Correction, Registry, RegistryError, StoredError};
pub use clock::Clock;
pub use consumer::Consumer;
pub use dead_letter::burial::{ID as DEAD_LETTER_ID, TOPIC as DEAD_LETTER_TOPIC};
pub use engine::cooldown::Cooldown;
pub use engine::effects::{Effects, LARGEST_EVENT, Outgoing};
pub use engine::requests::RequestQueue;
pub use engine::write_set::{Statement, WriteSet};
pub use failure::{Backoff, DatabaseFault, Failure, Verdict, cause, told};
pub use health::{Circuit, Health};
pub use host::{Host, Starting, main};
pub use kafka::headers::{BrokenHeaders, Headers};
pub use kafka::properties as kafka_properties;
pub use kafka::rebalance::Partition;
pub use kafka::record::{Message, Unreadable};
pub use postgres::pooler::Pooled;
pub use postgres::{databases, migrations, reachable::connect, sql};
pub use programs::default_address;
pub use retention::{Expiring, Retention};
pub use rows::{Loader, Saver};
pub use settings::{Settings, Span};
pub use vocabulary::{
    Abandoned, Cause, Committed, Conflict, ErrorInfo, Escalation, Origin, RequestError, Timer, TraceContext, Work,
};
