//! The catalogue: every event type with its topic, its full name, its schema and its key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    AuthorizationExpiring, DeadLetterResolved, FraudCleared, FraudRejected, FraudReviewRequested, FulfillmentCancelled,
    FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked, NotificationFailed, NotificationRecorded,
    NotificationSent, OrderAccepted, OrderCancellationRequested, OrderCancelled, OrderCompleted, OrderFailed,
    OrderParked, OrderPlaced, OrderRejected, OrderStuck, OrderUnparked, PaymentActionRequired, PaymentAuthorized,
    PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefundFailed, PaymentRefunded, PaymentVoided,
    RelayAdvanced, ReservationExpired, ShipmentDelivered, ShipmentDispatched, StockCommitted, StockLevelChanged,
    StockReallocated, StockRejected, StockReleased, StockReserved,
};

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
pub struct CatalogueEntry {
    /// The topic it is written to, without prefix.
    pub topic: &'static str,
    /// The event's name.
    pub name: &'static str,
    /// The Avro full name, as in the header `ce_type`.
    pub event_type: &'static str,
    /// Its Avro schema as JSON text.
    pub schema: &'static str,
}

/// All event types, in the order of the topics in topics.yaml.
pub fn catalogue() -> &'static [CatalogueEntry] {
    CATALOGUE
}

/// The entry of an event by its full name (`ce_type`) or its short name; `None` if this build does not know it.
pub fn entry_of(event_type: &str) -> Option<&'static CatalogueEntry> {
    CATALOGUE.iter().find(|entry| entry.event_type == event_type || entry.name == event_type)
}

/// Something to do with an event whose type is known by its name alone.
pub trait WithEvent {
    /// What comes of it.
    type Output;

    /// Does it, with this type.
    fn with<E: Event>(self) -> Self::Output;
}

/// One line for each event: its struct, and how its key is made.
macro_rules! events {
    ($($topic:literal in $namespace:literal { $($event:ident: $key:expr;)* })*) => {
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

        const CATALOGUE: &[CatalogueEntry] = &[$($(
            CatalogueEntry {
                topic: <$event as Event>::TOPIC,
                name: <$event as Event>::NAME,
                event_type: <$event as Event>::TYPE,
                schema: <$event as Event>::SCHEMA,
            },
        )*)*];

        /// Does something with the event of this full name (`ce_type`) or short name; `None` if this build does not know it.
        pub fn with_event<W: WithEvent>(event_type: &str, what: W) -> Option<W::Output> {
            match entry_of(event_type)?.name {
                $($(stringify!($event) => Some(what.with::<$event>()),)*)*
                _ => None,
            }
        }

        /// Calls `$check!(Event)` once for each event of the catalogue: tests go through all structs with it.
        #[cfg(test)]
        macro_rules! for_every_event {
            ($check:ident) => { $($( $check!($event); )*)* };
        }
        #[cfg(test)]
        pub(crate) use for_every_event;
    };
}

events! {
    "order-placed" in "quadrille.order_placed" {
        OrderPlaced: |event| event.reference.clone().unwrap_or_default();
    }
    "orders" in "quadrille.orders" {
        OrderAccepted: |event| event.order_id.to_string();
        OrderRejected: |event| event.order_id.to_string();
        OrderCancellationRequested: |event| event.order_id.to_string();
        OrderCompleted: |event| event.order_id.to_string();
        OrderCancelled: |event| event.order_id.to_string();
        OrderFailed: |event| event.order_id.to_string();
    }
    "inventory" in "quadrille.inventory" {
        StockReserved: |event| event.order_id.to_string();
        StockRejected: |event| event.order_id.to_string();
        ReservationExpired: |event| event.order_id.to_string();
        StockReallocated: |event| event.order_id.to_string();
        StockCommitted: |event| event.order_id.to_string();
        StockReleased: |event| event.order_id.to_string();
    }
    "stock-levels" in "quadrille.stock_levels" {
        StockLevelChanged: |event| format!("{}/{}", event.sku, event.warehouse);
    }
    "payments" in "quadrille.payments" {
        PaymentAuthorized: |event| event.order_id.to_string();
        PaymentActionRequired: |event| event.order_id.to_string();
        PaymentDeclined: |event| event.order_id.to_string();
        PaymentCaptured: |event| event.order_id.to_string();
        PaymentCaptureFailed: |event| event.order_id.to_string();
        PaymentVoided: |event| event.order_id.to_string();
        PaymentRefunded: |event| event.order_id.to_string();
        PaymentRefundFailed: |event| event.order_id.to_string();
        AuthorizationExpiring: |event| event.order_id.to_string();
    }
    "fraud" in "quadrille.fraud" {
        FraudCleared: |event| event.order_id.to_string();
        FraudRejected: |event| event.order_id.to_string();
        FraudReviewRequested: |event| event.order_id.to_string();
    }
    "fulfillment" in "quadrille.fulfillment" {
        FulfillmentShortPicked: |event| event.order_id.to_string();
        FulfillmentConfirmed: |event| event.order_id.to_string();
        FulfillmentRejected: |event| event.order_id.to_string();
        FulfillmentCancelled: |event| event.order_id.to_string();
        ShipmentDispatched: |event| event.order_id.to_string();
        ShipmentDelivered: |event| event.order_id.to_string();
    }
    "notifications" in "quadrille.notifications" {
        NotificationSent: |event| event.order_id.to_string();
        NotificationRecorded: |event| event.order_id.to_string();
        NotificationFailed: |event| event.order_id.to_string();
    }
    "operations" in "quadrille.operations" {
        OrderParked: |event| event.order_id.to_string();
        OrderUnparked: |event| event.order_id.to_string();
        RelayAdvanced: |event| event.database.clone();
        DeadLetterResolved: |event| match event.order_id.as_str() {
            "" => event.letter_id.to_string(),
            order_id => order_id.to_owned(),
        };
    }
    "dead-letter-orders" in "quadrille.dead_letter_orders" {
        OrderStuck: |event| event.order_id.to_string();
    }
}
