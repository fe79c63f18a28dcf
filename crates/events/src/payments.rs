//! What `payments` publishes: money held, taken, let go and given back.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::codes::{Action, DisputeOutcome};
use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId, RefundId};
use crate::parts::{Allocation, Card, GivenUp, Item, Line, Reason, RefundedLine};
use crate::personal::Personal;
use crate::time::Timestamp;

/// The customer must do something before the payment can be authorized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentActionRequired {
    pub order_id: OrderId,
    pub action: Action,
    pub url: Option<String>,
    pub amount: i64,
    pub currency: Currency,
    pub expires_at: Timestamp,
}

/// The whole amount is held at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    /// Which gateway holds it, such as `sandbox` or `stripe`; `none` if there was nothing to pay.
    pub gateway: String,
    /// The gateway's id of the payment; absent if there was nothing to pay.
    pub payment_id: Option<String>,
    pub amount: i64,
    pub currency: Currency,
    /// When the hold lapses: it must be captured before.
    pub capture_before: Timestamp,
    pub lines: Vec<Line>,
    pub plan: Vec<Allocation>,
    /// The card and its checks; absent if no card was used.
    pub card: Option<Card>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
}

/// The payment is refused for good: nothing is open at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub order_id: OrderId,
    pub amount: i64,
    pub currency: Currency,
    /// Code `declined`, with the gateway's own code in the detail.
    pub reason: Reason,
}

/// The money for what will ship is taken; the gateway releases the rest of the hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    pub order_id: OrderId,
    pub amount: i64,
    /// The rest of the authorization that the gateway releases.
    pub remainder: i64,
    pub currency: Currency,
    pub items: Vec<Item>,
}

/// The money can't be taken: fulfillment must let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    pub order_id: OrderId,
    pub amount: i64,
    pub currency: Currency,
    /// Code `capture_failed` or `authorization_expired`.
    pub reason: Reason,
}

/// No money is held for this order, and none will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub order_id: OrderId,
    /// What was held and is let go; 0: there was nothing.
    pub amount: i64,
    /// ISO 4217 code of `amount`; absent if the order was stopped before payments knew it.
    pub currency: Option<Currency>,
    /// Whether PaymentAuthorized was published for the money let go: audits sum by it.
    pub announced: bool,
    /// What fulfillment said of single units when it let go; units not listed were never touched, or are
    /// intact.
    pub given_up: Vec<GivenUp>,
    pub reason: Reason,
}

/// Captured money is given back, confirmed by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    pub amount: i64,
    pub currency: Currency,
    pub items: Vec<GivenUp>,
    pub reason: Reason,
}

/// A refund failed for good: a person must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundFailed {
    pub order_id: OrderId,
    pub amount: i64,
    pub currency: Currency,
    /// Why it was to be given back, with the gateway's answer in the detail.
    pub reason: Reason,
}

/// The hold lapses soon and is not captured yet: a person may hurry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationExpiring {
    pub order_id: OrderId,
    pub amount: i64,
    pub currency: Currency,
    pub capture_before: Timestamp,
}

/// Money of an order that shipped is to go back to its customer: beside the saga, also long after its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequested {
    pub order_id: OrderId,
    pub refund_id: RefundId,
    pub amount: i64,
    pub currency: Currency,
    /// Which units it is for; empty: it was asked for as an amount, or as all that is left.
    pub lines: Vec<RefundedLine>,
    /// `all`, `amount`, `lines`, `unshipped`, or `outside`: it was made at the gateway.
    pub asked: String,
    pub reason: String,
    /// The account whose key came, or the gateway at which it was made; no personal data.
    pub requested_by: String,
    /// Who holds the money and gives it back, where no gateway of payments does.
    #[serde(default)]
    pub provider: Option<String>,
    /// That provider's id of the payment.
    #[serde(default)]
    pub reference: Option<String>,
    /// The gateway's id of the refund, where it was made there.
    #[serde(default)]
    pub provider_refund_id: Option<String>,
}

/// A refund is given back, confirmed by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundCompleted {
    pub order_id: OrderId,
    pub refund_id: RefundId,
    pub amount: i64,
    pub currency: Currency,
    pub lines: Vec<RefundedLine>,
    /// What all refunds of the order gave back so far, beside what the saga gave back.
    pub refunded: i64,
    /// Of an order that was paid before it was placed, for what did not ship.
    #[serde(default)]
    pub unshipped: bool,
}

/// A refund was refused: a person has it tried again, or pays the customer back by other means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    pub order_id: OrderId,
    pub refund_id: RefundId,
    pub amount: i64,
    pub currency: Currency,
    pub detail: String,
}

/// The cardholder's bank claims a payment back, or asks about it; said again when its status or the place of its money changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDisputed {
    pub order_id: OrderId,
    pub payment_id: String,
    /// The gateway's id of the dispute.
    pub dispute_id: String,
    /// `inquiry`, `needs_response` or `under_review`.
    pub status: String,
    /// What is claimed.
    pub amount: i64,
    pub currency: Currency,
    /// `untouched`, `withdrawn` or `reinstated`.
    pub funds: String,
    /// What all disputes of the payment have withdrawn now.
    pub disputed: i64,
    pub reason: String,
    /// Until when evidence is taken; none where there is nothing to answer.
    #[serde(default)]
    pub evidence_due_by: Option<Timestamp>,
}

/// A dispute has ended; said again where its money comes back later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeClosed {
    pub order_id: OrderId,
    pub payment_id: String,
    /// The gateway's id of the dispute.
    pub dispute_id: String,
    pub outcome: DisputeOutcome,
    /// What was claimed.
    pub amount: i64,
    pub currency: Currency,
    /// `untouched`, `withdrawn` or `reinstated`.
    pub funds: String,
    /// What all disputes of the payment have withdrawn now.
    pub disputed: i64,
    pub reason: String,
}

/// The card's bank warns that a payment may be fraud: a refund now may spare a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudWarningReceived {
    pub order_id: OrderId,
    pub payment_id: String,
    /// The gateway's id of the warning.
    pub warning_id: String,
    pub reason: String,
    /// Whether a refund can still spare the dispute.
    pub actionable: bool,
}

/// Money of a payment was moved at the gateway, and not by this pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentChangedOutside {
    pub order_id: OrderId,
    pub payment_id: String,
    /// `captured`.
    pub change: String,
    pub amount: i64,
    pub currency: Currency,
    pub detail: String,
}
