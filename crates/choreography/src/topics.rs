//! Kafka topics and registry subjects, as a profile makes them from the choreography.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Choreography, Owner, Topic, TopicProfile};

/// One Kafka topic, ready to be created or compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Its name, without prefix.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many copies of each partition.
    pub replicas: u32,
    /// Kafka's own topic settings, such as `retention.ms`.
    pub config: BTreeMap<String, String>,
}

impl Choreography {
    /// The Kafka topics under the profile of that name, in the order of the file; `None` if there is no such profile.
    pub fn topic_settings(&self, profile: &str) -> Option<Vec<TopicSettings>> {
        let settings = self.profiles.get(profile)?;
        Some(self.topics.iter().map(|(name, topic)| self.settings_of(name, topic, profile, settings)).collect())
    }

    fn settings_of(&self, name: &str, topic: &Topic, profile: &str, defaults: &TopicProfile) -> TopicSettings {
        let max_message_bytes = topic.max_message_bytes.unwrap_or(self.max_message_bytes);
        let mut config = BTreeMap::from([
            ("min.insync.replicas".to_owned(), defaults.min_insync_replicas.to_string()),
            ("max.message.bytes".to_owned(), max_message_bytes.to_string()),
        ]);
        if topic.owner == Owner::Anyone {
            // A stranger's clock may mean anything, and the broker would delete by it.
            config.insert("message.timestamp.type".to_owned(), "LogAppendTime".to_owned());
        }
        if topic.compacted {
            config.insert("cleanup.policy".to_owned(), "compact".to_owned());
        } else {
            config.insert("cleanup.policy".to_owned(), "delete".to_owned());
            config.insert("retention.ms".to_owned(), topic.retention_in(profile, defaults).as_millis().to_string());
        }
        TopicSettings {
            name: name.to_owned(),
            partitions: topic.partitions.get(profile).copied().unwrap_or(defaults.partitions),
            replicas: defaults.replicas,
            config,
        }
    }
}

impl Topic {
    pub(crate) fn retention_in(&self, profile: &str, defaults: &TopicProfile) -> Duration {
        self.retention.get(profile).copied().unwrap_or(defaults.retention)
    }
}

/// The registry's subject of an event's schema: strategy TopicRecordName, `<topic>-<full name>`.
///
/// `topic` is the Kafka topic as clients see it, prefix included, because their serializers derive the subject from it.
pub fn subject(topic: &str, event_type: &str) -> String {
    format!("{topic}-{event_type}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_set_the_size_and_topics_their_exceptions() {
        let choreography = Choreography::embedded();
        let local = choreography.topic_settings("local").unwrap();
        let of = |name: &str| local.iter().find(|topic| topic.name == name).unwrap();
        assert_eq!((of("orders").partitions, of("orders").replicas), (4, 1));
        assert_eq!(of("orders").config["retention.ms"], (3 * 24 * 3_600_000).to_string());
        assert_eq!(of("stock-levels").config["cleanup.policy"], "compact");
        assert_eq!(of("order-placed").config["message.timestamp.type"], "LogAppendTime", "report 18");
        assert!(!of("orders").config.contains_key("message.timestamp.type"));
        assert_eq!(of("dead-letter-events").partitions, 1);
        assert_eq!(of("dead-letter-events").config["max.message.bytes"], "2097152");
        let production = choreography.topic_settings("production").unwrap();
        assert!(production.iter().all(|topic| topic.config["min.insync.replicas"] == "2" && topic.replicas == 3));
        assert_eq!(choreography.topic_settings("lunar"), None);
    }
}
