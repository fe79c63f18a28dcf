//! The log's half of the sink.

use std::sync::Arc;

use events::{EventId, OrderId};
use runtime::Consumer as _;

use crate::row::{Delivery, Notification};
use crate::settings::Notifications;

/// What goes to the log once it is committed; no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLog {
    pub(crate) order_id: OrderId,
    pub(crate) correlation_id: Arc<str>,
    pub(crate) sent: Vec<SentLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentLine {
    event_id: EventId,
    channel: String,
    template: &'static str,
    failed: Option<&'static str>,
}

impl From<&Notification> for SentLine {
    fn from(message: &Notification) -> Self {
        let failed = match &message.delivery {
            Delivery::Recorded { .. } => None,
            Delivery::Failed { detail } => Some(*detail),
        };
        Self { event_id: message.event_id, channel: message.channel.to_string(), template: message.template, failed }
    }
}

impl SentLog {
    pub(crate) fn write(&self) {
        let SentLog { order_id, correlation_id, sent } = self;
        for SentLine { event_id, channel, template, failed } in sent {
            let consumer = Notifications::NAME;
            match failed {
                None => {
                    tracing::info!(consumer, %order_id, %event_id, %correlation_id, channel, template, "notification recorded: no channel is connected, nothing was sent")
                }
                Some(why) => tracing::warn!(
                    consumer, %order_id, %event_id, %correlation_id, channel, template, why,
                    "notification not recorded: the order has no usable address"
                ),
            }
        }
    }
}
