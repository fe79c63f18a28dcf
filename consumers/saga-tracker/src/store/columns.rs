//! Values of columns: the ids of a time, and stored JSON.

use runtime::Failure;
use uuid::Uuid;

/// The least id of an order that was placed at this time or later.
pub(crate) fn least_id(at: events::Timestamp) -> Uuid {
    let millis = at.as_millis().clamp(0, (1 << 48) - 1) as u128; // a UUIDv7 has 48 bits for it
    Uuid::from_u128(millis << 80)
}

/// A stored JSON text.
pub(crate) fn stored<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|source| Failure::Stored { what: format!("saga_tracker.{what}"), source })
}
