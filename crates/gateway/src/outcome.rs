//! What a gateway answers.

use events::{Action, Card, Timestamp};
use serde::{Deserialize, Serialize};

use crate::request::{Money, Operation};

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

/// What came of a call. Up to [`Outcome::RefundFailed`] they are answers: final for the call's key, and the same each time it is asked.
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
    /// The money is taken; of a void: it was taken before, and not let go.
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
    /// The payment exists at the provider, and nothing is held. Once its id is recorded the same call is made again with it: so the id is known
    /// before money moves.
    Opened {
        /// The provider's id of the payment.
        payment_id: String,
    },
    /// A look-up found that nothing was done under this key.
    NotFound,
    /// Certainly nothing was done: the same call under the same key is as good as the first, and no try is used up.
    NotExecuted {
        /// What stands in the way.
        obstacle: Obstacle,
        /// What was said.
        detail: String,
    },
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
            Self::Opened { .. } => "opened",
            Self::NotFound => "not_found",
            Self::NotExecuted { obstacle, .. } => obstacle.as_str(),
            Self::Errored { .. } => "errored",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Which operation it is an answer to; none for what may come of any.
    pub fn answers(&self) -> Option<Operation> {
        match self {
            Self::Authorized(_) | Self::ActionRequired { .. } | Self::Declined { .. } | Self::Opened { .. } => {
                Some(Operation::Authorize)
            }
            Self::Captured { .. } | Self::CaptureFailed { .. } => Some(Operation::Capture),
            Self::Voided { .. } | Self::VoidFailed { .. } => Some(Operation::Void),
            Self::Refunded { .. } | Self::RefundPending { .. } | Self::RefundFailed { .. } => Some(Operation::Refund),
            Self::NotFound | Self::NotExecuted { .. } | Self::Errored { .. } | Self::Unknown { .. } => None,
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
            | Self::Opened { .. }
            | Self::NotFound
            | Self::NotExecuted { .. }
            | Self::Errored { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

/// Why a call was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Too many calls, or another one that holds what this needs: asked again shortly.
    Busy,
    /// No connection: as for everybody, so for this one.
    Unreachable,
    /// The key, the account or the request is not what the provider takes: no order's fault, and a person must mend it.
    Misconfigured,
}

impl Obstacle {
    /// As labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// How a refund stands at its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RefundStatus {
    /// Under way.
    Pending,
    /// Given back.
    Succeeded,
    /// Not given back.
    Failed {
        /// For people.
        detail: String,
    },
}
