//! From rows to acknowledged batches: what was read is given to Kafka, and the batches whose every row was taken, or set aside, are handed back in order.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use events::Timestamp;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;

use super::error::RelayError;
use super::publisher::{ALONE, ANNOUNCEMENT, DeliveryFault, OutgoingRecord, Publisher, RING, Undelivered, fault};
use super::record::{EntryPlace, OutboxRecord};
use super::settings::RelaySettings;
use super::snapshot::Snapshot;
use super::topics::Topics;

/// How far the shards are published once a batch is done.
#[derive(Clone, Debug)]
pub(super) enum ShardPosition {
    /// Everything that this snapshot sees.
    Reached(Snapshot),
    /// Of what this snapshot sees, everything up to the position.
    Ahead(Snapshot, i64),
}

pub(super) struct OutboundBatch {
    number: u32,
    places: Vec<EntryPlace>,
    /// Of each row, a number for its topic and key; none without a key.
    keys: Vec<Option<u64>>,
    /// Rows that Kafka will not take, and why.
    pub refused: Vec<(EntryPlace, String)>,
    /// Rows that Kafka refused with their neighbours, in their order: each may pass alone.
    pub again: Vec<usize>,
    pub position: ShardPosition,
    /// Everything committed before this moment is published when the batch is done, if its position is a reached one.
    pub taken: Timestamp,
    pub last_seq: i64,
}

impl OutboundBatch {
    fn new(number: u32, position: ShardPosition, taken: Timestamp) -> Self {
        let (places, keys, refused, again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { number, places, keys, refused, again, position, taken, last_seq: 0 }
    }

    pub fn place(&self, row: usize) -> EntryPlace {
        self.places[row]
    }

    fn is_refused(&self, row: usize) -> bool {
        self.refused.iter().any(|(place, _)| *place == self.places[row])
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }
}

pub(super) struct Outbound {
    publisher: Publisher,
    topics: Topics,
    /// How long a topic that is missing may be on its way.
    grace: Duration,
    in_flight: VecDeque<OutboundBatch>,
    next_number: u32,
    /// Average size of a row, of which pages are cut.
    row_bytes: f64,
}

impl Outbound {
    pub fn new(settings: &RelaySettings) -> Result<Self, RelayError> {
        Ok(Self {
            publisher: Publisher::new(&settings.kafka)?,
            topics: Topics::new(&settings.topic_prefix),
            grace: settings.topic_grace,
            in_flight: VecDeque::new(),
            next_number: 0,
            row_bytes: 1_000.0,
        })
    }

    pub fn open(&mut self, position: ShardPosition, taken: Timestamp) -> OutboundBatch {
        let number = self.next_number;
        self.next_number = (self.next_number + 1) % ANNOUNCEMENT;
        self.publisher.open(number);
        OutboundBatch::new(number, position, taken)
    }

    /// Gives a row to Kafka as part of a batch. A row that Kafka can't take is noted in the batch.
    pub async fn give(&mut self, batch: &mut OutboundBatch, record: &OutboxRecord<'_>) -> Result<(), RelayError> {
        self.topics.learn(record.topic, self.grace, &self.publisher).await?;
        self.row_bytes += (record.size() as f64 - self.row_bytes) / 256.0;
        let row = batch.places.len() as u32;
        batch.places.push(record.place);
        batch.keys.push(record.key.map(|key| key_number(record.topic, key)));
        batch.last_seq = batch.last_seq.max(record.place.seq());
        let topic = self.topics.full_name(record.topic).map_err(ToOwned::to_owned);
        let refusal = match topic.and_then(|topic| Ok((topic, record.kafka_headers()?))) {
            Ok((topic, headers)) => {
                let outgoing = OutgoingRecord { topic, key: record.key, headers, payload: record.payload };
                let given = self.publisher.give(batch.number, row, outgoing).await;
                given.err().map(|error| refused(1, &error)).transpose()?
            }
            Err(reason) => Some(reason),
        };
        batch.refused.extend(refusal.map(|reason| (record.place, reason)));
        Ok(())
    }

    /// The batch is complete; its turn to be done comes after those before it. Returns how many rows it has.
    pub fn seal(&mut self, batch: OutboundBatch) -> usize {
        let rows = batch.len();
        self.publisher.seal(batch.number);
        self.in_flight.push_back(batch);
        rows
    }

    /// Nothing more is to be read up to this snapshot: it is reached when the newest batch is done. Says whether there is one.
    pub fn extend(&mut self, snapshot: &Snapshot, taken: Timestamp) -> bool {
        let Some(batch) = self.in_flight.back_mut() else { return false };
        (batch.position, batch.taken) = (ShardPosition::Reached(snapshot.clone()), taken);
        true
    }

    pub fn is_reported(&self) -> bool {
        self.in_flight.iter().all(|batch| self.publisher.is_done(batch.number))
    }

    /// The oldest batch, if it is done: its rows acknowledged, noted as refused, or to be tried again alone.
    pub fn next_done(&mut self) -> Result<Option<OutboundBatch>, RelayError> {
        let Some(mut batch) = self.in_flight.pop_front_if(|batch| self.publisher.is_done(batch.number)) else {
            return Ok(None);
        };
        let undelivered = self.publisher.take_refused(batch.number);
        let rows = undelivered.len();
        for Undelivered { row, error, .. } in undelivered {
            if fault(&error) == DeliveryFault::Neighbours {
                batch.again.push(row as usize);
            } else {
                batch.refused.push((batch.place(row as usize), refused(rows, &error)?));
            }
        }
        batch.again.sort_unstable();
        Ok(Some(batch))
    }

    /// Gives one row to Kafka alone and waits for the answer: an error says why it was refused.
    pub async fn give_alone(&mut self, record: &OutboxRecord<'_>) -> Result<Result<(), String>, RelayError> {
        let mut batch =
            OutboundBatch::new(ALONE, ShardPosition::Ahead(Snapshot::start(), 0), Timestamp::from_millis(0));
        self.publisher.open(batch.number);
        self.give(&mut batch, record).await?;
        self.publisher.seal(batch.number);
        while !self.publisher.is_done(batch.number) {
            self.publisher.changed(Duration::from_millis(20)).await;
        }
        if let Some((_, reason)) = batch.refused.pop() {
            return Ok(Err(reason));
        }
        match self.publisher.take_refused(batch.number).pop() {
            None => Ok(Ok(())),
            Some(Undelivered { error, .. }) => refused(1, &error).map(Err),
        }
    }

    /// Kafka refused rows for this topic: it is asked about it before the next one.
    pub fn doubt(&mut self, topic: &str) {
        self.topics.forget(topic);
    }

    /// Publishes what the relay itself has to say, unless its last word is still on the way. Nobody waits for it.
    pub async fn announce(
        &mut self,
        topic: &str,
        key: &[u8],
        headers: OwnedHeaders,
        payload: &[u8],
    ) -> Result<(), RelayError> {
        if !self.publisher.is_done(ANNOUNCEMENT) {
            return Ok(());
        }
        for refused in self.publisher.take_refused(ANNOUNCEMENT) {
            tracing::warn!(topic, error = %refused.error, "the relay's watermark was not taken");
            self.topics.forget(topic);
        }
        self.topics.learn(topic, Duration::ZERO, &self.publisher).await?;
        match self.topics.full_name(topic) {
            Ok(topic) => {
                let outgoing = OutgoingRecord { topic, key: Some(key), headers, payload: Some(payload) };
                let given = self.publisher.give(ANNOUNCEMENT, 0, outgoing).await;
                given.unwrap_or_else(|error| tracing::warn!(topic, %error, "the relay's watermark was not taken"));
            }
            Err(reason) => {
                tracing::warn!(
                    topic,
                    reason,
                    "the relay's watermark was not published; the saga tracker holds late orders for late"
                );
            }
        }
        Ok(())
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether the next read must wait for acknowledgements: so many reads are on their way, or two pages of rows, which bounds the memory.
    pub fn is_full(&self, settings: &RelaySettings) -> bool {
        let rows: usize = self.in_flight.iter().map(OutboundBatch::len).sum();
        self.in_flight.len() >= settings.reads_ahead.clamp(1, RING / 2) || rows >= 2 * settings.page_rows as usize
    }

    pub async fn changed(&self, at_most: Duration) {
        self.publisher.changed(at_most).await;
    }

    pub fn rows_for(&self, bytes: u32) -> u32 {
        (f64::from(bytes) / self.row_bytes) as u32
    }
}

/// What is given to Kafka alone once batches that were read one after the other are reported: rows that were refused with their neighbours, and behind
/// them all later ones of their keys once more, though Kafka has taken those. So a key's events end in their order. By batch and row, in their order.
pub(super) fn alone(batches: &[OutboundBatch]) -> Vec<(usize, usize)> {
    let (mut rows, mut keys) = (Vec::new(), HashSet::new());
    for (number, batch) in batches.iter().enumerate() {
        for (row, key) in batch.keys.iter().enumerate() {
            let is_again = batch.again.binary_search(&row).is_ok();
            if is_again {
                keys.extend(*key);
            }
            if is_again || key.is_some_and(|key| keys.contains(&key)) && !batch.is_refused(row) {
                rows.push((number, row));
            }
        }
    }
    rows
}

fn key_number(topic: &str, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, key).hash(&mut hasher);
    hasher.finish()
}

/// Why a row was refused, unless that was not its own fault: then so many rows were not delivered.
fn refused(rows: usize, error: &KafkaError) -> Result<String, RelayError> {
    let reason = error.to_string();
    if fault(error) == DeliveryFault::Connection { Err(RelayError::Undelivered(rows, reason)) } else { Ok(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: i64, keys: &[Option<&str>], again: &[usize], refused: &[usize]) -> OutboundBatch {
        let mut batch = OutboundBatch::new(0, ShardPosition::Ahead(Snapshot::start(), 0), Timestamp::from_millis(0));
        for (row, key) in keys.iter().enumerate() {
            batch.places.push(EntryPlace { slot: 0, xid: 1, entry: first, index: row as u16 });
            batch.keys.push(key.map(|key| key_number("orders", key.as_bytes())));
        }
        batch.again = again.to_vec();
        batch.refused = refused.iter().map(|row| (batch.place(*row), "no".to_owned())).collect();
        batch
    }

    #[test]
    fn later_rows_of_a_key_follow_those_that_are_tried_alone_and_others_do_not() {
        let (a, b) = (Some("a"), Some("b"));
        let first = batch(0, &[a, b, None, a, None], &[1, 2], &[4]);
        let second = batch(1_024, &[a, b, None, b, b], &[], &[3]);
        assert_eq!(alone(&[first, second]), [(0, 1), (0, 2), (1, 1), (1, 4)]);
        let nothing = batch(0, &[a, b, a], &[], &[0]);
        assert!(alone(&[nothing]).is_empty());
        let early = batch(0, &[a, a, a], &[1], &[]);
        assert_eq!(alone(&[early]), [(0, 1), (0, 2)], "what came before has its place already");
    }
}
