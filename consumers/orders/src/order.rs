//! The row of one order, and the world of a batch: the rows it has to do with.

use std::collections::HashMap;
use std::sync::Arc;

use events::{
    Cancellation, Currency, CustomerId, Fault, Line, OrderAccepted, OrderId, OrderRejected, Reason, ShippedLine,
    Timestamp, UnshippedLine,
};
use runtime::{Failure, Recalled, TraceContext};
use serde::{Deserialize, Serialize};
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

impl State {
    /// The state as it stands in the table and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Cancelling => "CANCELLING",
            Self::Rejected => "REJECTED",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing happens to the order any more.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Cancelling => false,
            Self::Rejected | Self::Completed | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// What an order was accepted with; it never changes. All amounts are in minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The shop's id of the customer.
    pub customer_id: CustomerId,
    /// ISO 4217 code.
    pub currency: Currency,
    /// The lines with their all-inclusive amounts.
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

/// What is known of an order since it was placed; it never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What everything that happens to the order is found again by.
    pub thread: TraceContext,
    /// What it was accepted with; none if it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Why it was rejected; empty if it was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Someone asked for the order to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Asked {
    /// Who, as a role or an account's id.
    pub requested_by: String,
    /// Code `cancelled`, with what the asker said.
    pub reason: Reason,
}

/// How an accepted order ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The value of what shipped, in minor units.
    pub charged: i64,
    /// The lines that shipped.
    pub shipped: Vec<ShippedLine>,
    /// The lines that did not ship, with why.
    pub unshipped: Vec<UnshippedLine>,
    /// Why it did not ship in full; absent if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether a wish to cancel it was met, if something shipped all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
}

/// The order as it was placed.
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

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub order_id: OrderId,
    /// Its identity as a key; of a rejected order with what it was placed as, so that a mended one can be placed under its identity.
    pub placement: Uuid,
    /// Which system placed it.
    pub source: String,
    /// That system's own id of it.
    pub reference: String,
    /// Where it stands.
    pub state: State,
    /// What is known since it was placed.
    pub details: Details,
    /// Who asked to cancel it.
    pub asked: Option<Asked>,
    /// How it ended; none while it is open, and if it was rejected.
    pub ending: Option<Ending>,
    /// The order as it was placed.
    pub body: Body,
    /// When it was accepted or rejected.
    pub placed_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Order {
    /// Whether it was placed as what is unknown, with the terms of this one.
    pub(crate) fn is_restored_from(&self, event: &OrderAccepted) -> bool {
        self.body == Body::unknown() && self.details.terms.as_ref() == Some(&Terms::of(event))
    }

    /// The row of an order that was accepted.
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

    /// The row of an order that was rejected.
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

/// A row in a batch: the version that the table has, and whether the batch changed it.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The version in the table; none if the order is new.
    pub stored: Option<i64>,
    pub order: Order,
    pub changed: bool,
}

/// The orders that a batch has to do with. The default knows none; kept from batch to batch it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    slots: HashMap<OrderId, Slot>,
    placements: HashMap<Uuid, OrderId>,
    /// The orders that were not read: those that are presumed to be new by the ids that they would get.
    recalled: Recalled,
}

impl BatchState {
    /// What is known without reading.
    pub(crate) fn recalled(rows: Vec<(OrderId, i64, Order)>, recalled: Recalled) -> Self {
        let mut world = Self { recalled, ..Self::default() };
        for (_, version, order) in rows {
            world.loaded(order, version);
        }
        world
    }

    /// The order with this id.
    pub fn order(&self, order_id: OrderId) -> Option<&Order> {
        self.slots.get(&order_id).map(|slot| &slot.order)
    }

    /// The order that was placed under this key.
    pub fn placed_as(&self, placement: Uuid) -> Option<&Order> {
        self.order(*self.placements.get(&placement)?)
    }

    /// All orders, in no order.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.slots.values().map(|slot| &slot.order)
    }

    /// Takes a row as the table has it.
    pub(crate) fn loaded(&mut self, order: Order, version: i64) {
        self.put(Slot { stored: Some(version), order, changed: false });
    }

    /// Takes an order that is new.
    pub(crate) fn add(&mut self, order: Order) {
        self.put(Slot { stored: None, order, changed: true });
    }

    fn put(&mut self, slot: Slot) {
        self.placements.insert(slot.order.placement, slot.order.order_id);
        self.slots.insert(slot.order.order_id, slot);
    }

    /// Changes a known order.
    pub(crate) fn change(&mut self, order_id: OrderId, change: impl FnOnce(&mut Order)) {
        if let Some(slot) = self.slots.get_mut(&order_id) {
            change(&mut slot.order);
            slot.changed = true;
        }
    }

    /// What is to be written: new rows by placement, changed rows by order; that is the order in which they are locked.
    ///
    /// # Errors
    /// When an order that was not read is not changed either.
    pub(crate) fn changes(&self) -> Result<(Vec<&Slot>, Vec<&Slot>), Failure> {
        self.recalled.check(|order_id| self.slots.get(&order_id).is_some_and(|slot| slot.changed))?;
        let changed = self.slots.values().filter(|slot| slot.changed);
        let (mut new, mut changed): (Vec<_>, Vec<_>) = changed.partition(|slot| slot.stored.is_none());
        new.sort_unstable_by_key(|slot| slot.order.placement);
        changed.sort_unstable_by_key(|slot| slot.order.order_id);
        Ok((new, changed))
    }

    /// The orders that have not ended, as they are in the table after the batch, without what they were placed as.
    pub(crate) fn into_open(self) -> impl Iterator<Item = (OrderId, i64, Order)> {
        let open = self.slots.into_iter().filter(|(_, slot)| !slot.order.state.has_ended());
        open.map(|(order_id, Slot { stored, order, changed })| {
            let order = Order { body: Body { text: None, ..order.body }, ..order };
            (order_id, stored.unwrap_or(0) + i64::from(changed), order)
        })
    }
}
