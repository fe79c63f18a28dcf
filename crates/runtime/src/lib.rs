//! The way through the house: consumer loop, outbox, timers, doors, dead letters, settings, telemetry, shutdown.
//!
//! It knows Kafka, Avro and PostgreSQL; it knows no order, no stock and no card. A consumer is a [`Consumer`]: rules, tables and calls;
//! a [`Host`] runs any number of them in one process.

mod answers;
mod batch;
mod bootstrap_again;
mod caution;
mod client;
mod clock;
mod codec;
mod conclude;
mod consumer;
pub mod databases;
mod datum;
mod dead_letter;
mod door;
mod effects;
mod engine;
mod failure;
mod fate;
pub mod groups;
mod headers;
mod health;
mod hear;
mod horizon;
mod host;
pub mod http;
pub mod json;
pub mod kafka_properties;
mod linger;
mod listen;
mod lost;
mod message;
pub mod migrations;
pub mod outbox;
pub mod parking;
mod pooler;
mod prune;
mod rebalance;
mod recent;
mod registry;
pub mod relay;
pub mod replay;
pub mod restore;
mod retry;
mod say;
pub mod settings;
pub mod sql;
mod step_log;
mod sweep;
pub mod telemetry;
mod timers;
pub mod topics;
mod topology;
mod watch;
mod write;
mod writes;

/// Batches allocate and free thousands of small things at once: with the system's allocator that was a quarter of a consumer's CPU, and mimalloc held
/// twice the memory. Its settings are compiled in, in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub use caution::Caution;
pub use clock::Clock;
pub use codec::{Codec, CodecError};
pub use consumer::{Cause, Conflict, Consumer, Origin, Reading, Thread, Timer, Work};
pub use dead_letter::{Death, Laid, TOPIC as DEAD_LETTER_TOPIC};
pub use door::{Door, Refused};
pub use effects::{Effects, LARGEST_EVENT, Outgoing};
pub use engine::{Abandoned, Done};
pub use failure::{Backoff, DatabaseFault, Failure, Verdict, told};
pub use headers::{BrokenHeaders, Headers};
pub use health::{Circuit, Health};
pub use horizon::Retention;
pub use host::{Host, Starting, default_address, main};
pub use message::{Message, Unreadable};
pub use pooler::Pooled;
pub use rebalance::Partition;
pub use recent::{Meets, Recall, Recalled, Recent};
pub use registry::{Corrected, Correction, Registry, RegistryError, StoredError};
pub use settings::{Settings, Span};
pub use writes::{Part, Writes};
