//! What the routes of orders take and show.

use events::{Cancellation, Fault, OrderId, Reason, ShippedLine, UnshippedLine};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::row::{CancellationAsked, Order, State, Terms};

/// The answer to what was taken on: its outcome is told by events.
#[derive(Serialize, ToSchema)]
pub(super) struct Taken {
    /// The order's id.
    order_id: String,
    /// What everything that happens to the order is found again by.
    correlation_id: String,
    /// Where in the outbox this was said: a read model that has come so far (`ce_sequence`) shows it. Absent if nothing new was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl Taken {
    pub fn of(order_id: OrderId, correlation_id: &str, position: Option<i64>) -> Self {
        let position = position.map(|position| format!("{position:020}"));
        Self { order_id: order_id.to_string(), correlation_id: correlation_id.to_owned(), position }
    }
}

/// What is asked of a cancellation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"reason": "the customer changed their mind"}))]
pub(super) struct CancelBody {
    /// Why, for people; no personal data. Up to 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// An order, as far as it has come. All amounts are in minor units of `currency`.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderView {
    /// Its id.
    order_id: String,
    /// Which system placed it.
    source: String,
    /// That system's own id of it.
    reference: String,
    /// Where it stands.
    state: State,
    /// What everything that happens to it is found again by.
    correlation_id: String,
    /// When it was accepted or rejected, as RFC 3339.
    placed_at: String,
    /// When it ended; absent while it is under way.
    ended_at: Option<String>,
    /// What it was accepted with; absent if it was rejected.
    terms: Option<Terms>,
    /// Why it was rejected; empty if it was not.
    faults: Vec<Fault>,
    /// Who asked for its cancellation, and why; absent if nobody did.
    cancellation_asked: Option<CancellationAsked>,
    /// How it ended; absent while it is under way, and if it was rejected.
    end: Option<EndView>,
}

/// How an order ended.
#[derive(Serialize, ToSchema)]
pub(super) struct EndView {
    /// The value of what shipped: charged, and not given back.
    charged: i64,
    /// The lines that shipped.
    shipped: Vec<ShippedLine>,
    /// The lines that did not, with why.
    unshipped: Vec<UnshippedLine>,
    /// Why it did not ship in full; absent if it did.
    reason: Option<Reason>,
    /// Of a completed order: whether a wish to cancel it was met; `none`, `in_part` or `too_late`.
    cancellation: Option<Cancellation>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        let end = order.ending.map(|ending| EndView {
            charged: ending.charged,
            shipped: ending.shipped,
            unshipped: ending.unshipped,
            reason: ending.reason,
            cancellation: ending.cancellation,
        });
        Self {
            order_id: order.order_id.to_string(),
            source: order.source,
            reference: order.reference,
            state: order.state,
            correlation_id: order.details.thread.correlation_id.to_string(),
            placed_at: order.placed_at.to_string(),
            ended_at: order.ended_at.map(|time| time.to_string()),
            terms: order.details.terms,
            faults: order.details.faults,
            cancellation_asked: order.asked,
            end,
        }
    }
}
