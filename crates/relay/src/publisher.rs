//! The relay's producer: rows go in by batches, a counter a batch says when Kafka has acknowledged all of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use tokio::sync::Notify;

use super::error::RelayError;
use runtime::kafka::bootstrap_again::BootstrapAgain;
use runtime::kafka::rebalance;

/// Batches that can be open at once; more than any relay reads ahead.
pub(super) const RING: usize = 64;

/// The number of the batch of what the relay itself says: outside the ring, since it may be on its way for longer than any.
pub(super) const ANNOUNCEMENT: u32 = (u32::MAX / RING as u32) * RING as u32;

/// The number of the row that is tried alone: outside the ring too, since the batches of the ring are on their way meanwhile.
pub(super) const ALONE: u32 = ANNOUNCEMENT + 1;

/// How long the thread that serves reports blocks: rdkafka spins through the last millisecond of it, so not less.
const REPORT_WAIT: Duration = Duration::from_secs(1);

/// How long Kafka may take to answer about a topic.
const ANSWER: Duration = Duration::from_secs(5);

/// The relay's own choices; settings may add to them and change most.
const DEFAULTS: [(&str, &str); 9] = [
    ("linger.ms", "0.1"), // rows of one read are given at once
    ("batch.size", "262144"),
    ("partitioner", "murmur2_random"), // where Java puts a key
    ("queue.buffering.max.kbytes", "16384"),
    ("queue.buffering.max.messages", "50000"),
    ("message.max.bytes", "16777216"), // the topic's own limit decides
    ("socket.nagle.disable", "true"),
    ("topic.metadata.propagation.max.ms", "5000"),
    ("client.id", "quadrille-outbox-relay"),
];

/// What nobody may change: each is part of the promise that nothing is lost or turns round.
const FIXED: [(&str, &str); 3] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("message.timeout.ms", "0"), // else librdkafka drops what waited five minutes, and sends what came later
];

#[derive(Clone, Debug)]
pub(super) struct Undelivered {
    pub batch: u32,
    pub row: u32,
    pub error: KafkaError,
}

/// Delivery reports, shared with the thread that serves them.
#[derive(Debug)]
struct Reports {
    /// Of the batches of the ring, of the announcement and of the row that is tried alone: rows without a report.
    pending: [AtomicU32; RING + 2],
    refused: Mutex<Vec<Undelivered>>,
    wants_room: AtomicBool,
    /// No broker can be reached, and none has acknowledged anything since.
    all_down: AtomicBool,
    changed: Notify,
}

impl Reports {
    fn pending(&self, batch: u32) -> &AtomicU32 {
        &self.pending[match batch {
            ANNOUNCEMENT => RING,
            ALONE => RING + 1,
            _ => batch as usize % RING,
        }]
    }
}

struct DeliveryContext(Arc<Reports>);

impl ClientContext for DeliveryContext {
    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers that come and go: librdkafka tries again by itself, and what it gives up arrives as a report.
        if rebalance::is_all_down(&error) {
            self.0.all_down.store(true, Ordering::Release);
        } else {
            tracing::warn!(%error, reason, "Kafka is disturbed");
        }
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let (batch, row) = ((ticket >> 32) as u32, ticket as u32);
        if let Err((error, _)) = result {
            let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.push(Undelivered { batch, row, error: error.clone() });
        } else if self.0.all_down.load(Ordering::Relaxed) {
            self.0.all_down.store(false, Ordering::Release);
        }
        let was_last = self.0.pending(batch).fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last || self.0.wants_room.swap(false, Ordering::AcqRel) {
            self.0.changed.notify_one();
        }
    }
}

/// A producer and the reports of what was given to it. Dropped, it forgets all that Kafka has not yet acknowledged.
pub(super) struct Publisher {
    producer: Arc<BaseProducer<DeliveryContext>>,
    reports: Arc<Reports>,
    stop: Arc<AtomicBool>,
}

pub(super) struct OutgoingRecord<'r> {
    /// The topic's full name.
    pub topic: &'r str,
    pub key: Option<&'r [u8]>,
    pub headers: OwnedHeaders,
    pub payload: Option<&'r [u8]>,
}

impl Publisher {
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, RelayError> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut config = ClientConfig::from_iter(DEFAULTS.map(own));
        config.extend(properties.clone());
        config.extend(FIXED.map(own));
        let reports = Arc::new(Reports {
            pending: std::array::from_fn(|_| AtomicU32::new(0)),
            refused: Mutex::default(),
            wants_room: AtomicBool::new(false),
            all_down: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let producer: BaseProducer<DeliveryContext> =
            config.create_with_context(DeliveryContext(Arc::clone(&reports))).map_err(RelayError::Producer)?;
        let (producer, stop) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        serve_reports(Arc::clone(&producer), Arc::clone(&reports), BootstrapAgain::new(properties), Arc::clone(&stop))
            .map_err(RelayError::Thread)?;
        Ok(Self { producer, reports, stop })
    }

    /// Opens a batch: it is not done before it is sealed.
    pub fn open(&self, batch: u32) {
        self.reports.pending(batch).store(1, Ordering::Release);
    }

    pub fn seal(&self, batch: u32) {
        self.reports.pending(batch).fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether every row of the batch was reported, well or ill.
    pub fn is_done(&self, batch: u32) -> bool {
        self.reports.pending(batch).load(Ordering::Acquire) == 0
    }

    /// Gives a row to librdkafka, waiting while its queue is full. An error is about this row.
    pub async fn give(&self, batch: u32, row: u32, outgoing: OutgoingRecord<'_>) -> Result<(), KafkaError> {
        let mut record = BaseRecord::with_opaque_to(outgoing.topic, ((batch as usize) << 32) | row as usize);
        record.headers = Some(outgoing.headers);
        record.key = outgoing.key;
        record.payload = outgoing.payload;
        // Counted before it is given: its report may come before `send` returns.
        self.reports.pending(batch).fetch_add(1, Ordering::AcqRel);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.reports.wants_room.store(true, Ordering::Release);
                    // The report that makes room may have come before the wish: look again soon in any case.
                    let _ = tokio::time::timeout(Duration::from_millis(20), self.reports.changed.notified()).await;
                }
                Err((error, _)) => {
                    self.reports.pending(batch).fetch_sub(1, Ordering::AcqRel);
                    return Err(error);
                }
            }
        }
    }

    pub async fn changed(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.reports.changed.notified()).await;
    }

    pub fn take_refused(&self, batch: u32) -> Vec<Undelivered> {
        let mut refused = self.reports.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.extract_if(.., |one| one.batch == batch).collect()
    }

    /// Asks Kafka about a topic (full name).
    pub async fn topic(&self, name: &str) -> Result<TopicState, RelayError> {
        let (producer, topic) = (Arc::clone(&self.producer), name.to_owned());
        let asked = move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), ANSWER)?;
            let error = metadata.topics().first().and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
            Ok(match error {
                None | Some(RDKafkaErrorCode::LeaderNotAvailable) => TopicState::There,
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => TopicState::Missing,
                Some(other) => TopicState::Refused(other),
            })
        };
        let answer = tokio::task::spawn_blocking(asked).await;
        let answer = answer.map_err(|stopped| RelayError::Thread(std::io::Error::other(stopped)))?;
        answer.map_err(|source| RelayError::Metadata(name.to_owned(), source))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        self.stop.store(true, Ordering::Release);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicState {
    There,
    Missing,
    Refused(RDKafkaErrorCode),
}

/// Serves reports on a thread of its own until the publisher is dropped. Not rdkafka's `ThreadedProducer`: that one wakes ten times a second.
fn serve_reports(
    producer: Arc<BaseProducer<DeliveryContext>>,
    reports: Arc<Reports>,
    mut servers: BootstrapAgain,
    stop: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let serve = move || {
        while !stop.load(Ordering::Acquire) {
            producer.poll(REPORT_WAIT);
            match reports.all_down.load(Ordering::Acquire) {
                true => servers.unreached(producer.client(), Instant::now()),
                false => servers.reached(),
            }
        }
    };
    std::thread::Builder::new().name("relay-reports".into()).spawn(serve).map(drop)
}

/// What a failed report means for its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryFault {
    Row,
    /// Kafka refused a whole record batch, perhaps for a neighbour: alone it may pass.
    Neighbours,
    /// It is not about the row: start again from the cursor.
    Connection,
}

pub(super) fn fault(error: &KafkaError) -> DeliveryFault {
    use RDKafkaErrorCode as Code;
    // librdkafka's codes are not our enum and grow with it: whatever is not known to be a row's own fault is the connection's.
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => DeliveryFault::Row,
        Some(Code::TopicAuthorizationFailed | Code::InvalidTopic | Code::PolicyViolation | Code::InvalidArgument) => {
            DeliveryFault::Row
        }
        // The last is what librdkafka says of the rows beside those that the broker names as invalid.
        Some(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::UnsupportedForMessageFormat
            | Code::InvalidDifferentRecord,
        ) => DeliveryFault::Neighbours,
        _ => DeliveryFault::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_a_broker_finds_invalid_and_its_neighbours_are_tried_alone_and_what_is_not_known_is_the_connections() {
        use RDKafkaErrorCode as Code;
        let of = |code| fault(&KafkaError::MessageProduction(code));
        for code in
            [Code::InvalidRecord, Code::InvalidDifferentRecord, Code::MessageSizeTooLarge, Code::InvalidTimestamp]
        {
            assert_eq!(of(code), DeliveryFault::Neighbours, "{code:?}");
        }
        for code in [Code::UnknownTopicOrPartition, Code::TopicAuthorizationFailed, Code::PolicyViolation] {
            assert_eq!(of(code), DeliveryFault::Row, "{code:?}");
        }
        for code in [Code::BrokerTransportFailure, Code::NotEnoughReplicas, Code::MessageTimedOut, Code::PurgeQueue] {
            assert_eq!(of(code), DeliveryFault::Connection, "{code:?}");
        }
    }

    #[test]
    fn rows_that_are_tried_alone_take_no_place_of_the_ring() {
        let publisher = Publisher::new(&BTreeMap::new()).unwrap();
        for batch in 0..RING as u32 {
            publisher.open(batch);
        }
        for _ in 0..3 * RING {
            publisher.open(ALONE);
            assert!(!publisher.is_done(ALONE));
            publisher.seal(ALONE);
            assert!(publisher.is_done(ALONE));
        }
        assert!((0..RING as u32).all(|batch| !publisher.is_done(batch)), "each waits for its own rows still");
    }
}
