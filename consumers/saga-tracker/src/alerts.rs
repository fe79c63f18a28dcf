//! What people are alerted of: rows that a webhook is told of at least once, however often it fails and whoever restarts meanwhile.
//!
//! Whoever finds something wrong raises an alert in the transaction in which it became true; one that is raised again while it is open is the same.

mod deliver;
mod watch;

use events::{OrderId, Timestamp};
use runtime::Failure;
use sqlx::PgConnection;

use crate::store;

pub(crate) use deliver::deliver;
pub(crate) use watch::watch;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OrderStuck,
        Self::MoneyAtRisk,
        Self::DeadLetterRate,
        Self::RelayLag,
        Self::ParkedAge,
        Self::InvariantBreach,
        Self::ReviewExpiring,
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
        }
    }

    /// The order that a key of this kind names.
    fn order(self, key: &str) -> Option<OrderId> {
        match self {
            Self::OrderStuck | Self::ReviewExpiring => key.parse().ok(),
            Self::MoneyAtRisk | Self::DeadLetterRate | Self::RelayLag | Self::ParkedAge | Self::InvariantBreach => None,
        }
    }
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
        tracing::warn!(consumer = "saga-tracker", kind = kind.as_str(), key, "alert: {text}");
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
