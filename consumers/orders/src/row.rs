//! The row of one order, and the world of a batch: the rows it has to do with.

use std::collections::HashMap;
use std::sync::Arc;

use events::{
    Cancellation, Currency, CustomerId, Fault, Line, OrderAccepted, OrderId, OrderRejected, Reason, ShippedLine,
    Timestamp, UnshippedLine,
};
use runtime::rows::{Columns, Rows, Select, StoredRow, TableRow};
use runtime::sql::{JsonColumn, JsonText, Timestamptz};
use runtime::{Failure, Loader, Retention, TraceContext};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Accepted, and under way.
    Pending,
    /// Under way, and someone asked for it to be cancelled.
    Cancelling,
    /// Ended: it was invalid, nothing was begun.
    Rejected,
    /// Ended: something shipped.
    Completed,
    /// Ended as was asked: nothing shipped.
    Cancelled,
    /// Ended: nothing shipped, and nobody had asked for that.
    Failed,
}

runtime::names!(State {
    Pending: "PENDING",
    Cancelling: "CANCELLING",
    Rejected: "REJECTED",
    Completed: "COMPLETED",
    Cancelled: "CANCELLED",
    Failed: "FAILED",
});

impl State {
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Cancelling => false,
            Self::Rejected | Self::Completed | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// What an order was accepted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = TermsView)]
pub struct Terms {
    /// The shop's id of the customer.
    #[schema(value_type = String)]
    pub customer_id: CustomerId,
    /// ISO 4217 code of all amounts.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// The lines; their all-inclusive amounts sum up to `total`.
    pub lines: Vec<Line>,
    /// Sum of quantity times unit price.
    pub subtotal: i64,
    /// Cost of shipping.
    pub shipping: i64,
    /// Discount, as a positive number.
    pub discount: i64,
    /// Tax.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
}

impl Terms {
    fn of(event: &OrderAccepted) -> Self {
        Self {
            customer_id: event.customer_id.clone(),
            currency: event.currency,
            lines: event.lines.clone(),
            subtotal: event.subtotal,
            shipping: event.shipping,
            discount: event.discount,
            tax: event.tax,
            total: event.total,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub thread: TraceContext,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Someone asked for the order to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CancellationAsked {
    /// Who, as a role or an account's id.
    pub requested_by: String,
    /// Code `cancelled`, with what the asker said.
    pub reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The value of what shipped, in minor units.
    pub charged: i64,
    pub shipped: Vec<ShippedLine>,
    pub unshipped: Vec<UnshippedLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether a wish to cancel it was met, if something shipped all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The same for equal orders, and for no others.
    pub digest: Uuid,
    /// As JSON; none if it was erased, or not loaded because the batch does not need it.
    pub text: Option<Arc<str>>,
}

impl Body {
    /// Of an order that is known from events alone, as its database was restored from a dump: they do not hold it.
    pub(crate) fn unknown() -> Self {
        Self { digest: Uuid::nil(), text: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub order_id: OrderId,
    /// Its identity as a key; of a rejected order with what it was placed as, so that a mended one can be placed under its identity.
    pub placement: Uuid,
    pub source: String,
    pub reference: String,
    pub state: State,
    pub details: Details,
    pub asked: Option<CancellationAsked>,
    /// How it ended; none while it is open, and if it was rejected.
    pub ending: Option<Ending>,
    pub body: Body,
    pub placed_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Order {
    /// Whether it was placed as what is unknown, with the terms of this one.
    pub(crate) fn is_restored_from(&self, event: &OrderAccepted) -> bool {
        self.body == Body::unknown() && self.details.terms.as_ref() == Some(&Terms::of(event))
    }

    pub(crate) fn accepted(
        event: &OrderAccepted,
        placement: Uuid,
        body: Body,
        thread: TraceContext,
        now: Timestamp,
    ) -> Self {
        let terms = Terms::of(event);
        Self {
            order_id: event.order_id,
            placement,
            source: event.source.clone(),
            reference: event.reference.clone(),
            state: State::Pending,
            details: Details { thread, terms: Some(terms), faults: Vec::new() },
            asked: None,
            ending: None,
            body,
            placed_at: now,
            ended_at: None,
        }
    }

    pub(crate) fn rejected(
        event: &OrderRejected,
        placement: Uuid,
        body: Body,
        thread: TraceContext,
        now: Timestamp,
    ) -> Self {
        Self {
            order_id: event.order_id,
            placement,
            source: event.source.clone(),
            reference: event.reference.clone(),
            state: State::Rejected,
            details: Details { thread, terms: None, faults: event.faults.clone() },
            asked: None,
            ending: None,
            body,
            placed_at: now,
            ended_at: Some(now),
        }
    }
}

impl TableRow for Order {
    type Key = OrderId;
    const TABLE: &'static str = "orders.\"order\"";

    /// What it was placed as is read only where it is placed again.
    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .fixed("placement", |order| order.placement)
            .fixed("source", |order| order.source.as_str())
            .fixed("reference", |order| order.reference.as_str())
            .changing("state", |order| order.state.as_str())
            .fixed_unread("currency", |order| order.details.terms.as_ref().map(|terms| terms.currency.as_str()))
            .fixed_unread("total", |order| order.details.terms.as_ref().map(|terms| terms.total))
            .changing_unread("charged", |order| order.ending.as_ref().map(|ending| ending.charged))
            .fixed("placed_at", |order| Timestamptz(order.placed_at))
            .changing("ended_at", |order| order.ended_at.map(Timestamptz))
            .fixed("details", |order| JsonText(&order.details))
            .changing("asked", |order| order.asked.as_ref().map(JsonText))
            .changing("ending", |order| order.ending.as_ref().map(JsonText))
            .fixed("body_digest", |order| order.body.digest)
            .fixed_unread("body", |order| order.body.text.as_deref().map(JsonColumn))
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        let order_id = OrderId(row.get("order_id")?);
        let order = Self {
            order_id,
            placement: row.get("placement")?,
            source: row.get("source")?,
            reference: row.get("reference")?,
            state: row.named("state")?,
            details: row.json("details")?,
            asked: row.json("asked")?,
            ending: row.json("ending")?,
            body: Body { digest: row.get("body_digest")?, text: None },
            placed_at: row.get::<Timestamptz>("placed_at")?.0,
            ended_at: row.get::<Option<Timestamptz>>("ended_at")?.map(|Timestamptz(time)| time),
        };
        Ok((order_id, order))
    }

    fn insert_order(&self) -> Option<Uuid> {
        Some(self.placement)
    }
}

/// Orders that have ended. Their idempotency keys go with them.
pub(crate) fn retention() -> Retention {
    let (rows, ended, changed_at) = (Order::TABLE, "ended_at is not null", "ended_at");
    Retention { rows, ended, changed_at, ..Retention::default() }
}

/// Reads one order for who asks at the door; without its body, which nobody gets to see.
pub(crate) async fn find(pool: &PgPool, order_id: OrderId) -> Result<Option<Order>, Failure> {
    Select::filter("order_id = $1").bind(order_id.as_uuid()).one(pool).await
}

/// The orders that a batch has to do with. The default knows none; kept from batch to batch it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) rows: Rows<Order>,
    placements: HashMap<Uuid, OrderId>,
}

impl BatchState {
    /// Reads orders by their ids, or by the keys that they were placed under: these with what they were placed as.
    pub(crate) async fn load(
        loader: &mut Loader<'_>,
        wanted: Vec<OrderId>,
        placed: &[(OrderId, Vec<Uuid>)],
    ) -> Result<Self, Failure> {
        let mut keys: Vec<Uuid> = placed.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        keys.sort_unstable();
        let wanted: Vec<Uuid> = wanted.into_iter().map(OrderId::as_uuid).collect();
        let select = Select::filter("order_id = any($1) or placement = any($2)").bind(wanted).bind(&keys);
        let mut rows = Rows::<Order>::load(loader, select).await?;
        let again = rows.iter().filter(|(_, order)| keys.binary_search(&order.placement).is_ok());
        let again: Vec<Uuid> = again.map(|(order_id, _)| order_id.as_uuid()).collect();
        if !again.is_empty() {
            let bodies = "select order_id, body::text from orders.\"order\" where order_id = any($1)";
            let bodies: Vec<(Uuid, Option<String>)> =
                sqlx::query_as(bodies).bind(again).fetch_all(&mut *loader.db).await?;
            for (order_id, body) in bodies {
                if let Some(row) = rows.get_mut(&OrderId(order_id)) {
                    row.untracked().body.text = body.map(Arc::from);
                }
            }
        }
        let placements = rows.iter().map(|(order_id, order)| (order.placement, *order_id)).collect();
        Ok(Self { rows, placements })
    }

    pub fn order(&self, order_id: OrderId) -> Option<&Order> {
        self.rows.get(&order_id)
    }

    pub fn placed_as(&self, placement: Uuid) -> Option<&Order> {
        self.order(*self.placements.get(&placement)?)
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.rows.iter().map(|(_, order)| order)
    }

    #[cfg(test)]
    pub(crate) fn loaded(&mut self, order: Order, version: i64) {
        self.placements.insert(order.placement, order.order_id);
        self.rows.take([(order.order_id, version, order)]);
    }

    pub(crate) fn add(&mut self, order: Order) {
        self.placements.insert(order.placement, order.order_id);
        self.rows.add(order.order_id, order);
    }

    pub(crate) fn change(&mut self, order_id: OrderId, change: impl FnOnce(&mut Order)) {
        if let Some(row) = self.rows.get_mut(&order_id) {
            change(row);
        }
    }
}
