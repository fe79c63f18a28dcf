//! What consumers, relay and tracker say of the pipeline itself: it tells late from stuck.

use serde::{Deserialize, Serialize};

use crate::codes::Unparked;
use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// An event of one order waits for a retry in one consumer, and all later ones of that order behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderParked {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The consumer that parked it.
    pub consumer: String,
    /// The event that could not be handled.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// Topic it was read from.
    pub topic: String,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset it was read from.
    pub offset: i64,
    /// How often it was tried so far.
    pub attempts: i64,
    /// When it is tried again.
    pub next_at: Timestamp,
    /// What went wrong; no personal data.
    pub error: String,
}

/// No event of the order waits in this consumer any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderUnparked {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The consumer that had parked it.
    pub consumer: String,
    /// `recovered`: the retry succeeded; `dead_lettered`: given up; `skipped`: a person skipped it.
    pub outcome: Unparked,
}

/// A watermark: everything that consumers committed to the outbox of this database before that moment is
/// published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAdvanced {
    /// Name of the database; with `shards` it says whose outbox; the key of the record.
    pub database: String,
    /// The relay that published it.
    pub relay: String,
    /// The outbox shards the watermark holds for.
    pub shards: Vec<i32>,
    /// Every row of these shards that was committed before this moment is acknowledged by Kafka.
    pub published_until: Timestamp,
    /// The highest `ce_sequence` published so far; 0 if none.
    pub last_seq: i64,
    /// Rows known to wait when it was said; 0: the relay is up to date.
    pub backlog: i64,
}
