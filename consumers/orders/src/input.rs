//! What orders decides about, and what the caller of a route gets.

use std::sync::Arc;
use std::time::Duration;

use events::{Fault, OrderId, StockCommitted, StockRejected, StockReleased, Timestamp};
use runtime::Timer;

use crate::difference::Difference;
use crate::placed::{IntakeAnswer, Placed};
use crate::row::State;

/// How old a record is that is not presumed to be new: it may be read again, long after it was decided.
const YOUNG: Duration = Duration::from_secs(3_600);

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

    /// The order that it needs to know, and whether that is presumed to be new; of one that is placed, by the id that it gets if it is new.
    pub(crate) fn wanted(&self, now: Timestamp) -> Option<(OrderId, bool)> {
        match self {
            Self::Placed(placed) => {
                // Its own key guards an order that is presumed to be new. Others, under which it may be known too, are looked up.
                let has_other_keys = matches!(placed.verdict, IntakeAnswer::Invalid(_)) || !placed.former.is_empty();
                let is_old = placed.said_at.is_some_and(|said_at| said_at < now.minus(YOUNG));
                Some((placed.candidate(), !has_other_keys && !is_old))
            }
            Self::UnknownTimer(_) => None,
            Self::Cancel(_) | Self::StockRejected(_) | Self::StockReleased(_) | Self::StockCommitted(_) => {
                Some((self.order_id()?, false))
            }
        }
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
