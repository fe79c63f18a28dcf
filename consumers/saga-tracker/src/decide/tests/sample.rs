//! One event of each type, as it comes from Kafka.

use std::sync::LazyLock;

use events::{Event, OrderId};
use runtime::{Codec, Consumer as _, Headers, Message, Work};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::SagaTracker;
use crate::input::Input;

static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::of_catalogue().unwrap());

/// When the orders were placed, in milliseconds.
pub const BEGAN: i64 = 1_790_000_000_000;

/// An event's name, and its fields but for the order's id.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: &'static str,
    pub value: Value,
}

/// The order of this number: a UUIDv7 of the time `BEGAN`.
pub fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128((BEGAN as u128) << 80 | 7 << 76 | 2 << 62 | number))
}

/// The key of its records.
pub fn own_key(number: u128) -> Vec<u8> {
    order(number).to_string().into_bytes()
}

/// A record without headers.
pub fn message(topic: &'static str, key: Vec<u8>, payload: Option<Vec<u8>>) -> Message {
    let headers = Headers::default();
    Message { topic, partition: 0, offset: 7, timestamp_ms: Some(BEGAN), key: Some(key), headers, payload }
}

fn encoded<E: Event + DeserializeOwned>(value: &Value, codec: &Codec) -> Vec<u8> {
    let event: E = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{}: {error}", E::NAME));
    codec.encode(&event).unwrap()
}

macro_rules! encode {
    ($name:expr, $value:expr, $codec:expr, $($event:ident)*) => {
        match $name {
            $(events::$event::NAME => encoded::<events::$event>($value, $codec),)*
            other => panic!("no such sample: {other}"),
        }
    };
}

fn payload(sample: &Sample, order_id: OrderId, codec: &Codec) -> Vec<u8> {
    let mut value = sample.value.clone();
    value["order_id"] = order_id.to_string().into();
    encode!(sample.name, &value, codec,
        OrderAccepted OrderRejected OrderCancellationRequested OrderCompleted OrderCancelled OrderFailed
        StockReserved StockRejected ReservationExpired StockReallocated StockCommitted StockReleased StockLevelChanged
        PaymentActionRequired PaymentAuthorized PaymentDeclined PaymentCaptured PaymentCaptureFailed PaymentVoided
        PaymentRefunded PaymentRefundFailed AuthorizationExpiring RefundRequested RefundCompleted RefundFailed
        ReturnAnnounced ReturnReceived ReturnRefused StockReturned
        PaymentDisputed DisputeClosed FraudWarningReceived PaymentChangedOutside FraudCleared FraudRejected FraudReviewRequested
        FulfillmentShortPicked FulfillmentConfirmed FulfillmentRejected FulfillmentCancelled ShipmentDispatched
        ShipmentDelivered NotificationSent NotificationRecorded NotificationFailed OrderParked OrderUnparked RelayAdvanced DeadLetterResolved
        OrderStuck)
}

/// The sample as it is heard, as an event of this order at this place in the outbox.
pub fn work(sample: &Sample, number: u128, seq: i64) -> Work<Input> {
    SagaTracker::default().decode(&record(sample, number, seq), &CODEC).unwrap()
}

/// The sample as a record.
pub fn record(sample: &Sample, number: u128, seq: i64) -> Message {
    let entry = events::entry_of(sample.name).unwrap();
    let mut message = message(entry.topic, own_key(number), Some(payload(sample, order(number), &CODEC)));
    message.offset = seq;
    for (name, value) in [
        ("ce_id", Uuid::from_u128(number << 64 | seq as u128).to_string()),
        ("ce_type", entry.event_type.to_owned()),
        ("ce_time", events::Timestamp::from_millis(BEGAN + seq).to_string()),
        ("ce_sequence", format!("{seq:020}")),
        ("ce_correlationid", order(number).to_string()),
    ] {
        message.headers.push(name, &value);
    }
    message
}

/// One event of each type.
pub fn samples() -> Vec<Sample> {
    let id = Uuid::from_u128(9).to_string();
    let reason = |code: &str| json!({"code": code, "detail": format!("because of {code}")});
    let personal = json!({"key_id": "", "data": [1, 2, 3]});
    let lines = json!([{"line_id": "1", "sku": "TEA", "quantity": 2, "unit_price": 500, "amount": 1000}]);
    let items = json!([{"allocation_id": id, "line_id": "1", "sku": "TEA", "quantity": 2}]);
    let gone = json!([{"allocation_id": id, "line_id": "1", "sku": "TEA", "quantity": 2, "condition": "gone", "why": "short"}]);
    let closed = json!({"shipped": [], "unshipped": [], "reason": reason("closed")});
    let end = |more: Value| {
        let mut end = json!({"source": "shop", "reference": "r-1", "customer_id": "c-1", "currency": "EUR", "total": 1000,
            "charged": 900, "shipped": [{"line_id": "1", "sku": "TEA", "quantity": 2}], "unshipped": [], "reason": reason("terminal")});
        end.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        end
    };
    let money = |more: Value| {
        let mut money = json!({"amount": 1000, "currency": "EUR"});
        money.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        money
    };
    let told = [
        (
            "OrderAccepted",
            json!({"source": "shop", "reference": "r-1", "customer_id": "c-1", "currency": "EUR", "lines": lines,
            "subtotal": 1000, "shipping": 0, "discount": 0, "tax": 0, "total": 1000, "payment_method": "tok", "ship_to_country": "DE",
            "personal": personal}),
        ),
        (
            "OrderRejected",
            json!({"source": "shop", "reference": "r-1", "customer_id": null, "personal": null,
            "faults": [{"field": "/lines", "code": "required", "detail": "no lines"}]}),
        ),
        ("OrderCancellationRequested", json!({"requested_by": "customer", "reason": reason("cancelled")})),
        ("OrderCompleted", end(json!({"cancellation": "too_late"}))),
        ("OrderCancelled", end(json!({}))),
        ("OrderFailed", end(json!({}))),
        (
            "StockReserved",
            json!({"customer_id": "c-1", "currency": "EUR", "total": 1000, "lines": lines, "plan": [],
            "payment_method": "tok", "personal": personal, "expires_at": BEGAN}),
        ),
        ("StockRejected", json!({"lines": [], "reason": reason("out_of_stock")})),
        ("ReservationExpired", json!({"expired_at": BEGAN})),
        ("StockReallocated", json!({"shipment_id": id, "moved": [], "missing": gone})),
        ("StockCommitted", json!({"shipment_id": id, "warehouse": "w1", "items": items, "closed": closed})),
        ("StockReleased", json!({"items": gone, "reason": reason("declined"), "closed": closed})),
        (
            "StockLevelChanged",
            json!({"sku": "TEA", "warehouse": "w1", "version": 3, "on_hand": 5, "reserved": 2, "missing": 0,
            "available": 3}),
        ),
        ("PaymentActionRequired", money(json!({"action": "three_d_secure", "url": null, "expires_at": BEGAN}))),
        (
            "PaymentAuthorized",
            money(json!({"customer_id": "c-1", "gateway": "sandbox", "payment_id": "p", "capture_before": BEGAN,
            "lines": lines, "plan": [], "card": null, "personal": personal})),
        ),
        ("PaymentDeclined", money(json!({"reason": reason("declined")}))),
        ("PaymentCaptured", money(json!({"amount": 900, "remainder": 100, "items": items}))),
        ("PaymentCaptureFailed", money(json!({"reason": reason("capture_failed")}))),
        ("PaymentVoided", money(json!({"announced": true, "given_up": [], "reason": reason("cancelled")}))),
        ("PaymentRefunded", money(json!({"items": gone, "reason": reason("cancelled")}))),
        ("PaymentRefundFailed", money(json!({"reason": reason("cancelled")}))),
        ("AuthorizationExpiring", money(json!({"capture_before": BEGAN}))),
        (
            "RefundRequested",
            money(json!({"refund_id": id, "lines": [], "asked": "all", "reason": "late", "requested_by": "eve"})),
        ),
        ("RefundCompleted", money(json!({"refund_id": id, "lines": [], "refunded": 1000}))),
        ("RefundFailed", money(json!({"refund_id": id, "detail": "closed account"}))),
        (
            "ReturnAnnounced",
            json!({"return_id": id, "lines": [{"line_id": "1", "sku": "TEA", "quantity": 1, "warehouse": "w1"}], "refund": true, "reason": "late",
            "requested_by": "eve"}),
        ),
        (
            "ReturnReceived",
            json!({"return_id": id, "lines": [{"line_id": "1", "sku": "TEA", "intact": 1, "damaged": 0, "warehouse": "w1"}], "refund": true,
            "reason": "late", "received_by": "eve"}),
        ),
        ("ReturnRefused", json!({"return_id": id, "reason": "worn", "refused_by": "eve"})),
        (
            "StockReturned",
            json!({"return_id": id, "lines": [{"line_id": "1", "sku": "TEA", "intact": 1, "damaged": 0, "warehouse": "w1"}]}),
        ),
        (
            "PaymentDisputed",
            money(json!({"payment_id": "p", "dispute_id": "du_1", "status": "needs_response", "funds": "withdrawn",
            "disputed": 1000, "reason": "fraudulent", "evidence_due_by": BEGAN})),
        ),
        (
            "DisputeClosed",
            money(json!({"payment_id": "p", "dispute_id": "du_1", "outcome": "won", "funds": "reinstated",
            "disputed": 0, "reason": "fraudulent"})),
        ),
        (
            "FraudWarningReceived",
            json!({"payment_id": "p", "warning_id": "issfr_1", "reason": "made_with_stolen_card", "actionable": true}),
        ),
        ("PaymentChangedOutside", money(json!({"payment_id": "p", "change": "captured", "detail": "by hand"}))),
        (
            "FraudCleared",
            json!({"customer_id": "c-1", "currency": "EUR", "lines": lines, "plan": [], "personal": personal,
            "capture_before": BEGAN, "score": 0, "rules": [], "decided_by": "rules"}),
        ),
        (
            "FraudRejected",
            json!({"reason": reason("fraud_rejected"), "score": 200, "rules": [], "decided_by": "rules"}),
        ),
        ("FraudReviewRequested", json!({"score": 70, "rules": [], "deadline": BEGAN})),
        ("FulfillmentShortPicked", json!({"shipment_id": id, "warehouse": "w1", "short": gone, "tried": ["w1"]})),
        ("FulfillmentConfirmed", json!({"shipments": [{"shipment_id": id, "warehouse": "w1", "items": items}]})),
        ("FulfillmentRejected", json!({"reason": reason("nothing_to_ship")})),
        ("FulfillmentCancelled", json!({"items": gone, "reason": reason("cancelled")})),
        (
            "ShipmentDispatched",
            json!({"shipment_id": id, "warehouse": "w1", "items": items, "carrier": "carrier", "tracking": "t",
            "dispatched_at": BEGAN}),
        ),
        ("ShipmentDelivered", json!({"shipment_id": id, "delivered_at": BEGAN})),
        (
            "NotificationSent",
            json!({"event_id": id, "event_type": "x", "channel": "email", "template": "t", "sent_at": BEGAN}),
        ),
        (
            "NotificationRecorded",
            json!({"event_id": id, "event_type": "x", "channel": "email", "template": "t", "recorded_at": BEGAN}),
        ),
        (
            "NotificationFailed",
            json!({"event_id": id, "event_type": "x", "channel": "email", "attempts": 1, "detail": "d"}),
        ),
        (
            "OrderParked",
            json!({"consumer": "payments", "event_id": id, "event_type": "x", "topic": "orders", "partition": 0, "offset": 1,
            "attempts": 1, "next_at": BEGAN, "parked_at": BEGAN, "error": "e"}),
        ),
        ("OrderUnparked", json!({"consumer": "payments", "outcome": "recovered"})),
        (
            "RelayAdvanced",
            json!({"database": "quadrille", "relay": "r", "shards": [0, 1], "published_until": BEGAN, "last_seq": 5,
            "backlog": 0}),
        ),
        (
            "DeadLetterResolved",
            json!({"letter_id": id, "consumer": "payments", "resolution": "recovered", "by": "eve"}),
        ),
        (
            "OrderStuck",
            json!({"status": "RESERVED", "event_id": id, "event_type": "quadrille.inventory.StockReserved",
            "waiting_for": ["quadrille.payments.PaymentAuthorized"], "consumers": ["payments"], "since": BEGAN, "due": BEGAN,
            "detail": "no answer", "history": []}),
        ),
    ];
    told.into_iter().map(|(name, value)| Sample { name, value }).collect()
}
