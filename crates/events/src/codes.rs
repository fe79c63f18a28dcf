//! Codes: strings on the wire, so that a later version may add one; enums here, so that no rule compares strings.
#![allow(missing_docs, reason = "of a code, only what its name does not say")]

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Shows a type that is text on the wire as a string in an OpenAPI document.
#[cfg(feature = "openapi")]
macro_rules! openapi_text {
    ($name:ident) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                <String as utoipa::PartialSchema>::schema()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
#[cfg(feature = "openapi")]
pub(crate) use openapi_text;

/// Declares a code: its known values, and the variant of all others, made from their text.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
        _ => $other:ident($of:ty),
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// Any other code, as it came: one of a later version; of [`Why`] the reason of the whole order.
            $other($of),
        }

        impl $name {
            /// The code as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::$other(code) => code.as_str(),
                }
            }
        }

        impl From<String> for $name {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::$other(code.into()),
                }
            }
        }

        impl From<&str> for $name {
            fn from(code: &str) -> Self {
                Self::from(code.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }

        #[cfg(feature = "openapi")]
        openapi_text!($name);
    )*};
}

codes! {
    /// Why an order, or a part of it, was given up.
    ReasonCode {
        /// No warehouse, nor all of them together, has enough.
        OutOfStock = "out_of_stock",
        Declined = "declined",
        /// The customer did not pass what the payment asked of them (3-D Secure).
        ActionFailed = "action_failed",
        /// The reservation's clock fired before the payment was authorized.
        ReservationExpired = "reservation_expired",
        /// The fraud rules, or a person, said no.
        FraudRejected = "fraud_rejected",
        /// Nobody looked at the review in time.
        ReviewTimedOut = "review_timed_out",
        /// No warehouse could pick anything.
        NothingToShip = "nothing_to_ship",
        /// The gateway would not give the money that it held.
        CaptureFailed = "capture_failed",
        /// The hold on the money lapsed before it was taken.
        AuthorizationExpired = "authorization_expired",
        Cancelled = "cancelled",
        _ => Other(String),
    }

    /// How a dispute ended.
    DisputeOutcome {
        /// The money is the shop's.
        Won = "won",
        /// The money is the cardholder's.
        Lost = "lost",
        /// Without a decision, such as an inquiry that was withdrawn.
        Closed = "closed",
        _ => Other(String),
    }

    /// What became of units that do not ship.
    Condition {
        /// They can be sold again, after the warehouse has put them back.
        Intact = "intact",
        /// They are not on sale until someone counts.
        Gone = "gone",
        _ => Other(String),
    }

    /// Where the money of an order is that payments does not authorize itself.
    PaymentKind {
        /// Held at a gateway of payments.
        Authorized = "authorized",
        /// Taken, at a gateway of payments or elsewhere.
        Captured = "captured",
        /// Settled outside, such as by invoice or on delivery.
        External = "external",
        _ => Other(String),
    }

    /// Whether the customer's wish to cancel was met.
    Cancellation {
        None = "none",
        /// Some parcels had left; the rest was cancelled.
        InPart = "in_part",
        /// All parcels had left.
        TooLate = "too_late",
        _ => Other(String),
    }

    /// What an issuer or a gateway says of one check of a payment.
    Check {
        Pass = "pass",
        Fail = "fail",
        /// The issuer could not check.
        Unavailable = "unavailable",
        /// It was not asked for.
        Unchecked = "unchecked",
        _ => Other(String),
    }

    /// What the customer must do before a payment can go on.
    Action {
        /// Confirm with their bank.
        ThreeDSecure = "three_d_secure",
        _ => Other(String),
    }

    /// How a message reaches the customer.
    Channel {
        Email = "email",
        Sms = "sms",
        _ => Other(String),
    }

    /// How an order's wait for a retry ended.
    Unparked {
        /// The retry succeeded, and all that waited behind it was handled.
        Recovered = "recovered",
        /// The last attempt failed: the event is a dead letter.
        DeadLettered = "dead_lettered",
        Skipped = "skipped",
        _ => Other(String),
    }

    /// What became of a dead letter.
    Resolution {
        /// What could not be handled was handled after all.
        Recovered = "recovered",
        Skipped = "skipped",
        /// It was tried again and failed again: another dead letter tells of that.
        DiedAgain = "died_again",
        _ => Other(String),
    }

    /// Why units do not ship: something that happened to them, or to the whole order.
    Why {
        /// The picker did not find them.
        Short = "short",
        /// The warehouse would not take the shipment.
        Refused = "refused",
        /// The warehouse did not answer in time.
        Late = "late",
        Damaged = "damaged",
        Lost = "lost",
        /// They were called back before the hand-over.
        Recalled = "recalled",
        _ => Order(ReasonCode),
    }
}

impl Why {
    /// What became of the units, as docs/protocol.md has it: short, damaged and lost ones are gone, all others are intact.
    pub fn condition(&self) -> Condition {
        match self {
            Self::Short | Self::Damaged | Self::Lost => Condition::Gone,
            Self::Refused | Self::Late | Self::Recalled | Self::Order(_) => Condition::Intact,
        }
    }
}

impl From<ReasonCode> for Why {
    fn from(code: ReasonCode) -> Self {
        Self::Order(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_later_version_is_kept_as_it_came() {
        assert_eq!(ReasonCode::from("meteorite"), ReasonCode::Other("meteorite".to_owned()));
        assert_eq!(ReasonCode::from("meteorite").as_str(), "meteorite");
        assert_eq!(Why::from("meteorite").as_str(), "meteorite");
    }

    #[test]
    fn every_known_code_comes_back_as_itself() {
        assert_eq!(ReasonCode::from("out_of_stock"), ReasonCode::OutOfStock);
        assert_eq!(Why::from("cancelled"), Why::Order(ReasonCode::Cancelled));
        for why in [Why::Short, Why::Refused, Why::Late, Why::Damaged, Why::Lost, Why::Recalled] {
            assert_eq!(Why::from(why.as_str()), why);
        }
    }
}
