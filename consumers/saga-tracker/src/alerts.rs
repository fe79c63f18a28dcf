//! What people are alerted of: rows that a webhook is told of at least once, however often it fails and whoever restarts meanwhile.
//!
//! Whoever finds something wrong raises an alert in the transaction in which it became true; one that is raised again while it is open is the same.

mod deliver;
mod outside;
mod watch;

use events::{AuthorizationExpiring, Event as _, OrderId, PaymentCaptureFailed, PaymentRefundFailed, Timestamp};
use runtime::Failure;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::store;

pub(crate) use deliver::deliver;
pub(crate) use outside::Outside;
pub(crate) use watch::{Watch, watch};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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

impl Kind {
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
    fn order(self, key: &str) -> Option<OrderId> {
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

/// What an event of an order alerts people of, if it does.
pub(crate) fn of_event(event_type: &str, order_id: OrderId) -> Option<(Kind, String, String)> {
    let (kind, text) = match event_type {
        PaymentRefundFailed::TYPE => (
            Kind::RefundFailed,
            format!(
                "the refund of order {order_id} failed: look at the payment in the gateway, then POST /payments/{order_id}/retry \
                 at payments, or pay the customer back by other means"
            ),
        ),
        PaymentCaptureFailed::TYPE => (
            Kind::CaptureFailed,
            format!(
                "the money of order {order_id} can't be taken: the order is undone, and what was packed goes back to its shelves"
            ),
        ),
        AuthorizationExpiring::TYPE => (
            Kind::HoldExpiring,
            format!(
                "the hold of order {order_id} runs out before its money is taken: hurry whom it waits for, GET /orders/{order_id} says whom"
            ),
        ),
        _ => return None,
    };
    Some((kind, order_id.to_string(), text))
}

/// Raises an alert, unless one of this kind and key is open already; returns whether it is new. `text` says what was expected, what came, and
/// what to do; it goes to the webhook, so no personal data.
///
/// # Errors
/// What the database says.
pub async fn raise(db: &mut PgConnection, kind: Kind, key: &str, text: &str, now: Timestamp) -> Result<bool, Failure> {
    let is_new = store::alerts::raise(db, kind, key, kind.order(key), text, now).await?;
    if is_new {
        metrics::counter!("quadrille_alerts_total", "kind" => kind.as_str()).increment(1);
        let order_id = kind.order(key).map(tracing::field::display);
        tracing::warn!(consumer = "saga-tracker", kind = kind.as_str(), key, order_id, "alert: {text}");
    }
    Ok(is_new)
}

/// What an alert of this kind and key said is so no longer: if it is true again, it is a new one.
///
/// # Errors
/// What the database says.
pub async fn resolve(db: &mut PgConnection, kind: Kind, key: &str, now: Timestamp) -> Result<(), Failure> {
    store::alerts::resolve(db, kind, key, now).await
}

/// All that is wrong of this kind now, as (key, text): what is new is raised, what is not among it is resolved.
///
/// # Errors
/// What the database says.
pub async fn keep(
    db: &mut PgConnection,
    kind: Kind,
    now_wrong: &[(String, String)],
    now: Timestamp,
) -> Result<(), Failure> {
    for (key, text) in now_wrong {
        raise(db, kind, key, text, now).await?;
    }
    let keys: Vec<&str> = now_wrong.iter().map(|(key, _)| key.as_str()).collect();
    store::alerts::resolve_others(db, kind, &keys, now).await
}
