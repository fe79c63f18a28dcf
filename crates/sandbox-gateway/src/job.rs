//! What the sandbox is asked, and what came of it.

use std::time::Duration;

use events::{OrderId, derive_id};
use gateway::{ActionResult, Buyer, Operation, Outcome, RefundStatus, Request};
use tokio::sync::oneshot;

use crate::entry::EntryState;
use crate::token::Token;

#[derive(Clone, Debug)]
pub(crate) enum Job {
    Authorize { request: Request, buyer: Buyer },
    Change { operation: Operation, request: Request },
    LookUp { operation: Operation, request: Request },
    Act { order_id: OrderId, passed: bool },
    Settle { refund_id: String, succeeded: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Outcome(Outcome),
    /// What came of the customer's answer, or the state of a payment that waits for none.
    Acted(Result<ActionResult, EntryState>),
    Settled(Option<RefundStatus>),
}

/// A job, and who waits for what came of it and for how much longer than usual the answer takes.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub job: Job,
    pub reply: oneshot::Sender<(Done, Duration)>,
}

pub(crate) fn payment_id(key: &str) -> String {
    format!("pay_{}", derive_id(key, "sandbox", "payment", "").simple())
}

pub(crate) fn refund_id(key: &str) -> String {
    format!("re_{}", derive_id(key, "sandbox", "refund", "").simple())
}

impl Job {
    pub fn payment_id(&self) -> Option<String> {
        match self {
            Self::Authorize { request, .. } | Self::LookUp { operation: Operation::Authorize, request } => {
                Some(payment_id(&request.key))
            }
            Self::Change { request, .. } | Self::LookUp { request, .. } => request.payment_id.clone(),
            Self::Act { .. } | Self::Settle { .. } => None,
        }
    }

    pub fn refund_id(&self) -> Option<String> {
        match self {
            Self::LookUp { operation: Operation::Refund, request } => Some(refund_id(&request.key)),
            Self::Settle { refund_id, .. } => Some(refund_id.clone()),
            Self::Authorize { .. } | Self::Change { .. } | Self::LookUp { .. } | Self::Act { .. } => None,
        }
    }

    /// The order whose 3-D Secure result it brings, or needs.
    pub fn challenged(&self) -> Option<OrderId> {
        match self {
            Self::Act { order_id, .. } => Some(*order_id),
            Self::Authorize { request, buyer } => {
                let challenges = buyer.payment_method.parse::<Token>().is_ok_and(Token::challenges);
                challenges.then_some(request.order_id)
            }
            Self::Change { .. } | Self::LookUp { .. } | Self::Settle { .. } => None,
        }
    }

    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Authorize { request, .. } | Self::Change { request, .. } | Self::LookUp { request, .. } => {
                Some(&request.key)
            }
            Self::Act { .. } | Self::Settle { .. } => None,
        }
    }
}
