//! What a dead letter is made of: why it died, the record or timer it came with, and what was tried.

use events::{Event, OrderId, OrderPlaced, Timestamp, derive_id};
use uuid::Uuid;

use crate::kafka::record::Message;
use crate::vocabulary::{ErrorInfo, Timer};

/// The topic of events that need a person.
pub const TOPIC: &str = "dead-letter-events";
/// The header with a dead letter's own id: its `ce_id` is that of the record that died.
pub const ID: &str = "quadrille-dead-letter-id";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub attempts: i32,
    pub first_failed_at: Timestamp,
    pub loops: i32,
    /// Its place in its lane; none: it had none yet.
    pub arrival: Option<i64>,
}

/// Something to bury: why, and the record or the timer that it came with (an answer or a request has neither).
pub(crate) struct NewDeadLetter<'m> {
    pub death: ErrorInfo,
    pub message: Option<&'m Message>,
    /// What tells the record from others at its place: as it was read, where a person edited it since.
    pub incarnation: Option<Uuid>,
    pub timer: Option<&'m Timer>,
    /// What the cause is known by, where there is no record.
    pub cause: String,
    pub tried: Attempts,
    /// Whether the later events of its key wait behind it.
    pub blocking: bool,
}

impl NewDeadLetter<'_> {
    /// The letter's id: the same when the same record dies again at the same place, unless a person had it tried again since.
    pub fn letter_id(&self, consumer: &str) -> Uuid {
        let Self { death, message, cause, tried, .. } = self;
        let place = match (message, self.incarnation) {
            (Some(message), Some(incarnation)) => format!("{}/{incarnation}", message.place()),
            (Some(message), None) => message.place(),
            (None, _) => cause.clone(),
        };
        let derived = match tried.loops {
            0 => derive_id(place, consumer, TOPIC, &death.class),
            loops => derive_id(place, consumer, TOPIC, &format!("{}/{loops}", death.class)),
        };
        death.escalation.map_or(derived, |escalation| escalation.letter_id)
    }

    pub fn order_id(&self) -> Option<OrderId> {
        self.death.order_id.or_else(|| self.message.and_then(order_of))
    }
}

/// The order that a record is of: its key says so, but for the front door, whose keys are anyone's.
pub(crate) fn order_of(message: &Message) -> Option<OrderId> {
    if message.topic == OrderPlaced::TOPIC {
        return None;
    }
    std::str::from_utf8(message.key.as_deref()?).ok()?.parse().ok()
}
