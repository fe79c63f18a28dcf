//! What a gateway is asked.

use std::fmt;

use events::{Currency, CustomerId, OrderId, Timestamp};
use serde::{Deserialize, Serialize};

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

runtime::names!(Operation { Authorize: "authorize", Capture: "capture", Void: "void", Refund: "refund" });

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
    /// Since when its key is in use. A provider forgets what was done under an old key: an adapter makes nothing anew under one, it looks up.
    pub since: Timestamp,
    /// What to hold, take, let go or give back. To take nothing of what is held releases it all: an adapter whose provider can't capture 0
    /// cancels instead.
    pub money: Money,
    /// The provider's id of the payment; none before the payment is known to exist there.
    pub payment_id: Option<String>,
    /// The provider's id of the refund that is looked up; none where it is not known.
    pub refund_id: Option<String>,
}

/// How a payment stands that was made before its order was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingPayment {
    /// Its money is held.
    Held,
    /// Its money is taken.
    Captured,
}

/// Who pays, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buyer {
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// The provider's token of the payment method; what such a token looks like is the provider's own.
    pub payment_method: String,
}
