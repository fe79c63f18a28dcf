//! What `payments` publishes: money held, taken, let go and given back.

use serde::{Deserialize, Serialize};

use crate::codes::Action;
use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId};
use crate::parts::{Allocation, Card, GivenUp, Item, Line, Reason};
use crate::personal::Personal;
use crate::time::Timestamp;

/// The customer must do something before the payment can be authorized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentActionRequired {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What to do, such as `three_d_secure`.
    pub action: Action,
    /// Where to do it.
    #[serde(default)]
    pub url: Option<String>,
    /// What is to be authorized, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// Until when.
    pub expires_at: Timestamp,
}

/// The whole amount is held at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// Which gateway holds it, such as `sandbox` or `stripe`; `none` if there was nothing to pay.
    pub gateway: String,
    /// The gateway's id of the payment; absent if there was nothing to pay.
    #[serde(default)]
    pub payment_id: Option<String>,
    /// What is held, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// When the hold lapses: it must be captured before.
    pub capture_before: Timestamp,
    /// The order's lines with their all-inclusive amounts.
    pub lines: Vec<Line>,
    /// Which warehouse holds which units of which line.
    pub plan: Vec<Allocation>,
    /// The card and its checks; absent if no card was used.
    #[serde(default)]
    pub card: Option<Card>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
}

/// The payment is refused for good: nothing is open at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What was asked for, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// Code `declined`, with the gateway's own code in the detail.
    pub reason: Reason,
}

/// The money for what will ship is taken; the gateway releases the rest of the hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What was taken, in minor units.
    pub amount: i64,
    /// The rest of the authorization that the gateway releases, in minor units.
    pub remainder: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// The units it pays for.
    pub items: Vec<Item>,
}

/// The money can't be taken: fulfillment must let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What was to be taken, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// Code `capture_failed` or `authorization_expired`.
    pub reason: Reason,
}

/// No money is held for this order, and none will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What was held and is let go, in minor units; 0: there was nothing.
    pub amount: i64,
    /// ISO 4217 code of `amount`; absent if the order was stopped before payments knew it.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// Whether PaymentAuthorized was said for the money let go: audits sum by it.
    pub announced: bool,
    /// What fulfillment said of single units when it let go; units not listed were never touched, or are
    /// intact.
    pub given_up: Vec<GivenUp>,
    /// Why.
    pub reason: Reason,
}

/// Captured money is given back, confirmed by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What was given back, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// The units it was paid for.
    pub items: Vec<GivenUp>,
    /// Why.
    pub reason: Reason,
}

/// A refund failed for good: a person must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundFailed {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What should have been given back, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// Why it was to be given back, with the gateway's answer in the detail.
    pub reason: Reason,
}

/// The hold lapses soon and is not captured yet: a person may hurry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationExpiring {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What is held, in minor units.
    pub amount: i64,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// When the hold lapses.
    pub capture_before: Timestamp,
}
