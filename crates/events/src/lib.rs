//! The language of the pipeline: events and their schemas, ids, codes, money. No I/O and no clock.
//!
//! Every event is a record in `schemas/<topic>/<Event>.avsc` and a struct here; tests prove that the two agree, field by
//! field, and that today's structs read the next version and every published one.
//!
//! Of a field only what its name does not say has a doc here: the schema describes each. `order_id` is the key of the record, amounts are in minor units
//! of the event's `currency`, and `source` and `reference` say which system placed the order, and that system's own id of it.

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
pub use codes::{
    Action, Cancellation, Channel, Check, Condition, DisputeOutcome, PaymentKind, ReasonCode, Resolution, Unparked, Why,
};
pub use country::is_country;
pub use currency::{Currency, UnknownCurrency};
pub use derive::derive_id;
pub use fraud::*;
pub use fulfillment::*;
pub use ids::{AllocationId, CustomerId, EventId, LineId, OrderId, RefundId, ReturnId, ShipmentId, Sku, WarehouseId};
pub use inventory::*;
pub use money::{MoneyError, all_inclusive, apportion, line_value, value};
pub use notifications::*;
pub use operations::*;
pub use order_placed::*;
pub use order_reader::{MOST_LINES, OrderReading};
pub use orders::*;
pub use parts::*;
pub use payments::*;
pub use personal::{OpenError, PERSON_SCHEMA, Person, Personal};
pub use stuck::*;
pub use time::{Timestamp, TimestampError};
