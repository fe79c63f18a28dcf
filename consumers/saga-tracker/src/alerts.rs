//! What people are alerted of: rows that a webhook is told of at least once, however often it fails and whoever restarts meanwhile.
//!
//! Whoever finds something wrong raises an alert in the transaction in which it became true; one that is raised again while it is open is the same.

mod deliver;
mod kind;
mod outside;
mod watch;

use events::{
    AuthorizationExpiring, Event as _, FraudWarningReceived, OrderId, PaymentCaptureFailed, PaymentChangedOutside,
    PaymentRefundFailed, Timestamp,
};
use runtime::Failure;
use sqlx::PgConnection;

use crate::store;

pub(crate) use deliver::deliver;
pub use kind::AlertKind;
pub(crate) use outside::Outside;
pub(crate) use watch::{Watch, watch};

/// What an event of an order alerts people of, if it does.
pub(crate) fn of_event(event_type: &str, order_id: OrderId) -> Option<(AlertKind, String, String)> {
    let (kind, text) = match event_type {
        PaymentRefundFailed::TYPE => (
            AlertKind::RefundFailed,
            format!(
                "the refund of order {order_id} failed: look at the payment in the gateway, then POST /payments/{order_id}/retry \
                 at payments, or pay the customer back by other means"
            ),
        ),
        PaymentCaptureFailed::TYPE => (
            AlertKind::CaptureFailed,
            format!(
                "the money of order {order_id} can't be taken: the order is undone, and what was packed goes back to its shelves"
            ),
        ),
        AuthorizationExpiring::TYPE => (
            AlertKind::HoldExpiring,
            format!(
                "the hold of order {order_id} runs out before its money is taken: hurry whom it waits for, GET /orders/{order_id} says whom"
            ),
        ),
        FraudWarningReceived::TYPE => (
            AlertKind::FraudWarning,
            format!(
                "the card's bank warns that the payment of order {order_id} may be fraud: refund it before it is disputed, POST \
                 /orders/{order_id}/refunds at payments, cancel what has not shipped, or leave it"
            ),
        ),
        PaymentChangedOutside::TYPE => (
            AlertKind::PaymentChangedOutside,
            format!(
                "money of order {order_id} was taken at the gateway, and not by this pipeline: it pays for what ships, or is given back; \
                 GET /payments/{order_id} at payments says how it stands"
            ),
        ),
        _ => return None,
    };
    Some((kind, order_id.to_string(), text))
}

/// Raises an alert, unless one of this kind and key is open already; returns whether it is new. `text` says what was expected, what came, and
/// what to do; it goes to the webhook, so no personal data.
pub async fn raise(
    db: &mut PgConnection,
    kind: AlertKind,
    key: &str,
    text: &str,
    now: Timestamp,
) -> Result<bool, Failure> {
    let is_new = store::alerts::raise(db, kind, key, kind.order(key), text, now).await?;
    if is_new {
        metrics::counter!("quadrille_alerts_total", "kind" => kind.as_str()).increment(1);
        let order_id = kind.order(key).map(tracing::field::display);
        tracing::warn!(consumer = "saga-tracker", kind = kind.as_str(), key, order_id, "alert: {text}");
    }
    Ok(is_new)
}

/// All that is wrong of this kind now, as (key, text): what is new is raised, what is not among it is resolved.
pub async fn keep(
    db: &mut PgConnection,
    kind: AlertKind,
    now_wrong: &[(String, String)],
    now: Timestamp,
) -> Result<(), Failure> {
    for (key, text) in now_wrong {
        raise(db, kind, key, text, now).await?;
    }
    let keys: Vec<&str> = now_wrong.iter().map(|(key, _)| key.as_str()).collect();
    store::alerts::resolve_others(db, kind, &keys, now).await
}
