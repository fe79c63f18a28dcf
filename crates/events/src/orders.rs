//! What `orders` publishes: an order's beginning and its end.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::codes::Cancellation;
use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId};
use crate::parts::{Fault, Line, OrderPayment, Reason, ShippedLine, UnshippedLine};
use crate::personal::Personal;

/// An order is valid and accepted: the saga begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAccepted {
    pub order_id: OrderId,
    pub source: String,
    /// That system's own id of the order; unique within `source`.
    pub reference: String,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub lines: Vec<Line>,
    /// Sum of quantity times unit price over the lines.
    pub subtotal: i64,
    pub shipping: i64,
    /// As a positive number.
    pub discount: i64,
    pub tax: i64,
    /// Subtotal + shipping − discount + tax.
    pub total: i64,
    pub payment_method: String,
    /// Money that was held or taken before, or is settled outside; none: it is to be authorized.
    #[serde(default)]
    pub payment: Option<OrderPayment>,
    /// Country the goods go to, ISO 3166-1 alpha-2: allocation may prefer a near warehouse.
    pub ship_to_country: String,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
    /// The earlier order, if this one is an exchange for goods of it that come back.
    #[serde(default)]
    pub exchange_for: Option<OrderId>,
}

/// An order is invalid: it ends before anything began. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRejected {
    pub order_id: OrderId,
    pub source: String,
    pub reference: String,
    pub customer_id: Option<CustomerId>,
    /// Everything that is wrong with it; at least one entry.
    pub faults: Vec<Fault>,
    /// Contact of the customer, sealed, if the order named one: notifications write there.
    pub personal: Option<Personal>,
}

/// Someone asks for the order to be cancelled; fulfillment alone decides whether it still can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancellationRequested {
    pub order_id: OrderId,
    /// Who asked, as a role or an account id, such as `customer` or `support:17`; no personal data.
    pub requested_by: String,
    /// Code `cancelled`, with what the asker said.
    pub reason: Reason,
}

/// The order ended and something shipped. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCompleted {
    pub order_id: OrderId,
    pub source: String,
    pub reference: String,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub total: i64,
    /// What was taken and not given back: the value of what shipped.
    pub charged: i64,
    pub shipped: Vec<ShippedLine>,
    pub unshipped: Vec<UnshippedLine>,
    /// Why it did not ship in full; absent if it did.
    pub reason: Option<Reason>,
    /// `none`: nobody asked; `in_part`: what had not left was cancelled; `too_late`: all had left.
    pub cancellation: Cancellation,
}

/// The order ended as was asked: nothing shipped, nothing is charged. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub order_id: OrderId,
    pub source: String,
    pub reference: String,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub total: i64,
    /// What was taken and not given back: the value of what shipped.
    pub charged: i64,
    pub shipped: Vec<ShippedLine>,
    pub unshipped: Vec<UnshippedLine>,
    pub reason: Reason,
}

/// The order ended without a parcel and without a charge, and nobody had asked for that. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFailed {
    pub order_id: OrderId,
    pub source: String,
    pub reference: String,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub total: i64,
    /// What was taken and not given back: the value of what shipped.
    pub charged: i64,
    pub shipped: Vec<ShippedLine>,
    pub unshipped: Vec<UnshippedLine>,
    pub reason: Reason,
}
