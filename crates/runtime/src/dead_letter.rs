//! Dead letters: what can't be decided goes to `dead-letter-events` through the outbox, its bytes unchanged, its case in headers, and is kept with its
//! record in the consumer's own schema, so that a person can have it tried again; the rest flows.

use std::collections::HashSet;

use events::{Event, OrderId, OrderPlaced, Timestamp, derive_id};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::consumer::Timer;
use crate::effects::Outgoing;
use crate::failure::Failure;
use crate::message::Message;
use crate::sql::At;

/// The topic of events that need a person.
pub const TOPIC: &str = "dead-letter-events";
/// How much of an error tells one cause from another.
const TELLING: usize = 160;

/// Why something died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// At which stage: `decode`, `decide`, `save` or `call`.
    pub stage: &'static str,
    /// The kind of error, short and stable.
    pub class: String,
    /// What was expected, what came.
    pub message: String,
    /// Whose order, where it is known and no record says so.
    pub order_id: Option<OrderId>,
    /// The letter's id, where a decision laid the case before a person; else it is derived from what died where.
    pub letter_id: Option<Uuid>,
}

/// What was tried before something died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    pub attempts: i32,
    pub first_failed_at: Timestamp,
    pub loops: i32,
    /// Its place in its lane; none: it had none yet.
    pub arrival: Option<i64>,
}

impl Tried {
    /// Tried once, now.
    pub fn once(now: Timestamp) -> Self {
        Self { attempts: 1, first_failed_at: now, loops: 0, arrival: None }
    }
}

/// Something to bury: why, and the record or the timer that it came with (an answer or a request has neither).
pub(crate) struct Burial<'m> {
    pub death: Death,
    pub message: Option<&'m Message>,
    pub timer: Option<&'m Timer>,
    /// What the cause is known by, where there is no record.
    pub cause: String,
    pub tried: Tried,
    /// Whether the later events of its key wait behind it.
    pub blocking: bool,
}

impl Burial<'_> {
    /// The letter's id: the same when the same dies again at the same place, unless a person had it tried again since.
    pub fn letter_id(&self, consumer: &str) -> Uuid {
        let Self { death, message, cause, tried, .. } = self;
        let place = message.map_or_else(|| cause.clone(), Message::place);
        let derived = match tried.loops {
            0 => derive_id(place, consumer, TOPIC, &death.class),
            loops => derive_id(place, consumer, TOPIC, &format!("{}/{loops}", death.class)),
        };
        death.letter_id.unwrap_or(derived)
    }

    fn order_id(&self) -> Option<OrderId> {
        self.death.order_id.or_else(|| self.message.and_then(order_of))
    }
}

/// The order that a record is of: its key says so, but for the front door, whose keys are anyone's.
pub(crate) fn order_of(message: &Message) -> Option<OrderId> {
    if message.topic == OrderPlaced::TOPIC {
        return None;
    }
    std::str::from_utf8(message.key.as_deref()?).ok()?.parse().ok()
}

/// Keeps dead letters that are not kept yet, and returns their rows for the outbox.
pub(crate) async fn bury(
    db: &mut PgConnection,
    consumer: &'static str,
    schema: &str,
    burials: &[Burial<'_>],
    now: Timestamp,
) -> Result<Vec<Outgoing>, Failure> {
    // A dead letter that can't be heard does not die again: another one of it would be heard, and die, for ever.
    let burials: Vec<&Burial<'_>> =
        burials.iter().filter(|burial| burial.message.is_none_or(|message| message.topic != TOPIC)).collect();
    if burials.is_empty() {
        return Ok(Vec::new());
    }
    let mut kept = keep(db, consumer, schema, &burials, now).await?;
    let new = burials.into_iter().filter(|burial| kept.remove(&burial.letter_id(consumer)));
    Ok(new.map(|burial| letter(consumer, burial, now)).collect())
}

/// Returns the ids of those that were not kept before: what is read again is a dead letter already.
async fn keep(
    db: &mut PgConnection,
    consumer: &str,
    schema: &str,
    burials: &[&Burial<'_>],
    now: Timestamp,
) -> Result<HashSet<Uuid>, Failure> {
    let statement = format!(
        "insert into {schema}.dead_letter (letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind,
                timer_discriminator, stage, error_class, message, attempts, first_failed_at, loops, blocking, arrival, died_at)
         select letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind, timer_discriminator, stage,
                error_class, message, attempts, first_failed_at, loops, blocking, coalesce(arrival, nextval('{schema}.arrival')), $20
           from unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::uuid[],
                       $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::int[], $16::timestamptz[], $17::int[],
                       $18::boolean[], $19::bigint[])
                  as dead (letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, order_id, timer_kind,
                           timer_discriminator, stage, error_class, message, attempts, first_failed_at, loops, blocking, arrival)
         on conflict do nothing returning letter_id"
    );
    let message = || burials.iter().map(|burial| burial.message);
    let timer = || burials.iter().map(|burial| burial.timer);
    let kept: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(statement))
        .bind(burials.iter().map(|burial| burial.letter_id(consumer)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.topic)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.partition)).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.offset)).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.timestamp_ms)).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.key.as_deref())).collect::<Vec<_>>())
        .bind(message().map(|message| message.map(|message| message.headers.encode())).collect::<Vec<_>>())
        .bind(message().map(|message| message.and_then(|message| message.payload.as_deref())).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.order_id().map(OrderId::as_uuid)).collect::<Vec<_>>())
        .bind(timer().map(|timer| timer.map(|timer| timer.kind.as_str())).collect::<Vec<_>>())
        .bind(timer().map(|timer| timer.map(|timer| timer.discriminator.as_str())).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.death.stage).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.death.class.as_str()).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.death.message.replace('\0', "\u{fffd}")).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.tried.attempts).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| At(burial.tried.first_failed_at)).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.tried.loops).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.blocking).collect::<Vec<_>>())
        .bind(burials.iter().map(|burial| burial.tried.arrival).collect::<Vec<_>>())
        .bind(At(now))
        .fetch_all(db)
        .await?;
    Ok(kept.into_iter().collect())
}

fn letter(consumer: &'static str, burial: &Burial<'_>, now: Timestamp) -> Outgoing {
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
    headers.push("quadrille-dead-letter-id", &event_id.to_string());
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
    use crate::headers::Headers;

    fn death(message: &str) -> Death {
        let (class, message) = ("conflict".to_owned(), message.to_owned());
        Death { stage: "decide", class, message, order_id: None, letter_id: None }
    }

    fn message(offset: i64) -> Message {
        Message {
            topic: "orders",
            partition: 1,
            offset,
            timestamp_ms: Some(7),
            key: Some(b"0192f0c1-0000-7000-8000-000000000001".to_vec()),
            headers: Headers(vec![("x-own".to_owned(), Some(vec![0xff]))]),
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
        assert_eq!(letter.headers.0[0], record.headers.0[0], "a header that is no text too");
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
