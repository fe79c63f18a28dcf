//! When a client that reaches no broker is given its bootstrap servers again: it may have forgotten all brokers, and look for none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};

/// The first wait, and the longest: while Kafka is away, each time is one too many, and librdkafka remembers it.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);

/// The servers of one client.
#[derive(Debug)]
pub struct BootstrapAgain {
    servers: String,
    wait: Duration,
    /// None: it reaches a broker.
    due: Option<Instant>,
}

impl BootstrapAgain {
    /// Of a client with these properties.
    pub fn new(properties: &BTreeMap<String, String>) -> Self {
        let servers = ["bootstrap.servers", "metadata.broker.list"].iter().find_map(|name| properties.get(*name));
        Self { servers: servers.cloned().unwrap_or_default(), wait: FIRST, due: None }
    }

    /// A broker answers.
    pub fn reached(&mut self) {
        (self.wait, self.due) = (FIRST, None);
    }

    /// No broker answers at this time.
    pub fn unreached<C: ClientContext>(&mut self, client: &Client<C>, now: Instant) {
        if self.is_due(now) {
            let servers = bootstrap::add(client, &self.servers);
            tracing::debug!(servers, "no broker answers: the client has its bootstrap servers again");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = *self.due.get_or_insert(now + self.wait);
        if due > now {
            return false;
        }
        self.wait = (self.wait * 2).min(LONGEST);
        self.due = Some(now + self.wait);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_given_again_after_five_seconds_and_then_ever_more_seldom_until_a_broker_answers() {
        let mut again = BootstrapAgain::new(&[("bootstrap.servers".to_owned(), "k:1".to_owned())].into());
        assert_eq!(again.servers, "k:1");
        let start = Instant::now();
        let given = |again: &mut BootstrapAgain, seconds: std::ops::Range<u64>| {
            seconds.filter(|second| again.is_due(start + Duration::from_secs(*second))).collect::<Vec<_>>()
        };
        assert_eq!(given(&mut again, 0..120), [5, 15, 35, 65, 95]);
        again.reached();
        assert_eq!(given(&mut again, 120..140), [125, 135]);
    }
}
