//! Which topics Kafka has: asked before a topic's first row is sent, since a row for a missing one would hold the others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::error::RelayError;
use super::publisher::{Publisher, TopicState};

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two questions about a topic that is missing and may be on its way.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a topic that was refused is taken as refused without asking.
const REMEMBER: Duration = Duration::from_secs(1);

/// What is known of the topics that rows went to.
pub(super) struct Topics {
    prefix: String,
    grace: Duration,
    known: HashMap<String, KnownTopic>,
}

struct KnownTopic {
    full_name: String,
    refused: Option<(String, Instant)>,
}

impl Topics {
    pub fn new(prefix: &str, grace: Duration) -> Self {
        Self { prefix: prefix.to_owned(), grace, known: HashMap::new() }
    }

    /// Makes sure that it is known whether Kafka takes rows for this topic: at once for a topic that was used before.
    /// A missing one may be on its way and is waited for a little.
    pub async fn learn(&mut self, topic: &str, publisher: &Publisher) -> Result<(), RelayError> {
        self.learn_within(self.grace, topic, publisher).await
    }

    /// The same for rows that nobody waits for: a topic that is missing now counts as missing.
    pub async fn learn_now(&mut self, topic: &str, publisher: &Publisher) -> Result<(), RelayError> {
        self.learn_within(Duration::ZERO, topic, publisher).await
    }

    async fn learn_within(&mut self, grace: Duration, topic: &str, publisher: &Publisher) -> Result<(), RelayError> {
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
        let (question, topic) = (publisher.asker(), full_name.to_owned());
        let answer = tokio::task::spawn_blocking(move || question(&topic, ANSWER)).await;
        let state = match answer {
            Ok(Ok(state)) => state,
            Ok(Err(source)) => return Err(RelayError::Metadata { topic: full_name.to_owned(), source }),
            Err(stopped) => return Err(RelayError::Thread(std::io::Error::other(stopped))),
        };
        match state {
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
