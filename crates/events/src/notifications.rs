//! What `notifications` publishes: which message was written down, which went out, and which could not.

use serde::{Deserialize, Serialize};

use crate::codes::Channel;
use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// A message to the customer was handed to its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSent {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The event the message tells of.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// How it was sent, such as `email`.
    pub channel: Channel,
    /// Which text was sent.
    pub template: String,
    /// When the channel took it.
    pub sent_at: Timestamp,
}

/// A message to the customer was written down. Nothing was sent: no channel is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRecorded {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The event the message tells of.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// How it would be sent, such as `email`.
    pub channel: Channel,
    /// Which text was written.
    pub template: String,
    /// When it was written down.
    pub recorded_at: Timestamp,
}

/// A message to the customer could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFailed {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The event the message tells of.
    pub event_id: EventId,
    /// Type of that event.
    pub event_type: String,
    /// How it was to be sent.
    pub channel: Channel,
    /// How often it was tried.
    pub attempts: i64,
    /// What the channel answered; no personal data.
    pub detail: String,
}
