//! A group set back, or forward, to a point: its consumer then reads from there again, and does nothing twice.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK, Point, ReplayError, client, extents};
use runtime::kafka::topology::Topology;
use runtime::settings::Settings;

/// Where a partition's group stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The topic's full name.
    pub topic: String,
    pub partition: i32,
    /// Where the group stood; none: it had read nothing.
    pub from: Option<i64>,
    pub to: i64,
    /// Behind the newest record.
    pub end: i64,
}

/// Sets the group of a consumer to a point of every topic that its subscriptions (event types) and raw topics are in. Every consumer may read every event again, at any age: its orders' rows
/// are the guard.
///
/// # Errors
/// [`ReplayError::Active`] while the group has members, and nothing is changed; what Kafka says.
pub async fn reset(
    settings: &Settings,
    consumer: &str,
    subscriptions: &[&'static str],
    raw_topics: &[&'static str],
    to: Point,
) -> Result<Vec<Moved>, ReplayError> {
    let topology = Topology::of(&settings.common().topic_prefix, subscriptions, raw_topics);
    let topics: Vec<String> = topology.full_names().into_iter().map(ToOwned::to_owned).collect();
    stopped(settings, consumer, move |client, group| commit(client, group, &topics, to)).await
}

/// Checks that no instance of a consumer runs.
///
/// # Errors
/// [`ReplayError::Active`] while one does; what Kafka says.
pub async fn check_stopped(settings: &Settings, consumer: &str) -> Result<(), ReplayError> {
    stopped(settings, consumer, |_, _| Ok(())).await
}

/// Does something with the group of a consumer that has no members.
async fn stopped<T: Send + 'static>(
    settings: &Settings,
    consumer: &str,
    change: impl FnOnce(&BaseConsumer, &str) -> Result<T, ReplayError> + Send + 'static,
) -> Result<T, ReplayError> {
    let common = settings.common();
    let (kafka, group) = (common.kafka.clone(), format!("{}{consumer}", common.topic_prefix));
    tokio::task::spawn_blocking(move || {
        let client = client(&kafka, &group)?;
        let found = client.fetch_group_list(Some(&group), ASK)?;
        let members = found.groups().iter().filter(|of| of.name() == group).map(|of| of.members().len()).sum();
        if members > 0 { Err(ReplayError::Active { group, members }) } else { change(&client, &group) }
    })
    .await?
}

fn commit(client: &BaseConsumer, group: &str, topics: &[String], to: Point) -> Result<Vec<Moved>, ReplayError> {
    let extents = extents(client, topics, to)?;
    let (mut asked, mut wanted) = (TopicPartitionList::new(), TopicPartitionList::new());
    for ((topic, partition), extent) in &extents {
        asked.add_partition(topic, *partition);
        wanted.add_partition_offset(topic, *partition, Offset::Offset(extent.start))?;
    }
    let before = client.committed_offsets(asked, ASK)?;
    client.commit(&wanted, CommitMode::Sync).map_err(|error| refused(error, group))?;
    let stood = |topic: &str, partition| match before.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    };
    let moved = extents.into_iter().map(|((topic, partition), extent)| {
        let from = stood(&topic, partition);
        Moved { topic, partition, from, to: extent.start, end: extent.high }
    });
    Ok(moved.collect())
}

/// Somebody joined since we looked, or is a member of a kind that does not show: the broker takes offsets of members alone.
fn refused(error: KafkaError, group: &str) -> ReplayError {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    match error.rdkafka_error_code() {
        Some(UnknownMemberId | IllegalGeneration | RebalanceInProgress) => {
            ReplayError::Active { group: group.to_owned(), members: 1 }
        }
        _ => ReplayError::Kafka(error),
    }
}
