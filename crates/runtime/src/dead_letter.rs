//! Dead letters: what can't be decided goes to `dead-letter-events` through the outbox, its bytes unchanged, its case in headers; the rest flows.

use events::{OrderId, Timestamp, derive_id};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::effects::Outgoing;
use crate::failure::Failure;
use crate::message::Message;
use crate::sql::At;

/// The topic of events that need a person.
pub const TOPIC: &str = "dead-letter-events";

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
}

/// Something to bury: why, and the record that it came with (an answer, a timer or a request has none).
pub(crate) struct Burial<'m> {
    pub death: Death,
    pub message: Option<&'m Message>,
    /// What the cause is known by, where there is no record.
    pub cause: String,
}

/// Writes guards for records not buried before and returns the rows for the outbox.
pub(crate) async fn bury(
    db: &mut PgConnection,
    consumer: &'static str,
    schema: &str,
    burials: &[Burial<'_>],
    now: Timestamp,
) -> Result<Vec<Outgoing>, Failure> {
    let mut rows = Vec::new();
    for burial in burials {
        if burial.message.is_some_and(|message| message.topic == TOPIC) {
            continue; // it is a dead letter: another one of it would be heard, and die, for ever
        }
        if let Some(message) = burial.message
            && !guard(db, schema, message, &burial.death, now).await?
        {
            continue; // read again: it is a dead letter already
        }
        rows.push(letter(consumer, burial, now));
    }
    Ok(rows)
}

async fn guard(
    db: &mut PgConnection,
    schema: &str,
    message: &Message,
    death: &Death,
    now: Timestamp,
) -> Result<bool, Failure> {
    let statement = format!(
        "insert into {schema}.dead_letter (topic, \"partition\", \"offset\", error_class, message, died_at)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing"
    );
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(message.topic)
        .bind(message.partition)
        .bind(message.offset)
        .bind(&death.class)
        .bind(death.message.replace('\0', "\u{fffd}"))
        .bind(At(now))
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn letter(consumer: &'static str, burial: &Burial<'_>, now: Timestamp) -> Outgoing {
    let Death { stage, class, message: text, order_id } = &burial.death;
    let place = burial.message.map_or_else(|| burial.cause.clone(), Message::place);
    let event_id = derive_id(&place, consumer, TOPIC, class);
    let mut headers = burial.message.map(|message| message.headers.clone()).unwrap_or_default();
    if let Some(message) = burial.message {
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
    headers.push("quadrille-dead-letter-id", &event_id.to_string());
    headers.push("quadrille-consumer", consumer);
    headers.push("quadrille-stage", stage);
    headers.push("quadrille-error-class", class);
    headers.push("quadrille-error-message", text);
    headers.push("quadrille-died-at", &now.to_string());
    headers.push("quadrille-code-version", env!("CARGO_PKG_VERSION"));
    headers.push("quadrille-fingerprint", &fingerprint(consumer, stage, class, burial.message));
    let key =
        burial.message.map_or_else(|| order_id.map(|id| id.to_string().into_bytes()), |message| message.key.clone());
    let payload = match burial.message {
        Some(message) => message.payload.clone(),
        None => Some(without_record(burial, order_id.as_ref())),
    };
    Outgoing { topic: TOPIC, key, event_id, headers, payload }
}

/// A timer, an answer or a request has no record whose bytes could be kept: its value says what it was.
fn without_record(burial: &Burial<'_>, order_id: Option<&OrderId>) -> Vec<u8> {
    serde_json::json!({
        "cause": burial.cause,
        "order_id": order_id.map(ToString::to_string),
        "error_class": burial.death.class,
        "error_message": burial.death.message,
    })
    .to_string()
    .into_bytes()
}

/// Equal causes have equal fingerprints: who, where, what kind, of which event type; no ids, no amounts.
fn fingerprint(consumer: &str, stage: &str, class: &str, message: Option<&Message>) -> String {
    let event_type = message.and_then(Message::event_type).unwrap_or("-");
    let topic = message.map_or("-", |message| message.topic);
    derive_id(stage, consumer, class, &format!("{topic}/{event_type}")).simple().to_string()[..16].to_owned()
}
