//! What topics tell of each order: what a database that was restored from a dump is compared with.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use uuid::Uuid;

use crate::kafka::record::Message;

/// An event of an order, as its topic has it.
#[derive(Clone, Debug)]
pub struct OrderEvent {
    /// The record.
    pub message: Message,
    /// Its id.
    pub id: Uuid,
    /// What it was said because of: an event, or what is in no topic.
    pub cause: Option<Uuid>,
    /// The event by which its order had last gone on.
    pub causation: Option<Uuid>,
    /// When it was said.
    pub at: Timestamp,
    /// Its place in the outbox that it was said in; the last, where it came from no outbox.
    pub seq: i64,
}

/// What topics tell.
#[derive(Debug, Default)]
pub struct Stories {
    /// The events of each order.
    pub orders: BTreeMap<OrderId, Vec<OrderEvent>>,
    /// Records of the front door.
    pub placed: Vec<Message>,
    /// The levels of stock, one after another.
    pub levels: Vec<OrderEvent>,
    /// How many records were read.
    pub records: u64,
}

impl OrderEvent {
    /// The event of a record; none where it has no id or no time.
    pub fn of(message: Message) -> Option<Self> {
        let uuid = |name| message.headers.text(name).and_then(|text| Uuid::parse_str(text).ok());
        let at = message.headers.text("ce_time").and_then(|time| time.parse().ok());
        let at = at.or(message.timestamp_ms.map(Timestamp::from_millis))?;
        let seq = message.headers.text("ce_sequence").and_then(|seq| seq.parse().ok()).unwrap_or(i64::MAX);
        let causation = uuid("ce_causationid");
        Some(Self { id: uuid("ce_id")?, cause: uuid("ce_triggerid").or(causation), causation, at, seq, message })
    }

    /// The event's type.
    pub fn event_type(&self) -> &str {
        self.message.event_type().unwrap_or_default()
    }
}
