//! Dead letters: events that nobody could decide, and orders that are stuck, each with its case.

use events::{DEAD_LETTER_EVENTS, Event, OrderId, OrderPlaced, OrderStuck, Timestamp, derive_id};
use operator::{Header, LetterKind};
use runtime::Message;
use runtime::http::hex;
use uuid::Uuid;

use runtime::sql::in_range;

use crate::place::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, derived from what died where.
    pub letter_id: Uuid,
    pub kind: LetterKind,
    pub died_at: Timestamp,
    /// Who could not decide it; of an order, who should have answered.
    pub consumers: Vec<String>,
    /// At which stage: `decode`, `decide`, `save` or `call`; none for an order.
    pub stage: Option<String>,
    pub error_class: String,
    pub error_message: String,
    /// Equal for equal causes.
    pub fingerprint: String,
    pub event_type: Option<String>,
    pub order_id: Option<OrderId>,
    /// Where it was read from: topic, partition, offset; none: an answer, a timer or a request died.
    pub original: Option<(String, i32, i64)>,
    pub code_version: Option<String>,
    /// How often its record was given back to its consumer before.
    pub loops: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    /// Where the dead letter itself stands: topic, partition, offset.
    pub stands: (&'static str, i32, i64),
}

impl DeadLetter {
    /// Reads a record of `dead-letter-events`. It never fails: a dead letter that can't be read would be one more of them, for ever.
    pub(crate) fn from_message(message: &Message, place: &Place) -> Self {
        let text = |name: &str| message.headers.text(name).map(ToOwned::to_owned);
        let known = |name: &str| text(name).unwrap_or_else(|| "unknown".to_owned());
        let number = |name: &str| message.headers.text(name).and_then(|number| number.parse::<i64>().ok());
        let id = message.headers.text("quadrille-dead-letter-id").and_then(|id| Uuid::parse_str(id).ok());
        let original = text("kafka_dlt-original-topic").map(|topic| {
            let partition = number("kafka_dlt-original-partition").and_then(|of| i32::try_from(of).ok());
            (topic, partition.unwrap_or(-1), number("kafka_dlt-original-offset").unwrap_or(-1))
        });
        let died_at = message.headers.text("quadrille-died-at").and_then(|at| at.parse().ok());
        Self {
            letter_id: id.unwrap_or_else(|| derive_id(message.place(), "saga-tracker", DEAD_LETTER_EVENTS, "")),
            kind: LetterKind::Event,
            died_at: in_range(died_at.unwrap_or(place.at)),
            consumers: vec![known("quadrille-consumer")],
            stage: text("quadrille-stage"),
            error_class: known("quadrille-error-class"),
            error_message: known("quadrille-error-message"),
            fingerprint: known("quadrille-fingerprint"),
            event_type: text("ce_type"),
            order_id: order_of(message, original.as_ref().map(|(topic, _, _)| topic.as_str())),
            original,
            code_version: text("quadrille-code-version"),
            loops: number("quadrille-loops").and_then(|loops| i32::try_from(loops).ok()).unwrap_or(0),
            key: message.key.clone(),
            value: message.payload.clone(),
            headers: headers(message),
            stands: (message.topic, message.partition, message.offset),
        }
    }

    pub(crate) fn stuck(message: &Message, event_id: Uuid, place: &Place, event: &OrderStuck) -> Self {
        let case = [event.event_type.as_str(), &event.waiting_for.join("|")].join("/");
        let fingerprint = derive_id("stuck", &event.consumers.join("|"), OrderStuck::TYPE, &case);
        Self {
            letter_id: event_id,
            kind: LetterKind::Order,
            died_at: place.at,
            consumers: event.consumers.clone(),
            stage: None,
            error_class: "stuck".to_owned(),
            error_message: event.detail.clone(),
            fingerprint: fingerprint.simple().to_string()[..16].to_owned(),
            event_type: Some(event.event_type.clone()),
            order_id: Some(event.order_id),
            original: None,
            code_version: None,
            loops: 0,
            key: message.key.clone(),
            value: message.payload.clone(),
            headers: headers(message),
            stands: (message.topic, message.partition, message.offset),
        }
    }
}

/// The key says whose event it was, but for the front door, whose keys are anyone's.
fn order_of(message: &Message, original_topic: Option<&str>) -> Option<OrderId> {
    if original_topic == Some(OrderPlaced::TOPIC) {
        return None;
    }
    std::str::from_utf8(message.key.as_deref()?).ok()?.parse().ok()
}

fn headers(message: &Message) -> Vec<Header> {
    let published = message.headers.published(message.key.as_deref());
    published.map(|(name, value)| header(name, value.as_deref())).collect()
}

fn header(name: &str, value: Option<&[u8]>) -> Header {
    let readable = value.and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    let hex = if readable.is_none() { value.map(hex) } else { None };
    Header { name: name.replace('\0', "\u{fffd}"), value: readable.map(ToOwned::to_owned), hex }
}
