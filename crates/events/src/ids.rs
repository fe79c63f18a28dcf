//! Ids: a type for each, so that an allocation is never taken for a shipment. On the wire all of them are text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Timestamp;

/// Declares ids that are UUIDs in memory and in PostgreSQL, and hyphenated text in Avro and JSON.
macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id as a UUID, as PostgreSQL takes it.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|error| {
                    serde::de::Error::custom(format_args!(
                        concat!("expected a UUID as ", stringify!($name), ", got {:?}: {}"), text, error
                    ))
                })
            }
        }

        #[cfg(feature = "openapi")]
        crate::codes::openapi_text!($name);
    )*};
}

/// Declares ids that are text chosen by others.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "openapi")]
        crate::codes::openapi_text!($name);
    )*};
}

uuid_ids! {
    /// An order: a UUIDv7 minted by orders, the key of its records in every topic.
    OrderId;
    /// Units of one line held in one warehouse, minted by inventory.
    AllocationId;
    /// What leaves one warehouse in one go, minted by fulfillment.
    ShipmentId;
    /// A refund to the customer, derived by payments from who asked under which key.
    RefundId;
    /// A return of what shipped, derived by fulfillment from its order and the key under which it was announced.
    ReturnId;
    /// One event: its `ce_id`.
    EventId;
}

impl OrderId {
    /// The least id of an order that was minted at this moment or later.
    pub fn least_at(at: Timestamp) -> Self {
        let millis = at.as_millis().clamp(0, (1 << 48) - 1) as u128; // a UUIDv7 begins with 48 bits of it
        Self(Uuid::from_u128(millis << 80))
    }

    /// When it was minted; none for an id that orders did not mint.
    pub fn minted_at(self) -> Option<Timestamp> {
        let millis = (self.0.as_u128() >> 80) as i64;
        (self.0.get_version_num() == 7).then(|| Timestamp::from_millis(millis))
    }
}

text_ids! {
    /// One line of an order, unique in it: chosen by who placed the order, or its position `1`, `2`, ….
    LineId;
    /// A stock keeping unit: what is bought and held.
    Sku;
    /// A warehouse, by the shop's own code for it.
    WarehouseId;
    /// A customer, by the shop's own id.
    CustomerId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_tells_when_it_was_minted_and_others_ids_tell_nothing() {
        let minted = OrderId("019aba2c-3f00-7000-8000-000000000001".parse().unwrap());
        let at = minted.minted_at().unwrap();
        assert_eq!(at.to_string(), "2025-11-25T08:40:53.248Z");
        assert!(OrderId::least_at(at) < minted);
        assert!(minted < OrderId::least_at(Timestamp::from_millis(at.as_millis() + 1)));
        assert_eq!(OrderId(Uuid::from_u128(7)).minted_at(), None);
    }
}
