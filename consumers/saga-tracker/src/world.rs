//! What one batch tells, collapsed: one row for each order, level, dead letter and partition, however many events speak of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::{EventId, OrderId, Sku, Timestamp, WarehouseId};
use uuid::Uuid;

use crate::alerts::AlertKind;
use crate::dead_letter::DeadLetter;
use crate::facts::Facts;
use crate::input::HeardEvent;
use crate::parked::Parking;
use crate::stuck::{CaseFile, Situation};

/// The level of a SKU in a warehouse; the highest version wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Counts its changes.
    pub version: i64,
    /// Units in the building.
    pub on_hand: i64,
    /// Units held for orders.
    pub reserved: i64,
    /// Units that should be there and were not found.
    pub missing: i64,
    /// Units that can be reserved.
    pub available: i64,
    /// When it changed.
    pub changed_at: Timestamp,
    /// Where in the outbox this was said; 0: it did not come from there.
    pub position: i64,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last record's offset.
    pub offset: i64,
    /// The highest `ce_sequence`; 0: none.
    pub seq: i64,
    /// The latest `ce_time`.
    pub at: Timestamp,
}

/// Up to which moment one shard of an outbox is published; the latest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark {
    /// Everything committed before is published.
    pub published_until: Timestamp,
    /// The highest `ce_sequence` published.
    pub last_seq: i64,
    /// Rows that waited then.
    pub backlog: i64,
    /// The relay that says so.
    pub relay: String,
}

/// What became of a dead letter; the latest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolution {
    /// When its consumer said so.
    pub at: Timestamp,
    /// `recovered`, `skipped` or `died_again`.
    pub resolution: String,
    /// The consumer.
    pub consumer: String,
    /// The person behind it; empty: nobody.
    pub said_by: String,
}

/// What a batch tells. Nothing is read from the database for events: they are merged into what is there (see [`Facts::merge`]).
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    /// Events of orders, each once.
    pub events: BTreeMap<(OrderId, EventId), Arc<HeardEvent>>,
    /// What they tell, by order.
    pub orders: BTreeMap<OrderId, Facts>,
    /// Stock levels.
    pub levels: BTreeMap<(Sku, WarehouseId), Level>,
    /// What needs a person, by its id.
    pub letters: BTreeMap<Uuid, DeadLetter>,
    /// What became of dead letters, by their id.
    pub resolutions: BTreeMap<Uuid, Resolution>,
    /// Watermarks, by database and shard.
    pub watermarks: BTreeMap<(String, i32), Watermark>,
    /// What waits for a retry, by order and consumer.
    pub parked: BTreeMap<(OrderId, String), Parking>,
    /// What was told to be stuck, by order, unanswered event and round.
    pub told: BTreeMap<(OrderId, Uuid, i64), Situation>,
    /// When orders that were judged are looked at again.
    pub looks: BTreeMap<OrderId, Timestamp>,
    /// The cases of orders that are to be judged: all that is ever read, and only for a look.
    pub(crate) cases: BTreeMap<OrderId, CaseFile>,
    /// What people are to be alerted of: kind, key, text.
    pub(crate) alerts: Vec<(AlertKind, String, String)>,
    /// How far each partition was read, by topic and partition.
    pub positions: BTreeMap<(&'static str, i32), Position>,
}
