//! What notifications knows: each order's contact, what waits for it, and which events were told.

use std::collections::{HashMap, HashSet};

use events::{Channel, EventId, OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::contact::Contact;
use crate::occasion::Occasion;
use crate::words::Locale;

/// Something to tell, once it is known to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// What it tells.
    pub occasion: Occasion,
}

/// One message: written down, or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of which order.
    pub order_id: OrderId,
    /// Of which event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// On which channel.
    pub channel: Channel,
    /// Which text.
    pub template: &'static str,
    /// In which language.
    pub locale: Locale,
    /// What became of it.
    pub delivery: Delivery,
    /// When.
    pub at: Timestamp,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Written down; no channel is connected that would send it. Personal data.
    Recorded {
        /// To whom: an e-mail address or a phone number.
        recipient: String,
        /// The subject of an e-mail.
        subject: Option<String>,
        /// The text.
        body: String,
    },
    /// There is no usable address.
    Failed {
        /// Why, without personal data.
        detail: &'static str,
    },
}

/// One order of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    /// The version that was loaded; none: there was no row.
    pub loaded: Option<i64>,
    pub contact: Option<Contact>,
    pub waiting: Vec<Waiting>,
    pub changed: bool,
}

/// What a batch was loaded into. Kept over batches it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: HashMap<OrderId, Slot>,
    /// Events that were told, on whatever channels there were at that time: a channel that is switched on later does not tell old news.
    pub(crate) told: HashSet<EventId>,
    /// What this batch sends, in order.
    pub(crate) messages: Vec<Message>,
}

impl BatchState {
    /// The messages of the batch, in the order in which they are sent.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What waits for an order's contact.
    pub fn waiting(&self, order_id: OrderId) -> &[Waiting] {
        self.orders.get(&order_id).map_or(&[], |slot| &slot.waiting)
    }
}
