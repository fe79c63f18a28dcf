//! Codes: strings on the wire, so that a later version may add one; enums here, so that no rule compares strings.

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

/// What every code type has: its text both ways, and serde as text.
macro_rules! code_traits {
    ($name:ident) => {
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
    };
}

/// Declares a code: its known values, and `Other` for one that a later version may add.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A code that this version does not know, as it came.
            Other(String),
        }

        impl $name {
            /// The code as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl From<String> for $name {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(code),
                }
            }
        }

        code_traits!($name);
    )*};
}

codes! {
    /// Why an order, or a part of it, was given up.
    ReasonCode {
        /// No warehouse, nor all of them together, has enough.
        OutOfStock = "out_of_stock",
        /// The payment was refused.
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
        /// Someone asked for it.
        Cancelled = "cancelled",
    }

    /// What became of units that do not ship.
    Condition {
        /// They can be sold again, after the warehouse has put them back.
        Intact = "intact",
        /// They are not on sale until someone counts.
        Gone = "gone",
    }

    /// Whether the customer's wish to cancel was met.
    Cancellation {
        /// Nobody asked.
        None = "none",
        /// Some parcels had left; the rest was cancelled.
        InPart = "in_part",
        /// All parcels had left.
        TooLate = "too_late",
    }

    /// What an issuer or a gateway says of one check of a payment.
    Check {
        /// It matched.
        Pass = "pass",
        /// It did not match.
        Fail = "fail",
        /// The issuer could not check.
        Unavailable = "unavailable",
        /// It was not asked for.
        Unchecked = "unchecked",
    }

    /// What the customer must do before a payment can go on.
    Action {
        /// Confirm with their bank.
        ThreeDSecure = "three_d_secure",
    }

    /// How a message reaches the customer.
    Channel {
        /// By e-mail.
        Email = "email",
        /// By text message.
        Sms = "sms",
    }

    /// How an order's wait for a retry ended.
    Unparked {
        /// The retry succeeded, and all that waited behind it was handled.
        Recovered = "recovered",
        /// The last attempt failed: the event is a dead letter.
        DeadLettered = "dead_lettered",
        /// A person skipped the event.
        Skipped = "skipped",
    }

    /// What became of a dead letter.
    Resolution {
        /// What could not be handled was handled after all.
        Recovered = "recovered",
        /// A person left it out.
        Skipped = "skipped",
        /// It was tried again and failed again: another dead letter tells of that.
        DiedAgain = "died_again",
    }
}

/// Why units do not ship: something that happened to them, or to the whole order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The picker did not find them (`short`).
    Short,
    /// The warehouse would not take the shipment (`refused`).
    Refused,
    /// The warehouse did not answer in time (`late`).
    Late,
    /// They broke (`damaged`).
    Damaged,
    /// They can't be found any more (`lost`).
    Lost,
    /// They were called back before the hand-over (`recalled`).
    Recalled,
    /// The order, or the rest of it, was given up: the code of its reason.
    Order(ReasonCode),
}

impl Why {
    /// The code as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Short => "short",
            Self::Refused => "refused",
            Self::Late => "late",
            Self::Damaged => "damaged",
            Self::Lost => "lost",
            Self::Recalled => "recalled",
            Self::Order(code) => code.as_str(),
        }
    }

    /// What became of the units, as docs/protocol.md has it: short, damaged and lost ones are gone, all others are intact.
    pub fn condition(&self) -> Condition {
        match self {
            Self::Short | Self::Damaged | Self::Lost => Condition::Gone,
            Self::Refused | Self::Late | Self::Recalled | Self::Order(_) => Condition::Intact,
        }
    }
}

impl From<String> for Why {
    fn from(code: String) -> Self {
        match code.as_str() {
            "short" => Self::Short,
            "refused" => Self::Refused,
            "late" => Self::Late,
            "damaged" => Self::Damaged,
            "lost" => Self::Lost,
            "recalled" => Self::Recalled,
            _ => Self::Order(ReasonCode::from(code)),
        }
    }
}

impl From<ReasonCode> for Why {
    fn from(code: ReasonCode) -> Self {
        Self::Order(code)
    }
}

code_traits!(Why);

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
