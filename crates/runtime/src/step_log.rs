//! One line of log for each step of an order, for a share of the orders: what came in, and what was said upon it. The same orders in every consumer.

use events::OrderId;

use crate::batch::{Attempt, Item};
use crate::consumer::{Consumer, Origin};
use crate::effects::Outgoing;
use crate::fate::Fate;
use crate::telemetry::is_in_share;

/// Logs what a batch decided that is committed.
pub(crate) fn log<C: Consumer>(items: &[Item<C>], attempt: &Attempt<C>, share: f64) {
    if share <= 0.0 {
        return;
    }
    for ((item, own), fate) in items.iter().zip(&attempt.own).zip(&attempt.fates) {
        let said = attempt.said.get(own.clone()).unwrap_or_default();
        if matches!(fate, Fate::Done) {
            step(item, said, share);
        }
    }
}

fn step<C: Consumer>(item: &Item<C>, said: &[Outgoing], share: f64) {
    let (Ok(work), Some(first)) = (&item.work, said.first()) else { return };
    let Some(order_id) = first.key.as_deref().and_then(order_of).filter(|id| is_in_share(id.as_uuid(), share)) else {
        return;
    };
    let order_id = order_id.to_string();
    // A correlation id that is the order's own is not written out before it is published.
    let correlation_id = first.headers.text("ce_correlationid").unwrap_or(&order_id);
    let upon = match (&work.cause.origin, &item.message) {
        (Origin::Timer(timer), _) => format!("timer {}", timer.kind),
        (Origin::Topic, Some(message)) => short(message.event_type().unwrap_or(message.topic)).to_owned(),
        (Origin::Topic, None) | (Origin::Door, _) => "request or answer".to_owned(),
    };
    let events: Vec<&str> = said.iter().map(|of| short(of.headers.text("ce_type").unwrap_or(of.topic))).collect();
    tracing::info!(
        consumer = C::NAME,
        order_id,
        event_id = %work.cause.id,
        correlation_id,
        upon,
        said = events.join(","),
        "step"
    );
}

fn order_of(key: &[u8]) -> Option<OrderId> {
    std::str::from_utf8(key).ok()?.parse().ok()
}

fn short(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or(event_type)
}
