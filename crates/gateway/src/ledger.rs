//! A provider's own books, as they are compared with ours.

use events::{Currency, OrderId};

use crate::outcome::RefundStatus;
use crate::request::Money;

/// A page of a provider's books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerPage {
    /// What it lists.
    pub entries: Vec<ProviderEntry>,
    /// What the next page is asked for by; none after the last one.
    pub next: Option<String>,
}

/// One line of a provider's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderEntry {
    /// A payment of an order.
    Payment(ProviderPayment),
    /// A payment that another system made in the same account.
    ForeignPayment,
    /// A refund of an order's payment, whoever made it.
    Refund(ProviderRefund),
    /// What the provider keeps for itself.
    Fee(Money),
}

/// An order's payment as it stands at the provider. Amounts are in minor units of the currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderPayment {
    /// The provider's id of the payment.
    pub payment_id: String,
    /// Whose.
    pub order_id: OrderId,
    /// ISO 4217.
    pub currency: Currency,
    /// What is held now.
    pub held: i64,
    /// What was taken.
    pub captured: i64,
    /// Whether the customer can still complete it.
    pub is_open: bool,
}

/// A refund as it stands at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefund {
    /// The provider's id of the refund.
    pub refund_id: String,
    /// The provider's id of the payment.
    pub payment_id: String,
    /// Whose.
    pub order_id: OrderId,
    /// How much.
    pub money: Money,
    /// How it stands.
    pub status: RefundStatus,
}
