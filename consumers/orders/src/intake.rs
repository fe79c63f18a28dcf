//! The public front door on Kafka: one order in any of three formats, decided by `content-type` where there is one that says
//! so, else by the first byte. Records here may lack every header.
//!
//! | format | content-type | first byte |
//! |---|---|---|
//! | Avro in registry framing, read by the writer's schema | one that names `avro` | `0x00` |
//! | CloudEvents structured JSON | `application/cloudevents+json` | `{` with `specversion` |
//! | plain JSON | one that names `json` | `{` |

use events::{Event, OrderPlaced, Timestamp};
use runtime::{Codec, Message, Unreadable};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// An order as it was read, with what its envelope says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// The order.
    pub order: OrderPlaced,
    /// The CloudEvents id.
    pub id: Option<String>,
    /// The CloudEvents source.
    pub source: Option<String>,
    /// The correlation id.
    pub correlation: Option<String>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// The CloudEvents time, where it is one.
    pub at: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Avro,
    Json,
}

/// Reads one record of `order-placed`.
///
/// # Errors
/// When it is in none of the formats, or holds something else than an order: a dead letter.
pub fn read(message: &Message, codec: &Codec) -> Result<Letter, Unreadable> {
    let place = message.place();
    let header = |name: &str| message.headers.text(name).map(ToOwned::to_owned);
    expect_type(message.event_type(), &place)?;
    let payload = message.payload.as_deref().unwrap_or_default();
    let from_headers = Letter {
        order: OrderPlaced::default(),
        id: header("ce_id"),
        source: header("ce_source"),
        correlation: header("ce_correlationid"),
        traceparent: header("traceparent"),
        at: message.headers.text("ce_time").and_then(|time| time.parse().ok()),
    };
    match format(content_type(message), payload) {
        Some(Format::Avro) => Ok(Letter { order: message.read(codec)?, ..from_headers }),
        Some(Format::Json) if is_structured(payload) => structured(payload, from_headers, &place),
        Some(Format::Json) => Ok(Letter { order: json(payload, &place)?, ..from_headers }),
        None => Err(Unreadable(format!(
            "{place} is no order: expected Avro in registry framing (first byte 0x00) or JSON (first byte {{), plain or as a \
             CloudEvent, got {}; place the order again in one of them",
            payload.first().map_or_else(
                || "no value".to_owned(),
                |first| format!("{} bytes that begin with {first:#04x}", payload.len())
            ),
        ))),
    }
}

fn content_type(message: &Message) -> Option<&str> {
    ["content-type", "Content-Type"].into_iter().find_map(|name| message.headers.text(name))
}

/// A content-type that names neither (`text/plain` of a console tool) says nothing.
fn format(content_type: Option<&str>, payload: &[u8]) -> Option<Format> {
    let named = content_type.map(str::to_ascii_lowercase).and_then(|text| {
        let avro = text.contains("avro").then_some(Format::Avro);
        avro.or_else(|| text.contains("json").then_some(Format::Json))
    });
    named.or_else(|| match payload.trim_ascii_start().first() {
        _ if payload.first() == Some(&0) => Some(Format::Avro),
        Some(b'{') => Some(Format::Json),
        Some(_) | None => None,
    })
}

/// Its name counts, not its namespace.
fn expect_type(event_type: Option<&str>, place: &str) -> Result<(), Unreadable> {
    match event_type {
        Some(other) if other.rsplit('.').next() != Some(OrderPlaced::NAME) => Err(Unreadable(format!(
            "{place} is no order: expected type {}, or a record of that name, got {:?}; only orders are placed in this topic",
            OrderPlaced::TYPE,
            other.chars().take(80).collect::<String>(),
        ))),
        Some(_) | None => Ok(()),
    }
}

#[derive(Deserialize)]
struct Peek {
    specversion: Option<IgnoredAny>,
}

fn is_structured(payload: &[u8]) -> bool {
    serde_json::from_slice::<Peek>(payload).is_ok_and(|peek| peek.specversion.is_some())
}

/// CloudEvents in structured mode; attributes that say nothing of an order are ignored.
#[derive(Deserialize)]
struct Structured {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    correlationid: Option<String>,
    traceparent: Option<String>,
    time: Option<String>,
    data: Option<OrderPlaced>,
}

/// What the envelope says goes before the headers.
fn structured(payload: &[u8], headers: Letter, place: &str) -> Result<Letter, Unreadable> {
    let event: Structured = json(payload, place)?;
    expect_type(Some(&event.event_type), place)?;
    if !event.specversion.starts_with("1.") {
        let came = event.specversion.chars().take(20).collect::<String>();
        return Err(Unreadable(format!("{place}: expected CloudEvents 1.x, got specversion {came:?}")));
    }
    let missing = || {
        Unreadable(format!(
            "{place}: expected the order as JSON in data of the CloudEvent, got none (data_base64 is not taken)"
        ))
    };
    Ok(Letter {
        order: event.data.ok_or_else(missing)?,
        id: Some(event.id),
        source: Some(event.source),
        correlation: event.correlationid.or(headers.correlation),
        traceparent: event.traceparent.or(headers.traceparent),
        at: event.time.and_then(|time| time.parse().ok()).or(headers.at),
    })
}

fn json<T: DeserializeOwned>(payload: &[u8], place: &str) -> Result<T, Unreadable> {
    // The library would read a list as a struct without names.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(Unreadable(format!(
            "{place} is no order: expected one JSON object, as its content-type says, got something else"
        )));
    }
    serde_json::from_slice(payload).map_err(|error| {
        Unreadable(format!(
            "{place} can't be read as an order in JSON: {}; see the schema of OrderPlaced",
            without_values(&error.to_string())
        ))
    })
}

/// An error of the JSON library without the texts that it quotes: they may be personal, and a dead letter's message is logged.
fn without_values(error: &str) -> String {
    let quoted = error.split('"').enumerate().map(|(index, part)| if index % 2 == 1 { "…" } else { part });
    quoted.collect::<Vec<_>>().join("\"")
}

#[cfg(test)]
mod tests;
