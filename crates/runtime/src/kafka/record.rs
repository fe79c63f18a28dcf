//! What comes in by the front door: one Kafka record with its bytes, and what its CloudEvents headers say.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use events::{Event, Timestamp};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::avro::codec::Codec;
use crate::kafka::headers::Headers;
use crate::vocabulary::{Cause, TraceContext};

/// Stands, without a value, for each header whose name is not UTF-8: Kafka's client gives neither. With a value it stands for all that follow, too.
const UNREADABLE_HEADER: &str = "quadrille-unreadable-header";

/// So many of them are read past in a record; each costs a panic, and a small record may have a hundred thousand.
const MOST_UNREADABLE: usize = 16;

/// The headers of a record, in order. Kafka allows any bytes as a name, and its client panics over one that is not UTF-8.
pub fn headers<'m>(record: &'m BorrowedMessage<'_>) -> impl Iterator<Item = Header<'m, &'m [u8]>> {
    let headers = record.headers();
    let mut unreadable = 0;
    (0..headers.map_or(0, |headers| headers.count())).map_while(move |at| {
        if unreadable > MOST_UNREADABLE {
            return None;
        }
        quietly(|| headers?.try_get(at)).unwrap_or_else(|_| {
            unreadable += 1;
            let value = (unreadable > MOST_UNREADABLE).then_some(b"and all behind it".as_slice());
            Some(Header { key: UNREADABLE_HEADER, value })
        })
    })
}

/// Catches a panic that is expected: it would only fill the log with what a stranger brings about.
fn quietly<T>(read: impl FnOnce() -> T) -> std::thread::Result<T> {
    thread_local! {
        static EXPECTED: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                others(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let caught = catch_unwind(AssertUnwindSafe(read));
    EXPECTED.set(false);
    caught
}

/// A record as it was read, its topic without the deployment's prefix.
#[derive(Clone, Debug)]
pub struct Message {
    /// The topic's name as topics.yaml has it.
    pub topic: &'static str,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The record's own time, milliseconds since the epoch, where it has one.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// All headers, unchanged.
    pub headers: Headers,
    /// The value's bytes; none for a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Message {
    /// Copies a record of Kafka's client.
    pub fn taken(topic: &'static str, record: &BorrowedMessage<'_>) -> Self {
        let mut headers = Headers::with_capacity(480);
        self::headers(record).for_each(|header| headers.push_bytes(header.key, header.value));
        Self {
            topic,
            partition: record.partition(),
            offset: record.offset(),
            timestamp_ms: record.timestamp().to_millis(),
            key: record.key().map(<[u8]>::to_vec),
            headers,
            payload: record.payload().map(<[u8]>::to_vec),
        }
    }

    /// The CloudEvents type, by which a consumer skips what it does not subscribe to without decoding it.
    pub fn event_type(&self) -> Option<&str> {
        self.headers.text("ce_type")
    }

    /// Whether it has headers that were not read, as they stand behind too many whose names are not UTF-8: its id may be among them.
    pub fn has_unread_headers(&self) -> bool {
        self.headers.text(UNREADABLE_HEADER).is_some()
    }

    /// What this record is a cause of, by its CloudEvents headers.
    ///
    /// # Errors
    /// When it has no `ce_id`, or one that is not a UUID: all topics but the front door carry them.
    pub fn cause(&self) -> Result<Cause, Unreadable> {
        let id = self.headers.text("ce_id").ok_or_else(|| self.without("ce_id"))?;
        let id = Uuid::parse_str(id)
            .map_err(|_| Unreadable(format!("header ce_id of {}: expected a UUID, got other text", self.place())))?;
        let correlation = self.headers.text("ce_correlationid").or_else(|| self.headers.text("ce_subject"));
        let thread = TraceContext {
            correlation_id: correlation.ok_or_else(|| self.without("ce_correlationid"))?.into(),
            traceparent: self.headers.text("traceparent").map(Into::into),
            event: Some(id),
        };
        Ok(Cause::topic(id, thread))
    }

    /// When its event was said, as its headers have it, else as the record has it; none where no clock can mean what they say.
    pub fn said_at(&self) -> Option<Timestamp> {
        let said = self.headers.text("ce_time").and_then(|time| time.parse().ok());
        said.filter(|at: &Timestamp| at.is_plausible()).or_else(|| self.recorded_at())
    }

    /// The record's own time; none where no clock can mean it.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.timestamp_ms.map(Timestamp::from_millis).filter(|at| at.is_plausible())
    }

    /// Decodes its value as this event.
    ///
    /// # Errors
    /// When the value is not framed, its schema is not known, or it holds something else.
    pub fn read<E: Event>(&self, codec: &Codec) -> Result<E, Unreadable> {
        codec
            .decode(self.payload.as_deref())
            .map_err(|error| Unreadable(format!("{} of {}: {error}", E::TYPE, self.place())))
    }

    fn without(&self, header: &str) -> Unreadable {
        Unreadable(format!("{} has no readable header {header}: expected CloudEvents in binary mode", self.place()))
    }

    /// What tells it from another record at the same place, once the topic was created anew: the first 128 bits of SHA-256 over its time and value.
    /// The migrations reckon the same of rows that were kept before.
    pub(crate) fn incarnation(&self) -> Uuid {
        let mut digest = Sha256::new();
        if let Some(timestamp) = self.timestamp_ms {
            digest.update(timestamp.to_be_bytes());
        }
        digest.update(self.payload.as_deref().unwrap_or_default());
        let digest: [u8; 32] = digest.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Uuid::from_bytes(first)
    }

    /// Where it stands, for people: `orders/2@1042`.
    pub fn place(&self) -> String {
        format!("{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// Why a record can't be understood. It becomes a dead letter with its bytes unchanged.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<crate::avro::codec::CodecError> for Unreadable {
    fn from(error: crate::avro::codec::CodecError) -> Self {
        Self(error.to_string())
    }
}
