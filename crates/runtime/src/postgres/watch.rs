//! The watcher: asks the parts that a consumer depends on, every second or two, whether it works or has nothing to do, so that `/readyz` tells within
//! five seconds that one is away.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::failure::DatabaseFault;
use crate::health::{Circuit, Health};
use crate::kafka::bootstrap_again::BootstrapAgain;
use crate::kafka::rebalance::RebalanceContext;
use crate::postgres::reachable::{Away, reason, writable};
use crate::postgres::sql;

const DATABASE_EVERY: Duration = Duration::from_secs(1);
/// How long a connection of the pool may take to answer; and then a new one.
const POOLED: Duration = Duration::from_millis(1_200);
/// How long the pool may take to give one; all are in use else, or a new one takes longer.
const GIVEN: Duration = Duration::from_millis(300);
/// Between two looks at Kafka, and how long the broker may take to answer at one.
const KAFKA_EVERY: Duration = Duration::from_millis(1_500);
const BROKER: Duration = Duration::from_millis(1_200);
/// Before the look again after one at which something was amiss: with it and both answers that do not come, an outage is told within five seconds.
const KAFKA_AGAIN: Duration = Duration::from_millis(500);
/// So many looks in a row count, see [`Looks`]; a topic that was missing at so many is another one when it is back.
const AGREED: u32 = 2;

/// The pools of one consumer, whose password may change while it runs.
pub struct Database {
    /// Where its circuit is opened and closed.
    pub health: Arc<Health>,
    /// The time of what is told.
    pub clock: Clock,
    /// Until when it is watched.
    pub shutdown: CancellationToken,
    /// The one that is asked.
    pub pool: PgPool,
    /// All of them.
    pub pools: Box<dyn Fn() -> Vec<PgPool> + Send + Sync>,
    /// The address as the settings have it now: a secret from a file is read again.
    pub address: Box<dyn Fn() -> Option<PgConnectOptions> + Send + Sync>,
}

impl Database {
    /// Asks on a connection of the pool, and where that fails on a new one: it may be that connection alone.
    async fn look(&self) -> Result<(), String> {
        // A pool whose connections are all in use says nothing of them.
        let acquired = tokio::time::timeout(GIVEN, self.pool.acquire()).await;
        let is_used_up = matches!(acquired, Err(_) | Ok(Err(sqlx::Error::PoolTimedOut)));
        let asked = async { writable(&mut *acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut))?).await };
        match tokio::time::timeout(POOLED, asked).await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => sql::renew_connections(), // the address may lead to the new primary by now
            Ok(Err(error)) if !is_used_up && DatabaseFault::of(&error) == DatabaseFault::Connection => {
                sql::renew_connections();
            }
            Ok(Err(_)) | Err(_) => {}
        }
        match reason(&self.pool.connect_options()).await {
            Ok(()) => {
                if !is_used_up {
                    sql::renew_connections(); // what the pool holds is not as good
                }
                Ok(())
            }
            Err(Away::Why(why)) => Err(why),
            Err(Away::Refused) => self.read_address_again().await,
        }
    }

    /// The password does not do any more: there may be a new one.
    async fn read_address_again(&self) -> Result<(), String> {
        let refused = |options: &PgConnectOptions| {
            format!(
                "{} refuses the user {}: expected a password that it takes; it is read again from where the settings have it",
                sql::place(options),
                options.get_username()
            )
        };
        let Some(new) = (self.address)() else { return Err(refused(&self.pool.connect_options())) };
        match reason(&new).await {
            Ok(()) => {
                for pool in (self.pools)() {
                    let before = pool.connect_options();
                    let name = before.get_application_name();
                    pool.set_connect_options(name.map_or(new.clone(), |name| new.clone().application_name(name)));
                }
                tracing::info!(consumer = self.health.name(), "the database takes the new password");
                Ok(())
            }
            Err(Away::Why(why)) => Err(why),
            Err(Away::Refused) => Err(refused(&new)),
        }
    }
}

/// Watches over databases of one health until told to stop.
pub async fn watch_databases(databases: Vec<Database>) {
    let Some(Database { health, clock, shutdown, .. }) = databases.first() else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(DATABASE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        if health.wrote_within(DATABASE_EVERY) {
            continue; // it works: no need to ask
        }
        let found = join_all(databases.iter().map(Database::look)).await;
        health.watched(Circuit::Database, found.into_iter().collect(), clock.now());
    }
}

/// What looks in a row agree on: one answer that is slow is no outage, and one good answer of a broker that is starting is not the end of one.
#[derive(Debug, Default)]
struct Looks {
    was_good: bool,
    in_a_row: u32,
}

impl Looks {
    /// Counts a look. True: it says what those before it say.
    fn agree(&mut self, is_good: bool) -> bool {
        self.in_a_row = if self.was_good == is_good { self.in_a_row.saturating_add(1) } else { 1 };
        self.was_good = is_good;
        self.in_a_row >= AGREED
    }

    /// How long until the next look: whether the first of a kind is more than chance is soon known.
    fn pause(&self) -> Duration {
        if (1..AGREED).contains(&self.in_a_row) { KAFKA_AGAIN } else { KAFKA_EVERY }
    }
}

/// Kafka, and the topics that a consumer reads and writes.
pub struct Kafka {
    /// Where its circuit is opened and closed.
    pub health: Arc<Health>,
    /// The time of what is told.
    pub clock: Clock,
    /// Until when it is watched.
    pub shutdown: CancellationToken,
    /// The loop's client: this is no reason for it to live on.
    pub client: Weak<BaseConsumer<RebalanceContext>>,
    /// By their full names.
    pub topics: Vec<String>,
    /// Where that client finds brokers, when it has forgotten them all.
    pub servers: BootstrapAgain,
    /// Whether it matters that they are there; else they are only what the broker is asked for.
    pub needs_topics: bool,
}

impl Kafka {
    /// Watches until told to stop.
    pub async fn watch(mut self) {
        let mut missing: HashMap<String, u32> = HashMap::new();
        let (mut broker, mut topics_led) = (Looks::default(), Looks::default());
        loop {
            tokio::select! {
                () = tokio::time::sleep(broker.pause().min(topics_led.pause())) => {}
                () = self.shutdown.cancelled() => return,
            }
            let (client, topics) = (Weak::clone(&self.client), self.topics.clone());
            // The client's context may be dropped here, when its loop has ended meanwhile.
            let Ok(Some(found)) = tokio::task::spawn_blocking(move || look(&client, &topics)).await else { return };
            let now = self.clock.now();
            match found {
                Ok(topics) => {
                    self.servers.reached();
                    if broker.agree(true) {
                        self.health.close_circuit(Circuit::Kafka, now);
                    }
                    if !self.needs_topics {
                        continue;
                    }
                    let gone = topics.iter().filter(|(_, why)| why.is_none()).map(|(name, _)| name);
                    missing =
                        gone.map(|name| (name.clone(), missing.get(name).copied().unwrap_or_default() + 1)).collect();
                    let gone: Vec<&str> =
                        missing.iter().filter(|(_, looks)| **looks >= AGREED).map(|(name, _)| name.as_str()).collect();
                    if !gone.is_empty()
                        && let Some(client) = self.client.upgrade()
                    {
                        client.context().with(|progress| progress.begin_anew(&gone));
                    }
                    let told = topics.iter().map(|(name, why)| match why {
                        None => format!("topic {name} does not exist: run `quadrille topics apply`"),
                        Some(why) => format!("topic {name}: {why}"),
                    });
                    let told = told.collect::<Vec<_>>().join("; ");
                    let found = if told.is_empty() { Ok(()) } else { Err(told) };
                    if topics_led.agree(found.is_ok()) {
                        self.health.watched(Circuit::Topic, found, now);
                    }
                }
                Err(why) => {
                    if let Some(client) = self.client.upgrade() {
                        self.servers.unreached(client.client(), Instant::now());
                    }
                    if broker.agree(false) {
                        self.health.watched(Circuit::Kafka, Err(why), now);
                    }
                }
            }
        }
    }
}

/// Topics that are away, with why; without: they do not exist.
type AwayTopics = Vec<(String, Option<String>)>;

/// What is away, or that no broker answers. None: the loop has ended.
fn look(client: &Weak<BaseConsumer<RebalanceContext>>, topics: &[String]) -> Option<Result<AwayTopics, String>> {
    let client = client.upgrade()?;
    let (mut away, until) = (Vec::new(), Instant::now() + BROKER);
    for (asked, topic) in topics.iter().enumerate() {
        let metadata = match client.fetch_metadata(Some(topic), until.saturating_duration_since(Instant::now())) {
            Ok(metadata) => metadata,
            Err(_) if asked > 0 => break, // it answers, though slowly: the others are asked for at a later look
            Err(error) => return Some(Err(format!("no broker answers within {BROKER:?}: {error}"))),
        };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { continue };
        match found.error().map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                away.push((topic.clone(), None))
            }
            Some(code) => away.push((topic.clone(), Some(code.to_string()))),
            None => {
                let headless = found.partitions().iter().find(|partition| partition.leader() < 0);
                let why = headless.map(|partition| format!("partition {} has no leader", partition.id()));
                away.extend(why.map(|why| (topic.clone(), Some(why))));
            }
        }
    }
    Some(Ok(away))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look makes of what those before it said: opened, closed, or nothing.
    fn seen(looks: &[bool]) -> Vec<Option<bool>> {
        let mut all = Looks::default();
        looks.iter().map(|is_good| all.agree(*is_good).then_some(*is_good)).collect()
    }

    #[test]
    fn one_slow_answer_is_no_outage_and_two_in_a_row_are() {
        let (yes, no) = (true, false);
        assert_eq!(seen(&[yes, yes, no, yes, no, yes]), [None, Some(yes), None, None, None, None]);
        assert_eq!(seen(&[yes, no, no, no]), [None, None, Some(no), Some(no)]);
    }

    #[test]
    fn one_good_answer_of_a_broker_that_starts_does_not_end_an_outage() {
        let (yes, no) = (true, false);
        assert_eq!(
            seen(&[yes, no, no, yes, no, no, yes, yes]),
            [None, None, Some(no), None, None, Some(no), None, Some(yes)]
        );
    }

    #[test]
    fn an_outage_is_told_within_five_seconds_though_two_looks_must_find_it() {
        let mut looks = Looks::default();
        assert_eq!(looks.pause(), KAFKA_EVERY, "nothing was looked at");
        looks.agree(true);
        looks.agree(true);
        assert_eq!(looks.pause(), KAFKA_EVERY);
        // It goes away right after a look: nobody answers the next two.
        let mut told = looks.pause() + BROKER;
        assert!(!looks.agree(false));
        told += looks.pause() + BROKER;
        assert!(looks.agree(false));
        assert!(told < Duration::from_secs(5), "{told:?}");
        assert_eq!(looks.pause(), KAFKA_EVERY, "it is known");
    }
}
