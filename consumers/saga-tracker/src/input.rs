//! What the tracker folds: events of orders as they are stored, with what they say, and the other records that it reads.

use std::sync::Arc;

use deadlines::Evidence;
use events::{DeadLetterResolved, EventId, OrderId, Personal, RelayAdvanced, StockLevelChanged};
use uuid::Uuid;

use crate::dead_letter::DeadLetter;
use crate::facts::Facts;
use crate::parked::Parking;
use crate::place::Place;
use crate::stuck::Situation;

/// What the tracker folds.
#[derive(Clone, Debug)]
pub enum Input {
    /// An event of an order.
    Heard(Arc<HeardEvent>),
    /// A stock level.
    Level(Box<StockLevelChanged>, Place),
    /// How far a relay has come.
    Watermark(Box<RelayAdvanced>, Place),
    /// An event that a consumer could not decide.
    DeadLetter(Box<DeadLetter>, Place),
    /// An order that may be stuck.
    Look(Box<Look>),
    /// What became of a dead letter.
    Resolved(Box<DeadLetterResolved>, Place),
    /// A timer of this schema. None is armed: it can only have been put there by hand.
    Stray(OrderId),
}

/// An order to be judged with its row locked, by evidence gathered before.
#[derive(Clone, Debug)]
pub struct Look {
    pub(crate) order_id: OrderId,
    /// The unanswered event for which it seems to be stuck.
    pub(crate) event_id: Uuid,
    pub(crate) evidence: Arc<Evidence>,
}

/// An event of an order, for the event store.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Whose.
    pub order_id: OrderId,
    /// Its `ce_id`.
    pub event_id: EventId,
    /// Its `ce_type`.
    pub event_type: &'static str,
    /// Where it stood.
    pub place: Place,
    /// What it was said because of.
    pub causation: Option<Uuid>,
    /// The order's correlation id.
    pub correlation: Arc<str>,
    /// Its trace context.
    pub traceparent: Option<Arc<str>>,
    /// The event as JSON, without personal data.
    pub data: String,
    /// Its personal data, as it carried it.
    pub personal: Option<Personal>,
}

/// An event of an order, with what it tells.
#[derive(Clone, Debug)]
pub struct HeardEvent {
    /// For the event store.
    pub record: StoredRecord,
    /// For the order's row.
    pub facts: Facts,
    /// For the dead letters, if it says that the order needs a person.
    pub letter: Option<DeadLetter>,
    /// For what waits for a retry, if it speaks of that: of which consumer.
    pub parking: Option<(String, Parking)>,
    /// What it tells to be stuck, if it does.
    pub told: Vec<((OrderId, Uuid, i64), Situation)>,
}
