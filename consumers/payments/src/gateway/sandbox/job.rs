//! What the sandbox is asked, and what came of it.

use events::{OrderId, derive_id};

use super::Token;
use super::entry::EntryState;
use crate::gateway::{Buyer, Operation, Outcome, Request};
use crate::payment::Verdict;
use crate::world::RefundStatus;

/// What the sandbox is asked to do.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Hold money.
    Authorize { request: Request, buyer: Buyer },
    /// Take it, let it go, give it back.
    Change { operation: Operation, request: Request },
    /// Say what was done under the request's key.
    LookUp { operation: Operation, request: Request },
    /// The customer answers a 3-D Secure challenge.
    Act { order_id: OrderId, passed: bool },
    /// A pending refund ends.
    Settle { refund_id: String, succeeded: bool },
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Outcome(Outcome),
    Acted(Acted),
    Settled(Option<RefundStatus>),
}

/// What came of a customer's answer to a 3-D Secure challenge.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few of them, and not for long")]
pub enum Acted {
    /// The payment is told so.
    Told(Verdict),
    /// The payment has not come into being yet: the answer is kept, and counts when it does.
    Early {
        /// What the customer said.
        passed: bool,
    },
    /// The payment waits for no answer any more; its state.
    Over(EntryState),
}

/// The id of the payment that a key authorizes.
pub(super) fn payment_id(key: &str) -> String {
    format!("pay_{}", derive_id(key, "sandbox", "payment", "").simple())
}

/// The id of the refund that a key asks for.
pub(super) fn refund_id(key: &str) -> String {
    format!("re_{}", derive_id(key, "sandbox", "refund", "").simple())
}

impl Job {
    /// The payment that it is about, where it says so.
    pub(super) fn payment_id(&self) -> Option<String> {
        match self {
            Self::Authorize { request, .. } | Self::LookUp { operation: Operation::Authorize, request } => {
                Some(payment_id(&request.key))
            }
            Self::Change { request, .. } | Self::LookUp { request, .. } => request.payment_id.clone(),
            Self::Act { .. } | Self::Settle { .. } => None,
        }
    }

    /// The refund that it is about.
    pub(super) fn refund_id(&self) -> Option<String> {
        match self {
            Self::LookUp { operation: Operation::Refund, request } => Some(refund_id(&request.key)),
            Self::Settle { refund_id, .. } => Some(refund_id.clone()),
            Self::Authorize { .. } | Self::Change { .. } | Self::LookUp { .. } | Self::Act { .. } => None,
        }
    }

    /// The order whose 3-D Secure result it brings, or needs.
    pub(super) fn challenged(&self) -> Option<OrderId> {
        match self {
            Self::Act { order_id, .. } => Some(*order_id),
            Self::Authorize { request, buyer } => {
                let challenges = buyer.payment_method.parse::<Token>().is_ok_and(Token::challenges);
                challenges.then_some(request.order_id)
            }
            Self::Change { .. } | Self::LookUp { .. } | Self::Settle { .. } => None,
        }
    }

    /// Whether it reads or changes more than a payment and what was done under its key.
    pub(super) fn needs_locks(&self) -> bool {
        let refunds = match self {
            Self::Change { operation, .. } | Self::LookUp { operation, .. } => *operation == Operation::Refund,
            Self::Settle { .. } | Self::Act { .. } => true,
            Self::Authorize { .. } => false,
        };
        refunds || self.challenged().is_some()
    }

    /// The idempotency key of a call.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Authorize { request, .. } | Self::Change { request, .. } | Self::LookUp { request, .. } => {
                Some(&request.key)
            }
            Self::Act { .. } | Self::Settle { .. } => None,
        }
    }
}
