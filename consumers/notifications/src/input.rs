//! What notifications decides about.

use events::OrderId;

use crate::contact::Contact;
use crate::row::WaitingEvent;

#[derive(Clone, Debug)]
pub enum Input {
    Heard(Box<CustomerEvent>),
    /// What another event tells the customer of.
    Untold(OrderId),
    /// A timer of this schema. None is armed: it can only have been put there by hand.
    Stray(OrderId),
}

#[derive(Clone, Debug)]
pub struct CustomerEvent {
    pub order_id: OrderId,
    pub news: WaitingEvent,
    pub contact: Option<Contact>,
}

impl Input {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Heard(heard) => heard.order_id,
            Self::Untold(order_id) | Self::Stray(order_id) => *order_id,
        }
    }
}
