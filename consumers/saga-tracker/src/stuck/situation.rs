//! The situations in which orders were reported as stuck: each is reported once.

use deadlines::RULES;
use events::{OrderId, OrderStuck, Timestamp};
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
        let told = |event_type: &str, consumers: Vec<String>, due: Timestamp| Self {
            letter_id,
            waits_for: waits_for(event_type),
            consumers,
            detail: event.detail.clone(),
            due,
            said_at,
        };
        let key = |event_id: Uuid| (event.order_id, event_id, event.round);
        let overdue = event.expected.iter().filter(|answer| answer.overdue && !event.hard_limit);
        let mut all: Vec<_> = overdue
            .map(|answer| {
                let told = told(&answer.event_type, vec![answer.consumer.clone()], answer.due);
                (key(answer.event_id.as_uuid()), told)
            })
            .collect();
        if all.is_empty() {
            let mut told = told(&event.event_type, event.consumers.clone(), event.due);
            if event.hard_limit {
                told.waits_for = 0;
            }
            all.push((key(event.event_id.as_uuid()), told));
        }
        all
    }
}

/// What in `seen` answers this type of event. Where each shipment has its own answer, a bit can't tell.
fn waits_for(event_type: &str) -> i64 {
    RULES.rule(event_type).filter(|rule| !rule.by_shipment).map_or(0, |rule| mask(&rule.answers))
}
