//! What `notifications` publishes: which message was written down, which went out, and which could not.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::codes::Channel;
use crate::ids::{EventId, OrderId};
use crate::time::Timestamp;

/// A message to the customer was handed to its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSent {
    pub order_id: OrderId,
    pub event_id: EventId,
    pub event_type: String,
    pub channel: Channel,
    pub template: String,
    pub sent_at: Timestamp,
}

/// A message to the customer was written down. Nothing was sent: no channel is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRecorded {
    pub order_id: OrderId,
    pub event_id: EventId,
    pub event_type: String,
    pub channel: Channel,
    pub template: String,
    pub recorded_at: Timestamp,
}

/// A message to the customer could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFailed {
    pub order_id: OrderId,
    pub event_id: EventId,
    pub event_type: String,
    pub channel: Channel,
    pub attempts: i64,
    /// What the channel answered; no personal data.
    pub detail: String,
}
