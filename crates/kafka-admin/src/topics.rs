//! Kafka topics as an operator wants them: created where they are missing, settings corrected, and never a partition count changed under keys in use.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use runtime::kafka::properties::{self, PropertyError};

/// One topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopic {
    /// Its full name, prefix included.
    pub name: String,
    pub partitions: i32,
    pub replicas: i32,
    /// Whether its records are keyed, so that a changed partition count would move keys.
    pub keyed: bool,
    pub config: BTreeMap<String, String>,
}

/// What became of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Created,
    /// It was there; its settings are as wanted now.
    Updated,
    /// It was there without records; it has more partitions now.
    Grown,
    /// It was there; somebody gave it more partitions than are wanted, and none can be taken away. Its settings are as wanted now.
    Larger {
        found: i32,
        wanted: i32,
    },
}

/// Why topics are not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error("Kafka: {0}: check KAFKA_BOOTSTRAP_SERVERS and the other KAFKA_… settings")]
    Kafka(#[from] KafkaError),
    #[error("KAFKA_… settings: {0}")]
    Property(#[from] PropertyError),
    #[error("topic {topic}: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
    #[error(
        "topic {topic} has {found} partitions, {wanted} are wanted, and it is in use: keys would move to other partitions and lose their \
         order. Drain it first: stop who writes it, wait until every group that reads it has no lag, then delete it and apply again"
    )]
    InUse { topic: String, found: i32, wanted: i32 },
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the topics as wanted; returns what became of each, in order.
///
/// # Errors
/// When a topic can't be had as wanted: the first such one; all others are done.
pub async fn apply(
    kafka: &BTreeMap<String, String>,
    wanted: &[WantedTopic],
) -> Result<Vec<(String, Applied)>, TopicsError> {
    properties::check(kafka)?;
    let config: ClientConfig = kafka.clone().into_iter().collect();
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let found = partitions(config, wanted).await?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let missing = wanted.iter().filter(|topic| !found.contains_key(&topic.name));
    let new: Vec<NewTopic<'_>> = missing
        .map(|topic| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas));
            topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    // librdkafka refuses a request for no topics.
    if !new.is_empty() {
        for result in admin.create_topics(&new, &options).await? {
            if let Err((topic, code)) = result
                && code != RDKafkaErrorCode::TopicAlreadyExists
            {
                return Err(TopicsError::Refused { topic, code });
            }
        }
    }
    let (mut done, mut failed) = (Vec::with_capacity(wanted.len()), None);
    for topic in wanted {
        let applied = match found.get(&topic.name) {
            None => Ok(Applied::Created),
            Some(state) => correct(&admin, &options, topic, state).await,
        };
        match applied {
            Ok(applied) => done.push((topic.name.clone(), applied)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(done), Err)
}

struct FoundTopic {
    partitions: i32,
    empty: bool,
}

async fn correct(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
    topic: &WantedTopic,
    state: &FoundTopic,
) -> Result<Applied, TopicsError> {
    let (found, wanted) = (state.partitions, topic.partitions);
    let applied = if found == wanted {
        Applied::Updated
    } else if found > wanted {
        Applied::Larger { found, wanted }
    } else if topic.keyed && !state.empty {
        return Err(TopicsError::InUse { topic: topic.name.clone(), found, wanted });
    } else {
        for result in admin.create_partitions(&[NewPartitions::new(&topic.name, wanted as usize)], options).await? {
            result.map_err(|(topic, code)| TopicsError::Refused { topic, code })?;
        }
        Applied::Grown
    };
    set(admin, options, topic).await?;
    Ok(applied)
}

/// Sets what is wanted and leaves alone what else was set. This library has only the request that replaces all settings of a topic, so they are read
/// before and sent along: what somebody sets in that moment is lost.
async fn set(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
    topic: &WantedTopic,
) -> Result<(), TopicsError> {
    let refused = |code| TopicsError::Refused { topic: topic.name.clone(), code };
    let mut config = BTreeMap::new();
    for described in admin.describe_configs(&[ResourceSpecifier::Topic(&topic.name)], options).await? {
        let set =
            described.map_err(refused)?.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        config.extend(set.filter_map(|entry| Some((entry.name, entry.value?))));
    }
    if topic.config.iter().all(|(name, value)| config.get(name) == Some(value)) {
        return Ok(());
    }
    config.extend(topic.config.clone());
    let alter = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
    let alter = config.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
    for result in admin.alter_configs(&[alter], options).await? {
        result.map_err(|(_, code)| refused(code))?;
    }
    Ok(())
}

/// The topics that exist, with how many partitions, and whether any record was ever written.
async fn partitions(config: ClientConfig, wanted: &[WantedTopic]) -> Result<BTreeMap<String, FoundTopic>, TopicsError> {
    let wanted = wanted.to_vec();
    asked(config, move |client| {
        let metadata = client.fetch_metadata(None, PATIENCE)?;
        let mut found = BTreeMap::new();
        for topic in metadata.topics() {
            let Some(want) = wanted.iter().find(|want| want.name == topic.name()) else { continue };
            let count = topic.partitions().len() as i32;
            let mut empty = true;
            if count != want.partitions {
                for partition in topic.partitions() {
                    empty &= client.fetch_watermarks(topic.name(), partition.id(), PATIENCE)?.1 == 0;
                }
            }
            found.insert(want.name.clone(), FoundTopic { partitions: count, empty });
        }
        Ok(found)
    })
    .await
}

/// Waits until every partition of these topics has a leader; the caller limits how long.
pub async fn ready(kafka: &BTreeMap<String, String>, wanted: &[WantedTopic]) -> Result<(), TopicsError> {
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    asked(kafka.clone().into_iter().collect(), move |client| {
        let is_led = |name: &String| -> Result<bool, KafkaError> {
            let metadata = client.fetch_metadata(Some(name), PATIENCE)?;
            Ok(metadata.topics().iter().any(|topic| {
                !topic.partitions().is_empty() && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            }))
        };
        for name in &names {
            while !is_led(name)? {
                std::thread::sleep(Duration::from_millis(50)); // between two looks: nothing announces a leader
            }
        }
        Ok(())
    })
    .await
}

/// Asks the cluster with a client that blocks.
async fn asked<T: Send + 'static>(
    config: ClientConfig,
    question: impl FnOnce(&BaseConsumer) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, TopicsError> {
    let asked = tokio::task::spawn_blocking(move || question(&config.create()?)).await;
    Ok(asked.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?)
}
