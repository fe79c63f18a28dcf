//! The gateway: who holds money, takes it, lets it go and gives it back. One trait, behind which a provider is an adapter.

use std::fmt;

use events::{Action, Card, Currency, CustomerId, OrderId, Timestamp};
use serde::{Deserialize, Serialize};

pub mod sandbox;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In minor units of the currency.
    pub amount: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.currency.format(self.amount))
    }
}

/// What a gateway is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Hold the whole amount.
    Authorize,
    /// Take what ships; the gateway releases the rest.
    Capture,
    /// Let go of what is held, or of what the customer has not confirmed yet.
    Void,
    /// Give back a part of what was taken, or all of it.
    Refund,
}

impl Operation {
    /// As keys, labels and columns have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One call. The same key is the same call: however often it is made, it is done once and answered alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose money; adapters give it to the provider as metadata, so that a look-up finds what was done for the order.
    pub order_id: OrderId,
    /// The idempotency key: `order:{order_id}:{operation}:{attempt}`.
    pub key: String,
    /// Which attempt at the operation this is, from 1.
    pub attempt: u32,
    /// What to hold, take, let go or give back. To take nothing of what is held releases it all: an adapter whose provider can't capture 0
    /// cancels instead.
    pub money: Money,
    /// The provider's id of the payment; none before it is authorized.
    pub payment_id: Option<String>,
}

/// Who pays, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buyer {
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// The provider's token of the payment method.
    pub payment_method: String,
}

/// Money that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The provider's id of the payment.
    pub payment_id: String,
    /// How much is held.
    pub money: Money,
    /// When the hold lapses; none where the provider does not say.
    pub capture_before: Option<Timestamp>,
    /// The card and its checks; none where no card is used.
    pub card: Option<Card>,
}

/// What came of a call. All but the last three are answers: final for the call's key, and the same each time it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The money is held.
    Authorized(Hold),
    /// The customer must act first; nothing is held yet, and the payment is open.
    ActionRequired {
        /// The provider's id of the payment.
        payment_id: String,
        /// What they must do.
        action: Action,
        /// Where.
        url: Option<String>,
    },
    /// Refused, and nothing is open at the provider: an adapter cancels a declined payment before it answers.
    Declined {
        /// The provider's code, such as `card_declined`.
        code: String,
        /// For people; no personal data.
        detail: String,
    },
    /// The money is taken.
    Captured {
        /// How much.
        money: Money,
    },
    /// It can't be taken, and no repetition helps.
    CaptureFailed {
        /// The provider's code.
        code: String,
        /// For people.
        detail: String,
    },
    /// Nothing is held any more, and the payment can't be completed any more.
    Voided {
        /// What had been held until now; 0 if nothing was.
        money: Money,
    },
    /// It was not let go; another attempt may help.
    VoidFailed {
        /// For people.
        detail: String,
    },
    /// The money is given back.
    Refunded {
        /// The provider's id of the refund.
        refund_id: String,
        /// How much.
        money: Money,
    },
    /// It is under way; a webhook or a look-up says how it ends.
    RefundPending {
        /// The provider's id of the refund.
        refund_id: String,
        /// How much.
        money: Money,
    },
    /// It is not given back; another attempt may help.
    RefundFailed {
        /// The provider's id of the refund, where it came into being.
        refund_id: Option<String>,
        /// For people.
        detail: String,
    },
    /// A look-up found that nothing was done under this key.
    NotFound,
    /// The provider failed on its own side, and repeats that for this key: what was done, if anything, must be looked up.
    Errored {
        /// What it said.
        detail: String,
    },
    /// No answer: it may have been done, or not.
    Unknown {
        /// What happened on the way.
        detail: String,
    },
}

impl Outcome {
    /// As labels have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Authorized(_) => "authorized",
            Self::ActionRequired { .. } => "action_required",
            Self::Declined { .. } => "declined",
            Self::Captured { .. } => "captured",
            Self::CaptureFailed { .. } => "capture_failed",
            Self::Voided { .. } => "voided",
            Self::VoidFailed { .. } => "void_failed",
            Self::Refunded { .. } => "refunded",
            Self::RefundPending { .. } => "refund_pending",
            Self::RefundFailed { .. } => "refund_failed",
            Self::NotFound => "not_found",
            Self::Errored { .. } => "errored",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Which operation it is an answer to; none for what may come of any.
    pub fn answers(&self) -> Option<Operation> {
        match self {
            Self::Authorized(_) | Self::ActionRequired { .. } | Self::Declined { .. } => Some(Operation::Authorize),
            Self::Captured { .. } | Self::CaptureFailed { .. } => Some(Operation::Capture),
            Self::Voided { .. } | Self::VoidFailed { .. } => Some(Operation::Void),
            Self::Refunded { .. } | Self::RefundPending { .. } | Self::RefundFailed { .. } => Some(Operation::Refund),
            Self::NotFound | Self::Errored { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The provider's id of the refund that it speaks of.
    pub fn refund_id(&self) -> Option<&str> {
        match self {
            Self::Refunded { refund_id, .. } | Self::RefundPending { refund_id, .. } => Some(refund_id),
            Self::RefundFailed { refund_id, .. } => refund_id.as_deref(),
            Self::Authorized(_)
            | Self::ActionRequired { .. }
            | Self::Declined { .. }
            | Self::Captured { .. }
            | Self::CaptureFailed { .. }
            | Self::Voided { .. }
            | Self::VoidFailed { .. }
            | Self::NotFound
            | Self::Errored { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

/// A payment provider. No method fails: what is not an answer is [`Outcome::Errored`] (the provider's own failure, which it stores under the
/// key) or [`Outcome::Unknown`] (no answer, or one that can't be understood). Amounts in answers are the provider's: the rules compare them.
pub trait Gateway: Send + Sync + 'static {
    /// Its name, as events carry it.
    fn name(&self) -> &'static str;

    /// Holds the whole amount.
    fn authorize(&self, request: &Request, buyer: &Buyer) -> impl Future<Output = Outcome> + Send;

    /// Takes a part of what is held, or all; the rest is released.
    fn capture(&self, request: &Request) -> impl Future<Output = Outcome> + Send;

    /// Cancels a payment that is open, held, lapsed, or cancelled already. It succeeds on each of them.
    fn void(&self, request: &Request) -> impl Future<Output = Outcome> + Send;

    /// Gives money back.
    fn refund(&self, request: &Request) -> impl Future<Output = Outcome> + Send;

    /// Finds out what was done under the request's key, without doing anything.
    fn look_up(&self, operation: Operation, request: &Request) -> impl Future<Output = Outcome> + Send;
}

/// The gateway that the settings chose. Another provider is another variant.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The built-in one.
    Sandbox(sandbox::Sandbox),
}

impl Chosen {
    /// Statements that delete what it keeps of the orders `$1` in the database of payments; none for a provider elsewhere.
    pub(crate) fn forgets(&self) -> &'static [&'static str] {
        match self {
            Self::Sandbox(_) => &sandbox::FORGETS,
        }
    }
}

impl Gateway for Chosen {
    fn name(&self) -> &'static str {
        match self {
            Self::Sandbox(gateway) => gateway.name(),
        }
    }

    async fn authorize(&self, request: &Request, buyer: &Buyer) -> Outcome {
        match self {
            Self::Sandbox(gateway) => gateway.authorize(request, buyer).await,
        }
    }

    async fn capture(&self, request: &Request) -> Outcome {
        match self {
            Self::Sandbox(gateway) => gateway.capture(request).await,
        }
    }

    async fn void(&self, request: &Request) -> Outcome {
        match self {
            Self::Sandbox(gateway) => gateway.void(request).await,
        }
    }

    async fn refund(&self, request: &Request) -> Outcome {
        match self {
            Self::Sandbox(gateway) => gateway.refund(request).await,
        }
    }

    async fn look_up(&self, operation: Operation, request: &Request) -> Outcome {
        match self {
            Self::Sandbox(gateway) => gateway.look_up(operation, request).await,
        }
    }
}
