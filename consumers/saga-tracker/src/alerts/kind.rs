//! The kinds of alerts.

use events::OrderId;
use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// An order is stuck. Its key is the order.
    OrderStuck,
    /// Much money is held or taken for orders that don't go on. Its key is the currency.
    MoneyAtRisk,
    /// Consumers give up on many events.
    DeadLetterRate,
    /// An outbox is not published. Its key is the database.
    RelayLag,
    /// An event has been waiting for a retry for long. Its key is the consumer.
    ParkedAge,
    /// The books don't agree. Its key is the invariant.
    InvariantBreach,
    /// A review is about to time out, and with it the order. Its key is the order.
    ReviewExpiring,
    /// Money could not be given back. Its key is the order.
    RefundFailed,
    /// Money that was held can't be taken, and the order is undone for it. Its key is the order.
    CaptureFailed,
    /// A hold is about to run out before its money is taken. Its key is the order.
    HoldExpiring,
    /// A paid shipment has not left its warehouse in time. Its key is the order.
    HandOverOverdue,
    /// Kafka does not take events that were committed. Its key is the database.
    SetAside,
    /// A consumer has not been ready for long: its database, Kafka or its gateway fails for everyone. Its key is the consumer.
    CircuitOpen,
    /// Events could not be decided, one is enough. Its key is their cause (fingerprint).
    DeadLetter,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::OrderStuck,
        Self::MoneyAtRisk,
        Self::DeadLetterRate,
        Self::RelayLag,
        Self::ParkedAge,
        Self::InvariantBreach,
        Self::ReviewExpiring,
        Self::RefundFailed,
        Self::CaptureFailed,
        Self::HoldExpiring,
        Self::HandOverOverdue,
        Self::SetAside,
        Self::CircuitOpen,
        Self::DeadLetter,
    ];

    /// Its name, as the database, the webhook and the metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderStuck => "order_stuck",
            Self::MoneyAtRisk => "money_at_risk",
            Self::DeadLetterRate => "dead_letter_rate",
            Self::RelayLag => "relay_lag",
            Self::ParkedAge => "parked_age",
            Self::InvariantBreach => "invariant_breach",
            Self::ReviewExpiring => "review_expiring",
            Self::RefundFailed => "refund_failed",
            Self::CaptureFailed => "capture_failed",
            Self::HoldExpiring => "hold_expiring",
            Self::HandOverOverdue => "hand_over_overdue",
            Self::SetAside => "set_aside",
            Self::CircuitOpen => "circuit_open",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// The order that a key of this kind names.
    pub(crate) fn order(self, key: &str) -> Option<OrderId> {
        match self {
            Self::OrderStuck
            | Self::ReviewExpiring
            | Self::RefundFailed
            | Self::CaptureFailed
            | Self::HoldExpiring
            | Self::HandOverOverdue => key.parse().ok(),
            Self::MoneyAtRisk
            | Self::DeadLetterRate
            | Self::RelayLag
            | Self::ParkedAge
            | Self::InvariantBreach
            | Self::SetAside
            | Self::CircuitOpen
            | Self::DeadLetter => None,
        }
    }
}
