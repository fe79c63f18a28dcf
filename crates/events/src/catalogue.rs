//! The catalogue: every event type with its topic, its full name, its schema and its key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::*;

/// The topic of events that could not be decoded or decided. It has no schema: its records are the original bytes.
pub const DEAD_LETTER_EVENTS: &str = "dead-letter-events";

/// Something that happened: a record of one topic, with a schema and a key.
pub trait Event: Serialize + DeserializeOwned + Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The event's name, unique over all topics, such as `OrderAccepted`.
    const NAME: &'static str;
    /// The Avro full name, which is the header `ce_type`, such as `quadrille.orders.OrderAccepted`.
    const TYPE: &'static str;
    /// The topic it is written to, without prefix, such as `orders`.
    const TOPIC: &'static str;
    /// Its Avro schema, as in `schemas/<topic>/<name>.avsc`.
    const SCHEMA: &'static str;

    /// The Kafka key: the order's id as text, but for the few events that are not of one order.
    fn key(&self) -> String;
}

/// One event type, for programs that go through all of them: registering schemas, checking `topics.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "as of `Event`")]
pub struct CatalogueEntry {
    pub topic: &'static str,
    pub name: &'static str,
    /// The Avro full name, as in the header `ce_type`.
    pub event_type: &'static str,
    pub schema: &'static str,
}

impl CatalogueEntry {
    const fn of<E: Event>() -> Self {
        Self { topic: E::TOPIC, name: E::NAME, event_type: E::TYPE, schema: E::SCHEMA }
    }
}

/// The entry of an event by its full name (`ce_type`) or its short name; `None` if this build does not know it.
pub fn entry_of(event_type: &str) -> Option<&'static CatalogueEntry> {
    catalogue().iter().find(|entry| entry.event_type == event_type || entry.name == event_type)
}

/// Something to do with an event whose type is known by its name alone.
#[allow(missing_docs, reason = "the trait says it")]
pub trait WithEvent {
    type Output;

    fn with<E: Event>(self) -> Self::Output;
}

/// The events of each topic, with how their keys are made.
macro_rules! events {
    ($($topic:literal in $namespace:literal by $key:expr => $($event:ident)*;)*) => {
        $($(
            impl Event for $event {
                const NAME: &'static str = stringify!($event);
                const TYPE: &'static str = concat!($namespace, ".", stringify!($event));
                const TOPIC: &'static str = $topic;
                const SCHEMA: &'static str =
                    include_str!(concat!("../../../schemas/", $topic, "/", stringify!($event), ".avsc"));

                fn key(&self) -> String {
                    let key: fn(&Self) -> String = $key;
                    key(self)
                }
            }
        )*)*

        /// All event types, in the order of the topics in topics.yaml.
        pub fn catalogue() -> &'static [CatalogueEntry] {
            const { &[$($(CatalogueEntry::of::<$event>()),*),*] }
        }

        /// Does something with the event of this full name (`ce_type`) or short name; `None` if this build does not know it.
        pub fn with_event<W: WithEvent>(event_type: &str, what: W) -> Option<W::Output> {
            match entry_of(event_type)?.name {
                $($(stringify!($event) => Some(what.with::<$event>()),)*)*
                _ => None,
            }
        }

        /// Calls `$check::<Event>(type, schema)` once for each event of the catalogue: tests go through all structs with it.
        #[cfg(test)]
        macro_rules! for_every_event {
            ($check:ident) => { $($( $check::<$event>($event::TYPE, $event::SCHEMA); )*)* };
        }
        #[cfg(test)]
        pub(crate) use for_every_event;
    };
}

events! {
    "order-placed" in "quadrille.order_placed" by |event| event.reference.clone().unwrap_or_default() => OrderPlaced;
    "orders" in "quadrille.orders" by |event| event.order_id.to_string() =>
        OrderAccepted OrderRejected OrderCancellationRequested OrderCompleted OrderCancelled OrderFailed;
    "inventory" in "quadrille.inventory" by |event| event.order_id.to_string() =>
        StockReserved StockRejected ReservationExpired StockReallocated StockCommitted StockReleased StockReturned;
    "stock-levels" in "quadrille.stock_levels" by |event| format!("{}/{}", event.sku, event.warehouse) => StockLevelChanged;
    "payments" in "quadrille.payments" by |event| event.order_id.to_string() =>
        PaymentAuthorized PaymentActionRequired PaymentDeclined PaymentCaptured PaymentCaptureFailed PaymentVoided
        PaymentRefunded PaymentRefundFailed AuthorizationExpiring RefundRequested RefundCompleted RefundFailed
        PaymentDisputed DisputeClosed FraudWarningReceived PaymentChangedOutside;
    "fraud" in "quadrille.fraud" by |event| event.order_id.to_string() => FraudCleared FraudRejected FraudReviewRequested;
    "fulfillment" in "quadrille.fulfillment" by |event| event.order_id.to_string() =>
        FulfillmentShortPicked FulfillmentConfirmed FulfillmentRejected FulfillmentCancelled ShipmentDispatched
        ShipmentDelivered ReturnAnnounced ReturnReceived ReturnRefused;
    "notifications" in "quadrille.notifications" by |event| event.order_id.to_string() =>
        NotificationSent NotificationRecorded NotificationFailed;
    "operations" in "quadrille.operations" by |event| event.order_id.to_string() => OrderParked OrderUnparked;
    "operations" in "quadrille.operations" by |event| event.database.clone() => RelayAdvanced;
    "operations" in "quadrille.operations" by |event| match event.order_id.as_str() {
        "" => event.letter_id.to_string(),
        order_id => order_id.to_owned(),
    } => DeadLetterResolved;
    "dead-letter-orders" in "quadrille.dead_letter_orders" by |event| event.order_id.to_string() => OrderStuck;
}
