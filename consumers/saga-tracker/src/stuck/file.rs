//! All that is known of an order that may be stuck.

use deadlines::OpenOrder;
use events::{CaseEntry, Event as _, OpenDeadLetter, OrderStuck, ParkedEvent, entry_of};
use runtime::TraceContext;
use serde_json::Value;

use crate::facts::Facts;

/// All that is known of an order that may be stuck.
#[derive(Clone, Debug)]
pub(crate) struct CaseFile {
    /// As the judge sees it.
    pub order: OpenOrder,
    /// What its events told.
    pub facts: Facts,
    /// Its events as they are kept, by time.
    pub history: Vec<CaseEntry>,
    /// Its events that wait for a retry.
    pub parked: Vec<ParkedEvent>,
    /// Its dead letters.
    pub dead_letters: Vec<OpenDeadLetter>,
    /// By which everything of it is found again.
    pub thread: TraceContext,
}

impl CaseFile {
    pub(super) fn data(&self) -> Vec<(&str, Value)> {
        let read = |entry: &CaseEntry| serde_json::from_str(&entry.data).unwrap_or_default();
        self.history.iter().map(|entry| (entry.event_type.as_str(), read(entry))).collect()
    }

    pub(super) fn has(&self, event_type: &str) -> bool {
        self.history.iter().any(|entry| entry.event_type == event_type)
    }
}

/// A type without its namespace, for people.
pub(crate) fn short(event_type: &str) -> &str {
    entry_of(event_type).map_or(event_type, |entry| entry.name)
}

/// Whether it is of an order's way, and not of how consumers fare or what the customer was told.
pub(crate) fn is_of_its_way(event_type: &str) -> bool {
    let beside = ["operations", "notifications", OrderStuck::TOPIC];
    entry_of(event_type).is_some_and(|entry| !beside.contains(&entry.topic))
}
