//! Refunds to customers, beside the saga: several an order, also long after its end. Only what was captured and has shipped goes back, once.
//!
//! What did not ship is the saga's to give back ([`crate::decide`]). Each refund is a row of its own with one attempt; the payment's row holds the sums,
//! so that two requests at once can't take the same money.

mod room;
mod row;

use events::{OrderId, RefundId, RefundedLine, ReturnReceived, ShipmentDispatched, Timestamp};
use gateway::Outcome;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::attempt::Phase;

pub use room::Room;

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundState {
    /// Written down; the gateway answers nobody, and is asked when it does.
    Requested,
    /// The gateway was asked.
    Refunding,
    /// It is under way at the provider.
    Pending,
    /// Given back; ended.
    Refunded,
    /// Refused: a person may have it tried again. Its money counts as not given back.
    Failed,
}

runtime::names!(RefundState {
    Requested: "REQUESTED",
    Refunding: "REFUNDING",
    Pending: "PENDING",
    Refunded: "REFUNDED",
    Failed: "FAILED",
});

/// What is to go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// All that is left.
    All,
    /// So much, in minor units.
    Amount(i64),
    /// What these units cost, by SKU.
    Lines(Vec<(String, i64)>),
    /// Nobody asked us: it was made at the provider.
    Outside,
}

impl Asked {
    /// As `RefundRequested` names it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Amount(_) => "amount",
            Self::Lines(_) => "lines",
            Self::Outside => "outside",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    pub order_id: OrderId,
    pub refund_id: RefundId,
    pub asked: Asked,
    pub currency: Option<String>,
    pub reason: String,
    pub requested_by: String,
}

/// The one call that a refund makes, attempt after attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundAttempt {
    /// From 1; it grows only when nothing was done under the one before.
    pub number: u32,
    pub since: Timestamp,
    pub tries: u32,
    pub due: Timestamp,
    pub phase: Phase,
    /// Whether the provider failed on its own side under this key, and will repeat that.
    pub errored: bool,
    /// The provider's id of the refund.
    pub provider_id: Option<String>,
    pub retried_by: Option<String>,
    pub letter_id: Option<Uuid>,
}

impl RefundAttempt {
    /// Before the first is opened.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            number: 0,
            since: now,
            tries: 0,
            due: now,
            phase: Phase::Open,
            errored: false,
            provider_id: None,
            retried_by: None,
            letter_id: None,
        }
    }
}

/// What a refund carries; the column `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundData {
    pub asked: Asked,
    pub lines: Vec<RefundedLine>,
    pub reason: String,
    pub requested_by: String,
    pub requested_at: Timestamp,
    pub attempt: RefundAttempt,
    /// What the gateway said last, where it refused.
    pub detail: Option<String>,
}

/// A refund to the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerRefund {
    pub order_id: OrderId,
    pub amount: i64,
    pub data: RefundData,
}

impl CustomerRefund {
    pub fn state(&self) -> RefundState {
        match self.data.attempt.phase {
            Phase::Open | Phase::Waiting if self.data.attempt.tries == 0 => RefundState::Requested,
            Phase::Open | Phase::Waiting | Phase::Unanswered | Phase::Disputed => RefundState::Refunding,
            Phase::Pending => RefundState::Pending,
            Phase::Done => RefundState::Refunded,
            Phase::Failed => RefundState::Failed,
        }
    }

    pub fn is_stuck(&self) -> bool {
        self.data.attempt.phase.is_stuck()
    }
}

/// The idempotency key of a refund's attempt. Those of the saga have a number in the place of the refund's id.
pub fn key(order_id: OrderId, refund_id: RefundId, number: u32) -> String {
    format!("order:{order_id}:refund:{refund_id}:{number}")
}

/// A shipment that left: the units of each line that can be refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    pub order_id: OrderId,
    pub items: Vec<events::Item>,
}

/// What refunds are decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few of them, and not for long")]
pub enum RefundInput {
    Dispatched(Box<ShipmentDispatched>),
    Asked(Box<RefundRequest>),
    Returned(Box<ReturnReceived>),
    Answer { order_id: OrderId, refund_id: RefundId, attempt: u32, outcome: Outcome },
    Due { order_id: OrderId, refund_id: RefundId, due: Timestamp },
    Retry { order_id: OrderId, refund_id: RefundId, by: String },
}

impl RefundInput {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Dispatched(event) => event.order_id,
            Self::Asked(request) => request.order_id,
            Self::Returned(event) => event.order_id,
            Self::Answer { order_id, .. } | Self::Due { order_id, .. } | Self::Retry { order_id, .. } => *order_id,
        }
    }
}

/// Why a refund is not made, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub detail: String,
    /// What is left, in minor units, where that is known.
    pub left: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    Unknown,
    Invalid,
    TooMuch,
    TooOld,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundReply {
    /// It is under way, now or since it was asked for first.
    Taken {
        refund: Box<CustomerRefund>,
        replayed: bool,
    },
    /// Another refund was asked for under this key.
    Differs,
    Refused(Refusal),
    Retried {
        refund: Box<CustomerRefund>,
    },
    NotStuck(RefundState),
    Unknown,
}
