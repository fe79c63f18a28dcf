//! What `fraud` publishes: may the order go on.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId};
use crate::parts::{Allocation, Line, Reason, RuleHit};
use crate::personal::Personal;
use crate::time::Timestamp;

/// The order may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudCleared {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub plan: Vec<Allocation>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
    /// When the authorization lapses: picking must fit into it.
    pub capture_before: Timestamp,
    pub score: i64,
    pub rules: Vec<RuleHit>,
    /// `rules`, or the account of the person who cleared it.
    pub decided_by: String,
}

/// The order may not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudRejected {
    pub order_id: OrderId,
    /// Code `fraud_rejected` or `review_timed_out`.
    pub reason: Reason,
    pub score: i64,
    pub rules: Vec<RuleHit>,
    /// `rules`, `deadline`, or the account of the person who rejected it.
    pub decided_by: String,
}

/// A person must look at the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FraudReviewRequested {
    pub order_id: OrderId,
    pub score: i64,
    pub rules: Vec<RuleHit>,
    /// Until when; after it the order is rejected.
    pub deadline: Timestamp,
}
