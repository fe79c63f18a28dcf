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
    /// A refund to a customer was refused, or is not done in time. Its key is the refund.
    RefundUnsettled,
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
    /// The cardholder's bank claims a payment back, or asks about it. Its key is the dispute.
    DisputeOpen,
    /// A dispute was lost in the last days. Its key is the dispute.
    DisputeLost,
    /// The card's bank warned of fraud in the last days. Its key is the order.
    FraudWarning,
    /// Money was moved at the gateway, and not by the pipeline, in the last days. Its key is the order.
    PaymentChangedOutside,
}

impl AlertKind {
    /// All of them, each with its name, as the database, the webhook and the metrics have it, and whether its key is an order.
    pub const ALL: [(Self, &'static str, bool); 19] = [
        (Self::OrderStuck, "order_stuck", true),
        (Self::MoneyAtRisk, "money_at_risk", false),
        (Self::DeadLetterRate, "dead_letter_rate", false),
        (Self::RelayLag, "relay_lag", false),
        (Self::ParkedAge, "parked_age", false),
        (Self::InvariantBreach, "invariant_breach", false),
        (Self::ReviewExpiring, "review_expiring", true),
        (Self::RefundFailed, "refund_failed", true),
        (Self::RefundUnsettled, "refund_unsettled", false),
        (Self::CaptureFailed, "capture_failed", true),
        (Self::HoldExpiring, "hold_expiring", true),
        (Self::HandOverOverdue, "hand_over_overdue", true),
        (Self::SetAside, "set_aside", false),
        (Self::CircuitOpen, "circuit_open", false),
        (Self::DeadLetter, "dead_letter", false),
        (Self::DisputeOpen, "dispute_open", false),
        (Self::DisputeLost, "dispute_lost", false),
        (Self::FraudWarning, "fraud_warning", true),
        (Self::PaymentChangedOutside, "payment_changed_outside", true),
    ];

    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The order that a key of this kind names.
    pub(crate) fn order(self, key: &str) -> Option<OrderId> {
        if Self::ALL[self as usize].2 { key.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_line_and_is_written_by_its_name() {
        for (at, (kind, name, _)) in AlertKind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, serde_json::to_value(kind).unwrap()), (at, name.into()));
        }
    }
}
