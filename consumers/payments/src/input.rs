//! What payments decides about, and what is replied.

use events::{
    Event, FraudRejected, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, OrderId, ReservationExpired,
    StockReserved, Timestamp,
};
use gateway::{Operation, Outcome, ProviderNotice};
use runtime::{Codec, Message, Timer, Unreadable, Work};

use crate::payment::State;

/// The timer of the attempt: its lease, the pause before the next one, and the look-ups of a pending refund.
pub(crate) const ATTEMPT: &str = "attempt";
/// The timer of the hold: first a margin before its end, then at it.
pub(crate) const AUTHORIZATION: &str = "authorization";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Reserved(Box<StockReserved>),
    Expired(ReservationExpired),
    FraudRejected(FraudRejected),
    Confirmed(FulfillmentConfirmed),
    Rejected(FulfillmentRejected),
    Cancelled(FulfillmentCancelled),
    Answer(Answer),
    Notice(ProviderNotice),
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
    /// It changed the payment, which now stands there.
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
    Unknown,
}

impl Input {
    /// Whose order, where the input says so: a provider's notice of a refund does not.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Reserved(event) => Some(event.order_id),
            Self::Expired(event) => Some(event.order_id),
            Self::FraudRejected(event) => Some(event.order_id),
            Self::Confirmed(event) => Some(event.order_id),
            Self::Rejected(event) => Some(event.order_id),
            Self::Cancelled(event) => Some(event.order_id),
            Self::Answer(answer) => Some(answer.order_id),
            Self::Notice(ProviderNotice::Action { order_id, .. })
            | Self::Retry { order_id, .. }
            | Self::AttemptDue { order_id, .. }
            | Self::AuthorizationDue { order_id }
            | Self::UnknownTimer { order_id } => Some(*order_id),
            Self::Notice(ProviderNotice::Refund { .. }) => None,
        }
    }

    /// Whether it is the first that is heard of an order, as a rule.
    pub(crate) fn begins(&self) -> bool {
        matches!(self, Self::Reserved(_))
    }

    /// The refund that a notice is about, or that an answer names.
    pub(crate) fn refund_id(&self) -> Option<&str> {
        match self {
            Self::Notice(ProviderNotice::Refund { refund_id, .. }) => Some(refund_id),
            Self::Answer(answer) => answer.outcome.refund_id(),
            Self::Notice(ProviderNotice::Action { .. }) => None,
            Self::Reserved(_) | Self::Expired(_) | Self::FraudRejected(_) | Self::Confirmed(_) => None,
            Self::Rejected(_) | Self::Cancelled(_) | Self::Retry { .. } => None,
            Self::AttemptDue { .. } | Self::AuthorizationDue { .. } | Self::UnknownTimer { .. } => None,
        }
    }
}

pub(crate) const SUBSCRIPTIONS: [&str; 6] = [
    StockReserved::TYPE,
    ReservationExpired::TYPE,
    FraudRejected::TYPE,
    FulfillmentConfirmed::TYPE,
    FulfillmentRejected::TYPE,
    FulfillmentCancelled::TYPE,
];

pub(crate) fn decode(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let input = match message.event_type() {
        Some(StockReserved::TYPE) => Input::Reserved(Box::new(message.read(codec)?)),
        Some(ReservationExpired::TYPE) => Input::Expired(message.read(codec)?),
        Some(FraudRejected::TYPE) => Input::FraudRejected(message.read(codec)?),
        Some(FulfillmentConfirmed::TYPE) => Input::Confirmed(message.read(codec)?),
        Some(FulfillmentRejected::TYPE) => Input::Rejected(message.read(codec)?),
        Some(FulfillmentCancelled::TYPE) => Input::Cancelled(message.read(codec)?),
        other => {
            let what = format!("{} is {other:?}: expected one of {SUBSCRIPTIONS:?}", message.place());
            return Err(Unreadable(what));
        }
    };
    Ok(Work { cause: message.cause()?, input })
}

pub(crate) fn on_timer(timer: &Timer) -> Input {
    let order_id = timer.order_id;
    match timer.kind.as_str() {
        ATTEMPT => Input::AttemptDue { order_id, due: timer.due },
        AUTHORIZATION => Input::AuthorizationDue { order_id },
        _ => Input::UnknownTimer { order_id },
    }
}
