//! A dead letter as it is published: the record's bytes, key and headers unchanged, and its case in headers behind them.

use events::{OrderId, Timestamp, derive_id};

use super::{Burial, Death, ID, TOPIC};
use crate::effects::Outgoing;
use crate::message::Message;

/// How much of an error tells one cause from another.
const TELLING: usize = 160;

/// The row for the outbox.
pub(super) fn letter(consumer: &'static str, burial: &Burial<'_>, now: Timestamp) -> Outgoing {
    let Burial { death, message, tried, .. } = burial;
    let Death { stage, class, message: text, .. } = death;
    let event_id = burial.letter_id(consumer);
    let mut headers = message.map(|message| message.headers.clone()).unwrap_or_default();
    if let Some(message) = message {
        headers.push("kafka_dlt-original-topic", message.topic);
        headers.push("kafka_dlt-original-partition", &message.partition.to_string());
        headers.push("kafka_dlt-original-offset", &message.offset.to_string());
        if let Some(timestamp) = message.timestamp_ms {
            headers.push("kafka_dlt-original-timestamp", &timestamp.to_string());
            headers.push("kafka_dlt-original-timestamp-type", "CreateTime");
        }
        headers.push("kafka_dlt-original-consumer-group", consumer);
    }
    headers.push("kafka_dlt-exception-fqcn", class);
    headers.push("kafka_dlt-exception-message", text);
    headers.push(ID, &event_id.to_string());
    headers.push("quadrille-consumer", consumer);
    headers.push("quadrille-stage", stage);
    headers.push("quadrille-error-class", class);
    headers.push("quadrille-error-message", text);
    headers.push("quadrille-attempts", &tried.attempts.to_string());
    headers.push("quadrille-first-failed-at", &tried.first_failed_at.to_string());
    headers.push("quadrille-last-failed-at", &now.to_string());
    headers.push("quadrille-loops", &tried.loops.to_string());
    headers.push("quadrille-died-at", &now.to_string());
    headers.push("quadrille-code-version", env!("CARGO_PKG_VERSION"));
    headers.push("quadrille-fingerprint", &fingerprint(consumer, death, *message));
    let order_id = burial.order_id();
    let key = message.map_or_else(|| order_id.map(|id| id.to_string().into_bytes()), |message| message.key.clone());
    let payload = match message {
        Some(message) => message.payload.clone(),
        None => Some(without_record(burial, order_id)),
    };
    Outgoing { topic: TOPIC, key, event_id, headers, payload }
}

/// A timer, an answer or a request has no record whose bytes could be kept: its value says what it was.
fn without_record(burial: &Burial<'_>, order_id: Option<OrderId>) -> Vec<u8> {
    serde_json::json!({
        "cause": burial.cause,
        "timer": burial.timer.map(|timer| format!("{}/{}", timer.kind, timer.discriminator)),
        "order_id": order_id.map(|id| id.to_string()),
        "error_class": burial.death.class,
        "error_message": burial.death.message,
    })
    .to_string()
    .into_bytes()
}

/// Equal causes have equal fingerprints: who, where, what kind, of which event type, and what the error says but for what is one event's own.
fn fingerprint(consumer: &str, death: &Death, message: Option<&Message>) -> String {
    let event_type = message.and_then(Message::event_type).unwrap_or("-");
    let topic = message.map_or("-", |message| message.topic);
    let cause = format!("{topic}/{event_type}/{}", skeleton(&death.message));
    derive_id(death.stage, consumer, &death.class, &cause).simple().to_string()[..16].to_owned()
}

/// What an error says, without what is quoted and without words that hold a digit: no ids, no amounts, no places, no values.
fn skeleton(message: &str) -> String {
    let mut bare = String::new();
    let mut quote = None;
    for letter in message.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            Some(_) => {}
            None if letter == '`' || letter == '"' => quote = Some(letter),
            None => bare.push(letter),
        }
    }
    let words = bare.split_whitespace().filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ").chars().take(TELLING).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::Tried;
    use crate::headers::Headers;

    fn death(message: &str) -> Death {
        let (class, message) = ("conflict".to_owned(), message.to_owned());
        Death { stage: "decide", class, message, order_id: None, laid: None }
    }

    fn message(offset: i64) -> Message {
        let mut headers = Headers::default();
        headers.push_bytes("x-own", Some(&[0xff]));
        Message {
            topic: "orders",
            partition: 1,
            offset,
            timestamp_ms: Some(7),
            key: Some(b"0192f0c1-0000-7000-8000-000000000001".to_vec()),
            headers,
            payload: Some(vec![1, 2, 3]),
        }
    }

    fn burial<'m>(message: &'m Message, loops: i32) -> Burial<'m> {
        let first_failed_at = Timestamp::from_millis(1_000);
        let tried = Tried { attempts: 8, first_failed_at, loops, arrival: Some(3) };
        Burial { death: death("no"), message: Some(message), timer: None, cause: String::new(), tried, blocking: true }
    }

    #[test]
    fn equal_causes_have_one_fingerprint_whatever_order_amount_or_place_they_speak_of() {
        let of = |text: &str| fingerprint("payments", &death(text), None);
        let first = of("Confirmed of order 0192f0c1-0000-7000-8000-000000000001: expected at most 9.00 EUR, got `x y`");
        let second = of("Confirmed of order 0192f0c2-0000-7000-8000-000000000002: expected at most 1.00 EUR, got `z`");
        assert_eq!(first, second);
        assert_ne!(first, of("Confirmed of order 0192f0c1-0000-7000-8000-000000000001: it has no currency"));
        assert_ne!(first, fingerprint("fraud", &death("Confirmed of order 1"), None));
    }

    #[test]
    fn a_letter_has_the_record_unchanged_and_its_case_in_headers() {
        let record = message(5);
        let letter = letter("inventory", &burial(&record, 2), Timestamp::from_millis(9_000));
        assert_eq!((&letter.payload, &letter.key), (&record.payload, &record.key));
        let first = |headers: &Headers| headers.encode()[..record.headers.encode().len()].to_vec();
        assert_eq!(first(&letter.headers), first(&record.headers), "a header that is no text too");
        for (name, value) in [
            ("kafka_dlt-original-topic", "orders"),
            ("kafka_dlt-original-partition", "1"),
            ("kafka_dlt-original-offset", "5"),
            ("kafka_dlt-original-timestamp", "7"),
            ("kafka_dlt-original-timestamp-type", "CreateTime"),
            ("kafka_dlt-original-consumer-group", "inventory"),
            ("kafka_dlt-exception-fqcn", "conflict"),
            ("quadrille-attempts", "8"),
            ("quadrille-first-failed-at", "1970-01-01T00:00:01.000Z"),
            ("quadrille-last-failed-at", "1970-01-01T00:00:09.000Z"),
            ("quadrille-loops", "2"),
        ] {
            assert_eq!(letter.headers.text(name), Some(value), "{name}");
        }
    }

    #[test]
    fn what_dies_again_at_its_place_is_the_same_letter_unless_a_person_had_it_tried_again() {
        let (record, other) = (message(5), message(6));
        let id = burial(&record, 0).letter_id("inventory");
        assert_eq!(burial(&record, 0).letter_id("inventory"), id);
        assert_ne!(burial(&record, 1).letter_id("inventory"), id);
        assert_ne!(burial(&other, 0).letter_id("inventory"), id);
        assert_ne!(burial(&record, 0).letter_id("fraud"), id);
    }
}
