//! How a dead letter is shown: the same at the apis and on the command line.

use std::collections::BTreeSet;

use events::{Event as _, OrderPlaced};
use runtime::http::hex;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::kind::{Header, LetterKind};
use crate::plan::{Act, LetterFacts, plan};
use crate::store::{ActionView, LetterRow};

/// Where a record stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlaceView {
    /// The topic, without the deployment's prefix.
    pub topic: String,
    /// The partition; -1: not known.
    pub partition: i32,
    /// The offset; -1: not known.
    pub offset: i64,
}

/// Bytes of a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BytesView {
    /// How many there are.
    pub bytes: usize,
    /// Whether only their beginning is shown, or nothing; `GET /dead-letters/{letter_id}?reveal=true` shows all.
    pub cut: bool,
    /// As text, if they are readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In hexadecimal, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

/// A dead letter. Key, value and headers are those of the original, with the headers that say why it died. They may hold personal data, and are not shown unless `reveal=true`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LetterView {
    /// Its id.
    pub letter_id: String,
    /// `event` or `order`.
    pub kind: String,
    /// `open`, `retrying`, `recovered`, `skipped` or `died_again`.
    pub status: String,
    /// How often its record was given back to its consumer before it died this time.
    pub loops: i32,
    /// When it died, RFC 3339.
    pub died_at: String,
    /// Who could not decide it; of an order, who should have answered.
    pub consumers: Vec<String>,
    /// At which stage it died: `decode`, `decide`, `save` or `call`.
    pub stage: Option<String>,
    /// The kind of error.
    pub error_class: String,
    /// What was expected, what came, what to do.
    pub error_message: String,
    /// Equal for equal causes.
    pub fingerprint: String,
    /// Type of the event that died, or that was not answered.
    pub event_type: Option<String>,
    /// The order, if it is known.
    pub order_id: Option<String>,
    /// Where the event was read from; absent if an answer, a timer or a request died.
    pub original: Option<PlaceView>,
    /// The version that could not decide it.
    pub code_version: Option<String>,
    /// The record's key.
    pub key: Option<BytesView>,
    /// The record's value.
    pub value: Option<BytesView>,
    /// The record's headers.
    pub headers: Vec<Header>,
    /// Where the dead letter itself stands.
    pub stands: PlaceView,
    /// The event's data as JSON, without personal data, if it can be read; only of a single dead letter. An edit begins with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Whether later events of the same key wait behind it; only of a single dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<bool>,
    /// What can be done with it now; only of a single dead letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can: Vec<CanView>,
    /// What people had done about it, the newest first; only of a single dead letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionView>,
}

/// What is written behind a record's own headers when it dies; none of them holds a person.
const CASE: [&str; 20] = [
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-timestamp",
    "kafka_dlt-original-timestamp-type",
    "kafka_dlt-original-consumer-group",
    "quadrille-cut",
    "quadrille-whole-in",
    "quadrille-dead-letter-id",
    "quadrille-consumer",
    "quadrille-stage",
    "quadrille-error-class",
    "quadrille-attempts",
    "quadrille-first-failed-at",
    "quadrille-last-failed-at",
    "quadrille-loops",
    "quadrille-died-at",
    "quadrille-code-version",
    "quadrille-fingerprint",
    "kafka_dlt-exception-fqcn",
];
/// What went wrong, in our words.
const ERROR: [&str; 2] = ["kafka_dlt-exception-message", "quadrille-error-message"];

impl LetterView {
    /// Without what may hold personal data: what a record held, but for our own headers. The case of a stuck order holds none.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        if self.kind == LetterKind::Order.as_str() {
            return self;
        }
        for bytes in [&mut self.key, &mut self.value].into_iter().flatten() {
            *bytes = BytesView { bytes: bytes.bytes, cut: bytes.bytes > 0, text: None, hex: None };
        }
        // At the front door others write.
        let is_foreign = self.original.as_ref().is_none_or(|place| place.topic == OrderPlaced::TOPIC);
        mask(&mut self.headers, is_foreign);
        self.data = None;
        self
    }
}

/// Takes the values of others' headers away. What others call as we do is theirs all the same: ours stand behind it.
fn mask(headers: &mut [Header], is_foreign: bool) {
    let mut seen = BTreeSet::new();
    for header in headers.iter_mut().rev() {
        let is_case = CASE.iter().chain(&ERROR).any(|ours| header.name == *ours) && seen.insert(header.name.clone());
        let is_shown = is_case || !is_foreign && header.name.starts_with("ce_");
        if !is_shown {
            (header.value, header.hex) = (None, None);
        }
    }
}

/// Something that a person may want done with a dead letter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CanView {
    /// `retry`, `edit`, `skip` or `compensate`.
    pub what: &'static str,
    /// What it comes to; absent: it can't be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why it can't be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl CanView {
    pub(crate) fn of(facts: &LetterFacts, max_loops: i32) -> Vec<Self> {
        let acts = [Act::Retry, Act::Edit(Value::Null), Act::Skip, Act::Compensate];
        acts.iter()
            .map(|act| match plan(act, facts, max_loops) {
                Ok(step) => Self { what: act.name(), step: Some(step.to_string()), refused: None },
                Err(refusal) => Self { what: act.name(), step: None, refused: Some(refusal) },
            })
            .collect()
    }
}

/// These are all bytes, unless it is said how many there are.
fn bytes(shown: Vec<u8>, all: Option<usize>) -> BytesView {
    let all = all.unwrap_or(shown.len());
    let cut = shown.len() < all;
    match String::from_utf8(shown) {
        Ok(text) => BytesView { bytes: all, cut, text: Some(text), hex: None },
        Err(error) => BytesView { bytes: all, cut, text: None, hex: Some(hex(error.as_bytes())) },
    }
}

impl From<LetterRow> for LetterView {
    fn from(row: LetterRow) -> Self {
        let value_bytes = row.value_bytes.and_then(|all| usize::try_from(all).ok());
        let original = row.original_topic.map(|topic| PlaceView {
            topic,
            partition: row.original_partition.unwrap_or(-1),
            offset: row.original_offset.unwrap_or(-1),
        });
        Self {
            letter_id: row.letter_id.to_string(),
            kind: row.kind,
            status: row.status,
            loops: row.loops,
            died_at: row.died_at.0.to_string(),
            consumers: row.consumers,
            stage: row.stage,
            error_class: row.error_class,
            error_message: row.error_message,
            fingerprint: row.fingerprint,
            event_type: row.event_type,
            order_id: row.order_id.map(|id| id.to_string()),
            original,
            code_version: row.code_version,
            key: row.key.map(|key| bytes(key, None)),
            value: row.value.map(|value| bytes(value, value_bytes)),
            headers: row.headers.0,
            stands: PlaceView { topic: row.topic, partition: row.partition, offset: row.offset },
            data: None,
            blocking: None,
            can: Vec::new(),
            actions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_we_do_not_write_are_masked_and_at_the_front_door_all_of_the_record() {
        let written = [
            "ce_subject",
            "quadrille-note",
            "quadrille-stage",
            "x-shop",
            "quadrille-stage",
            "kafka_dlt-original-topic",
        ];
        let shown = |is_foreign| {
            let mut headers =
                written.map(|name| Header { name: name.to_owned(), value: Some("Ada".to_owned()), hex: None });
            mask(&mut headers, is_foreign);
            headers.map(|header| header.value.is_some())
        };
        assert_eq!(shown(true), [false, false, false, false, true, true]);
        assert_eq!(shown(false), [true, false, false, false, true, true]);
    }
}
