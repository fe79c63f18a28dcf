//! Derived ids: the same reaction run twice says the same thing under the same id.

use std::fmt::Display;

use uuid::Uuid;

/// The namespace of all derived ids. It must never change: ids of events in flight would.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_8a52_3c0e_5d47_9e21_7f4d_1c9a_b630);

/// The id of what `producer` says as `event_type` because of `cause`: a UUIDv5, the same each time.
///
/// The cause is the id of the event reacted to; for a timer `order/name/due`; for a door its idempotency key; for a
/// gateway's answer the attempt's key. `discriminator` tells several events of one cause apart (allocation, shipment,
/// SKU + warehouse + version, channel, attempt); else it is empty.
pub fn derive_id(cause: impl Display, producer: &str, event_type: &str, discriminator: &str) -> Uuid {
    // The parts are kept apart by a character that none of them holds, so that ("ab", "c") is not ("a", "bc").
    let name = format!("{cause}\u{1f}{producer}\u{1f}{event_type}\u{1f}{discriminator}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reaction_has_the_same_id_in_every_build() {
        let id = derive_id("cause", "orders", "quadrille.orders.OrderAccepted", "");
        assert_eq!(id, derive_id("cause", "orders", "quadrille.orders.OrderAccepted", ""));
        assert_eq!(id.get_version_num(), 5);
        assert_eq!(id.to_string(), "047bc951-eeb4-5634-aa42-206f1915a9af");
    }

    #[test]
    fn any_other_part_makes_another_id() {
        let id = derive_id("a", "b", "c", "d");
        for other in [
            derive_id("x", "b", "c", "d"),
            derive_id("a", "x", "c", "d"),
            derive_id("a", "b", "x", "d"),
            derive_id("a", "b", "c", "x"),
            derive_id("ab", "", "c", "d"),
        ] {
            assert_ne!(id, other);
        }
    }
}
