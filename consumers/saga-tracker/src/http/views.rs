//! An order, its shipments and its events as they are shown.

use std::collections::BTreeMap;

use events::{
    Currency, DisputeClosed, Fault, GivenUp, Item, Line, OrderId, PaymentDisputed, RefundId, RefundRequested,
    RefundedLine, ReturnAnnounced, ReturnId, ReturnLine, ReturnReceived, ReturnedLine, ShippedLine, Timestamp,
    UnshippedLine, derive_id,
};
use runtime::Failure;
use runtime::sql::Timestamptz;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::facts::{DisputeFacts, GivenUpReason, Moment, RefundFacts, ReturnFacts, ShipmentFacts};
use crate::status::Status;
use crate::store::{OrderRow, ShipmentRow, StoredEvent, stored};

/// An order, as far as its events were heard. All amounts are in minor units of `currency`.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderView {
    /// Its id.
    order_id: String,
    /// Where it stands: the furthest that any of its events says.
    status: Status,
    /// Which system placed it.
    source: Option<String>,
    /// That system's own id of it.
    reference: Option<String>,
    /// The shop's id of the customer.
    customer_id: Option<String>,
    /// ISO 4217 code.
    currency: Option<String>,
    /// What it would cost in full.
    total: Option<i64>,
    /// What was held at the gateway.
    authorized: Option<i64>,
    /// What was taken.
    captured: Option<i64>,
    /// What was given back because it did not ship.
    refunded: Option<i64>,
    /// What was held and let go.
    voided: Option<i64>,
    /// The value of what shipped; absent until it has ended.
    charged: Option<i64>,
    /// Why it, or a part of it, was given up; absent if nothing was.
    reason: Option<GivenUpReason>,
    /// `none`: nobody asked; `requested`: not answered yet; `done`: nothing shipped; `in_part`, `too_late`: some, or all, had left.
    cancellation: &'static str,
    /// When it was placed, RFC 3339.
    placed_at: Option<String>,
    /// When it ended; absent while it is under way.
    ended_at: Option<String>,
    /// From placed to ended, in milliseconds; absent while it is under way.
    took_ms: Option<i64>,
    /// When the latest event of it happened.
    changed_at: Option<String>,
    /// The latest position heard of it: a write that answered with this position, or a lower one, is seen here.
    position: String,
}

/// One step of an order's way.
#[derive(Serialize, ToSchema)]
struct StepView {
    /// Its name: `accept`, `reserve`, `authorize`, `clear`, `pick`, `capture`, `dispatch`, `commit`, `undo`, `end`; `whole` from placed to
    /// ended, `complete` the same of an order that completed.
    step: &'static str,
    /// When it began.
    began_at: String,
    /// How long it took, in milliseconds.
    took_ms: i64,
}

/// An order with all that is known of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderDetail {
    #[serde(flatten)]
    order: OrderView,
    /// Its lines, as accepted.
    lines: Vec<Line>,
    /// What was wrong with it; empty unless it was rejected.
    faults: Vec<Fault>,
    /// What shipped; empty until it has ended.
    shipped: Vec<ShippedLine>,
    /// What did not ship, with why; empty until it has ended.
    unshipped: Vec<UnshippedLine>,
    /// Its shipments.
    shipments: Vec<ShipmentView>,
    /// Refunds to its customer, beside what its own way gave back.
    refunds: Vec<OrderRefundView>,
    /// Returns of what shipped.
    returns: Vec<OrderReturnView>,
    /// The earlier order, if this one is an exchange for goods of it.
    exchange_for: Option<String>,
    /// Orders that are exchanges for goods of this one, the oldest 100; not shown of an earlier moment (`at`).
    exchanges: Vec<String>,
    /// Disputes of its payment.
    disputes: Vec<OrderDisputeView>,
    /// How long each step of its way took.
    steps: Vec<StepView>,
}

/// A shipment, as fulfillment told of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShipmentView {
    /// Its id.
    shipment_id: String,
    /// The order.
    order_id: String,
    /// Where it stands: `SHORT`, `PACKED`, `CANCELLED`, `DISPATCHED` or `DELIVERED`.
    status: String,
    /// Where it leaves from.
    warehouse: Option<String>,
    /// The units in it.
    items: Vec<Item>,
    /// The units that its warehouse could not give, with why.
    short: Vec<GivenUp>,
    /// When it was said to be short, RFC 3339.
    #[schema(value_type = Option<String>)]
    short_at: Option<Timestamptz>,
    /// When it was packed.
    #[schema(value_type = Option<String>)]
    confirmed_at: Option<Timestamptz>,
    /// When its warehouse handed it over.
    #[schema(value_type = Option<String>)]
    dispatched_at: Option<Timestamptz>,
    /// When the carrier delivered it.
    #[schema(value_type = Option<String>)]
    delivered_at: Option<Timestamptz>,
    /// Who carries it.
    carrier: Option<String>,
    /// The carrier's number of it.
    tracking: Option<String>,
}

impl ShipmentView {
    pub fn of(row: ShipmentRow) -> Result<Self, Failure> {
        let ShipmentFacts { warehouse, short_at, confirmed_at, dispatched_at, delivered_at, carrier, tracking, .. } =
            row.facts;
        Ok(Self {
            shipment_id: row.shipment_id.to_string(),
            order_id: row.order_id.to_string(),
            status: row.status,
            items: list(&row.facts.items, "shipment.items")?,
            short: list(&row.facts.short, "shipment.short")?,
            warehouse,
            short_at,
            confirmed_at,
            dispatched_at,
            delivered_at,
            carrier,
            tracking,
        })
    }
}

/// A refund to the customer, as payments told of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderRefundView {
    /// Its id.
    refund_id: String,
    /// Where it stands: `REQUESTED`, `COMPLETED`, or `FAILED`: refused, or failed after it was done, and not done by a later attempt yet.
    status: &'static str,
    /// What goes back, in minor units.
    amount: Option<i64>,
    /// The units that it is for; empty unless it was asked for by lines.
    lines: Vec<RefundedLine>,
    /// Why.
    reason: Option<String>,
    /// The account that asked.
    requested_by: Option<String>,
    /// When it was asked for, RFC 3339.
    #[schema(value_type = Option<String>)]
    requested_at: Option<Timestamptz>,
    /// When it was given back.
    #[schema(value_type = Option<String>)]
    completed_at: Option<Timestamptz>,
    /// When it was refused last.
    #[schema(value_type = Option<String>)]
    failed_at: Option<Timestamptz>,
    /// What the gateway said then.
    detail: Option<String>,
}

impl OrderRefundView {
    fn of((refund_id, facts): (&RefundId, &RefundFacts)) -> Result<Self, Failure> {
        let status = match facts.completed_at {
            _ if facts.has_failed() => "FAILED",
            Some(_) => "COMPLETED",
            None => "REQUESTED",
        };
        let RefundFacts { amount, request, requested_at, completed_at, failed_at, detail } = facts.clone();
        let request: Option<RefundRequested> = request.map(|text| stored(&text, "refund.request")).transpose()?;
        let (lines, reason, requested_by) = request
            .map_or_else(Default::default, |request| (request.lines, Some(request.reason), Some(request.requested_by)));
        let refund_id = refund_id.to_string();
        Ok(Self {
            refund_id,
            status,
            amount,
            lines,
            reason,
            requested_by,
            requested_at,
            completed_at,
            failed_at,
            detail,
        })
    }
}

/// A return, as fulfillment told of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderReturnView {
    /// Its id.
    return_id: String,
    /// Where it stands: `ANNOUNCED`, `RECEIVED` or `REFUSED`.
    status: &'static str,
    /// What was to come back.
    lines: Vec<ReturnLine>,
    /// What came back, and where it is.
    received: Vec<ReturnedLine>,
    /// Whether what comes back is refunded.
    refund: Option<bool>,
    /// Its refund, which is among `refunds`; absent until it is asked for, or if nothing was left.
    refund_id: Option<String>,
    /// What that gives back, in minor units.
    amount: Option<i64>,
    /// Why.
    reason: Option<String>,
    /// The account that announced it.
    requested_by: Option<String>,
    /// When it was announced, RFC 3339.
    #[schema(value_type = Option<String>)]
    announced_at: Option<Timestamptz>,
    /// When it was received.
    #[schema(value_type = Option<String>)]
    received_at: Option<Timestamptz>,
    /// When its units were in stock again.
    #[schema(value_type = Option<String>)]
    stocked_at: Option<Timestamptz>,
    /// When it was refused.
    #[schema(value_type = Option<String>)]
    refused_at: Option<Timestamptz>,
    /// Why it was refused.
    refused: Option<String>,
}

impl OrderReturnView {
    fn of(
        order_id: OrderId,
        (return_id, facts): (&ReturnId, &ReturnFacts),
        refunds: &BTreeMap<RefundId, RefundFacts>,
    ) -> Result<Self, Failure> {
        let facts = facts.clone();
        let announced = facts.announced.map(|text| stored::<ReturnAnnounced>(&text, "customer_return.announced"));
        let received = facts.received.map(|text| stored::<ReturnReceived>(&text, "customer_return.received"));
        let (announced, received) = (announced.transpose()?, received.transpose()?);
        let status = match (&received, &facts.refused_at) {
            (Some(_), _) => "RECEIVED",
            (None, Some(_)) => "REFUSED",
            (None, None) => "ANNOUNCED",
        };
        let of_return = RefundId(derive_id(order_id, "fulfillment", "return", &return_id.to_string()));
        let refund = refunds.get(&of_return);
        Ok(Self {
            return_id: return_id.to_string(),
            status,
            refund: announced.as_ref().map(|event| event.refund),
            refund_id: refund.map(|_| of_return.to_string()),
            amount: refund.and_then(|refund| refund.amount),
            reason: announced.as_ref().map(|event| event.reason.clone()),
            requested_by: announced.as_ref().map(|event| event.requested_by.clone()),
            lines: announced.map_or_else(Vec::new, |event| event.lines),
            received: received.map_or_else(Vec::new, |event| event.lines),
            announced_at: facts.announced_at,
            received_at: facts.received_at,
            stocked_at: facts.stocked_at,
            refused_at: facts.refused_at,
            refused: facts.refused,
        })
    }
}

/// A dispute of the payment, as payments told of it last.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderDisputeView {
    /// The gateway's id of it.
    dispute_id: String,
    /// Where it stands: `inquiry`, `needs_response`, `under_review`; `won`, `lost` or `closed`.
    status: String,
    /// Where the claimed money is: `untouched`, `withdrawn` or `reinstated`.
    funds: String,
    /// What is claimed, in minor units.
    amount: i64,
    /// The bank's reason.
    reason: String,
    /// Until when evidence is taken, RFC 3339.
    evidence_due_by: Option<String>,
    /// When it was first told of.
    #[schema(value_type = Option<String>)]
    opened_at: Option<Timestamptz>,
    /// When it changed last.
    #[schema(value_type = Option<String>)]
    changed_at: Option<Timestamptz>,
}

impl OrderDisputeView {
    fn of((dispute_id, facts): (&String, &DisputeFacts)) -> Result<Self, Failure> {
        let told = ToldDispute::of(facts.closed, &facts.told)?;
        Ok(Self {
            dispute_id: dispute_id.clone(),
            status: told.status,
            funds: told.funds,
            amount: told.amount,
            reason: told.reason,
            evidence_due_by: told.evidence_due_by.map(|at| at.to_string()),
            opened_at: facts.opened_at,
            changed_at: facts.changed_at,
        })
    }
}

/// What the latest event of a dispute says.
pub(crate) struct ToldDispute {
    pub status: String,
    pub funds: String,
    pub amount: i64,
    pub currency: Currency,
    pub reason: String,
    pub evidence_due_by: Option<Timestamp>,
}

impl ToldDispute {
    pub fn of(closed: bool, told: &str) -> Result<Self, Failure> {
        if closed {
            let DisputeClosed { outcome, funds, amount, currency, reason, .. } = stored(told, "dispute.told")?;
            let status = outcome.as_str().to_owned();
            return Ok(Self { status, funds, amount, currency, reason, evidence_due_by: None });
        }
        let PaymentDisputed { status, funds, amount, currency, reason, evidence_due_by, .. } =
            stored(told, "dispute.told")?;
        Ok(Self { status, funds, amount, currency, reason, evidence_due_by })
    }
}

fn list<T: DeserializeOwned>(text: &Option<String>, what: &'static str) -> Result<Vec<T>, Failure> {
    text.as_deref().map_or(Ok(Vec::new()), |text| stored(text, what))
}

/// An event of an order.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its id (`ce_id`).
    event_id: String,
    /// Its type (`ce_type`).
    event_type: String,
    /// When it happened, RFC 3339.
    at: String,
    /// Milliseconds since the event before it; absent for the first.
    since_previous_ms: Option<i64>,
    /// Its place in the outbox (`ce_sequence`).
    position: Option<String>,
    /// Where it was read from.
    topic: String,
    /// Where it was read from.
    partition: i32,
    /// Where it was read from.
    offset: i64,
    /// The event, timer, answer or request that it was said because of.
    causation_id: Option<String>,
    /// What everything that happens to the order is found again by.
    correlation_id: String,
    /// W3C trace context.
    traceparent: Option<String>,
    /// The event, without personal data.
    data: serde_json::Value,
}

fn shown(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

fn millis(from: Timestamp, until: Timestamp) -> i64 {
    i64::try_from(until.since(from).as_millis()).unwrap_or(i64::MAX)
}

/// A position, as routes that write answer with it.
fn position(seq: i64) -> String {
    format!("{seq:020}")
}

impl OrderView {
    pub fn of(row: &OrderRow) -> Self {
        let facts = &row.facts;
        let ended_at = facts.moments.at(Moment::Ended);
        Self {
            order_id: row.order_id.to_string(),
            status: facts.status,
            source: facts.source.clone(),
            reference: facts.reference.clone(),
            customer_id: facts.customer_id.clone(),
            currency: facts.currency.clone(),
            total: facts.total,
            authorized: facts.authorized,
            captured: facts.captured,
            refunded: facts.refunded,
            voided: facts.voided,
            charged: facts.charged,
            reason: facts.reason.clone(),
            cancellation: cancellation(row),
            placed_at: shown(facts.placed_at),
            ended_at: shown(ended_at),
            took_ms: facts.placed_at.zip(ended_at).map(|(placed, ended)| millis(placed, ended)),
            changed_at: shown(facts.changed_at),
            position: position(facts.position),
        }
    }
}

fn cancellation(row: &OrderRow) -> &'static str {
    let asked = row.facts.moments.at(Moment::CancelAsked).is_some();
    match (row.facts.status, row.facts.cancellation.as_deref()) {
        (_, Some("in_part")) => "in_part",
        (_, Some("too_late")) => "too_late",
        (Status::Cancelled, _) => "done",
        (status, _) if asked && !status.is_end() => "requested",
        _ => "none",
    }
}

/// What is known of an order beside its saga.
pub(crate) struct BesideSaga<'f> {
    pub refunds: &'f BTreeMap<RefundId, RefundFacts>,
    pub returns: &'f BTreeMap<ReturnId, ReturnFacts>,
    pub disputes: &'f BTreeMap<String, DisputeFacts>,
    /// Orders that are exchanges for goods of this one.
    pub exchanges: &'f [Uuid],
}

impl OrderDetail {
    pub fn of(row: &OrderRow, shipments: Vec<ShipmentRow>, beside: BesideSaga<'_>) -> Result<Self, Failure> {
        let BesideSaga { refunds, returns, disputes, exchanges } = beside;
        let step = |(step, began, ended): (&'static str, Timestamp, Timestamp)| StepView {
            step,
            began_at: began.to_string(),
            took_ms: millis(began, ended),
        };
        Ok(Self {
            order: OrderView::of(row),
            lines: list(&row.facts.lines, "order.lines")?,
            faults: list(&row.facts.faults, "order.faults")?,
            shipped: list(&row.facts.shipped, "order.shipped")?,
            unshipped: list(&row.facts.unshipped, "order.unshipped")?,
            shipments: shipments.into_iter().map(ShipmentView::of).collect::<Result<_, _>>()?,
            refunds: refunds.iter().map(OrderRefundView::of).collect::<Result<_, _>>()?,
            returns: returns
                .iter()
                .map(|returned| OrderReturnView::of(row.order_id, returned, refunds))
                .collect::<Result<_, _>>()?,
            exchange_for: row.facts.exchange_for.map(|id| id.to_string()),
            exchanges: exchanges.iter().map(Uuid::to_string).collect(),
            disputes: disputes.iter().map(OrderDisputeView::of).collect::<Result<_, _>>()?,
            steps: row.facts.steps().map(step).collect(),
        })
    }
}

impl EventView {
    pub fn of(event: StoredEvent, before: Option<Timestamp>) -> Result<Self, Failure> {
        Ok(Self {
            event_id: event.event_id.to_string(),
            event_type: event.event_type,
            at: event.at.0.to_string(),
            since_previous_ms: before.map(|before| millis(before, event.at.0)),
            position: event.seq.map(position),
            topic: event.topic,
            partition: event.partition,
            offset: event.offset,
            causation_id: event.causation.map(|id| id.to_string()),
            correlation_id: event.correlation,
            traceparent: event.traceparent,
            data: stored(&event.data, "event.data")?,
        })
    }
}
