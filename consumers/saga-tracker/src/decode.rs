//! Reads an event of an order: what is stored of it, and what it says of the order.

use std::any::Any;
use std::sync::Arc;

use events::{EventId, OrderId, OrderParked, OrderStuck, OrderUnparked, Timestamp};
use runtime::sql::in_range;
use runtime::{Codec, Message, Unreadable, Work};
use serde::Serialize;
use serde::de::Error as _;
use serde_json::Value;
use uuid::Uuid;

use crate::dead_letter::DeadLetter;
use crate::facts::Facts;
use crate::input::{HeardEvent, Input};
use crate::order_event::{FoldedEvent, WithOrderEvent, stored, with_order_event};
use crate::parked::Parking;
use crate::place::Place;
use crate::stuck::Situation;

/// The time in an order's id, if it is a UUIDv7, as orders mints them.
fn minted_at(order_id: OrderId) -> Option<Timestamp> {
    let id = order_id.as_uuid();
    let millis = (id.as_u128() >> 80) as i64; // 48 bits
    (id.get_version_num() == 7).then(|| in_range(Timestamp::from_millis(millis)))
}

pub(crate) fn place(message: &Message) -> Result<Place, Unreadable> {
    let at = message.said_at().or(message.timestamp_ms.map(Timestamp::from_millis)).ok_or_else(|| {
        let place = message.place();
        Unreadable(format!("expected a header ce_time in RFC 3339, or a record with a time; {place} has neither"))
    })?;
    let seq = message.headers.text("ce_sequence").and_then(|seq| seq.parse().ok());
    let Message { topic, partition, offset, .. } = *message;
    Ok(Place { topic, partition, offset, at: in_range(at), seq })
}

/// Reads an event of an order; none: it is of no order.
pub(crate) fn order_event(message: &Message, codec: &Codec) -> Option<Result<Work<Input>, Unreadable>> {
    with_order_event(message.event_type()?, Decode { message, codec })
}

struct Decode<'m> {
    message: &'m Message,
    codec: &'m Codec,
}

impl WithOrderEvent for Decode<'_> {
    type Output = Result<Work<Input>, Unreadable>;

    fn with<E: FoldedEvent>(self) -> Self::Output {
        let Self { message, codec } = self;
        let cause = message.cause()?;
        let mut event: E = message.read(codec)?;
        let personal = event.take_personal();
        let place = place(message)?;
        let data = data(message, codec, &event)
            .map_err(|error| Unreadable(format!("{} can't be shown as JSON: {error}", message.place())))?;
        let thread = cause.thread.clone().unwrap_or_default();
        let facts = facts(&event, place.at, place.seq);
        let stuck = (&event as &dyn Any).downcast_ref::<OrderStuck>();
        let letter = stuck.map(|stuck| DeadLetter::stuck(message, cause.id, &place, stuck));
        let told = stuck.map_or_else(Vec::new, |stuck| Situation::by(stuck, cause.id, place.at));
        let parking = parking(&event, &place);
        let heard = HeardEvent {
            order_id: event.order_id(),
            event_id: EventId(cause.id),
            event_type: E::TYPE,
            place,
            causation: message.headers.text("ce_causationid").and_then(|id| Uuid::parse_str(id).ok()),
            correlation: thread.correlation_id,
            traceparent: thread.traceparent,
            data,
            personal,
            facts,
            letter,
            parking,
            told,
        };
        Ok(Work { cause, input: Input::Heard(Arc::new(heard)) })
    }
}

/// What a stored event says; none: this version knows no such event of an order.
pub(crate) fn stored_facts(
    event_type: &str,
    data: &str,
    at: Timestamp,
    seq: Option<i64>,
) -> Option<serde_json::Result<Facts>> {
    with_order_event(event_type, DecodedEvent { data, at, seq })
}

struct DecodedEvent<'d> {
    data: &'d str,
    at: Timestamp,
    seq: Option<i64>,
}

impl WithOrderEvent for DecodedEvent<'_> {
    type Output = serde_json::Result<Facts>;

    fn with<E: FoldedEvent>(self) -> Self::Output {
        stored::<E>(self.data).map(|event| facts(&event, self.at, self.seq))
    }
}

fn parking(event: &dyn Any, place: &Place) -> Option<(String, Parking)> {
    if let Some(parked) = event.downcast_ref::<OrderParked>() {
        return Some((parked.consumer.clone(), Parking::by_parked(parked, place)));
    }
    let unparked = event.downcast_ref::<OrderUnparked>()?;
    Some((unparked.consumer.clone(), Parking::by_unparked(unparked, place)))
}

/// An event as JSON without its personal data. What another version wrote is kept as that version wrote it: a field that today's struct does not
/// have yet, or any more, is not lost.
fn data<E: FoldedEvent>(message: &Message, codec: &Codec, event: &E) -> Result<String, Box<dyn std::error::Error>> {
    if codec.is_own::<E>(message.payload.as_deref()) {
        return Ok(without_personal(event)?);
    }
    Ok(stripped(codec.json::<E>(message.payload.as_deref())?)?)
}

fn facts<E: FoldedEvent>(event: &E, at: Timestamp, seq: Option<i64>) -> Facts {
    let mut facts = Facts {
        seen: 1 << E::BIT,
        status: E::STATUS.unwrap_or_default(),
        position: seq.unwrap_or(0),
        placed_at: Some(minted_at(event.order_id()).unwrap_or(at)),
        changed_at: Some(at),
        ..Facts::default()
    };
    for moment in E::MOMENTS {
        facts.moments.tell(*moment, at);
    }
    event.add_to(&mut facts, at);
    facts
}

/// How the field is written when its personal data was taken: at the event's top, behind other fields, nowhere else.
const WRITTEN: [&str; 2] = [r#","personal":{"key_id":"","data":[]}"#, r#","personal":null"#];

/// The JSON text of an event from which its personal data was taken; its field is left out.
fn without_personal(event: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(event)?;
    Ok(without_nul(WRITTEN.iter().fold(text, |text, written| text.replacen(written, "", 1))))
}

/// The JSON text of an event that is JSON already, without its personal data.
fn stripped(mut event: Value) -> serde_json::Result<String> {
    let no_record = || serde_json::Error::custom("expected an event, which is a record; got something else");
    event.as_object_mut().ok_or_else(no_record)?.remove("personal");
    Ok(without_nul(event.to_string()))
}

/// A NUL in a string can't be asked for in PostgreSQL: `\u0000` becomes U+FFFD, unless its backslash is itself escaped.
fn without_nul(text: String) -> String {
    const NUL: &str = "\\u0000";
    if !text.contains(NUL) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let (replaced, length) = if escape.starts_with(NUL) { ("\\ufffd", NUL.len()) } else { (&escape[..2], 2) };
        clean.push_str(replaced);
        rest = &escape[length..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use events::Personal;
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Event {
        order_id: u32,
        personal: Option<Personal>,
        lines: Vec<Part>,
        last: Option<u8>,
    }

    #[derive(Serialize)]
    struct Part {
        personal: &'static str,
    }

    #[test]
    fn the_field_personal_is_left_out_at_the_top_and_nothing_else_is() {
        let text = r#","personal":null"#;
        for personal in [Some(Personal { key_id: String::new(), data: Vec::new() }), None] {
            let event = Event { order_id: 1, personal, lines: vec![Part { personal: text }], last: None };
            let expected = json!({"order_id": 1, "lines": [{"personal": text}], "last": null});
            assert_eq!(serde_json::from_str::<Value>(&without_personal(&event).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_not() {
        let lines = vec![Part { personal: "a\0b\\u0000\\\0\"é" }];
        let text = without_personal(&Event { personal: None, order_id: 1, lines, last: None }).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["lines"][0]["personal"], "a\u{fffd}b\\u0000\\\u{fffd}\"é");
    }

    #[test]
    fn what_is_json_already_is_stripped_alike() {
        let event = json!({"personal": "Ada", "lines": [{"personal": "a part's own"}], "new": "a\0b"});
        assert_eq!(stripped(event).unwrap(), r#"{"lines":[{"personal":"a part's own"}],"new":"a\ufffdb"}"#);
        assert!(stripped(json!([1])).is_err(), "no record");
    }
}
