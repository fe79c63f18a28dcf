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
    pub version: i64,
    pub on_hand: i64,
    pub reserved: i64,
    pub missing: i64,
    pub available: i64,
    pub changed_at: Timestamp,
    /// Where in the outbox this was said; 0: it did not come from there.
    pub position: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: i64,
    /// The highest `ce_sequence`; 0: none.
    pub seq: i64,
    pub at: Timestamp,
}

/// Up to which moment one shard of an outbox is published; the latest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark {
    /// Everything committed before is published.
    pub published_until: Timestamp,
    pub last_seq: i64,
    pub backlog: i64,
    pub relay: String,
}

/// What became of a dead letter; the latest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolution {
    pub at: Timestamp,
    /// `recovered`, `skipped` or `died_again`.
    pub resolution: String,
    pub consumer: String,
    /// The person behind it; empty: nobody.
    pub said_by: String,
}

/// What a batch tells. Nothing is read from the database for events: they are merged into what is there (see [`Facts::merge`]).
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub events: BTreeMap<(OrderId, EventId), Arc<HeardEvent>>,
    pub orders: BTreeMap<OrderId, Facts>,
    pub levels: BTreeMap<(Sku, WarehouseId), Level>,
    pub letters: BTreeMap<Uuid, DeadLetter>,
    pub resolutions: BTreeMap<Uuid, Resolution>,
    pub watermarks: BTreeMap<(String, i32), Watermark>,
    pub parked: BTreeMap<(OrderId, String), Parking>,
    /// What was told to be stuck, by order, unanswered event and round.
    pub told: BTreeMap<(OrderId, Uuid, i64), Situation>,
    pub looks: BTreeMap<OrderId, Timestamp>,
    /// The cases of orders that are to be judged: all that is ever read, and only for a look.
    pub(crate) cases: BTreeMap<OrderId, CaseFile>,
    pub(crate) alerts: Vec<(AlertKind, String, String)>,
    pub positions: BTreeMap<(&'static str, i32), Position>,
}
