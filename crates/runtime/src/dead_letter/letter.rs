//! A dead letter as it is published: the record's bytes, key and headers unchanged, and its case in headers behind them.

use events::{OrderId, Timestamp, derive_id};

use super::burial::{ID, NewDeadLetter, TOPIC};
use crate::engine::effects::Outgoing;
use crate::kafka::headers::Headers;
use crate::kafka::record::Message;
use crate::vocabulary::ErrorInfo;

/// How much of an error tells one cause from another.
const TELLING: usize = 160;
const LONGEST_MESSAGE: usize = 4_000;
/// The largest letter, in bytes with key and headers: its topic takes a little more (`max_message_bytes` in topics.yaml).
const LARGEST_LETTER: usize = 2_000_000;
/// Of a letter that is too large for its topic: bytes of the record's key that are published,
const CUT_KEY: usize = 1_000;
/// bytes up to which its headers are published at all,
const CUT_HEADERS: usize = 100_000;
/// and of one header that is published of larger ones all the same.
const CUT_HEADER: usize = 1_000;
const TELLING_HEADERS: [&str; 4] = ["ce_id", "ce_type", "ce_correlationid", "content-type"];

/// The row for the outbox. What is too large for the topic is cut there, and says where it is whole: in its consumer's own table, of which it is tried
/// again.
pub(super) fn letter(consumer: &'static str, schema: &str, burial: &NewDeadLetter<'_>, now: Timestamp) -> Outgoing {
    let whole = addressed(consumer, burial, now, burial.message.map(|message| message.headers.clone()));
    let Some(message) = burial.message.filter(|_| size(&whole) > LARGEST_LETTER) else { return whole };
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let small = message.headers.encode().len() <= CUT_HEADERS;
    let mut headers = if small { message.headers.clone() } else { telling(message) };
    headers.push(
        "quadrille-cut",
        &format!(
            "of {} bytes of key, {} of headers and {} of value as much as the topic takes",
            length(&message.key),
            message.headers.encode().len(),
            length(&message.payload)
        ),
    );
    headers.push("quadrille-whole-in", &format!("{schema}.dead_letter where letter_id = '{}'", whole.event_id));
    let mut cut = addressed(consumer, burial, now, Some(headers));
    if let Some(key) = &mut cut.key {
        key.truncate(CUT_KEY);
    }
    let room = LARGEST_LETTER.saturating_sub(size(&Outgoing { payload: None, ..cut.clone() }));
    if let Some(payload) = &mut cut.payload {
        payload.truncate(room);
    }
    cut
}

fn size(letter: &Outgoing) -> usize {
    letter.key.as_ref().map_or(0, Vec::len)
        + letter.headers.encode().len()
        + letter.payload.as_ref().map_or(0, Vec::len)
}

fn telling(message: &Message) -> Headers {
    let mut headers = Headers::default();
    for name in TELLING_HEADERS {
        if let Some(value) = message.headers.text(name).filter(|value| value.len() <= CUT_HEADER) {
            headers.push(name, value);
        }
    }
    headers
}

/// The letter with its case behind these headers of its record.
fn addressed(consumer: &'static str, burial: &NewDeadLetter<'_>, now: Timestamp, own: Option<Headers>) -> Outgoing {
    let NewDeadLetter { death, message, tried, .. } = burial;
    let ErrorInfo { stage, class, message: text, .. } = death;
    let text = &text[..text.floor_char_boundary(LONGEST_MESSAGE)];
    let event_id = burial.letter_id(consumer);
    let mut headers = own.unwrap_or_default();
    if let Some(message) = message {
        headers.push("kafka_dlt-original-topic", message.topic);
        headers.push("kafka_dlt-original-partition", &message.partition.to_string());
        headers.push("kafka_dlt-original-offset", &message.offset.to_string());
        if let Some(timestamp) = message.timestamp_ms {
            headers.push("kafka_dlt-original-timestamp", &timestamp.to_string());
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
fn without_record(burial: &NewDeadLetter<'_>, order_id: Option<OrderId>) -> Vec<u8> {
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
fn fingerprint(consumer: &str, death: &ErrorInfo, message: Option<&Message>) -> String {
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
    use crate::dead_letter::burial::Attempts;
    use crate::kafka::headers::Headers;

    fn death(message: &str) -> ErrorInfo {
        let (class, message) = ("conflict".to_owned(), message.to_owned());
        ErrorInfo { stage: "decide", class, message, order_id: None, escalation: None }
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

    fn burial<'m>(message: &'m Message, loops: i32) -> NewDeadLetter<'m> {
        let first_failed_at = Timestamp::from_millis(1_000);
        let tried = Attempts { attempts: 8, first_failed_at, loops, arrival: Some(3) };
        NewDeadLetter {
            death: death("no"),
            message: Some(message),
            incarnation: Some(message.incarnation()),
            timer: None,
            cause: String::new(),
            tried,
            blocking: true,
        }
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
        let letter = letter("inventory", "inventory", &burial(&record, 2), Timestamp::from_millis(9_000));
        assert_eq!((&letter.payload, &letter.key), (&record.payload, &record.key));
        let first = |headers: &Headers| headers.encode()[..record.headers.encode().len()].to_vec();
        assert_eq!(first(&letter.headers), first(&record.headers), "a header that is no text too");
        for (name, value) in [
            ("kafka_dlt-original-topic", "orders"),
            ("kafka_dlt-original-partition", "1"),
            ("kafka_dlt-original-offset", "5"),
            ("kafka_dlt-original-timestamp", "7"),
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
    fn a_record_that_is_too_large_for_the_topic_is_cut_there_and_says_where_it_is_whole() {
        let at = Timestamp::from_millis(9_000);
        let large = |bytes: usize| Some(vec![b'x'; bytes]);
        for (key, header, value) in
            [(36, 10, 3 << 20), (36, 10, 20 << 20), (5 << 20, 10, 7), (36, 3 << 20, 7), (3 << 20, 3 << 20, 3 << 20)]
        {
            let mut record = Message { key: large(key), payload: large(value), ..message(5) };
            record.headers.push("ce_type", "quadrille.orders.OrderPlaced");
            record.headers.push_bytes("x-large", large(header).as_deref());
            let burial = burial(&record, 0);
            let letter = letter("orders", "orders", &burial, at);
            let what = format!("key {key}, header {header}, value {value}");
            assert!(size(&letter) <= LARGEST_LETTER, "{what}: {}", size(&letter));
            let whole = letter.headers.text("quadrille-whole-in").expect(&what);
            assert!(
                whole.contains(&burial.letter_id("orders").to_string()) && whole.starts_with("orders.dead_letter"),
                "{whole}"
            );
            assert!(
                letter.headers.text("quadrille-cut").is_some_and(|cut| cut.contains(&format!("{value} of value"))),
                "{what}"
            );
            assert_eq!(letter.headers.text("ce_type"), Some("quadrille.orders.OrderPlaced"), "{what}");
            assert_eq!(letter.headers.text("kafka_dlt-original-offset"), Some("5"), "{what}");
            let kept = letter.payload.unwrap();
            assert!(!kept.is_empty() && record.payload.as_ref().unwrap().starts_with(&kept), "{what}");
        }
        let fits = Message { payload: large(1 << 20), ..message(5) };
        let letter = letter("orders", "orders", &burial(&fits, 0), at);
        assert_eq!(
            (&letter.payload, letter.headers.text("quadrille-cut")),
            (&fits.payload, None),
            "what fits is whole"
        );
    }

    #[test]
    fn another_record_at_the_same_place_is_another_letter_as_after_its_topic_was_created_anew() {
        let first = message(5);
        let ids = [
            first.clone(),
            Message { timestamp_ms: Some(8), ..first.clone() },
            Message { timestamp_ms: None, ..first.clone() },
            Message { payload: Some(vec![1, 2, 4]), ..first.clone() },
            Message { payload: None, ..first.clone() },
        ]
        .map(|record| burial(&record, 0).letter_id("inventory"));
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{at}");
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
