//! One order's payment: where it stands, what it moved, and what it carries from one event to the next.

use std::collections::BTreeMap;

use events::{
    Action, Allocation, Currency, GivenUp, Item, Line, OrderId, Personal, Reason, RefundId, ReturnId, Timestamp,
    derive_id,
};
use gateway::{ActionResult, Buyer, Dispute, DisputedFunds, ExistingPayment, Money, RefundStatus};
use runtime::{Conflict, TraceContext};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::attempt::{CallAttempt, Made, Phase};

/// What stands for a gateway when there is nothing to pay.
pub(crate) const NO_GATEWAY: &str = "none";

/// Where a payment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Nothing is to be paid yet: the row only remembers what came too early.
    #[default]
    New,
    /// The gateway was asked to hold the money.
    Authorizing,
    /// The customer must act first.
    ActionRequired,
    /// The money is held.
    Authorized,
    /// The gateway was asked to give what ships.
    Capturing,
    /// The hold ran out, or its money can't be taken: it waits for fulfillment to let go.
    Lapsed,
    /// The money for what ships is taken.
    Captured,
    /// The gateway was asked to let go.
    Voiding,
    /// The gateway was asked to give back.
    Refunding,
    /// The payment was refused; ended.
    Declined,
    /// Nothing is held, and nothing will be; ended. Also the tombstone of an order that was stopped before it came here.
    Voided,
    /// What did not ship was given back; ended.
    Refunded,
}

runtime::names!(State {
    New: "NEW",
    Authorizing: "AUTHORIZING",
    ActionRequired: "ACTION_REQUIRED",
    Authorized: "AUTHORIZED",
    Capturing: "CAPTURING",
    Lapsed: "LAPSED",
    Captured: "CAPTURED",
    Voiding: "VOIDING",
    Refunding: "REFUNDING",
    Declined: "DECLINED",
    Voided: "VOIDED",
    Refunded: "REFUNDED",
});

/// Where the money of a payment is before anything ships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Held by a gateway that was asked to.
    #[default]
    Authorized,
    /// Held by a gateway since before the order was placed: the payment is taken over.
    Adopted,
    /// Taken at a gateway before the order was placed: what does not ship is refunded there.
    Captured,
    /// Taken elsewhere before the order was placed: who holds it refunds, and says so.
    CapturedElsewhere,
    /// Settled outside, such as by invoice: nothing is held or taken here.
    External,
}

impl Settlement {
    /// Whether no gateway is asked.
    pub fn is_elsewhere(self) -> bool {
        matches!(self, Self::CapturedElsewhere | Self::External)
    }

    /// How a payment stands that was made at a gateway before the order was placed.
    pub fn existing(self) -> Option<ExistingPayment> {
        match self {
            Self::Adopted => Some(ExistingPayment::Held),
            Self::Captured => Some(ExistingPayment::Captured),
            Self::Authorized | Self::CapturedElsewhere | Self::External => None,
        }
    }

    pub fn is_taken_over(self) -> bool {
        self.existing().is_some()
    }

    /// Whether the money is taken already, so that to let go is to refund.
    pub fn is_captured(self) -> bool {
        matches!(self, Self::Captured | Self::CapturedElsewhere)
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
    fn is_authorized(&self) -> bool {
        *self == Self::Authorized
    }
}

/// What fulfillment, or another consumer, said when the payment was to be undone: it travels on with the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoing {
    pub given_up: Vec<GivenUp>,
    pub reason: Reason,
}

/// The refund of what does not ship, of a payment that was taken before its order was placed: the goods do not wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remainder {
    pub amount: i64,
    pub provider_id: Option<String>,
    /// How it stands; final once it failed.
    #[serde(flatten)]
    pub status: RefundStatus,
}

/// What is needed to authorize and to tell of it; forgotten as soon as that is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    pub buyer: Buyer,
    pub plan: Vec<Allocation>,
    /// The reservation's clock: the deadline of the customer's action too.
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionAsked {
    pub action: Action,
    pub url: Option<String>,
    pub expires_at: Timestamp,
}

/// What the payment carries from one event to the next; the column `data`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PaymentData {
    /// The order's thread, for what no event causes.
    pub thread: Option<TraceContext>,
    #[serde(skip_serializing_if = "Settlement::is_authorized")]
    pub settlement: Settlement,
    pub lines: Vec<Line>,
    /// Until the money is held, or never will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase: Option<Purchase>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<Item>,
    pub attempt: Option<CallAttempt>,
    pub made: Made,
    /// The reservation's clock fired while the outcome was unknown, or before anything else came.
    pub expired: bool,
    /// Fulfillment let go while the outcome of a call was unknown: acted on with its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Undoing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoing: Option<Undoing>,
    /// A result of the customer's action that came before our own call's answer was recorded.
    #[serde(rename = "kept", skip_serializing_if = "Option::is_none")]
    pub early_result: Option<ActionResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<ActionAsked>,
    pub expiring: bool,
    /// What the provider told that no call of ours brought about: each is told to people once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<String>,
    /// Returns that were decided, each with what goes back for it: nothing, where nothing was left.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub returns: BTreeMap<ReturnId, i64>,
    /// What returns did not get back as disputes had taken it.
    #[serde(skip_serializing_if = "is_zero")]
    pub owed_to_returns: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remainder: Option<Remainder>,
    /// What was taken at the provider, and not by us; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_outside: Option<i64>,
    /// Disputes of the payment, each as it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disputes: Vec<Dispute>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

/// One order's payment. All amounts are in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub order_id: OrderId,
    pub state: State,
    /// Which gateway was asked; `none` if there was nothing to pay.
    pub gateway: Option<String>,
    pub payment_id: Option<String>,
    /// ISO 4217; none before it is known what is to be paid.
    pub currency: Option<Currency>,
    pub amount: i64,
    /// What was held: = captured + released_remainder + voided + what is open.
    pub authorized: i64,
    pub captured: i64,
    /// What the gateway released when the rest was taken.
    pub released_remainder: i64,
    pub voided: i64,
    /// What was given back, confirmed.
    pub refunded: i64,
    /// Refunds to the customer that are neither given back nor refused.
    pub refunds_open: i64,
    /// What refunds to the customer gave back, those made at the provider among them.
    pub refunds_done: i64,
    /// What disputes have withdrawn, and not reinstated.
    pub disputed: i64,
    /// What of the saga's refund did not go back, as disputes, or refunds made at the provider, had taken it first.
    pub refund_shortfall: i64,
    pub announced: bool,
    pub capture_before: Option<Timestamp>,
    /// Names, contact and addresses, sealed; until the money is held, or never will be.
    pub personal: Option<Personal>,
    pub case: PaymentData,
}

impl Payment {
    pub fn new(order_id: OrderId) -> Self {
        Self {
            order_id,
            state: State::New,
            gateway: None,
            payment_id: None,
            currency: None,
            amount: 0,
            authorized: 0,
            captured: 0,
            released_remainder: 0,
            voided: 0,
            refunded: 0,
            refunds_open: 0,
            refunds_done: 0,
            disputed: 0,
            refund_shortfall: 0,
            announced: false,
            capture_before: None,
            personal: None,
            case: PaymentData::default(),
        }
    }

    /// What is held at the gateway as far as this row knows: authorized, and neither taken nor let go yet.
    pub fn open(&self) -> i64 {
        self.authorized - self.captured - self.released_remainder - self.voided
    }

    /// What can still go back: no money goes back twice, whoever gave it back.
    pub(crate) fn returnable(&self) -> i64 {
        let is_whole = self.captured == 0 && self.case.settlement.is_captured();
        let taken = if is_whole { self.authorized } else { self.captured };
        (taken - self.refunded - self.refunds_open - self.refunds_done - self.disputed).max(0)
    }

    /// The refund of what does not ship, as who holds the money elsewhere is asked for it.
    pub(crate) fn unshipped_refund(&self) -> RefundId {
        match self.state {
            State::Capturing => remainder_refund(self.order_id),
            State::New
            | State::Authorizing
            | State::ActionRequired
            | State::Authorized
            | State::Lapsed
            | State::Captured
            | State::Voiding
            | State::Refunding
            | State::Declined
            | State::Voided
            | State::Refunded => RefundId(derive_id(self.order_id, "payments", "unshipped", "undone")),
        }
    }

    /// What disputes have withdrawn now.
    pub(crate) fn withdrawn(&self) -> i64 {
        let withdrawn = self.case.disputes.iter().filter(|dispute| dispute.funds == DisputedFunds::Withdrawn);
        withdrawn.map(|dispute| dispute.money.amount).sum()
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.case.attempt.as_ref().map(|attempt| attempt.phase)
    }

    pub fn is_stuck(&self) -> bool {
        self.phase().is_some_and(Phase::is_stuck)
    }

    pub(crate) fn currency(&self) -> Result<Currency, Conflict> {
        self.currency.ok_or_else(|| {
            Conflict(format!("the payment of order {} has no currency: it was never asked for", self.order_id))
        })
    }

    pub(crate) fn money(&self, amount: i64) -> Result<Money, Conflict> {
        Ok(Money { amount, currency: self.currency()? })
    }

    /// Forgets what was needed to authorize, personal data with it.
    pub(crate) fn forget_purchase(&mut self) {
        self.case.purchase = None;
        self.case.early_result = None;
        self.personal = None;
    }
}

/// The refund of what does not ship beside what does, as who holds the money elsewhere is asked for it.
pub(crate) fn remainder_refund(order_id: OrderId) -> RefundId {
    RefundId(derive_id(order_id, "payments", "unshipped", "remainder"))
}
