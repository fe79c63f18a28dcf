//! Kafka as a user of the pipeline has it: records written, topics read to their end, groups reset.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::deadline::{Ends, LOOK};
use crate::stack::stack;

const PATIENCE: Duration = Duration::from_secs(20);

/// A record to write: key, value, headers.
pub type NewRecord<'r> = (Option<&'r [u8]>, &'r [u8], &'r [(&'r str, &'r str)]);

/// A record as a plain client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers that are text, by name; the last of a name.
    pub headers: HashMap<String, String>,
    /// When Kafka took it, or its producer says that it was made.
    pub timestamp: i64,
}

impl Record {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &stack().kafka);
    config
}

/// Writes records (key, value, headers) to a topic by its full name, and waits until Kafka has them.
pub fn produce(topic: &str, records: &[NewRecord<'_>]) {
    let producer: BaseProducer<Delivered> = client()
        .set("linger.ms", "1")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "2000000")
        .create_with_context(Delivered::default())
        .expect("a producer");
    for (key, value, headers) in records {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let record = BaseRecord::to(topic).payload(*value).headers(headers);
        let record = match key {
            Some(key) => record.key(*key),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
    }
    producer.flush(PATIENCE).expect("Kafka answers");
    let refused = producer.context().take_error();
    assert!(refused.is_none(), "{topic} takes the records: {refused:?}");
}

/// The same for records of any size: compressed, as whoever gets around a topic's limit has them. A record that is refused, as by a topic that was made
/// this moment, is sent again.
pub fn produce_large(topic: &str, records: &[NewRecord<'_>]) {
    let producer: BaseProducer<Delivered> = client()
        .set("compression.type", "zstd")
        .set("message.max.bytes", "100000000")
        .create_with_context(Delivered::default())
        .expect("a producer");
    // One by one, so that they stand in their order, and none is refused for its neighbours.
    for (key, value, _) in records {
        let ends = Ends::within(PATIENCE);
        loop {
            let record = BaseRecord::to(topic).payload(*value);
            let record = if let Some(key) = key { record.key(*key) } else { record };
            producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
            producer.flush(PATIENCE).expect("Kafka answers");
            let Some(error) = producer.context().take_error() else { break };
            ends.check(|| format!("{topic} takes a record: {error}"));
            std::thread::sleep(Duration::from_millis(50)); // between two tries
        }
    }
}

/// Keeps the error of what was not delivered: `flush` is well content with what was refused.
#[derive(Default)]
struct Delivered(Mutex<Option<KafkaError>>);

impl Delivered {
    fn take_error(&self) -> Option<KafkaError> {
        self.0.lock().expect("nobody panicked").take()
    }
}

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().expect("nobody panicked") = Some(error.clone());
        }
    }
}

/// Deletes a topic and creates it anew, and forgets how far a group (that has no member) had read.
///
/// # Panics
/// When Kafka refuses.
pub async fn recreate(topic: &str, partitions: i32, group: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("an admin client");
    let options = AdminOptions::new();
    admin.delete_groups(&[group], &options).await.expect("an answer").pop().expect("one").expect("the group is gone");
    admin.delete_topics(&[topic], &options).await.expect("an answer").pop().expect("one").expect("the topic is gone");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let since = std::time::Instant::now();
    loop {
        match admin.create_topics([&new], &options).await.expect("an answer").pop().expect("one") {
            Ok(_) => return,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) if since.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await; // it is being deleted still
            }
            Err((_, code)) => panic!("{topic} can't be created anew: {code}"),
        }
    }
}

/// Deletes all that a partition holds, as its retention does.
///
/// # Panics
/// When Kafka refuses.
pub async fn delete_all(topic: &str, partition: i32) {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::End).expect("an offset");
    admin.delete_records(&list, &AdminOptions::new()).await.expect("the records are deleted");
}

/// Looks at the committed offsets of some groups, with the topics that each reads, until told to stop; returns how often.
///
/// # Panics
/// When a committed offset was set back; says which.
pub fn watch_offsets(groups: &[(String, Vec<String>)], stop: &AtomicBool) -> usize {
    let clients: Vec<(BaseConsumer, TopicPartitionList)> = groups
        .iter()
        .map(|(group, topics)| {
            let mut list = TopicPartitionList::new();
            for (topic, partition) in ends(topics).into_keys() {
                list.add_partition(&topic, partition);
            }
            (client().set("group.id", group).create().expect("a consumer"), list)
        })
        .collect();
    let (mut seen, mut looks) = (HashMap::new(), 0);
    // ends when it is told to, and at the latest with its test
    while !stop.load(Ordering::Acquire) {
        for ((group, _), (consumer, list)) in groups.iter().zip(&clients) {
            let committed = consumer.committed_offsets(list.clone(), PATIENCE).expect("committed offsets");
            for element in committed.elements() {
                let Offset::Offset(next) = element.offset() else { continue };
                let of = (group.clone(), element.topic().to_owned(), element.partition());
                let before = seen.insert(of.clone(), next).unwrap_or(0);
                assert!(next >= before, "{of:?} was set back from {before} to {next}");
            }
        }
        looks += 1;
        std::thread::sleep(Duration::from_millis(100)); // between two looks
    }
    looks
}

/// Reads a topic from its beginning to what is its end now.
pub fn read_all(topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = client()
        .set("group.id", "quadrille-tests-read")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    let (mut list, mut left) = (TopicPartitionList::new(), HashMap::new());
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = watermarks(&consumer, topic, partition.id());
        if high > low {
            left.insert(partition.id(), high);
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("an offset");
        }
    }
    consumer.assign(&list).expect("an assignment");
    let mut records = Vec::new();
    // ends with the last record, or at one that does not arrive
    while !left.is_empty() {
        let message = consumer.poll(PATIENCE).expect("records that are there arrive").expect("no error");
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .filter_map(|header| Some((header.key.to_owned(), String::from_utf8(header.value?.to_vec()).ok()?)))
                .collect()
        });
        records.push(Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
        });
        if left.get(&message.partition()).is_some_and(|high| message.offset() + 1 >= *high) {
            left.remove(&message.partition());
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Where a partition begins and ends. A topic that was made just now may have no leader for a moment, which is no answer yet.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    let ends = Ends::within(PATIENCE);
    loop {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok(watermarks) => return watermarks,
            Err(KafkaError::MetadataFetch(NotLeaderForPartition | LeaderNotAvailable)) => {
                ends.check(|| format!("{topic}/{partition} has no leader"));
                std::thread::sleep(LOOK); // between two looks at a condition
            }
            Err(error) => panic!("where {topic}/{partition} ends: {error}"),
        }
    }
}

/// How far a topic reaches: the sum of its partitions' ends, each minus what was deleted.
pub(crate) fn ends(topics: &[String]) -> HashMap<(String, i32), i64> {
    let consumer: BaseConsumer = client().create().expect("a client");
    let mut ends = HashMap::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let (_, high) = watermarks(&consumer, topic, partition.id());
            ends.insert((topic.clone(), partition.id()), high);
        }
    }
    ends
}

/// Sets a group (that has no member) back to the beginning of these topics, as `kafka-consumer-groups --reset-offsets --to-earliest` does.
pub fn commit_beginning(group: &str, topics: &[String]) {
    let consumer: BaseConsumer = client().set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for (topic, partition) in ends(topics).into_keys() {
        list.add_partition_offset(&topic, partition, Offset::Offset(0)).expect("an offset");
    }
    consumer.commit(&list, CommitMode::Sync).expect("the group takes offsets: it has no member");
}

/// Sets a group (that has no member) to the end of these topics: what it has not read it never will.
pub fn commit_end(group: &str, topics: &[String]) {
    let consumer: BaseConsumer = client().set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for ((topic, partition), end) in ends(topics) {
        list.add_partition_offset(&topic, partition, Offset::Offset(end)).expect("an offset");
    }
    consumer.commit(&list, CommitMode::Sync).expect("the group takes offsets: it has no member");
}

/// How many records of these topics a group has not committed, of partitions of which it committed any: its lag, as Kafka's own tools have it.
/// A group that committed nothing, or does not exist, is behind by everything.
pub fn lag(group: &str, topics: &[String]) -> i64 {
    let consumer: BaseConsumer = client().set("group.id", group).create().expect("a consumer");
    let ends = ends(topics);
    let mut list = TopicPartitionList::new();
    for (topic, partition) in ends.keys() {
        list.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(list, PATIENCE).expect("committed offsets");
    let behind = committed.elements().into_iter().filter_map(|element| {
        let Offset::Offset(next) = element.offset() else { return None };
        Some(ends[&(element.topic().to_owned(), element.partition())] - next)
    });
    behind.reduce(|all, one| all + one).unwrap_or(i64::MAX)
}
