//! How far consumer groups have come, seen from outside: what they have committed, whether anyone is in them, and where topics end.
//!
//! Kafka's admin client can't list a group's offsets in this library; an unsubscribed consumer with that `group.id` can, and joins nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use runtime::settings::Common;

/// How long the broker may take to answer one question.
const ASK: Duration = Duration::from_secs(5);

/// A partition: the topic without the deployment's prefix, and the number.
pub type TopicPartition = (&'static str, i32);

/// Kafka did not say how far a group is.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The client or the broker refused, or did not answer in time.
    #[error("Kafka did not say how far {what}: {source}; it is asked again")]
    Kafka {
        /// What was asked.
        what: String,
        /// What the client said.
        source: KafkaError,
    },
    /// The broker's answer leaves partitions out.
    #[error("Kafka said of {came} partitions where they end, expected all {expected}; it is asked again")]
    Partial {
        /// How many there are.
        expected: usize,
        /// How many it spoke of.
        came: usize,
    },
    /// The process is stopping.
    #[error("stopping: Kafka was not asked how far {0}")]
    Stopping(String),
}

/// What a group has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOffsets {
    /// The next offset by partition, where it has committed one.
    pub committed: HashMap<TopicPartition, i64>,
    /// Whether any instance is in the group.
    pub has_members: bool,
}

/// Asks about groups and topics of one deployment. Clients are made when they are first needed, one for each group.
#[derive(Clone)]
pub struct Groups {
    kafka: runtime::settings::Properties,
    prefix: String,
    clients: Arc<Mutex<HashMap<String, Arc<BaseConsumer>>>>,
}

impl Groups {
    /// Asks the Kafka of these settings.
    pub fn of(common: &Common) -> Self {
        Self { kafka: common.kafka.clone(), prefix: common.topic_prefix.clone(), clients: Arc::default() }
    }

    /// What the group of a consumer has come to, on these topics.
    ///
    /// # Errors
    /// When the broker does not answer in time, or a topic is missing.
    pub async fn standing(&self, consumer: &str, topics: Vec<&'static str>) -> Result<GroupOffsets, AskError> {
        let group = format!("{}{consumer}", self.prefix);
        self.ask(format!("{consumer} is"), group, move |client, group, prefix| {
            let list = partitions(client, prefix, &topics, Offset::Invalid)?;
            let committed = offsets(client.committed_offsets(list, ASK)?, prefix, &topics);
            let groups = client.fetch_group_list(Some(group), ASK)?;
            let has_members = groups.groups().iter().any(|found| found.name() == group && !found.members().is_empty());
            Ok(GroupOffsets { committed, has_members })
        })
        .await
    }

    /// Where these topics end: the offset of the next record, by partition.
    ///
    /// # Errors
    /// When the broker does not answer in time, or not of every partition.
    pub async fn ends(
        &self,
        consumer: &str,
        topics: Vec<&'static str>,
    ) -> Result<HashMap<TopicPartition, i64>, AskError> {
        let group = format!("{}{consumer}", self.prefix);
        let asked = self.ask("topics reach".to_owned(), group, move |client, _, prefix| {
            let mut list = partitions(client, prefix, &topics, Offset::Invalid)?;
            let expected = list.count();
            let places: Vec<(String, i32)> =
                list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
            for (topic, partition) in places {
                let (_, end) = client.fetch_watermarks(&topic, partition, ASK)?;
                list.set_partition_offset(&topic, partition, Offset::Offset(end))?;
            }
            Ok((expected, offsets(list, prefix, &topics)))
        });
        let (expected, ends) = asked.await?;
        let came = ends.len();
        if came == expected { Ok(ends) } else { Err(AskError::Partial { expected, came }) }
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        group: String,
        question: impl FnOnce(&BaseConsumer, &str, &str) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, AskError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let client = this.client(&group)?;
            question(&client, &group, &this.prefix)
        });
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(AskError::Kafka { what, source }),
            Err(_) => Err(AskError::Stopping(what)),
        }
    }

    fn client(&self, group: &str) -> Result<Arc<BaseConsumer>, KafkaError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(group) {
            return Ok(Arc::clone(client));
        }
        let mut config = ClientConfig::new();
        for (name, value) in &self.kafka {
            config.set(name, value);
        }
        config.set("group.id", group).set("enable.auto.commit", "false").remove("group.instance.id");
        let client = Arc::new(config.create::<BaseConsumer>()?);
        clients.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// All partitions of these topics, with this offset.
fn partitions(
    client: &BaseConsumer,
    prefix: &str,
    topics: &[&'static str],
    offset: Offset,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        let full = format!("{prefix}{topic}");
        let metadata = client.fetch_metadata(Some(&full), ASK)?;
        for partition in metadata.topics().iter().flat_map(|found| found.partitions()) {
            list.add_partition_offset(&full, partition.id(), offset)?;
        }
    }
    Ok(list)
}

/// The offsets that are known.
fn offsets(list: TopicPartitionList, prefix: &str, topics: &[&'static str]) -> HashMap<TopicPartition, i64> {
    let known = |full: &str| {
        let name = full.strip_prefix(prefix)?;
        topics.iter().copied().find(|topic| *topic == name)
    };
    let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some(((known(element.topic())?, element.partition()), offset)),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
    };
    list.elements().iter().filter_map(of).collect()
}
