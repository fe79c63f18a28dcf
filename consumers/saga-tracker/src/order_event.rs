//! What each event tells of its order: the one table to extend when an event is added.

use events::{
    AuthorizationExpiring, DisputeClosed, Event, FraudCleared, FraudRejected, FraudReviewRequested,
    FraudWarningReceived, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked,
    NotificationFailed, NotificationRecorded, NotificationSent, OrderAccepted, OrderCancellationRequested,
    OrderCancelled, OrderCompleted, OrderFailed, OrderId, OrderParked, OrderRejected, OrderStuck, OrderUnparked,
    PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentChangedOutside,
    PaymentDeclined, PaymentDisputed, PaymentRefundFailed, PaymentRefunded, PaymentVoided, Personal, Reason,
    RefundCompleted, RefundFailed, RefundRequested, ReservationExpired, ReturnAnnounced, ReturnReceived, ReturnRefused,
    ShipmentDelivered, ShipmentDispatched, ShippedLine, StockCommitted, StockReallocated, StockRejected, StockReleased,
    StockReserved, StockReturned, Timestamp, UnshippedLine,
};
use runtime::sql::{Timestamptz, in_range};
use serde::Serialize;

use crate::facts::{DisputeFacts, Facts, Moment, ShipmentFacts};
use crate::status::Status;

/// An event of an order, as the tracker folds it.
pub(crate) trait FoldedEvent: Event {
    /// Its bit in `seen`. Stored: never give one away again.
    const BIT: u32;
    const STATUS: Option<Status>;
    const MOMENTS: &'static [Moment];

    /// Whether it carries personal data, which is not in its stored JSON.
    const SEALED: bool;

    fn order_id(&self) -> OrderId;

    fn take_personal(&mut self) -> Option<Personal> {
        None
    }

    /// What else it tells; `at` is when it happened.
    fn add_to(&self, facts: &mut Facts, at: Timestamp);
}

pub(crate) trait WithOrderEvent {
    type Output;

    fn with<E: FoldedEvent>(self) -> Self::Output;
}

/// The bits in `seen` of these types.
pub(crate) fn mask(types: &[&str]) -> i64 {
    BITS.iter().filter(|(event_type, _)| types.contains(event_type)).fold(0, |mask, (_, bit)| mask | 1 << bit)
}

/// One line for each event: its bit, the status and the moments that it marks, where its personal data stands, and what else it tells.
macro_rules! order_events {
    ($($bit:literal $event:ident $($status:ident)? [$($moment:ident)*] $(@sealed $take:expr,)? $add:expr;)*) => {
        $(
            impl FoldedEvent for $event {
                const BIT: u32 = $bit;
                const STATUS: Option<Status> = [$(Some(Status::$status),)? None][0];
                const MOMENTS: &'static [Moment] = &[$(Moment::$moment),*];
                const SEALED: bool = [$(!stringify!($take).is_empty(),)? false][0];

                fn order_id(&self) -> OrderId {
                    self.order_id
                }

                $(fn take_personal(&mut self) -> Option<Personal> {
                    let take: fn(&mut Self) -> Option<Personal> = $take;
                    take(self)
                })?

                fn add_to(&self, facts: &mut Facts, at: Timestamp) {
                    let add: fn(&Self, &mut Facts, Timestamp) = $add;
                    add(self, facts, at);
                }
            }
        )*

        /// Does this with the type of an event; none: it is no event of an order that this version knows.
        pub(crate) fn with_order_event<W: WithOrderEvent>(event_type: &str, what: W) -> Option<W::Output> {
            match event_type {
                $($event::TYPE => Some(what.with::<$event>()),)*
                _ => None,
            }
        }

        /// The bit of each event of an order in `seen`.
        const BITS: &[(&str, u32)] = &[$(($event::TYPE, $bit)),*];
    };
}

order_events! {
    0 OrderAccepted Accepted [Accepted] @sealed |event| Some(take(&mut event.personal)), |event, facts, _| {
        placed(facts, &event.source, &event.reference, Some(event.customer_id.as_str()));
        (facts.currency, facts.total) = (Some(event.currency.to_string()), Some(event.total));
        facts.lines = json(&event.lines);
        facts.exchange_for = event.exchange_for.map(OrderId::as_uuid);
    };
    1 OrderRejected Rejected [Ended] @sealed |event| event.personal.take(), |event, facts, _| {
        placed(facts, &event.source, &event.reference, event.customer_id.as_ref().map(|id| id.as_str()));
        facts.faults = json(&event.faults);
    };
    2 OrderCancellationRequested Cancelling [CancelAsked Undo] |event, facts, _| facts.because(5, &event.reason);
    3 OrderCompleted Completed [Ended] |event, facts, _| {
        facts.cancellation = Some(event.cancellation.to_string());
        ended(facts, event.charged, &event.shipped, &event.unshipped, event.reason.as_ref());
    };
    4 OrderCancelled Cancelled [Ended] |event, facts, _| {
        ended(facts, event.charged, &event.shipped, &event.unshipped, Some(&event.reason));
    };
    5 OrderFailed Failed [Ended] |event, facts, _| {
        ended(facts, event.charged, &event.shipped, &event.unshipped, Some(&event.reason));
    };

    6 StockReserved Reserved [Reserved] @sealed |event| Some(take(&mut event.personal)), |_, _, _| {};
    7 StockRejected Failing [Closed] |event, facts, _| facts.because(10, &event.reason);
    8 ReservationExpired [] |_, _, _| {};
    9 StockReallocated [] |_, _, _| {};
    10 StockCommitted Shipping [Committed] |event, facts, at| {
        if event.closed.is_some() {
            facts.moments.tell(Moment::Closed, at);
        }
    };
    11 StockReleased [] |event, facts, at| {
        if event.closed.is_some() {
            facts.moments.tell(Moment::Closed, at);
        }
        facts.because(50, &event.reason);
    };

    12 PaymentActionRequired ActionRequired [] |_, _, _| {};
    13 PaymentAuthorized Authorized [Authorized] @sealed |event| Some(take(&mut event.personal)), |event, facts, _| {
        facts.authorized = Some(event.amount);
    };
    14 PaymentDeclined Failing [Undo] |event, facts, _| facts.because(20, &event.reason);
    15 PaymentCaptured Captured [Captured] |event, facts, _| facts.captured = Some(event.amount);
    16 PaymentCaptureFailed Failing [Undo] |event, facts, _| facts.because(20, &event.reason);
    17 PaymentVoided Failing [Undo] |event, facts, _| {
        facts.voided = Some(event.amount);
        facts.because(40, &event.reason);
    };
    // Fulfillment cancels at most once, so there is at most one refund of an order.
    18 PaymentRefunded [Undo] |event, facts, _| {
        facts.refunded = Some(event.amount);
        facts.because(40, &event.reason);
    };
    19 PaymentRefundFailed [] |event, facts, _| facts.because(45, &event.reason);
    20 AuthorizationExpiring [] |_, _, _| {};

    21 FraudCleared Cleared [Cleared] @sealed |event| Some(take(&mut event.personal)), |_, _, _| {};
    22 FraudRejected Failing [Undo] |event, facts, _| facts.because(20, &event.reason);
    23 FraudReviewRequested InReview [Review] |_, _, _| {};

    24 FulfillmentShortPicked [] |event, facts, at| {
        let shipment = facts.shipments.entry(event.shipment_id).or_default();
        shipment.warehouse = Some(event.warehouse.to_string());
        (shipment.short, shipment.short_at) = (json(&event.short), Some(Timestamptz(at)));
    };
    25 FulfillmentConfirmed Confirmed [Confirmed] |event, facts, at| {
        facts.shipments.extend(event.shipments.iter().map(|of| {
            let warehouse = Some(of.warehouse.to_string());
            (of.shipment_id, ShipmentFacts { warehouse, items: json(&of.items), confirmed_at: Some(Timestamptz(at)), ..ShipmentFacts::default() })
        }));
    };
    26 FulfillmentRejected Failing [Undo] |event, facts, _| facts.because(20, &event.reason);
    27 FulfillmentCancelled Failing [LetGo Undo] |event, facts, _| facts.because(30, &event.reason);
    28 ShipmentDispatched Shipping [Dispatched] |event, facts, _| {
        let shipment = facts.shipments.entry(event.shipment_id).or_default();
        (shipment.warehouse, shipment.items) = (Some(event.warehouse.to_string()), json(&event.items));
        (shipment.carrier, shipment.tracking) = (Some(event.carrier.clone()), event.tracking.clone());
        shipment.dispatched_at = Some(Timestamptz(in_range(event.dispatched_at)));
    };
    29 ShipmentDelivered [] |event, facts, _| {
        let shipment = facts.shipments.entry(event.shipment_id).or_default();
        shipment.delivered_at = Some(Timestamptz(in_range(event.delivered_at)));
    };

    30 NotificationSent [] |_, _, _| {};
    31 NotificationFailed [] |_, _, _| {};
    32 OrderParked [] |_, _, _| {};
    33 OrderUnparked [] |_, _, _| {};
    34 OrderStuck [] |_, _, _| {};
    35 NotificationRecorded [] |_, _, _| {};

    // Refunds to customers: beside the saga, so no status, no moment, no reason of the order.
    36 RefundRequested [] |event, facts, at| {
        let refund = facts.refunds.entry(event.refund_id).or_default();
        (refund.amount, refund.request, refund.requested_at) = (Some(event.amount), serde_json::to_string(event).ok(), Some(Timestamptz(at)));
    };
    37 RefundCompleted [] |event, facts, at| {
        let refund = facts.refunds.entry(event.refund_id).or_default();
        (refund.amount, refund.completed_at) = (Some(event.amount), Some(Timestamptz(at)));
    };
    38 RefundFailed [] |event, facts, at| {
        let refund = facts.refunds.entry(event.refund_id).or_default();
        (refund.amount, refund.failed_at, refund.detail) = (Some(event.amount), Some(Timestamptz(at)), Some(event.detail.clone()));
    };

    // Returns: beside the saga as well.
    50 ReturnAnnounced [] |event, facts, at| {
        let returned = facts.returns.entry(event.return_id).or_default();
        (returned.announced, returned.announced_at) = (json(event), Some(Timestamptz(at)));
    };
    51 ReturnReceived [] |event, facts, at| {
        let returned = facts.returns.entry(event.return_id).or_default();
        (returned.received, returned.received_at) = (json(event), Some(Timestamptz(at)));
    };
    52 ReturnRefused [] |event, facts, at| {
        let returned = facts.returns.entry(event.return_id).or_default();
        (returned.refused, returned.refused_at) = (Some(event.reason.clone()), Some(Timestamptz(at)));
    };
    53 StockReturned [] |event, facts, at| {
        facts.returns.entry(event.return_id).or_default().stocked_at = Some(Timestamptz(at));
    };
    // What happens at the gateway without the pipeline: beside the saga too.
    45 PaymentDisputed [] |event, facts, at| disputed(facts, &event.dispute_id, false, event, at);
    46 DisputeClosed [] |event, facts, at| disputed(facts, &event.dispute_id, true, event, at);
    47 FraudWarningReceived [] |_, _, _| {};
    48 PaymentChangedOutside [] |_, _, _| {};
}

/// An event from its stored JSON, its personal data empty.
pub(crate) fn stored<E: FoldedEvent>(data: &str) -> serde_json::Result<E> {
    match data.strip_prefix('{') {
        Some(fields) if E::SEALED => {
            serde_json::from_str(&format!(r#"{{"personal":{{"key_id":"","data":[]}},{fields}"#))
        }
        Some(_) | None => serde_json::from_str(data),
    }
}

fn take(personal: &mut Personal) -> Personal {
    std::mem::replace(personal, Personal { key_id: String::new(), data: Vec::new() })
}

fn placed(facts: &mut Facts, source: &str, reference: &str, customer_id: Option<&str>) {
    facts.source = Some(source.to_owned());
    facts.reference = Some(reference.to_owned());
    facts.customer_id = customer_id.map(ToOwned::to_owned);
}

fn disputed(facts: &mut Facts, dispute_id: &str, closed: bool, event: &impl Serialize, at: Timestamp) {
    let (at, told) = (Some(Timestamptz(at)), json(event).unwrap_or_default());
    let told = DisputeFacts { opened_at: at, changed_at: at, closed, told };
    facts.disputes.entry(dispute_id.to_owned()).or_default().merge(&told);
}

fn ended(
    facts: &mut Facts,
    charged: i64,
    shipped: &[ShippedLine],
    unshipped: &[UnshippedLine],
    reason: Option<&Reason>,
) {
    facts.charged = Some(charged);
    (facts.shipped, facts.unshipped) = (json(&shipped), json(&unshipped));
    if let Some(reason) = reason {
        facts.because(100, reason);
    }
}

fn json(parts: &impl Serialize) -> Option<String> {
    serde_json::to_string(parts).ok() // structs of text and numbers: it can't fail
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use events::{DeadLetterResolved, OrderPlaced, RelayAdvanced, StockLevelChanged};

    use super::*;

    #[test]
    fn every_event_of_an_order_has_a_bit_of_its_own() {
        let names: BTreeSet<&str> = BITS.iter().map(|(name, _)| *name).collect();
        let of_no_order = [OrderPlaced::TYPE, StockLevelChanged::TYPE, RelayAdvanced::TYPE, DeadLetterResolved::TYPE];
        let expected = events::catalogue().iter().map(|entry| entry.event_type).filter(|of| !of_no_order.contains(of));
        assert_eq!(names, expected.collect());
        let bits: BTreeSet<u32> = BITS.iter().map(|(_, bit)| *bit).collect();
        assert_eq!(bits.len(), BITS.len());
        assert!(bits.iter().all(|bit| *bit < 63), "seen is a bigint");
    }
}
