//! A whole pipeline for one test: database, topics, clock and consumers of its own.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use choreography::Choreography;
use kafka_admin::topics::{self, WantedTopic};
use runtime::{Clock, Host, Settings};
use serde_json::Value;

use crate::database::Database;
use crate::deadline;
use crate::stack::stack;

/// All programs that run unless they are left out by name: consumers and the relay.
pub static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| Choreography::embedded().default_programs().collect());

/// How long a door may take to answer a test.
const ANSWER: Duration = Duration::from_secs(120);

/// What a test wants otherwise.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Settings in TOML, as in `quadrille.toml`, beside the addresses.
    pub settings: String,
    /// Settings that all consumers share, in TOML.
    pub common: String,
    /// Which consumers to host; the relay is one of them.
    pub consumers: Vec<&'static str>,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Whether its programs want [`KEYS`].
    pub keyed: bool,
    /// Consumers that have a second database, together.
    pub apart: Vec<&'static str>,
    /// The registry, where it is not the stack's own.
    pub registry: Option<String>,
}

/// A key of each role, by its name: `web` is a shop, `hall` the warehouse `a`.
pub const KEYS: [(&str, &str, &str); 6] = [
    ("vera", "viewer", "0123456789abcdef-vera"),
    ("web", "shop:web", "0123456789abcdef-web"),
    ("app", "shop:app", "0123456789abcdef-app"),
    ("hall", "warehouse:a", "0123456789abcdef-hall"),
    ("eve", "operator", "0123456789abcdef-eve"),
    ("root", "admin", "0123456789abcdef-root"),
];

/// The key of this name.
///
/// # Panics
/// When there is none.
pub fn key(name: &str) -> &'static str {
    KEYS.iter().find(|(other, ..)| *other == name).unwrap_or_else(|| panic!("no key {name}")).2
}

impl From<&str> for Setup {
    fn from(settings: &str) -> Self {
        Self { settings: settings.to_owned(), ..Self::default() }
    }
}

impl Setup {
    /// With settings of the test's, and keys.
    pub fn keyed(settings: &str) -> Self {
        Self { keyed: true, ..settings.into() }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: String::new(),
            common: String::new(),
            consumers: ALL.clone(),
            partitions: 2,
            keyed: false,
            apart: Vec::new(),
            registry: None,
        }
    }
}

/// A running pipeline.
pub struct Pipeline {
    /// Its database.
    pub database: Database,
    /// That of consumers that are set apart.
    pub second: Option<Database>,
    /// Its clock, shared by all its consumers.
    pub clock: Clock,
    /// Before each topic's and group's name.
    pub prefix: String,
    /// Talks to its doors.
    pub http: reqwest::Client,
    setup: Setup,
    hosts: Mutex<Vec<Arc<Host>>>,
    finished: bool,
}

impl Pipeline {
    /// A pipeline with everything in it.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A pipeline with settings of the test's.
    pub async fn with_settings(settings: &str) -> Self {
        Self::with(settings.into()).await
    }

    /// A pipeline as the test wants it.
    pub async fn with(setup: Setup) -> Self {
        let database = Database::fresh().await;
        let second = match setup.apart.is_empty() {
            true => None,
            false => Some(Database::fresh().await),
        };
        let prefix = format!("{}.", database.name);
        let wanted = wanted(&prefix, setup.partitions);
        let kafka = [("bootstrap.servers".to_owned(), stack().kafka.clone())].into();
        deadline::at(|| format!("the topics of {prefix}"));
        topics::apply(&kafka, &wanted).await.expect("topics of its own");
        topics::ready(&kafka, &wanted).await.expect("topics with leaders");
        let pipeline = Self {
            database,
            second,
            clock: Clock::default(),
            prefix,
            http: reqwest::Client::builder().timeout(ANSWER).build().expect("an HTTP client"),
            setup,
            hosts: Mutex::default(),
            finished: false,
        };
        if !pipeline.setup.consumers.is_empty() {
            pipeline.host(&pipeline.setup.consumers.clone()).await;
        }
        pipeline
    }

    /// The settings in TOML that its consumers run with.
    pub fn settings_toml(&self) -> String {
        let Database { url, .. } = &self.database;
        let (kafka, registry) = (&stack().kafka, self.setup.registry.as_ref().unwrap_or(&stack().registry_url));
        let keys = KEYS.map(|(name, role, key)| format!("{name} {role} {key}")).join("; ");
        let keys = format!("keys = '{keys}'\napi_key = '{}'\n", key("root"));
        let keys = if self.setup.keyed { keys.as_str() } else { "" };
        let mut toml = format!(
            "[common]\nprofile = 'demo'\n{keys}database_url = '{url}'\nschema_registry_url = '{registry}'\ntopic_prefix = '{}'\n{}\n[common.kafka]\n'bootstrap.servers' = '{kafka}'\n",
            self.prefix, self.setup.common
        );
        toml.push_str(&self.setup.settings);
        for (name, _) in Choreography::embedded().all_programs() {
            let section = name.replace('-', "_");
            let mut line = "http = '127.0.0.1:0'\n".to_owned();
            if let Some(second) = self.second.as_ref().filter(|_| self.setup.apart.contains(&name)) {
                line.push_str(&format!("database_url = '{}'\n", second.url));
            }
            match toml.find(&format!("[{section}]\n")) {
                Some(at) => toml.insert_str(at + section.len() + 3, &line),
                None => toml.push_str(&format!("\n[{section}]\n{line}")),
            }
        }
        toml
    }

    /// Hosts these consumers in one more process-like host: a further instance of each.
    pub async fn host(&self, consumers: &[&str]) -> Arc<Host> {
        self.host_with(&self.settings_toml(), consumers).await
    }

    /// The same with other settings than the test began with.
    pub async fn host_with(&self, toml: &str, consumers: &[&str]) -> Arc<Host> {
        let settings = Settings::from_toml(toml).expect("settings of the test");
        let host = Arc::new(Host::new(settings, self.clock.clone()));
        for name in consumers {
            deadline::at(|| format!("the start of {name} of {}", self.prefix));
            ::pipeline::start(&host, name).await.unwrap_or_else(|error| panic!("{name} does not start: {error:#}"));
        }
        self.hosts.lock().expect("hosts").push(Arc::clone(&host));
        host
    }

    /// Hosts a consumer of the test's own making in one more host.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn host_as<F: Future<Output = anyhow::Result<()>>>(
        &self,
        start: impl FnOnce(Arc<Host>) -> F,
    ) -> Arc<Host> {
        let settings = Settings::from_toml(&self.settings_toml()).expect("settings of the test");
        let host = Arc::new(Host::new(settings, self.clock.clone()));
        start(Arc::clone(&host))
            .await
            .unwrap_or_else(|error| panic!("the test's own consumer does not start: {error:#}"));
        self.hosts.lock().expect("hosts").push(Arc::clone(&host));
        host
    }

    /// Stops a host as a signal would: batches finished, offsets committed.
    pub async fn stop(&self, host: &Arc<Host>) {
        self.hosts.lock().expect("hosts").retain(|other| !Arc::ptr_eq(other, host));
        deadline::at(|| format!("the stop of a host of {}", self.prefix));
        host.stop().await.expect("a clean stop");
    }

    /// The hosts that run.
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.hosts.lock().expect("hosts").clone()
    }

    /// The address of a consumer's doors.
    ///
    /// # Panics
    /// When it is not hosted.
    pub fn door(&self, consumer: &str, path: &str) -> String {
        let address = self
            .hosts()
            .iter()
            .find_map(|host| host.address(consumer))
            .unwrap_or_else(|| panic!("{consumer} is not hosted"));
        format!("http://{address}{path}")
    }

    /// GETs JSON from a door; panics unless it answers with success.
    pub async fn get(&self, consumer: &str, path: &str) -> Value {
        let (status, body) = self.ask(reqwest::Method::GET, consumer, path, None).await;
        assert!((200..300).contains(&status), "GET {path} of {consumer}: {status}: {body}");
        body
    }

    /// POSTs JSON to a door: status and answer.
    pub async fn post(&self, consumer: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, consumer, path, Some(body)).await
    }

    /// Asks a door: status and answer (null where it is not JSON).
    pub async fn ask(&self, method: reqwest::Method, consumer: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let key = if (consumer, path) == ("orders", "/orders") { key("web") } else { key("root") };
        self.ask_as(key, method, consumer, path, body).await
    }

    /// Asks a door with this key: status and answer (null where it is not JSON). A pipeline without keys does not look at it.
    pub async fn ask_as(
        &self,
        key: &str,
        method: reqwest::Method,
        consumer: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        deadline::at(|| format!("{method} {path} of {consumer} of {}", self.prefix));
        let request = self.http.request(method, self.door(consumer, path)).header("X-Api-Key", key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap_or_else(|error| panic!("{consumer} {path}: {error}"));
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap_or_default()).unwrap_or_default())
    }

    /// Moves the clock of all its consumers.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The full name of a topic.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The types (short names) of an order's events in the order in which they were said, from the outbox.
    pub async fn story(&self, order_id: &str) -> Vec<String> {
        self.said(order_id)
            .await
            .into_iter()
            .map(|(event_type, _)| event_type.rsplit('.').next().unwrap_or_default().to_owned())
            .collect()
    }

    /// An order's events as (type, value) in the order in which they were said, from the outbox.
    pub async fn said(&self, order_id: &str) -> Vec<(String, Vec<u8>)> {
        let rows: Vec<(Vec<u8>, Option<Vec<u8>>)> =
            sqlx::query_as("select headers, payload from outbox.event where key = $1 and topic not in ('operations', 'dead-letter-events') order by seq")
                .bind(order_id.as_bytes())
                .fetch_all(&self.database.pool)
                .await
                .expect("the outbox");
        let of = |(headers, payload): (Vec<u8>, Option<Vec<u8>>)| {
            let headers = runtime::Headers::decode(&headers).expect("headers of ours");
            (headers.text("ce_type").unwrap_or_default().to_owned(), payload.unwrap_or_default())
        };
        rows.into_iter().map(of).collect()
    }

    /// The one event of this type that was said of an order.
    pub async fn the<E: events::Event>(&self, order_id: &str) -> E {
        let mut found: Vec<E> = self.all(order_id).await;
        assert_eq!(found.len(), 1, "{} of {order_id}: {:?}", E::TYPE, self.story(order_id).await);
        found.remove(0)
    }

    /// All events of this type that were said of an order.
    pub async fn all<E: events::Event>(&self, order_id: &str) -> Vec<E> {
        let stored = runtime::Registry::stored(&self.database.pool).await.expect("schema ids");
        let codec = runtime::Codec::new(&stored).expect("our schemas");
        let said = self.said(order_id).await;
        let ours = said.iter().filter(|(event_type, _)| event_type == E::TYPE);
        ours.map(|(_, value)| codec.decode(Some(value)).expect("an event of ours")).collect()
    }

    /// How many rows a query counts.
    pub async fn count(&self, query: &str) -> i64 {
        deadline::at(|| format!("{query} of {}", self.prefix));
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
            .fetch_one(&self.database.pool)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Its databases.
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        [&self.database].into_iter().chain(&self.second)
    }

    /// How many rows a query counts in all its databases.
    pub(crate) async fn count_all(&self, query: &str) -> i64 {
        let mut rows = 0;
        for database in self.databases() {
            rows += sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(query.to_owned()))
                .fetch_one(&database.pool)
                .await
                .unwrap_or_else(|error| panic!("{query}: {error}"));
        }
        rows
    }

    /// Dead letters so far, as (error class, message).
    pub async fn dead_letters(&self) -> Vec<HashMap<String, String>> {
        let mut rows: Vec<Vec<u8>> = Vec::new();
        for database in self.databases() {
            let found: Vec<Vec<u8>> =
                sqlx::query_scalar("select headers from outbox.event where topic = 'dead-letter-events' order by seq")
                    .fetch_all(&database.pool)
                    .await
                    .expect("the outbox");
            rows.extend(found);
        }
        let of = |headers: Vec<u8>| {
            let headers = runtime::Headers::decode(&headers).expect("headers of ours");
            let text = |(name, value): (&str, Option<std::borrow::Cow<'_, [u8]>>)| {
                Some((name.to_owned(), String::from_utf8(value?.into_owned()).ok()?))
            };
            headers.published(None).filter_map(text).collect()
        };
        rows.into_iter().map(of).collect()
    }

    /// Ends the test: runs to quiescence, checks what must hold after every test, stops everything cleanly.
    ///
    /// # Panics
    /// When something is wrong; says what.
    pub async fn finish(self) {
        self.settle().await;
        let dead = self.dead_letters().await;
        assert!(dead.is_empty(), "unexpected dead letters: {dead:#?}");
        self.finish_with_dead_letters().await;
    }

    /// As [`Pipeline::finish`], where dead letters were expected and looked at.
    ///
    /// # Panics
    /// When something else is wrong; says what.
    pub async fn finish_with_dead_letters(self) {
        self.settle().await;
        let settings = Settings::from_toml(&self.settings_toml()).expect("settings of the test");
        let books = audit::Databases::open(&settings, None).expect("addresses of databases");
        for invariant in load::invariants::check_all(&books).await.expect("the books can be read") {
            assert!(invariant.holds, "{}: {}", invariant.name, invariant.figures);
        }
        self.end().await;
    }

    /// Ends a test whose books can't hold, and says why: stops everything cleanly, and audits nothing.
    ///
    /// # Panics
    /// When a consumer has stopped by itself, or does not stop cleanly.
    pub async fn finish_without_audit(self, why: &'static str) {
        assert!(!why.is_empty(), "say why the books of this test can't hold");
        self.end().await;
    }

    async fn end(mut self) {
        for host in self.hosts() {
            assert!(!host.shutdown().is_cancelled(), "a host has stopped by itself: its log says why");
            self.stop(&host).await;
        }
        for database in self.databases() {
            database.clone().drop_it().await;
        }
        self.finished = true;
    }
}

/// A test that panics leaves no consumer running (their threads would keep the process); one that ends without an audit, or a reason for none, fails.
impl Drop for Pipeline {
    fn drop(&mut self) {
        for host in self.hosts.get_mut().map(std::mem::take).unwrap_or_default() {
            host.shutdown().cancel();
        }
        assert!(
            self.finished || std::thread::panicking(),
            "{} was dropped before its books were audited: end the test by `finish()`, or by `finish_without_audit(\"why\")`",
            self.prefix
        );
    }
}

fn wanted(prefix: &str, partitions: i32) -> Vec<WantedTopic> {
    let topics = Choreography::embedded().topic_settings("local").expect("the local profile");
    topics
        .into_iter()
        .map(|topic| WantedTopic {
            name: format!("{prefix}{}", topic.name),
            partitions,
            replicas: 1,
            keyed: true,
            config: topic.config,
        })
        .collect()
}
