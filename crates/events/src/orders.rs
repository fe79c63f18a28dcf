//! What `orders` publishes: an order's beginning and its end.

use serde::{Deserialize, Serialize};

use crate::codes::Cancellation;
use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId};
use crate::parts::{Fault, Line, Reason, ShippedLine, UnshippedLine};
use crate::personal::Personal;

/// An order is valid and accepted: the saga begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAccepted {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Which system placed it.
    pub source: String,
    /// That system's own id of the order; unique within `source`.
    pub reference: String,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// The order's lines with their all-inclusive amounts.
    pub lines: Vec<Line>,
    /// Sum of quantity times unit price over the lines, in minor units.
    pub subtotal: i64,
    /// Cost of shipping, in minor units.
    pub shipping: i64,
    /// Discount as a positive number, in minor units.
    pub discount: i64,
    /// Tax, in minor units.
    pub tax: i64,
    /// What is to be paid: subtotal + shipping − discount + tax, in minor units.
    pub total: i64,
    /// The gateway's token of the payment method.
    pub payment_method: String,
    /// Country the goods go to, ISO 3166-1 alpha-2: allocation may prefer a near warehouse.
    pub ship_to_country: String,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
}

/// An order is invalid: it ends before anything began. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRejected {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Which system placed it.
    pub source: String,
    /// That system's own id of the order.
    pub reference: String,
    /// The shop's id of the customer, if the order named one.
    #[serde(default)]
    pub customer_id: Option<CustomerId>,
    /// Everything that is wrong with it; at least one entry.
    pub faults: Vec<Fault>,
    /// Contact of the customer, sealed, if the order named one: notifications write there.
    #[serde(default)]
    pub personal: Option<Personal>,
}

/// Someone asks for the order to be cancelled; fulfillment alone decides whether it still can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancellationRequested {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Who asked, as a role or an account id, such as `customer` or `support:17`; no personal data.
    pub requested_by: String,
    /// Code `cancelled`, with what the asker said.
    pub reason: Reason,
}

/// The order ended and something shipped. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCompleted {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Which system placed the order.
    pub source: String,
    /// That system's own id of the order.
    pub reference: String,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// What the whole order would have cost, in minor units.
    pub total: i64,
    /// What was charged and not given back: the value of what shipped, in minor units.
    pub charged: i64,
    /// The lines that shipped; empty if nothing did.
    pub shipped: Vec<ShippedLine>,
    /// The lines that did not ship, with why; empty if all did.
    pub unshipped: Vec<UnshippedLine>,
    /// Why it did not ship in full; absent if it did.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// `none`: nobody asked; `in_part`: what had not left was cancelled; `too_late`: all had left.
    pub cancellation: Cancellation,
}

/// The order ended as was asked: nothing shipped, nothing is charged. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Which system placed the order.
    pub source: String,
    /// That system's own id of the order.
    pub reference: String,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// What the whole order would have cost, in minor units.
    pub total: i64,
    /// What was charged and not given back: the value of what shipped, in minor units.
    pub charged: i64,
    /// The lines that shipped; empty if nothing did.
    pub shipped: Vec<ShippedLine>,
    /// The lines that did not ship, with why; empty if all did.
    pub unshipped: Vec<UnshippedLine>,
    /// Why nothing shipped.
    pub reason: Reason,
}

/// The order ended without a parcel and without a charge, and nobody had asked for that. Terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFailed {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Which system placed the order.
    pub source: String,
    /// That system's own id of the order.
    pub reference: String,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// What the whole order would have cost, in minor units.
    pub total: i64,
    /// What was charged and not given back: the value of what shipped, in minor units.
    pub charged: i64,
    /// The lines that shipped; empty if nothing did.
    pub shipped: Vec<ShippedLine>,
    /// The lines that did not ship, with why; empty if all did.
    pub unshipped: Vec<UnshippedLine>,
    /// Why nothing shipped.
    pub reason: Reason,
}
