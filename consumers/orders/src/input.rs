//! What orders decides about, and what the caller of a route gets.

use std::sync::Arc;

use events::{Fault, OrderId, StockCommitted, StockRejected, StockReleased};
use runtime::Timer;

use crate::difference::Difference;
use crate::placed::Placed;
use crate::row::State;

#[derive(Clone, Debug)]
pub enum Input {
    Placed(Box<Placed>),
    Cancel(Cancel),
    StockRejected(StockRejected),
    StockReleased(StockReleased),
    StockCommitted(StockCommitted),
    UnknownTimer(Timer),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    pub order_id: OrderId,
    /// Who asks, as a role or an account's id; no personal data.
    pub requested_by: String,
    /// Why, for people; may be empty.
    pub reason: String,
}

impl Input {
    /// The order that it is about; none of one that is placed, as it may be known under another id.
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Placed(_) => None,
            Self::Cancel(cancel) => Some(cancel.order_id),
            Self::StockRejected(event) => Some(event.order_id),
            Self::StockReleased(event) => Some(event.order_id),
            Self::StockCommitted(event) => Some(event.order_id),
            Self::UnknownTimer(timer) => Some(timer.order_id),
        }
    }

    /// The order to load; of one that is placed, the id that it gets if it is new.
    pub(crate) fn wanted(&self) -> Option<OrderId> {
        if let Self::Placed(placed) = self { Some(placed.candidate()) } else { self.order_id() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    #[default]
    Nothing,
    Placed {
        order_id: OrderId,
        correlation_id: Arc<str>,
        replayed: bool,
    },
    Rejected {
        order_id: OrderId,
        faults: Vec<Fault>,
    },
    /// The order is invalid; nothing was stored, and the key stays free.
    Invalid(Vec<Fault>),
    Differs {
        order_id: OrderId,
        differences: Vec<Difference>,
    },
    Asked {
        order_id: OrderId,
        correlation_id: Arc<str>,
    },
    Unknown,
    Ended(State),
}
