//! Orders and evidence for the judge's tests, and every path of the protocol.

use std::collections::HashMap;

use events::{OrderId, Timestamp, entry_of};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::*;

/// When the order was placed.
pub(super) const BEGAN: i64 = 1_790_000_000_000;
pub(super) const DATABASE: &str = "shop";

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(BEGAN + seconds * 1_000)
}

/// An event of this name, or `Name{closed}`, or `Name#1` of a shipment; the n-th stands at offset n.
pub(super) fn happened(name: &str, number: i64, seconds: i64) -> Happened {
    let closed = name.contains("{closed}");
    let name = name.trim_end_matches("{closed}");
    let (name, shipment) = name.split_once('#').map_or((name, None), |(name, shipment)| (name, Some(shipment)));
    let entry = entry_of(name).unwrap_or_else(|| panic!("no event {name}"));
    let data = json!({
        "closed": if closed { json!({}) } else { Value::Null },
        "shipment_id": shipment,
        "dispute_id": "du_1",
        "expires_at": BEGAN + 900_000,
        "deadline": BEGAN + 86_400_000,
    });
    Happened {
        event_id: Uuid::from_u128(number as u128 + 1),
        event_type: entry.event_type,
        topic: entry.topic,
        partition: 0,
        offset: number,
        at: at(seconds),
        data,
    }
}

pub(super) fn order(events: Vec<Happened>) -> OpenOrder {
    OpenOrder {
        order_id: OrderId(Uuid::from_u128(7)),
        shard: 0,
        placed_at: at(0),
        events,
        parked: Vec::new(),
        moved_until: None,
        rounds: 0,
        reported: Vec::new(),
    }
}

/// One event a second.
pub(super) fn order_of(names: &[&str]) -> OpenOrder {
    order(names.iter().zip(0..).map(|(name, number)| happened(name, number, number)).collect())
}

/// Everyone passed everything at this moment, and everything said until that one is published and read.
pub(super) fn evidence(passed: i64, folded: i64) -> Evidence {
    let mut evidence = Evidence::default();
    for (consumer, topics) in &RULES.subscribes_to {
        evidence.databases.insert(consumer, DATABASE.to_owned());
        for topic in topics {
            evidence.pace.see(consumer, (topic, 0), Sample { at: at(passed), committed: 1_000 });
        }
    }
    evidence.folded = all_shards(folded);
    evidence
}

pub(super) fn all_shards(folded: i64) -> HashMap<Shard, Timestamp> {
    (0..8).map(|shard| ((DATABASE.to_owned(), shard), at(folded))).collect()
}

/// The paths of docs/protocol.md, section 3, and the happy one, each to its end.
pub(super) const PATHS: [&[&str]; 16] = [
    &["OrderRejected"],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#1",
        "StockCommitted#1{closed}",
        "OrderCompleted",
    ],
    &["OrderAccepted", "StockRejected", "OrderFailed"],
    &["OrderAccepted", "StockReserved", "PaymentDeclined", "StockReleased{closed}", "OrderFailed"],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentActionRequired",
        "ReservationExpired",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "ReservationExpired",
        "PaymentAuthorized",
        "FraudRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudReviewRequested",
        "FraudRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudReviewRequested",
        "FraudCleared",
        "FulfillmentRejected",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentShortPicked#1",
        "StockReallocated#1",
        "FulfillmentShortPicked#2",
        "StockReallocated#2",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#3",
        "StockCommitted#3{closed}",
        "OrderCompleted",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptureFailed",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderFailed",
    ],
    &[
        "OrderAccepted",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentDeclined",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentVoided",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "OrderCancellationRequested",
        "FulfillmentCancelled",
        "PaymentCaptured",
        "PaymentRefunded",
        "StockReleased{closed}",
        "OrderCancelled",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "ShipmentDispatched#1",
        "FulfillmentCancelled",
        "StockCommitted#1",
        "PaymentRefundFailed",
        "PaymentRefunded",
        "StockReleased{closed}",
        "OrderCompleted",
    ],
    &[
        "OrderAccepted",
        "StockReserved",
        "PaymentAuthorized",
        "FraudCleared",
        "FulfillmentConfirmed",
        "PaymentCaptured",
        "OrderCancellationRequested",
        "ShipmentDispatched#1",
        "StockCommitted#1{closed}",
        "OrderCompleted",
    ],
];
