//! What consumers, relay and tracker say of the pipeline itself: it tells late from stuck.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::codes::{Resolution, Unparked};
use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// An event of one order waits for a retry in one consumer, and all later ones of that order behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderParked {
    pub order_id: OrderId,
    pub consumer: String,
    pub event_id: EventId,
    pub event_type: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub attempts: i64,
    pub next_at: Timestamp,
    /// Since when it waits, however often it was tried since; none: published by a program of an earlier version.
    pub parked_at: Option<Timestamp>,
    /// What went wrong; no personal data.
    pub error: String,
}

/// No event of the order waits in this consumer any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderUnparked {
    pub order_id: OrderId,
    pub consumer: String,
    /// `recovered`: the retry succeeded; `dead_lettered`: given up; `skipped`: a person skipped it.
    pub outcome: Unparked,
}

/// What became of a dead letter: said by the consumer that wrote it, in the transaction in which it became true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterResolved {
    /// The dead letter, as its header `quadrille-dead-letter-id` has it.
    pub letter_id: EventId,
    pub consumer: String,
    /// The order as text, the key of the record; empty where it is not known: the letter's id is the key then.
    pub order_id: String,
    /// `recovered`: handled after all; `skipped`: a person left it out; `died_again`: its retry failed, another dead letter tells of it.
    pub resolution: Resolution,
    /// The account of the person behind it; empty: nobody.
    pub by: String,
}

/// A watermark: everything that consumers committed to the outbox of this database before that moment is
/// published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAdvanced {
    /// Name of the database; with `shards` it says whose outbox; the key of the record.
    pub database: String,
    pub relay: String,
    pub shards: Vec<i32>,
    /// Every row of these shards that was committed before this moment is acknowledged by Kafka.
    pub published_until: Timestamp,
    /// The highest `ce_sequence` published so far; 0 if none.
    pub last_seq: i64,
    /// Rows known to wait when it was published; 0: the relay is up to date.
    pub backlog: i64,
}
