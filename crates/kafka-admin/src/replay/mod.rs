//! Topics read once more: by a reader beside the group, which notices nothing of it, or by the group itself, set back to a point.

mod group;
mod reader;
mod stories;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use events::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub use group::{Moved, check_stopped, reset};
pub use reader::{ReplayPage, ReplayReader, missing};
pub use stories::{newest_keys, stories};

const ASK: Duration = Duration::from_secs(20);

/// From where topics are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The oldest records that are kept.
    Beginning,
    /// Each partition from this offset, or from the nearest one that there is.
    Offset(i64),
    /// Each partition from the first record of this time or later.
    Time(Timestamp),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `beginning`, an offset such as `1042`, or a moment such as `2026-11-23T09:30:00Z`; got `{0}`")]
pub struct NotAPoint(String);

impl FromStr for Point {
    type Err = NotAPoint;

    fn from_str(text: &str) -> Result<Self, NotAPoint> {
        if text == "beginning" {
            return Ok(Self::Beginning);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(offset) = text.parse()
        {
            return Ok(Self::Offset(offset));
        }
        text.parse().map(Self::Time).map_err(|_| NotAPoint(text.to_owned()))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => to.write_str("the beginning"),
            Self::Offset(offset) => write!(to, "offset {offset}"),
            Self::Time(at) => write!(to, "{at}"),
        }
    }
}

/// Why topics can't be read again, or a group not be set back.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("Kafka: {0}: check KAFKA_BOOTSTRAP_SERVERS and the other KAFKA_… settings")]
    Kafka(#[from] KafkaError),
    #[error("topic {0} does not exist: run `quadrille topics apply` first")]
    NoTopic(String),
    /// Its members would go on from where they are.
    #[error(
        "the group {group} is active ({members} members): stop all instances of it first, then ask again. An instance that was killed \
         counts until its session times out, 10 s unless it was set"
    )]
    Active { group: String, members: usize },
    #[error("a schema can't be looked up: {0}")]
    Schema(#[from] runtime::CodecError),
    #[error("a thread of the replay died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// A partition's records: which are kept, and from which on they are read.
#[derive(Clone, Copy)]
struct PartitionRange {
    low: i64,
    start: i64,
    /// Behind the newest.
    high: i64,
}

/// By topic (full name) and partition.
type Extents = BTreeMap<(String, i32), PartitionRange>;

/// A client without a subscription; `group` is whose offsets it may commit.
fn client(kafka: &BTreeMap<String, String>, group: &str) -> Result<BaseConsumer, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20")
        .set("queued.max.messages.kbytes", "4096");
    // A response is held until the last of its messages is read: the default (50 MB) is more than the whole process beside it.
    config.set("fetch.max.bytes", "2097152").extend(kafka.clone());
    // A member is what this is not: settings of one would be refused, or make it one.
    config.remove("group.instance.id").remove("group.protocol");
    config.set("group.id", group).set("enable.auto.commit", "false").set("enable.auto.offset.store", "false").create()
}

/// Where each partition of these topics begins to be read. Blocks.
fn extents(client: &BaseConsumer, topics: &[String], from: Point) -> Result<Extents, ReplayError> {
    let mut found = BTreeMap::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic), ASK)?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|of| of.partitions()).map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            return Err(ReplayError::NoTopic(topic.clone()));
        }
        for partition in partitions {
            let (low, high) = client.fetch_watermarks(topic, partition, ASK)?;
            let start = match from {
                Point::Beginning => low,
                Point::Offset(offset) => offset.clamp(low, high),
                Point::Time(_) => high, // until Kafka has said which is the first of that time
            };
            found.insert((topic.clone(), partition), PartitionRange { low, start, high });
        }
    }
    // Kafka's client refuses a question about nothing.
    if let Point::Time(at) = from
        && !found.is_empty()
    {
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in found.keys() {
            asked.add_partition_offset(topic, *partition, Offset::Offset(at.as_millis()))?;
        }
        for answer in client.offsets_for_times(asked, ASK)?.elements() {
            let key = (answer.topic().to_owned(), answer.partition());
            if let (Some(extent), Offset::Offset(first)) = (found.get_mut(&key), answer.offset()) {
                extent.start = first.clamp(extent.low, extent.high);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_beginning_an_offset_or_a_moment() {
        assert_eq!("beginning".parse(), Ok(Point::Beginning));
        assert_eq!("1042".parse(), Ok(Point::Offset(1042)));
        let at = "2026-11-23T09:30:00Z".parse().unwrap();
        assert_eq!("2026-11-23T09:30:00Z".parse(), Ok(Point::Time(at)));
        for nonsense in ["", "-1", "end", "yesterday"] {
            let said = nonsense.parse::<Point>().unwrap_err().to_string();
            assert!(said.contains("beginning") && said.contains(&format!("`{nonsense}`")), "{said}");
        }
    }
}
