//! Quiescence: nothing unrelayed, nothing unread, no request or call open. What every test ends in, and what must hold there.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::deadline::{self, Ends};
use crate::kafka;
use crate::pipeline::Pipeline;

/// The longest that a test waits for quiet; far more than any needs.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(15);

impl Pipeline {
    /// Runs to quiescence: every outbox row is in Kafka, every hosted consumer has read all that it hears, nothing is being decided or called.
    ///
    /// # Panics
    /// When that takes too long; says what is still going on.
    pub async fn settle(&self) {
        let began = Instant::now();
        let mut last = None;
        loop {
            deadline::at(|| format!("whether {} has come to rest", self.prefix));
            let looked = tokio::time::timeout(PATIENCE, self.look()).await;
            let (busy, state) =
                looked.unwrap_or_else(|_| panic!("{} can't be looked at within {PATIENCE:?}", self.prefix));
            // Two looks alike: what one part handed to the next between the questions of one look would show in the other.
            if busy.is_empty() && last.as_ref() == Some(&state) {
                return;
            }
            last = busy.is_empty().then_some(state);
            assert!(began.elapsed() < PATIENCE, "{} does not come to rest: {busy:#?}", self.prefix);
            for host in self.hosts() {
                assert!(!host.shutdown().is_cancelled(), "a host has stopped by itself: its log says why");
            }
            tokio::time::sleep(LOOK).await; // between two looks at a condition
        }
    }

    /// Runs on until a condition holds: for what a timer brings, which is not there yet when everything else is quiet.
    ///
    /// # Panics
    /// When it does not come to hold.
    pub async fn until<F: Future<Output = bool>>(&self, condition: impl Fn() -> F, what: &str) {
        let began = Instant::now();
        while !tokio::time::timeout(PATIENCE, condition()).await.unwrap_or_else(|_| panic!("{what} can't be looked at"))
        {
            deadline::at(|| format!("{what} of {}", self.prefix));
            assert!(began.elapsed() < PATIENCE, "{what} does not come");
            tokio::time::sleep(LOOK).await; // between two looks at a condition
        }
    }

    /// Runs on until a query counts so many.
    ///
    /// # Panics
    /// When it does not; says how many it counts.
    pub async fn until_count(&self, query: &str, wanted: i64, what: &str) {
        let ends = Ends::within(PATIENCE);
        loop {
            match self.count(query).await {
                rows if rows == wanted => return,
                rows => ends.pause(|| format!("{what}: expected {wanted}, got {rows}: {query}")).await,
            }
        }
    }

    /// What is going on, and the state of things.
    async fn look(&self) -> (Vec<String>, (i64, i64)) {
        let mut busy = Vec::new();
        let hosts = self.hosts();
        let open: usize = hosts.iter().map(|host| host.open_work()).sum();
        if open > 0 {
            busy.push(format!("{open} requests or calls are open"));
        }
        for why in hosts.iter().flat_map(|host| host.not_ready()) {
            busy.push(why);
        }
        let said = self.count_all("select count(*) from outbox.event where topic <> 'operations'").await;
        let topics: Vec<String> =
            choreography::Choreography::embedded().topics.names().map(|name| self.topic(name)).collect();
        let prefix = self.prefix.clone();
        let ends = tokio::task::spawn_blocking(move || kafka::ends(&topics)).await.expect("Kafka answers");
        let unrelayed = self.unrelayed().await;
        if unrelayed > 0 {
            busy.push(format!("{unrelayed} outbox rows are not relayed"));
        }
        let mut read: HashMap<(&str, &str, i32), i64> = HashMap::new();
        for (consumer, (topic, partition), next) in &hosts.iter().flat_map(|host| host.decided()).collect::<Vec<_>>() {
            let known = read
                .entry((*consumer, topic.strip_prefix(&prefix).unwrap_or(topic).to_owned().leak(), *partition))
                .or_insert(0);
            *known = (*known).max(*next);
        }
        for (consumer, topic) in self.hosted_topics() {
            for ((full, partition), end) in &ends {
                if full.strip_prefix(&prefix) == Some(topic)
                    && *end > read.get(&(consumer, topic, *partition)).copied().unwrap_or(0)
                {
                    busy.push(format!("{consumer} has not read {topic}/{partition} to {end}"));
                }
            }
        }
        (busy, (said, ends.values().sum()))
    }

    /// Rows that some shard's cursor does not cover yet.
    async fn unrelayed(&self) -> i64 {
        self.count_all(
            "select count(*) from outbox.event e left join outbox.relay_cursor c using (shard)
             where c.snapshot is null or not pg_visible_in_snapshot(e.xid, c.snapshot::pg_snapshot)",
        )
        .await
    }

    /// What hosted consumers hear, by topic.
    fn hosted_topics(&self) -> Vec<(&'static str, &'static str)> {
        let heard = |consumer: ::pipeline::ConsumerEntry| {
            let subscribed = |entry: &&events::CatalogueEntry| consumer.subscriptions.contains(&entry.event_type);
            let topics = events::catalogue().iter().filter(subscribed).map(|entry| entry.topic);
            let topics: BTreeSet<&str> = topics.chain(consumer.raw_topics.iter().copied()).collect();
            topics.into_iter().map(move |topic| (consumer.name, topic)).collect::<Vec<_>>()
        };
        let hosted = ::pipeline::consumers().into_iter().flat_map(heard);
        let hosts = self.hosts();
        hosted.filter(|(consumer, _)| hosts.iter().any(|host| host.address(consumer).is_some())).collect()
    }
}
