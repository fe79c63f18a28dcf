//! What is known of one order: facts that events tell, and how two sets of them become one.
//!
//! Each fact is a maximum, a minimum or a union, here and in the database alike. So it does not matter which event comes first, nor how often:
//! that is what makes the fold commutative and idempotent. A fact that only one event can tell needs neither; it takes the maximum all the same.

use std::collections::BTreeMap;

use events::{RefundId, ReturnId, ShipmentId, Timestamp};
use runtime::sql::Timestamptz;
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::status::Status;

/// Moments in an order's life; where several events tell the same one, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Accepted,
    Reserved,
    Authorized,
    Review,
    Cleared,
    Confirmed,
    Captured,
    /// The first ShipmentDispatched.
    Dispatched,
    /// The first StockCommitted.
    Committed,
    CancelAsked,
    LetGo,
    /// The first event of undoing anything.
    Undo,
    /// Inventory's last word: StockRejected, or the event marked `closed`.
    Closed,
    Ended,
}

impl Moment {
    const COUNT: usize = Self::Ended as usize + 1;

    /// All of them in their order, each with its column in the order's row.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::Accepted, "accepted_at"),
        (Self::Reserved, "reserved_at"),
        (Self::Authorized, "authorized_at"),
        (Self::Review, "review_at"),
        (Self::Cleared, "cleared_at"),
        (Self::Confirmed, "confirmed_at"),
        (Self::Captured, "captured_at"),
        (Self::Dispatched, "dispatched_at"),
        (Self::Committed, "committed_at"),
        (Self::CancelAsked, "cancel_asked_at"),
        (Self::LetGo, "let_go_at"),
        (Self::Undo, "undo_at"),
        (Self::Closed, "closed_at"),
        (Self::Ended, "ended_at"),
    ];
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments([Option<Timestamp>; Moment::COUNT]);

impl Moments {
    pub fn at(&self, moment: Moment) -> Option<Timestamp> {
        self.0[moment as usize]
    }

    /// Takes a moment; of two times the earlier stays.
    pub fn tell(&mut self, moment: Moment, at: Timestamp) {
        first(&mut self.0[moment as usize], Some(at));
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| first(mine, theirs));
    }
}

/// Why something was given up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(as = ReasonView)]
pub struct GivenUpReason {
    /// The greater one counts: the later in the chain the event is that says it, the greater.
    #[serde(skip)]
    pub rank: i16,
    /// The reason's code, such as `declined`.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct ShipmentFacts {
    pub warehouse: Option<String>,
    /// The units in it, as JSON.
    pub items: Option<String>,
    pub short: Option<String>,
    pub short_at: Option<Timestamptz>,
    pub confirmed_at: Option<Timestamptz>,
    pub dispatched_at: Option<Timestamptz>,
    pub delivered_at: Option<Timestamptz>,
    pub carrier: Option<String>,
    pub tracking: Option<String>,
}

impl ShipmentFacts {
    fn merge(&mut self, other: &Self) {
        most(&mut self.warehouse, &other.warehouse);
        most(&mut self.items, &other.items);
        most(&mut self.short, &other.short);
        most(&mut self.carrier, &other.carrier);
        most(&mut self.tracking, &other.tracking);
        first(&mut self.short_at, other.short_at);
        first(&mut self.confirmed_at, other.confirmed_at);
        first(&mut self.dispatched_at, other.dispatched_at);
        first(&mut self.delivered_at, other.delivered_at);
    }
}

/// What is known of a refund to the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct RefundFacts {
    pub amount: Option<i64>,
    /// The event by which it was asked for, as JSON.
    pub request: Option<String>,
    pub requested_at: Option<Timestamptz>,
    /// When it was completed last: one that was completed may fail days later, and be tried again.
    pub completed_at: Option<Timestamptz>,
    /// The last refusal; one that was tried again may be completed later.
    pub failed_at: Option<Timestamptz>,
    pub detail: Option<String>,
}

impl RefundFacts {
    fn merge(&mut self, other: &Self) {
        most(&mut self.amount, &other.amount);
        most(&mut self.request, &other.request);
        most(&mut self.detail, &other.detail);
        first(&mut self.requested_at, other.requested_at);
        self.completed_at = self.completed_at.max(other.completed_at);
        self.failed_at = self.failed_at.max(other.failed_at);
    }

    /// Whether it is refused, and was not completed since.
    pub fn has_failed(&self) -> bool {
        self.failed_at.is_some_and(|failed| self.completed_at.is_none_or(|completed| failed >= completed))
    }
}

/// What is known of a dispute: its latest event counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct DisputeFacts {
    pub opened_at: Option<Timestamptz>,
    pub changed_at: Option<Timestamptz>,
    pub closed: bool,
    /// The latest event, as JSON.
    pub told: String,
}

impl DisputeFacts {
    pub(crate) fn merge(&mut self, other: &Self) {
        first(&mut self.opened_at, other.opened_at);
        if (other.changed_at, other.closed, &other.told) > (self.changed_at, self.closed, &self.told) {
            (self.changed_at, self.closed, self.told) = (other.changed_at, other.closed, other.told.clone());
        }
    }
}

/// What is known of a return.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct ReturnFacts {
    /// The event that announced it, as JSON.
    pub announced: Option<String>,
    pub announced_at: Option<Timestamptz>,
    /// The event that received it, as JSON.
    pub received: Option<String>,
    pub received_at: Option<Timestamptz>,
    /// Why it was not taken back.
    pub refused: Option<String>,
    pub refused_at: Option<Timestamptz>,
    /// When its units were in stock again.
    pub stocked_at: Option<Timestamptz>,
}

impl ReturnFacts {
    fn merge(&mut self, other: &Self) {
        most(&mut self.announced, &other.announced);
        most(&mut self.received, &other.received);
        most(&mut self.refused, &other.refused);
        first(&mut self.announced_at, other.announced_at);
        first(&mut self.received_at, other.received_at);
        first(&mut self.refused_at, other.refused_at);
        first(&mut self.stocked_at, other.stocked_at);
    }
}

/// What is known of one order. Amounts are in minor units of `currency`; lists are kept as the JSON text of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which events were heard: a bit for each type, as the table of events has them.
    pub seen: i64,
    pub status: Status,
    /// The highest `ce_sequence`; 0: none.
    pub position: i64,
    /// When it was placed: the time in its id, or else that of the earliest event.
    pub placed_at: Option<Timestamp>,
    pub changed_at: Option<Timestamp>,
    pub moments: Moments,
    pub source: Option<String>,
    pub reference: Option<String>,
    pub customer_id: Option<String>,
    pub currency: Option<String>,
    pub total: Option<i64>,
    pub authorized: Option<i64>,
    pub captured: Option<i64>,
    pub refunded: Option<i64>,
    pub voided: Option<i64>,
    /// The value of what shipped, by the terminal event.
    pub charged: Option<i64>,
    pub lines: Option<String>,
    pub faults: Option<String>,
    pub shipped: Option<String>,
    pub unshipped: Option<String>,
    pub reason: Option<GivenUpReason>,
    /// By OrderCompleted: whether somebody had asked for a cancellation.
    pub cancellation: Option<String>,
    pub shipments: BTreeMap<ShipmentId, ShipmentFacts>,
    pub refunds: BTreeMap<RefundId, RefundFacts>,
    pub returns: BTreeMap<ReturnId, ReturnFacts>,
    /// The earlier order, if this one is an exchange.
    pub exchange_for: Option<Uuid>,
    /// By the gateway's ids of them.
    pub disputes: BTreeMap<String, DisputeFacts>,
}

impl Facts {
    /// Takes what another set of facts of the same order says. The order of merging and its repetition change nothing.
    pub fn merge(&mut self, other: &Self) {
        self.seen |= other.seen;
        self.status = self.status.max(other.status);
        self.position = self.position.max(other.position);
        first(&mut self.placed_at, other.placed_at);
        self.changed_at = self.changed_at.max(other.changed_at);
        self.moments.merge(&other.moments);
        most(&mut self.source, &other.source);
        most(&mut self.reference, &other.reference);
        most(&mut self.customer_id, &other.customer_id);
        most(&mut self.currency, &other.currency);
        most(&mut self.total, &other.total);
        most(&mut self.authorized, &other.authorized);
        most(&mut self.captured, &other.captured);
        most(&mut self.refunded, &other.refunded);
        most(&mut self.voided, &other.voided);
        most(&mut self.charged, &other.charged);
        most(&mut self.lines, &other.lines);
        most(&mut self.faults, &other.faults);
        most(&mut self.shipped, &other.shipped);
        most(&mut self.unshipped, &other.unshipped);
        most(&mut self.reason, &other.reason);
        most(&mut self.cancellation, &other.cancellation);
        for (shipment_id, shipment) in &other.shipments {
            self.shipments.entry(*shipment_id).or_default().merge(shipment);
        }
        for (refund_id, refund) in &other.refunds {
            self.refunds.entry(*refund_id).or_default().merge(refund);
        }
        for (return_id, returned) in &other.returns {
            self.returns.entry(*return_id).or_default().merge(returned);
        }
        most(&mut self.exchange_for, &other.exchange_for);
        for (dispute_id, dispute) in &other.disputes {
            self.disputes.entry(dispute_id.clone()).or_default().merge(dispute);
        }
    }

    pub(crate) fn because(&mut self, rank: i16, reason: &events::Reason) {
        let reason = GivenUpReason { rank, code: reason.code.as_str().to_owned(), detail: reason.detail.clone() };
        most(&mut self.reason, &Some(reason));
    }
}

/// `greatest` of the database: none counts least.
fn most<T: Ord + Clone>(mine: &mut Option<T>, theirs: &Option<T>) {
    if *mine < *theirs {
        mine.clone_from(theirs);
    }
}

/// `least` of the database: none does not count.
fn first<T: Ord + Copy>(mine: &mut Option<T>, theirs: Option<T>) {
    *mine = [*mine, theirs].into_iter().flatten().min();
}
