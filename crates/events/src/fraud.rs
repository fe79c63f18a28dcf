//! What `fraud` publishes: may the order go on.

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId};
use crate::parts::{Allocation, Line, Reason, RuleHit};
use crate::personal::Personal;
use crate::time::Timestamp;

/// The order may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudCleared {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code; all amounts of the event are in its minor units.
    pub currency: Currency,
    /// The order's lines with their all-inclusive amounts.
    pub lines: Vec<Line>,
    /// Which warehouse holds which units of which line.
    pub plan: Vec<Allocation>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
    /// When the authorization lapses: picking must fit into it.
    pub capture_before: Timestamp,
    /// The rules' points together.
    pub score: i64,
    /// The rules that counted; empty if none did.
    pub rules: Vec<RuleHit>,
    /// `rules`, or the account of the person who cleared it.
    pub decided_by: String,
}

/// The order may not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudRejected {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Code `fraud_rejected` or `review_timed_out`.
    pub reason: Reason,
    /// The rules' points together.
    pub score: i64,
    /// The rules that counted.
    pub rules: Vec<RuleHit>,
    /// `rules`, `deadline`, or the account of the person who rejected it.
    pub decided_by: String,
}

/// A person must look at the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudReviewRequested {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The rules' points together.
    pub score: i64,
    /// The rules that counted.
    pub rules: Vec<RuleHit>,
    /// Until when; after it the order is rejected.
    pub deadline: Timestamp,
}
