//! The situations in which orders were reported as stuck: each is reported once.

use deadlines::RULES;
use events::{EventId, OrderId, OrderStuck, Timestamp};
use uuid::Uuid;

use crate::order_event::mask;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// `ce_id` of OrderStuck, which is the id of its dead letter.
    pub letter_id: Uuid,
    /// Bits in `seen` of the events any of which is the answer; 0: only a look tells.
    pub waits_for: i64,
    pub consumers: Vec<String>,
    pub detail: String,
    pub due: Timestamp,
    pub said_at: Timestamp,
}

impl Situation {
    /// What an OrderStuck tells: of each answer that was overdue, or, beyond the hard limit, of the event that it names.
    pub(crate) fn by(event: &OrderStuck, letter_id: Uuid, said_at: Timestamp) -> Vec<((OrderId, Uuid, i64), Self)> {
        let detail = &event.detail;
        let told = |event_id: EventId, waits_for: i64, consumers: Vec<String>, due: Timestamp| {
            let told = Self { letter_id, waits_for, consumers, detail: detail.clone(), due, said_at };
            ((event.order_id, event_id.as_uuid(), event.round), told)
        };
        let overdue = event.expected.iter().filter(|answer| answer.overdue && !event.hard_limit);
        let all: Vec<_> =
            overdue.map(|of| told(of.event_id, waits_for(&of.event_type), vec![of.consumer.clone()], of.due)).collect();
        if !all.is_empty() {
            return all;
        }
        let waits_for = if event.hard_limit { 0 } else { waits_for(&event.event_type) };
        vec![told(event.event_id, waits_for, event.consumers.clone(), event.due)]
    }
}

/// What in `seen` answers this type of event. Where each shipment has its own answer, a bit can't tell.
fn waits_for(event_type: &str) -> i64 {
    RULES.rule(event_type).filter(|rule| !rule.by_shipment).map_or(0, |rule| mask(&rule.answers))
}
