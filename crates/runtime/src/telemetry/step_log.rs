//! One line of log for each step of an order, for a share of the orders: what came in, and what was published upon it. The same orders in every consumer.

use events::OrderId;

use crate::consumer::Consumer;
use crate::engine::batch::Attempt;
use crate::engine::disposition::Disposition;
use crate::engine::effects::Outgoing;
use crate::engine::item::BatchItem;
use crate::telemetry::is_in_share;
use crate::vocabulary::Origin;

/// Logs what a batch decided that is committed.
pub(crate) fn log<C: Consumer>(items: &[BatchItem<C>], attempt: &Attempt<C>, share: f64) {
    if share <= 0.0 {
        return;
    }
    for ((item, own), disposition) in items.iter().zip(&attempt.own).zip(&attempt.dispositions) {
        if matches!(disposition, Disposition::Done) {
            step(item, attempt.said.get(own.clone()).unwrap_or_default(), share);
        }
    }
}

fn step<C: Consumer>(item: &BatchItem<C>, said: &[Outgoing], share: f64) {
    let (Ok(work), Some(first)) = (&item.work, said.first()) else { return };
    let key = first.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse::<OrderId>().ok());
    let Some(order_id) = key.filter(|id| is_in_share(id.as_uuid(), share)) else { return };
    let order_id = order_id.to_string();
    // A correlation id that is the order's own is not written out before it is published.
    let correlation_id = first.headers.text("ce_correlationid").unwrap_or(&order_id);
    let upon = match (&work.cause.origin, &item.message) {
        (Origin::Timer(timer), _) => format!("timer {}", timer.kind),
        (Origin::Topic, Some(message)) => short(message.event_type().unwrap_or(message.topic)).to_owned(),
        (Origin::Topic, None) | (Origin::Request, _) => "request or answer".to_owned(),
    };
    let events: Vec<&str> = said.iter().map(|of| short(of.headers.text("ce_type").unwrap_or(of.topic))).collect();
    let (event_id, said) = (work.cause.id, events.join(","));
    tracing::info!(consumer = C::NAME, order_id, %event_id, correlation_id, upon, said, "step");
}

fn short(event_type: &str) -> &str {
    event_type.rsplit('.').next().unwrap_or(event_type)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use uuid::Uuid;

    use super::*;
    use crate::engine::disposition::tests::Plain;
    use crate::kafka::headers::Headers;
    use crate::kafka::record::Message;
    use crate::vocabulary::{Cause, TraceContext, Work};

    /// One decided event of an order, upon which something was said.
    fn decided(order_id: &str, correlation: Option<&str>) -> (Vec<BatchItem<Plain>>, Attempt<Plain>) {
        let mut came = Headers::default();
        came.push("ce_type", "quadrille.inventory.StockReserved");
        let key = Some(order_id.as_bytes().to_vec());
        let message = Message {
            topic: "inventory",
            partition: 0,
            offset: 7,
            timestamp_ms: None,
            key: key.clone(),
            headers: came,
            payload: None,
        };
        let cause = Cause::topic(Uuid::from_u128(9), TraceContext::default());
        let items = vec![BatchItem::heard(Ok(Work { cause, input: () }), message)];
        let mut headers = Headers::default();
        headers.push("ce_type", "quadrille.payments.PaymentAuthorized");
        match correlation {
            Some(other) => headers.push("ce_correlationid", other),
            None => headers.push_key("ce_correlationid", order_id),
        }
        let mut attempt = Attempt::new(&items);
        attempt.said = vec![Outgoing { topic: "payments", key, event_id: Uuid::nil(), headers, payload: None }];
        (attempt.own, attempt.dispositions) = (vec![0..1; 1], vec![Disposition::Done]);
        (items, attempt)
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(share: f64, order_id: &str, correlation: Option<&str>) -> Vec<serde_json::Value> {
        let written = Written::default();
        let writer = written.clone();
        let json = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let (items, attempt) = decided(order_id, correlation);
        tracing::subscriber::with_default(json, || log(&items, &attempt, share));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_step_is_one_line_that_reads_alone_for_the_same_share_of_orders_everywhere() {
        let low = "0192f0c1-0000-7000-8000-000000036bc0"; // its last eight bytes are 0 of a million
        let high = "0192f0c1-0000-7000-8000-000000000001"; // 775,809
        let lines = logged(0.5, low, Some("basket-7"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        for (field, value) in [
            ("consumer", "plain"),
            ("order_id", low),
            ("event_id", "00000000-0000-0000-0000-000000000009"),
            ("correlation_id", "basket-7"),
            ("upon", "StockReserved"),
            ("said", "PaymentAuthorized"),
            ("message", "step"),
        ] {
            assert_eq!(lines[0][field], value, "{field} of {lines:?}");
        }
        assert_eq!(logged(0.5, low, None)[0]["correlation_id"], low, "an order's own, unless its placer gave another");
        assert!(logged(0.5, high, None).is_empty(), "not of this half");
        assert!(logged(0.0, low, None).is_empty());
        assert_eq!(logged(1.0, high, None).len(), 1);
    }
}
