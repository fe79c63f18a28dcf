//! What topics tell of each order from a point on: what a database that was restored from a dump is compared with.

use std::collections::{BTreeMap, HashSet};

use events::{OrderId, OrderPlaced, StockLevelChanged};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::{ASK, Point, ReplayError, client, extents};
use runtime::Message;
use runtime::kafka::topology::Topology;
use runtime::restore::{OrderEvent, Stories};
use runtime::settings::Settings;

/// Reads the topics of all events of orders, the front door and the levels of stock, from a point on to their ends as they are now. It holds all
/// that it reads: some 25 kB for each order.
///
/// # Errors
/// What Kafka says, a topic that is missing, or records that are announced and do not come.
pub async fn stories(settings: &Settings, from: Point) -> Result<Stories, ReplayError> {
    const NOT_OF_ORDERS: [&str; 3] = ["operations", "dead-letter-orders", runtime::DEAD_LETTER_TOPIC];
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
                <StockLevelChanged as events::Event>::TOPIC => stories.levels.extend(OrderEvent::of(message)),
                _ => {
                    let key = message.key.as_deref().and_then(|key| Uuid::try_parse_ascii(key).ok());
                    if let (Some(order_id), Some(told)) = (key, OrderEvent::of(message)) {
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
