//! `topics.yaml` as data: profiles, consumers, topics, and what each event means to whom.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::ordered::Ordered;

/// The file that this build was made with.
pub(crate) const EMBEDDED: &str = include_str!("../../../topics.yaml");

/// The whole choreography.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choreography {
    /// Kafka settings by environment, such as `local` and `production`.
    pub profiles: Ordered<TopicProfile>,
    /// The largest record a topic takes, in bytes, unless the topic says otherwise.
    pub max_message_bytes: u32,
    /// How long a published outbox row stays at least.
    #[serde(with = "humantime_serde")]
    pub outbox_retention: Duration,
    /// How long orders' rows are kept as guards at least.
    #[serde(with = "humantime_serde")]
    pub horizon: Duration,
    /// After that an open order is stuck, whatever else holds.
    #[serde(with = "humantime_serde")]
    pub hard_limit: Duration,
    /// Who lets go after whom when an order is undone.
    pub chain: Vec<String>,
    /// All consumers.
    pub consumers: Ordered<Program>,
    /// Programs that consume no events.
    pub programs: Ordered<Program>,
    /// Consumers that hear every event of these topics besides those that act on it.
    #[serde(default)]
    pub observers: Ordered<Vec<String>>,
    /// All topics.
    pub topics: Ordered<Topic>,
}

/// Kafka settings of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicProfile {
    /// Partitions of a topic, unless the topic says otherwise.
    pub partitions: u32,
    /// Copies of each partition.
    pub replicas: u32,
    /// How many copies must have a record before it counts as written.
    pub min_insync_replicas: u32,
    /// How long records are kept, unless the topic says otherwise.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

/// One program: a consumer, or what serves all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What it does, in a few words.
    pub about: String,
    /// Where it listens unless it is told otherwise.
    pub port: u16,
    /// Whether orders depend on its decisions: an event that it never decides leaves the order open.
    #[serde(default)]
    pub decides: bool,
    /// PostgreSQL schemas in its database besides the one of its name.
    #[serde(default)]
    pub schemas: Vec<String>,
    /// Whether it runs only where it is asked for by name.
    #[serde(default)]
    pub optional: bool,
    /// What `cargo xtask demo --with` it asks it for at the end: a path.
    pub demo: Option<String>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// What it is, in a sentence.
    pub about: String,
    /// Who writes it.
    pub owner: Owner,
    /// What its records are keyed by, for people.
    pub key: String,
    /// Whether only the latest record of each key is kept, for ever.
    #[serde(default)]
    pub compacted: bool,
    /// Partitions by profile, where they differ from the profile's.
    #[serde(default)]
    pub partitions: BTreeMap<String, u32>,
    /// Retention by profile, where it differs from the profile's.
    #[serde(default, deserialize_with = "durations")]
    pub retention: BTreeMap<String, Duration>,
    /// The largest record in bytes, where it differs from all others'.
    pub max_message_bytes: Option<u32>,
    /// The events in it; none in a topic whose records are other topics' bytes.
    pub events: Ordered<EventRules>,
}

/// Who writes a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Owner {
    /// Any system: the front door.
    Anyone,
    /// Every consumer, each through its outbox.
    Everyone,
    /// One consumer and nobody else.
    Consumer(String),
}

/// What one event means to whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRules {
    /// Its schema file, from the top of the repository.
    pub schema: String,
    /// The consumers that act on it.
    #[serde(default)]
    pub heard_by: Vec<String>,
    /// Why no consumer acts on it.
    pub heard_by_nobody: Option<String>,
    /// What must be given back if the order does not go on.
    pub holds: Option<Holds>,
    /// The events that it takes back.
    #[serde(default)]
    pub undoes: Vec<String>,
    /// The status in which it ends the order.
    pub terminal: Option<TerminalStatus>,
    /// Whether it may come after the order's end, and no order waits for what it brings about.
    #[serde(default)]
    pub after_end: bool,
    /// Which answer must come, and how soon.
    pub within: Option<Within>,
}

impl EventRules {
    pub(crate) fn is_heard_by(&self, consumer: &str) -> bool {
        self.heard_by.iter().any(|hearer| hearer == consumer)
    }

    /// The events any of which answers it.
    pub(crate) fn answers(&self) -> &[String] {
        self.within.as_ref().map_or(&[], |within| &within.answers)
    }
}

/// What an event holds until it is undone, or the order ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Units that others can't buy.
    Stock,
    /// Money of the customer.
    Money,
    /// Packed goods.
    Goods,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TerminalStatus {
    /// Nothing was begun.
    Rejected,
    /// Something shipped.
    Completed,
    /// Nothing shipped, as was asked.
    Cancelled,
    /// Nothing shipped, and nobody had asked for that.
    Failed,
}

/// Which answer an event must have, and how soon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// How long the answer may take.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// The field of the event from whose moment the deadline counts; the event's own time if absent.
    pub after: Option<String>,
    /// The field of the event that must be set for an answer to be owed at all.
    pub only_if: Option<String>,
    /// Events any of which is an answer, before or after the event itself.
    pub answers: Vec<String>,
}

/// The text is no choreography.
#[derive(Debug, thiserror::Error)]
#[error("topics.yaml can't be read: {0}; compare the place with the comment at the top of the file")]
pub struct ParseError(#[source] serde_norway::Error);

impl Choreography {
    /// Reads a choreography from the text of a `topics.yaml`. It may still break rules: see [`crate::check`].
    ///
    /// # Errors
    /// [`ParseError`], with line and column, if the text is not YAML or has a field too many or too few.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        serde_norway::from_str(text).map_err(ParseError)
    }

    /// The choreography that this build was made with.
    pub fn embedded() -> &'static Self {
        static READ: LazyLock<Choreography> = LazyLock::new(|| {
            Choreography::parse(EMBEDDED).expect("the embedded topics.yaml can be read, as a test proves")
        });
        &READ
    }

    /// The consumers that run unless they are left out by name, in the order of the file.
    pub fn default_consumers(&self) -> impl Iterator<Item = &str> {
        self.consumers.iter().filter(|(_, program)| !program.optional).map(|(name, _)| name)
    }

    /// The programs that run unless they are left out by name, the consumers first.
    pub fn default_programs(&self) -> impl Iterator<Item = &str> {
        self.default_consumers().chain(self.programs.names())
    }

    /// All programs, the consumers first.
    pub fn all_programs(&self) -> impl Iterator<Item = (&str, &Program)> {
        self.consumers.iter().chain(self.programs.iter())
    }

    /// The PostgreSQL schemas of a consumer, its own first.
    pub fn schemas_of(&self, consumer: &str) -> Vec<String> {
        let more = self.consumers.get(consumer).into_iter().flat_map(|program| program.schemas.iter().cloned());
        [consumer.replace('-', "_")].into_iter().chain(more).collect()
    }

    /// How long an event can come back after it was said, in a profile: from a topic, the outbox, or as a dead letter that is tried again.
    pub(crate) fn retention_in(&self, profile: &str) -> Duration {
        let Some(defaults) = self.profiles.get(profile) else { return Duration::ZERO };
        let longest = |dead_letters: bool| {
            let topics = self.topics.iter();
            let topics =
                topics.filter(|(name, topic)| name.starts_with("dead-letter") == dead_letters && !topic.compacted);
            topics.map(|(_, topic)| topic.retention_in(profile, defaults)).max().unwrap_or_default()
        };
        longest(false) + self.outbox_retention + longest(true)
    }

    /// The same of the profile in which it is longest: a guard that lives no longer than this can be missed.
    pub fn longest_retention(&self) -> Duration {
        self.profiles.names().map(|profile| self.retention_in(profile)).max().unwrap_or_default()
    }

    /// All events: topic name, topic, event name, rules.
    pub fn events(&self) -> impl Iterator<Item = (&str, &Topic, &str, &EventRules)> {
        self.topics.iter().flat_map(|(topic_name, topic)| {
            topic.events.iter().map(move |(name, rules)| (topic_name, topic, name, rules))
        })
    }

    /// The event of that short name, with its topic.
    pub fn event(&self, name: &str) -> Option<(&Topic, &EventRules)> {
        self.events().find(|(_, _, known, _)| *known == name).map(|(_, topic, _, rules)| (topic, rules))
    }

    fn observes(&self, consumer: &str, topic: &str) -> bool {
        self.observers.get(consumer).is_some_and(|topics| topics.iter().any(|name| name == topic))
    }

    /// The short names of all events that the consumer subscribes to, as one that acts on them or as an observer.
    pub fn heard_by(&self, consumer: &str) -> Vec<&str> {
        let heard = |topic: &str, rules: &EventRules| rules.is_heard_by(consumer) || self.observes(consumer, topic);
        self.events().filter(|(topic, _, _, rules)| heard(topic, rules)).map(|(_, _, name, _)| name).collect()
    }

    /// The topics that the consumer must subscribe to; those of an observer include `dead-letter-events`.
    pub fn topics_heard_by(&self, consumer: &str) -> Vec<&str> {
        let acts_on = |topic: &Topic| topic.events.iter().any(|(_, rules)| rules.is_heard_by(consumer));
        let heard = self.topics.iter().filter(|(name, topic)| self.observes(consumer, name) || acts_on(topic));
        heard.map(|(name, _)| name).collect()
    }
}

impl From<String> for Owner {
    fn from(name: String) -> Self {
        match name.as_str() {
            "anyone" => Self::Anyone,
            "everyone" => Self::Everyone,
            _ => Self::Consumer(name),
        }
    }
}

impl Owner {
    /// The consumer that owns the topic alone.
    pub fn consumer(&self) -> Option<&str> {
        match self {
            Self::Consumer(name) => Some(name),
            Self::Anyone | Self::Everyone => None,
        }
    }
}

fn durations<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Duration>, D::Error> {
    let texts = BTreeMap::<String, humantime_serde::Serde<Duration>>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|(name, duration)| (name, duration.into_inner())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_choreography_can_be_read() {
        let choreography = Choreography::embedded();
        let (topic, accepted) = choreography.event("OrderAccepted").unwrap();
        assert_eq!(topic.owner, Owner::Consumer("orders".to_owned()));
        assert_eq!(accepted.within.as_ref().unwrap().deadline, Duration::from_secs(120));
    }

    #[test]
    fn an_observer_hears_every_event_of_its_topics_and_others_what_they_act_on() {
        let choreography = Choreography::embedded();
        assert_eq!(choreography.heard_by("fraud"), ["PaymentAuthorized", "PaymentVoided"]);
        assert_eq!(choreography.topics_heard_by("fraud"), ["payments"]);
        assert_eq!(choreography.heard_by("saga-tracker").len(), choreography.events().count() - 1);
        assert!(choreography.topics_heard_by("saga-tracker").contains(&"dead-letter-events"));
    }

    #[test]
    fn a_text_that_can_not_be_read_names_line_and_place() {
        for (from, to, told) in [
            ("    owner: orders", "    owners: orders", "unknown field `owners`"),
            ("deadline: 1m,", "deadline: soon,", "soon"),
            ("terminal: FAILED", "terminal: LOST", "LOST"),
            ("      OrderRejected:", "      OrderAccepted:", "\"OrderAccepted\" twice"),
        ] {
            assert!(EMBEDDED.contains(from));
            let error = Choreography::parse(&EMBEDDED.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("at line "), "{error}");
        }
    }
}
