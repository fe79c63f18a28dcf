//! The public front door: one order in any of three formats, decided by `content-type` where there is one that says so, else by the first byte.
//! Records of the topic may lack every header.
//!
//! | format | content-type | first byte |
//! |---|---|---|
//! | Avro in registry framing, read by the writer's schema | one that names `avro` | `0x00` |
//! | CloudEvents structured JSON | `application/cloudevents+json` | `{` with `specversion` |
//! | plain JSON | one that names `json` | `{` |
//!
//! Each is read as JSON and then field by field, so that the same rules hold for all of them. What can be read as an order is answered with its faults;
//! what can't is a dead letter. Neither repeats a text of the record.

use std::borrow::Cow;

use events::{Event, Fault, OrderPlaced, OrderReading, Timestamp};
use runtime::{Codec, Message, Unreadable, json};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    pub order: OrderReading,
    /// The event's own id: `ce_id`, or the header `id` of producers that know no CloudEvents.
    pub id: Option<String>,
    pub source: Option<String>,
    /// Source and id as earlier versions read them (`ce_source` and `ce_id` alone, quotes and all), where that is something else.
    pub former: Option<(Option<String>, Option<String>)>,
    pub correlation: Option<String>,
    pub traceparent: Option<String>,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Avro,
    Json,
}

/// Reads one record of `order-placed`.
/// Fails when it is in none of the formats, or holds something else than an order: a dead letter.
pub fn read(message: &Message, codec: &Codec) -> Result<Letter, Unreadable> {
    let place = message.place();
    let header = |name: &str| message.headers.text(name).map(unquoted).filter(|text| !text.is_empty());
    let owned = |name: &str| header(name).map(Cow::into_owned);
    expect_type(header("ce_type").as_deref(), &place)?;
    // Known by its place instead, an order that is sent again would be another one, and be charged again.
    if let Some(name) = ["ce_id", "id", "ce_source"].into_iter().find(|name| is_no_text(message, name)) {
        return Err(Unreadable(format!(
            "{place} can't be known again: expected the header {name} as UTF-8 text, got bytes that are none; place the order again with its id as text"
        )));
    }
    if message.has_unread_headers() {
        return Err(Unreadable(format!(
            "{place} can't be known again: expected headers whose names are UTF-8, got too many that are none; place the order again without them"
        )));
    }
    let (id, source) = (owned("ce_id").or_else(|| owned("id")), owned("ce_source"));
    let raw = |name: &str| message.headers.text(name).map(ToOwned::to_owned);
    let former = Some((raw("ce_source"), raw("ce_id"))).filter(|former| (&former.0, &former.1) != (&source, &id));
    let from_headers = Letter {
        order: OrderReading::default(),
        id,
        source,
        former,
        correlation: owned("ce_correlationid"),
        traceparent: owned("traceparent"),
        at: header("ce_time").and_then(|time| time.parse().ok()),
    };
    let letter = in_format(message, codec, &place, from_headers)?;
    Ok(without_look_alikes(message, letter))
}

/// Names headers that look like those by which an order is known, where it is not known by them: sent again it would be another order.
fn without_look_alikes(message: &Message, mut letter: Letter) -> Letter {
    let (named, sourced) = (
        letter.id.is_some() || letter.order.order.reference.is_some(),
        letter.source.is_some() || letter.order.order.source.is_some(),
    );
    for (name, _) in message.headers.published(None).filter(|(name, _)| name.len() <= 40) {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let (meant, field) = match plain.as_str() {
            "id" if !named => ("id", "/reference"),
            "ceid" if !named => ("ce_id", "/reference"),
            "cesource" if !sourced => ("ce_source", "/source"),
            _ => continue,
        };
        if name != meant {
            let detail = format!(
                "there is no header {name}: if it is meant as {meant}, name it so; else leave it out or rename it"
            );
            letter.order.faults.push(Fault { field: field.into(), code: "unknown_header".into(), detail });
        }
    }
    letter
}

fn in_format(message: &Message, codec: &Codec, place: &str, from_headers: Letter) -> Result<Letter, Unreadable> {
    let header = |name: &str| message.headers.text(name).map(unquoted).filter(|text| !text.is_empty());
    let payload = message.payload.as_deref().unwrap_or_default();
    let content_type = header("content-type").or_else(|| header("Content-Type"));
    match format(content_type.as_deref(), payload) {
        Some(Format::Avro) => {
            let order = OrderPlaced::read(&avro(message, codec)?);
            Ok(Letter { order, ..from_headers })
        }
        Some(Format::Json) => {
            let value = json::parse(payload).map_err(|error| {
                Unreadable(format!(
                    "{place} can't be read as an order in JSON: {error}; mend it and place the order again"
                ))
            })?;
            placed(value, from_headers).map_err(|why| Unreadable(format!("{place} is no order: {why}")))
        }
        None if json::is_utf16(payload) => Err(Unreadable(format!(
            "{place} is no order: expected JSON in UTF-8, got UTF-16: place the order again as UTF-8"
        ))),
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

/// Takes an order out of JSON: plain, or in a CloudEvent, whose envelope goes before the headers.
/// Fails when it holds no order: what was expected, and what came.
pub fn placed(value: Value, headers: Letter) -> Result<Letter, String> {
    match object(value, "")? {
        fields if fields.contains_key("specversion") => structured(fields, headers),
        fields => Ok(Letter { order: OrderPlaced::read(&Value::Object(fields)), ..headers }),
    }
}

/// An object; also one that was written as JSON twice, as a text.
fn object(value: Value, at: &str) -> Result<Map<String, Value>, String> {
    let came = match value {
        Value::Object(fields) => return Ok(fields),
        Value::String(text) => match json::parse(text.as_bytes()) {
            Ok(Value::Object(fields)) => return Ok(fields),
            Ok(_) | Err(_) => "a text that is none",
        },
        Value::Null => "null",
        Value::Bool(_) | Value::Number(_) => "a single value",
        Value::Array(_) => "a list: place each order in a record of its own",
    };
    Err(format!("{at}{}expected one JSON object, got {came}", if at.is_empty() { "" } else { ": " }))
}

/// Header values in JSON's quotes, as some frameworks write texts, are meant without them.
fn unquoted(text: &str) -> Cow<'_, str> {
    let quoted = text.starts_with('"').then(|| serde_json::from_str::<String>(text).ok()).flatten();
    quoted.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn is_no_text(message: &Message, name: &str) -> bool {
    let last = message.headers.published(None).filter(|(other, _)| *other == name).last();
    last.and_then(|(_, value)| value).is_some_and(|value| std::str::from_utf8(&value).is_err())
}

/// A content-type that names neither (`text/plain` of a console tool) says nothing.
fn format(content_type: Option<&str>, payload: &[u8]) -> Option<Format> {
    if json::is_utf16(payload) {
        return None;
    }
    let named = content_type.map(str::to_ascii_lowercase).and_then(|text| {
        let avro = text.contains("avro").then_some(Format::Avro);
        avro.or_else(|| text.contains("json").then_some(Format::Json))
    });
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    named.or_else(|| match text.trim_ascii_start().first() {
        _ if payload.first() == Some(&0) => Some(Format::Avro),
        Some(b'{') => Some(Format::Json),
        Some(_) | None => None,
    })
}

/// By whatever schema it was written, as long as its record is an `OrderPlaced`: another event would be read as an empty order.
fn avro(message: &Message, codec: &Codec) -> Result<Value, Unreadable> {
    let read = codec.json::<OrderPlaced>(message.payload.as_deref());
    read.map_err(|error| Unreadable(format!("{} of {}: {error}", OrderPlaced::TYPE, message.place())))
}

/// Its name counts, however it is spelt: not its namespace, nor a version behind it.
fn expect_type(event_type: Option<&str>, place: &str) -> Result<(), Unreadable> {
    match event_type {
        Some(other) if !is_order_placed(other) => {
            let is_name =
                other.len() <= 80 && !other.contains(|one: char| one.is_whitespace() || one.is_control() || one == '@');
            let came = if is_name { format!("{other:?}") } else { "a text that is no name".to_owned() };
            Err(Unreadable(format!(
                "{place} is no order: expected type {}, or a record of that name, got {came}; only orders are placed in this topic",
                OrderPlaced::TYPE,
            )))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_order_placed(event_type: &str) -> bool {
    let mut parts: Vec<String> =
        event_type.split(|one: char| !one.is_alphanumeric()).map(str::to_ascii_lowercase).collect();
    let is_version = |part: &String| {
        let number = part.strip_prefix('v').unwrap_or(part);
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    while parts.last().is_some_and(is_version) {
        parts.pop();
    }
    match parts.as_slice() {
        [.., last] if last == "orderplaced" => true,
        [.., order, placed] => order == "order" && placed == "placed",
        [] | [_] => false,
    }
}

/// CloudEvents in structured mode; attributes that say nothing of an order are ignored.
fn structured(mut event: Map<String, Value>, headers: Letter) -> Result<Letter, String> {
    let mut attribute = |name: &str| match event.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("/{name}: expected a text, as CloudEvents has it, got something else"))
        }
    };
    let required = |name: &str, value: Option<String>| {
        value.ok_or_else(|| format!("/{name}: expected this attribute of a CloudEvent, got nothing"))
    };
    let version = required("specversion", attribute("specversion")?)?;
    let event_type = required("type", attribute("type")?)?;
    let id = required("id", attribute("id")?)?;
    let source = required("source", attribute("source")?)?;
    let (correlation, traceparent) = (attribute("correlationid")?, attribute("traceparent")?);
    let at = attribute("time")?.and_then(|time| time.parse().ok());
    expect_type(Some(&event_type), "/type").map_err(|Unreadable(why)| why)?;
    if !version.starts_with("1.") {
        return Err("/specversion: expected CloudEvents 1.x, got another version".into());
    }
    let data = event
        .remove("data")
        .filter(|data| !data.is_null())
        .ok_or("/data: expected the order as JSON in data of the CloudEvent, got none (data_base64 is not taken)")?;
    Ok(Letter {
        order: OrderPlaced::read(&Value::Object(object(data, "/data")?)),
        id: Some(id),
        source: Some(source),
        former: None, // an envelope is read as it always was
        correlation: correlation.or(headers.correlation),
        traceparent: traceparent.or(headers.traceparent),
        at: at.or(headers.at),
    })
}

#[cfg(test)]
mod tests;
