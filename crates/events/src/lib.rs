//! The language of the pipeline: events and their schemas, ids, codes, money. No I/O and no clock.
//!
//! Every event is a record in `schemas/<topic>/<Event>.avsc` and a struct here; tests prove that the two agree, field by
//! field, and that today's structs read the next version and every published one.

#[cfg(test)]
mod agreement;
mod catalogue;
mod codes;
mod country;
mod currency;
mod derive;
mod fraud;
mod fulfillment;
mod ids;
mod inventory;
mod money;
mod notifications;
mod operations;
mod order_placed;
mod order_reader;
mod orders;
mod parts;
mod payments;
mod personal;
#[cfg(test)]
mod sample;
mod stuck;
mod time;

pub use catalogue::{CatalogueEntry, DEAD_LETTER_EVENTS, Event, WithEvent, catalogue, entry_of, with_event};
pub use codes::{Action, Cancellation, Channel, Check, Condition, ReasonCode, Resolution, Unparked, Why};
pub use country::is_country;
pub use currency::{Currency, UnknownCurrency};
pub use derive::derive_id;
pub use fraud::{FraudCleared, FraudRejected, FraudReviewRequested};
pub use fulfillment::{
    FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked, ShipmentDelivered,
    ShipmentDispatched,
};
pub use ids::{AllocationId, CustomerId, EventId, LineId, OrderId, ShipmentId, Sku, WarehouseId};
pub use inventory::{
    ReservationExpired, StockCommitted, StockLevelChanged, StockReallocated, StockRejected, StockReleased,
    StockReserved,
};
pub use money::{MoneyError, all_inclusive, apportion, line_value, value};
pub use notifications::{NotificationFailed, NotificationRecorded, NotificationSent};
pub use operations::{DeadLetterResolved, OrderParked, OrderUnparked, RelayAdvanced};
pub use order_placed::{Address, Customer, OrderPlaced, PlacedLine};
pub use order_reader::{MOST_LINES, OrderReading};
pub use orders::{
    OrderAccepted, OrderCancellationRequested, OrderCancelled, OrderCompleted, OrderFailed, OrderRejected,
};
pub use parts::{
    Allocation, Card, Closed, Fault, GivenUp, Item, Line, Reason, RuleHit, Shipment, ShippedLine, ShortLine,
    UnshippedLine,
};
pub use payments::{
    AuthorizationExpiring, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured,
    PaymentDeclined, PaymentRefundFailed, PaymentRefunded, PaymentVoided,
};
pub use personal::{OpenError, PERSON_SCHEMA, Person, Personal};
pub use stuck::{
    AllowedAction, CaseEntry, ExpectedAnswer, MoneyAtStake, OpenCompensation, OpenDeadLetter, OrderStuck, ParkedEvent,
    StockAtStake,
};
pub use time::{Timestamp, TimestampError};
