//! What topics tell of each order from a point on: what a database that was restored from a dump is compared with.

use std::collections::{BTreeMap, HashSet};

use events::{OrderId, OrderPlaced, StockLevelChanged, Timestamp};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::{ASK, Point, ReplayError, client, extents};
use crate::kafka::record::Message;
use crate::kafka::topology::Topology;
use crate::settings::Settings;

/// An event of an order, as its topic has it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The record.
    pub message: Message,
    /// Its id.
    pub id: Uuid,
    /// What it was said because of: an event, or what is in no topic.
    pub cause: Option<Uuid>,
    /// The event by which its order had last gone on.
    pub causation: Option<Uuid>,
    /// When it was said.
    pub at: Timestamp,
    /// Its place in the outbox that it was said in; the last, where it came from no outbox.
    pub seq: i64,
}

/// What topics tell.
#[derive(Debug, Default)]
pub struct Stories {
    /// The events of each order.
    pub orders: BTreeMap<OrderId, Vec<Told>>,
    /// Records of the front door.
    pub placed: Vec<Message>,
    /// The levels of stock, one after another.
    pub levels: Vec<Told>,
    /// How many records were read.
    pub records: u64,
}

impl Told {
    fn of(message: Message) -> Option<Self> {
        let uuid = |name| message.headers.text(name).and_then(|text| Uuid::parse_str(text).ok());
        let at = message.headers.text("ce_time").and_then(|time| time.parse().ok());
        let at = at.or(message.timestamp_ms.map(Timestamp::from_millis))?;
        let seq = message.headers.text("ce_sequence").and_then(|seq| seq.parse().ok()).unwrap_or(i64::MAX);
        let causation = uuid("ce_causationid");
        Some(Self { id: uuid("ce_id")?, cause: uuid("ce_triggerid").or(causation), causation, at, seq, message })
    }

    /// The event's type.
    pub fn event_type(&self) -> &str {
        self.message.event_type().unwrap_or_default()
    }
}

/// Reads the topics of all events of orders, the front door and the levels of stock, from a point on to their ends as they are now. It holds all
/// that it reads: some 25 kB for each order.
///
/// # Errors
/// What Kafka says, a topic that is missing, or records that are announced and do not come.
pub async fn stories(settings: &Settings, from: Point) -> Result<Stories, ReplayError> {
    const NOT_OF_ORDERS: [&str; 3] = ["operations", "dead-letter-orders", crate::dead_letter::TOPIC];
    let of_orders = events::catalogue().iter().filter(|entry| !NOT_OF_ORDERS.contains(&entry.topic));
    let types: Vec<&'static str> = of_orders.map(|entry| entry.event_type).collect();
    let common = settings.common();
    let topology = Topology::of(&common.topic_prefix, &types, &[]);
    let kafka = common.kafka.clone();
    let read = move || {
        let mut stories = Stories::default();
        let topics: Vec<String> = topology.full_names().into_iter().map(ToOwned::to_owned).collect();
        each(&kafka, &topics, from, None, |topic, record| {
            stories.records += 1;
            let Some(topic) = topology.known(topic) else { return };
            let message = Message::taken(topic, record);
            match topic {
                <OrderPlaced as events::Event>::TOPIC => stories.placed.push(message),
                <StockLevelChanged as events::Event>::TOPIC => stories.levels.extend(Told::of(message)),
                _ => {
                    let key = message.key.as_deref().and_then(|key| Uuid::try_parse_ascii(key).ok());
                    if let (Some(order_id), Some(told)) = (key, Told::of(message)) {
                        stories.orders.entry(OrderId(order_id)).or_default().push(told);
                    }
                }
            }
        })?;
        Ok(stories)
    };
    tokio::task::spawn_blocking(read).await?
}

/// The keys of the newest records of a topic: so many of each partition.
///
/// # Errors
/// As [`stories`].
pub async fn newest_keys(settings: &Settings, topic: &str, records: i64) -> Result<HashSet<Uuid>, ReplayError> {
    let common = settings.common();
    let (kafka, topic) = (common.kafka.clone(), format!("{}{topic}", common.topic_prefix));
    let read = move || {
        let mut keys = HashSet::new();
        each(&kafka, &[topic], Point::Beginning, Some(records), |_, record| {
            keys.extend(record.key().and_then(|key| Uuid::try_parse_ascii(key).ok()));
        })?;
        Ok(keys)
    };
    tokio::task::spawn_blocking(read).await?
}

/// Hands over each record of these topics (full names) from a point on, or so many of the newest of each partition. Blocks.
fn each(
    kafka: &BTreeMap<String, String>,
    topics: &[String],
    from: Point,
    newest: Option<i64>,
    mut take: impl FnMut(&str, &BorrowedMessage<'_>),
) -> Result<(), ReplayError> {
    // The last offset of a partition may be the marker of a transaction, which is no record: only Kafka knows that its end is reached.
    let mut kafka = kafka.clone();
    kafka.insert("enable.partition.eof".to_owned(), "true".to_owned());
    let found = extents(&client(&kafka, "quadrille-replay")?, topics, from)?;
    for topic in topics {
        let (mut list, mut left) = (TopicPartitionList::new(), BTreeMap::new());
        for ((_, partition), extent) in found.iter().filter(|((of, _), _)| of == topic) {
            let start = newest.map_or(extent.start, |newest| extent.start.max(extent.high - newest));
            if start < extent.high {
                list.add_partition_offset(topic, *partition, Offset::Offset(start))?;
                left.insert(*partition, extent.high);
            }
        }
        // A client for each topic, as only the partition is named whose end is reached.
        let client = client(&kafka, "quadrille-replay")?;
        client.assign(&list)?;
        while !left.is_empty() {
            let record = match client.poll(ASK).ok_or(KafkaError::NoMessageReceived)? {
                Ok(record) => record,
                Err(KafkaError::PartitionEOF(partition)) => {
                    left.remove(&partition);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(high) = left.get(&record.partition()).copied() else { continue };
            if record.offset() < high {
                take(topic, &record);
            }
            if record.offset() + 1 >= high {
                left.remove(&record.partition());
            }
        }
    }
    Ok(())
}
