//! What payments decides about, and what is replied.

use events::{
    FraudRejected, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, OrderId, ReservationExpired,
    StockRejected, StockReserved, Timestamp,
};
use gateway::{Operation, Outcome, PaymentChange, ProviderNotice};

use crate::payment::State;
use crate::refunds::{RefundInput, RefundReply};

/// The timer of the attempt: its lease, the pause before the next one, and the look-ups of a pending refund.
pub(crate) const ATTEMPT: &str = "attempt";
/// The timer of the hold: first a margin before its end, then at it.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// The timer of a refund to the customer, by its id.
pub(crate) const REFUND: &str = "refund";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Reserved(Box<StockReserved>),
    StockRejected(Box<StockRejected>),
    Expired(ReservationExpired),
    FraudRejected(FraudRejected),
    Confirmed(FulfillmentConfirmed),
    Rejected(FulfillmentRejected),
    Cancelled(FulfillmentCancelled),
    Answer(Answer),
    Notice(ProviderNotice),
    /// Of a refund to the customer, or of what may be refunded.
    Refund(RefundInput),
    Retry {
        order_id: OrderId,
        by: String,
    },
    AttemptDue {
        order_id: OrderId,
        due: Timestamp,
    },
    AuthorizationDue {
        order_id: OrderId,
    },
    /// A timer fired that this version does not know: it does nothing.
    UnknownTimer {
        order_id: OrderId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub order_id: OrderId,
    pub operation: Operation,
    pub attempt: u32,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    #[default]
    Nobody,
    Recorded(State),
    /// It came before our own commit: it is kept, and counts when that is here.
    Kept,
    /// It changed nothing: the payment stands there already, or went another way.
    Nothing(State),
    Retried {
        state: State,
        attempt: String,
    },
    NotStuck(State),
    Refund(RefundReply),
    Unknown,
}

impl Input {
    /// Whose order, where the input says so: a provider's notice of a refund does not.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Reserved(event) => Some(event.order_id),
            Self::StockRejected(event) => Some(event.order_id),
            Self::Expired(event) => Some(event.order_id),
            Self::FraudRejected(event) => Some(event.order_id),
            Self::Confirmed(event) => Some(event.order_id),
            Self::Rejected(event) => Some(event.order_id),
            Self::Cancelled(event) => Some(event.order_id),
            Self::Answer(answer) => Some(answer.order_id),
            Self::Refund(input) => Some(input.order_id()),
            Self::Notice(ProviderNotice::Action { order_id, .. } | ProviderNotice::Payment { order_id, .. })
            | Self::Retry { order_id, .. }
            | Self::AttemptDue { order_id, .. }
            | Self::AuthorizationDue { order_id }
            | Self::UnknownTimer { order_id } => Some(*order_id),
            Self::Notice(ProviderNotice::Refund { .. }) => None,
        }
    }

    pub(crate) fn refund_id(&self) -> Option<&str> {
        if let Self::Notice(
            ProviderNotice::Refund { refund_id, .. }
            | ProviderNotice::Payment { change: PaymentChange::Refunded { refund_id, .. }, .. },
        ) = self
        {
            return Some(refund_id);
        }
        if let Self::Refund(RefundInput::Answer { outcome, .. }) = self {
            return outcome.refund_id();
        }
        if let Self::Answer(answer) = self { answer.outcome.refund_id() } else { None }
    }
}
