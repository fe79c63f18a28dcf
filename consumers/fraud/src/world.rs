//! What fraud knows: a row for each order, and counts of customers, cards and addresses.

use std::collections::HashMap;

use events::{Allocation, Currency, CustomerId, Line, OrderId, Personal, RuleHit, Timestamp};
use runtime::{Recalled, TraceContext};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::velocity::Tallies;

/// Where an order stands; no row: not heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// A person must look at it.
    Review,
    /// It may go on.
    Cleared,
    /// It may not.
    Rejected,
    /// The money went back before it was decided: a tombstone, or a review that is over.
    Closed,
}

impl State {
    /// As the column has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "REVIEW",
            Self::Cleared => "CLEARED",
            Self::Rejected => "REJECTED",
            Self::Closed => "CLOSED",
        }
    }

    /// Reads the column.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Review, Self::Cleared, Self::Rejected, Self::Closed].into_iter().find(|state| state.as_str() == text)
    }
}

/// What is known of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Where it stands.
    pub state: State,
    /// The rules' points together.
    pub score: i64,
    /// The rules that counted.
    pub rules: Vec<RuleHit>,
    /// What is authorized, in minor units; 0 for a tombstone.
    pub amount: i64,
    /// The currency of `amount`; none for a tombstone.
    pub currency: Option<Currency>,
    /// When it was first heard of.
    pub opened_at: Timestamp,
    /// Until when a person may decide; none if it was not reviewed.
    pub deadline: Option<Timestamp>,
    /// `rules`, `deadline`, or a person's account.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// What the person said.
    pub note: Option<String>,
    /// The order's thread, for what a person or the deadline brings.
    pub thread: TraceContext,
    /// What `FraudCleared` must carry; kept during a review only, as it holds personal data.
    pub carried: Option<Carried>,
}

/// The parts of `PaymentAuthorized` that travel on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code of the lines' amounts.
    pub currency: Currency,
    /// The order's lines.
    pub lines: Vec<Line>,
    /// Which warehouse holds what.
    pub plan: Vec<Allocation>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
    /// When the authorization lapses.
    pub capture_before: Timestamp,
}

/// One order of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The version that was loaded; none: there was no row.
    pub loaded: Option<i64>,
    pub row: Assessment,
    pub changed: bool,
}

/// What a batch was loaded into. Kept over batches it is a store in memory: an order that it does not have is one that was not heard of.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: HashMap<OrderId, Slot>,
    pub(crate) tallies: Tallies,
    /// The orders that were not read.
    pub(crate) recalled: Recalled,
}

impl BatchState {
    /// What is known of an order.
    pub fn order(&self, order_id: OrderId) -> Option<&Assessment> {
        self.orders.get(&order_id).map(|slot| &slot.row)
    }

    /// The orders under review, as they are in the table after the batch.
    pub(crate) fn into_open(self) -> impl Iterator<Item = (OrderId, i64, Assessment)> {
        let open = self.orders.into_iter().filter(|(_, slot)| slot.row.state == State::Review);
        open.map(|(order_id, Slot { loaded, row, changed })| (order_id, loaded.unwrap_or(0) + i64::from(changed), row))
    }

    /// Keeps a row, new or changed.
    pub(crate) fn put(&mut self, order_id: OrderId, row: Assessment) {
        let loaded = self.orders.get(&order_id).and_then(|slot| slot.loaded);
        self.orders.insert(order_id, Slot { loaded, row, changed: true });
    }
}
