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

#[derive(Clone, Debug)]
pub enum Input {
    Heard(Arc<HeardEvent>),
    Level(Box<StockLevelChanged>, Place),
    Watermark(Box<RelayAdvanced>, Place),
    DeadLetter(Box<DeadLetter>, Place),
    Look(Box<Look>),
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

/// An event of an order, as the event store keeps it, with what it tells.
#[derive(Clone, Debug)]
pub struct HeardEvent {
    pub order_id: OrderId,
    pub event_id: EventId,
    pub event_type: &'static str,
    pub place: Place,
    /// What it was published because of.
    pub causation: Option<Uuid>,
    pub correlation: Arc<str>,
    pub traceparent: Option<Arc<str>>,
    /// The event as JSON, without personal data.
    pub data: String,
    pub personal: Option<Personal>,
    pub facts: Facts,
    pub letter: Option<DeadLetter>,
    /// What waits for a retry, if it speaks of that: of which consumer.
    pub parking: Option<(String, Parking)>,
    pub told: Vec<((OrderId, Uuid, i64), Situation)>,
}
