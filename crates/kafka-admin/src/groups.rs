//! How far consumer groups have come, seen from outside: what they have committed, whether anyone is in them, and where topics end.
//!
//! Kafka's admin client can't list a group's offsets in this library; an unsubscribed consumer with that `group.id` can, and joins nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use runtime::settings::{Common, Properties};

/// How long the broker may take to answer one question.
const ASK: Duration = Duration::from_secs(5);

/// A partition: the topic without the deployment's prefix, and the number.
pub type TopicPartition = (&'static str, i32);

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("Kafka did not say how far {what}: {source}; it is asked again")]
    Kafka { what: String, source: KafkaError },
    #[error("stopping: Kafka was not asked how far {0}")]
    Stopping(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOffsets {
    /// The next offset by partition, where it has committed one.
    pub committed: HashMap<TopicPartition, i64>,
    pub has_members: bool,
}

/// Asks about groups and topics of one deployment. Clients are made when they are first needed, one for each group.
#[derive(Clone)]
pub struct Groups {
    kafka: Properties,
    prefix: String,
    clients: Arc<Mutex<HashMap<String, Arc<BaseConsumer>>>>,
}

impl Groups {
    pub fn of(common: &Common) -> Self {
        Self { kafka: common.kafka.clone(), prefix: common.topic_prefix.clone(), clients: Arc::default() }
    }

    /// What the group of a consumer has come to, on these topics.
    ///
    /// # Errors
    /// When the broker does not answer in time, or a topic is missing.
    pub async fn standing(&self, consumer: &str, topics: Vec<&'static str>) -> Result<GroupOffsets, AskError> {
        self.ask(format!("{consumer} is"), consumer, move |client, group, prefix| {
            let partitions = partitions(client, prefix, &topics)?;
            let mut asked = TopicPartitionList::new();
            for (full, (_, partition)) in &partitions {
                asked.add_partition(full, *partition);
            }
            let found = client.committed_offsets(asked, ASK)?;
            let committed = |(full, partition): (String, TopicPartition)| {
                let Offset::Offset(offset) = found.find_partition(&full, partition.1)?.offset() else { return None };
                Some((partition, offset))
            };
            let committed = partitions.into_iter().filter_map(committed).collect();
            let groups = client.fetch_group_list(Some(group), ASK)?;
            let has_members = groups.groups().iter().any(|found| found.name() == group && !found.members().is_empty());
            Ok(GroupOffsets { committed, has_members })
        })
        .await
    }

    /// Where these topics end: the offset of the next record, by partition.
    pub async fn ends(
        &self,
        consumer: &str,
        topics: Vec<&'static str>,
    ) -> Result<HashMap<TopicPartition, i64>, AskError> {
        self.ask("topics reach".to_owned(), consumer, move |client, _, prefix| {
            let end = |(full, partition): (String, TopicPartition)| {
                Ok((partition, client.fetch_watermarks(&full, partition.1, ASK)?.1))
            };
            partitions(client, prefix, &topics)?.into_iter().map(end).collect()
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        consumer: &str,
        question: impl FnOnce(&BaseConsumer, &str, &str) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, AskError> {
        let (this, group) = (self.clone(), format!("{}{consumer}", self.prefix));
        let asked = tokio::task::spawn_blocking(move || {
            let client = this.client(&group)?;
            question(&client, &group, &this.prefix)
        });
        match asked.await {
            Ok(answer) => answer.map_err(|source| AskError::Kafka { what, source }),
            Err(_) => Err(AskError::Stopping(what)),
        }
    }

    fn client(&self, group: &str) -> Result<Arc<BaseConsumer>, KafkaError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(group) {
            return Ok(Arc::clone(client));
        }
        let mut config: ClientConfig = self.kafka.clone().into_iter().collect();
        config.set("group.id", group).set("enable.auto.commit", "false").remove("group.instance.id");
        let client = Arc::new(config.create::<BaseConsumer>()?);
        clients.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// All partitions of these topics, each with its topic's full name.
fn partitions(
    client: &BaseConsumer,
    prefix: &str,
    topics: &[&'static str],
) -> Result<Vec<(String, TopicPartition)>, KafkaError> {
    let mut found = Vec::new();
    for topic in topics {
        let full = format!("{prefix}{topic}");
        let metadata = client.fetch_metadata(Some(&full), ASK)?;
        let partitions = metadata.topics().iter().flat_map(|found| found.partitions());
        found.extend(partitions.map(|partition| (full.clone(), (*topic, partition.id()))));
    }
    Ok(found)
}
