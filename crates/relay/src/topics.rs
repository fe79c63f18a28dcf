//! Which topics Kafka has: asked before a topic's first row is sent, since a row for a missing one would hold the others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::error::RelayError;
use super::publisher::{Publisher, TopicState};

/// Between two questions about a topic that is missing and may be on its way.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a topic that was refused is taken as refused without asking.
const REMEMBER: Duration = Duration::from_secs(1);

pub(super) struct Topics {
    prefix: String,
    known: HashMap<String, KnownTopic>,
}

struct KnownTopic {
    full_name: String,
    refused: Option<(String, Instant)>,
}

impl Topics {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), known: HashMap::new() }
    }

    /// Makes sure that it is known whether Kafka takes rows for this topic: at once for a topic that was used before.
    /// A missing one may be on its way and is waited for within `grace`.
    pub async fn learn(&mut self, topic: &str, grace: Duration, publisher: &Publisher) -> Result<(), RelayError> {
        let grace = match self.known.get(topic) {
            Some(KnownTopic { refused: None, .. }) => return Ok(()),
            Some(KnownTopic { refused: Some((_, asked)), .. }) if asked.elapsed() < REMEMBER => return Ok(()),
            Some(_) => Duration::ZERO,
            None => grace,
        };
        let full_name = format!("{}{topic}", self.prefix);
        let refused = ask(&full_name, grace, publisher).await?.map(|reason| (reason, Instant::now()));
        self.known.insert(topic.to_owned(), KnownTopic { full_name, refused });
        Ok(())
    }

    /// The full name of a learnt topic, or why Kafka takes no rows for it.
    pub fn full_name(&self, topic: &str) -> Result<&str, &str> {
        match self.known.get(topic) {
            Some(KnownTopic { full_name, refused: None }) => Ok(full_name),
            Some(KnownTopic { refused: Some((reason, _)), .. }) => Err(reason),
            None => Err("the topic was not asked for"),
        }
    }

    /// Kafka refused rows for this topic although it had it: ask again before the next.
    pub fn forget(&mut self, topic: &str) {
        self.known.retain(|name, known| name != topic || known.refused.is_some());
    }
}

/// Why Kafka takes no rows for a topic; none when it does.
async fn ask(full_name: &str, grace: Duration, publisher: &Publisher) -> Result<Option<String>, RelayError> {
    let since = Instant::now();
    loop {
        match publisher.topic(full_name).await? {
            TopicState::There => return Ok(None),
            TopicState::Refused(code) => return Ok(Some(format!("Kafka refuses topic {full_name}: {code}"))),
            TopicState::Missing if since.elapsed() < grace => tokio::time::sleep(ASK_AGAIN).await,
            TopicState::Missing => {
                return Ok(Some(format!(
                    "Kafka has no topic {full_name}: create it (`quadrille topics apply`), then `quadrille relay release`"
                )));
            }
        }
    }
}
