//! Kafka topics as an operator wants them: created where they are missing, settings corrected, and never a partition count changed under keys in use.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use runtime::kafka::properties::{self, PropertyError};

/// One topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopic {
    /// Its full name, prefix included.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies of each.
    pub replicas: i32,
    /// Whether its records are keyed, so that a changed partition count would move keys.
    pub keyed: bool,
    /// Kafka's own settings.
    pub config: BTreeMap<String, String>,
}

/// What became of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was made.
    Created,
    /// It was there; its settings are as wanted now.
    Updated,
    /// It was there without records; it has more partitions now.
    Grown,
    /// It was there; somebody gave it more partitions than are wanted, and none can be taken away. Its settings are as wanted now.
    Larger {
        /// Partitions that it has.
        found: i32,
        /// Partitions that are wanted.
        wanted: i32,
    },
}

/// Why topics are not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Kafka does not answer, or its client refuses a setting.
    #[error("Kafka: {0}: check KAFKA_BOOTSTRAP_SERVERS and the other KAFKA_… settings")]
    Kafka(#[from] KafkaError),
    /// A property of its client is not for others to choose, or there is none.
    #[error("KAFKA_… settings: {0}")]
    Property(#[from] PropertyError),
    /// Kafka refuses one.
    #[error("topic {topic}: {code}")]
    Refused {
        /// Its full name.
        topic: String,
        /// Kafka's reason.
        code: RDKafkaErrorCode,
    },
    /// Its partition count differs, and it holds records.
    #[error(
        "topic {topic} has {found} partitions, {wanted} are wanted, and it is in use: keys would move to other partitions and lose their \
         order. Drain it first: stop who writes it, wait until every group that reads it has no lag, then delete it and apply again"
    )]
    InUse {
        /// Its full name.
        topic: String,
        /// Partitions that it has.
        found: i32,
        /// Partitions that are wanted.
        wanted: i32,
    },
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
    let mut config = ClientConfig::new();
    config.extend(kafka.iter().map(|(name, value)| (name.clone(), value.clone())));
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let found = partitions(&config, wanted).await?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let missing: Vec<&WantedTopic> = wanted.iter().filter(|topic| !found.contains_key(&topic.name)).collect();
    // librdkafka refuses a request for no topics.
    if !missing.is_empty() {
        let new: Vec<NewTopic<'_>> = missing.iter().map(|topic| new_topic(topic)).collect();
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

/// What a topic has.
struct FoundTopic {
    partitions: i32,
    empty: bool,
}

fn new_topic(topic: &WantedTopic) -> NewTopic<'_> {
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas));
    topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
}

async fn correct(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
    topic: &WantedTopic,
    found: &FoundTopic,
) -> Result<Applied, TopicsError> {
    let mut applied = Applied::Updated;
    if found.partitions != topic.partitions {
        if found.partitions > topic.partitions {
            let (found, wanted) = (found.partitions, topic.partitions);
            set(admin, options, topic).await?;
            return Ok(Applied::Larger { found, wanted });
        }
        if topic.keyed && !found.empty {
            return Err(TopicsError::InUse {
                topic: topic.name.clone(),
                found: found.partitions,
                wanted: topic.partitions,
            });
        }
        refused(
            admin.create_partitions(&[NewPartitions::new(&topic.name, topic.partitions as usize)], options).await?,
        )?;
        applied = Applied::Grown;
    }
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

fn refused(results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), TopicsError> {
    results
        .into_iter()
        .try_for_each(|result| result.map(drop).map_err(|(topic, code)| TopicsError::Refused { topic, code }))
}

/// The topics that exist, with how many partitions, and whether any record was ever written.
async fn partitions(
    config: &ClientConfig,
    wanted: &[WantedTopic],
) -> Result<BTreeMap<String, FoundTopic>, TopicsError> {
    let (config, wanted) = (config.clone(), wanted.to_vec());
    let ask = move || -> Result<BTreeMap<String, FoundTopic>, KafkaError> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let client: BaseConsumer = config.create()?;
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
    };
    Ok(tokio::task::spawn_blocking(ask).await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?)
}

/// Waits until every partition of these topics has a leader; the caller limits how long.
///
/// # Errors
/// When the client can't be made.
pub async fn ready(kafka: &BTreeMap<String, String>, wanted: &[WantedTopic]) -> Result<(), TopicsError> {
    let mut config = ClientConfig::new();
    config.extend(kafka.iter().map(|(name, value)| (name.clone(), value.clone())));
    let names: Vec<String> = wanted.iter().map(|topic| topic.name.clone()).collect();
    let look = move || -> Result<(), KafkaError> {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let client: BaseConsumer = config.create()?;
        for name in &names {
            let mut led = false;
            while !led {
                let metadata = client.fetch_metadata(Some(name), PATIENCE)?;
                led = metadata.topics().iter().any(|topic| {
                    !topic.partitions().is_empty() && topic.partitions().iter().all(|partition| partition.leader() >= 0)
                });
                if !led {
                    std::thread::sleep(Duration::from_millis(50)); // between two looks: nothing announces a leader
                }
            }
        }
        Ok(())
    };
    Ok(tokio::task::spawn_blocking(look).await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))?)
}
