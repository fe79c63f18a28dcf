//! What a provider tells unasked: by a webhook, or through the customer's bank.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use events::{OrderId, Timestamp};
use runtime::http::Problem;
use serde::{Deserialize, Serialize};

use crate::outcome::{Hold, RefundStatus};
use crate::request::Money;

/// What came of the customer's action (3-D Secure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "few of them, and not for long")]
pub enum ActionResult {
    /// It was confirmed: the money is held.
    Passed {
        /// What the provider holds; none if it is not said.
        hold: Option<Hold>,
    },
    /// It was not.
    Failed {
        /// For people; no personal data.
        detail: String,
    },
}

/// A notice of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderNotice {
    /// What came of the customer's action.
    Action {
        /// Whose.
        order_id: OrderId,
        /// What.
        result: ActionResult,
    },
    /// How a refund stands, by the provider's own ids.
    Refund {
        /// The notice's id: a repetition is known by it.
        message_id: String,
        /// The refund's id.
        refund_id: String,
        /// How the refund stands.
        status: RefundStatus,
    },
    /// A payment at the provider is not as our calls left it, or its money is claimed.
    Payment {
        /// The notice's id: a repetition is known by it.
        message_id: String,
        /// Whose.
        order_id: OrderId,
        /// The provider's id of the payment.
        payment_id: String,
        /// What happened.
        change: PaymentChange,
    },
}

/// What happened to a payment at the provider, as the provider's books have it now: our own calls may be the cause, which the payment's state tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentChange {
    /// Nothing is held any more, nothing was taken, and nothing can be.
    HoldGone {
        /// How it ended.
        end: HoldEnd,
        /// For people.
        detail: String,
    },
    /// The money is taken.
    Captured {
        /// How much.
        money: Money,
    },
    /// A refund that no call of ours made.
    Refunded {
        /// The provider's id of the refund.
        refund_id: String,
        /// How much.
        money: Money,
        /// How it stands.
        status: RefundStatus,
    },
    /// The cardholder claims the money back, or asks about it.
    Disputed(Dispute),
    /// The issuer warns that the payment may be fraud: a refund now may spare a dispute.
    FraudWarning {
        /// The provider's id of the warning.
        warning_id: String,
        /// The issuer's reason, such as `made_with_stolen_card`.
        reason: String,
        /// Whether a refund can still spare the dispute.
        actionable: bool,
    },
}

/// How a hold ended without a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEnd {
    /// It ran out.
    Expired,
    /// It was cancelled.
    Cancelled,
}

/// A dispute, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The provider's id of the dispute.
    pub dispute_id: String,
    /// How it stands.
    pub status: DisputeStatus,
    /// How much is claimed.
    pub money: Money,
    /// Where that money is.
    pub funds: DisputedFunds,
    /// The issuer's reason, such as `fraudulent`.
    pub reason: String,
    /// Until when evidence is taken; none where there is nothing to answer.
    pub evidence_due_by: Option<Timestamp>,
}

/// How a dispute stands; what comes later in its life is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// A question, by which no money moves.
    Inquiry,
    /// Evidence is awaited.
    NeedsResponse,
    /// The issuer decides.
    UnderReview,
    /// The money is ours.
    Won,
    /// The money is the cardholder's.
    Lost,
    /// Ended without a decision, such as an inquiry that was withdrawn.
    Closed,
}

runtime::names!(DisputeStatus {
    Inquiry: "inquiry",
    NeedsResponse: "needs_response",
    UnderReview: "under_review",
    Won: "won",
    Lost: "lost",
    Closed: "closed",
});

impl DisputeStatus {
    /// Whether it has ended.
    pub fn is_closed(self) -> bool {
        match self {
            Self::Inquiry | Self::NeedsResponse | Self::UnderReview => false,
            Self::Won | Self::Lost | Self::Closed => true,
        }
    }
}

/// Where the money of a dispute is; what comes later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputedFunds {
    /// With us: it was never withdrawn.
    Untouched,
    /// Withdrawn from us.
    Withdrawn,
    /// With us again.
    Reinstated,
}

runtime::names!(DisputedFunds { Untouched: "untouched", Withdrawn: "withdrawn", Reinstated: "reinstated" });

/// What came of a notice. A payment's state is named as `GET /payments/{order_id}` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeEffect {
    /// The payment went on, and now stands there.
    Recorded(&'static str),
    /// It came before our own commit: it is kept, and counts when that is here.
    Kept,
    /// It changed nothing: the payment stands there already, went another way, or is not known.
    Nothing(Option<&'static str>),
}

type Recorded = Pin<Box<dyn Future<Output = Result<NoticeEffect, Problem>> + Send>>;

/// Where a provider's routes hand in its notices.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(String, ProviderNotice) -> Recorded + Send + Sync>);

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}

impl Notices {
    /// Notices that `record` takes, each with a key that makes it the same notice when it comes again.
    pub fn new<R>(record: impl Fn(String, ProviderNotice) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<NoticeEffect, Problem>> + Send + 'static,
    {
        Self(Arc::new(move |key, notice| Box::pin(record(key, notice))))
    }

    /// Records a notice; returns when it is committed.
    ///
    /// # Errors
    /// When it contradicts the payment's state, or can't be recorded now.
    pub async fn record(&self, key: String, notice: ProviderNotice) -> Result<NoticeEffect, Problem> {
        (self.0)(key, notice).await
    }
}
