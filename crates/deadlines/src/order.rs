//! An open order as the judge sees it.

use events::{DisputeClosed, Event as _, OrderId, PaymentDisputed, Timestamp};
use serde_json::Value;
use uuid::Uuid;

/// A partition of a topic.
pub type TopicPartition = (&'static str, i32);

/// An event of its way that was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Its `ce_id`.
    pub event_id: Uuid,
    /// Its `ce_type`.
    pub event_type: &'static str,
    /// Where it was read from.
    pub topic: &'static str,
    /// The partition there.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Its fields, where a rule asks for one of them; else null.
    pub data: Value,
}

impl Happened {
    /// A moment in its data.
    pub fn moment(&self, field: &str) -> Option<Timestamp> {
        self.data[field].as_i64().map(Timestamp::from_millis)
    }

    /// The shipment that it names.
    pub fn shipment(&self) -> Option<&str> {
        self.data["shipment_id"].as_str()
    }
}

/// Events of the order that wait, or waited, in one consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingEvents {
    /// Which consumer.
    pub consumer: String,
    /// Whether they still do.
    pub waits: bool,
    /// When the last of them went on.
    pub unparked_at: Option<Timestamp>,
}

/// An order that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOrder {
    /// Its id.
    pub order_id: OrderId,
    /// The shard of the outbox in which its events are.
    pub shard: i32,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// Its events, by time.
    pub events: Vec<Happened>,
    /// What waits, or waited, for a retry.
    pub parked: Vec<WaitingEvents>,
    /// Until when a person said that nothing is owed.
    pub moved_until: Option<Timestamp>,
    /// How often a person said so.
    pub rounds: i64,
    /// The situations in which it was reported as stuck: the unanswered event, and the round.
    pub reported: Vec<(Uuid, i64)>,
}

impl OpenOrder {
    /// Whether a dispute of its payment holds what has not left: one that was told of, and not closed since.
    pub fn is_disputed(&self) -> bool {
        let of = |event_type: &'static str| self.events.iter().filter(move |event| event.event_type == event_type);
        of(PaymentDisputed::TYPE).any(|opened| {
            let closes = |closed: &Happened| closed.data["dispute_id"] == opened.data["dispute_id"];
            !of(DisputeClosed::TYPE).any(|closed| closes(closed) && closed.at >= opened.at)
        })
    }

    /// When the last dispute of its payment was closed.
    pub fn dispute_closed_at(&self) -> Option<Timestamp> {
        self.events.iter().filter(|event| event.event_type == DisputeClosed::TYPE).map(|event| event.at).max()
    }

    /// Whether this was told already.
    pub fn was_reported(&self, event_id: Uuid) -> bool {
        self.reported.contains(&(event_id, self.rounds))
    }
}
