//! An outbox of its own for each test: a database, topics under a prefix, writers and relays.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::relay::{self, RelaySettings};
use quadrille_tests::deadline::Ends;
use quadrille_tests::{Database, Record, binary, stack};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use runtime::{Clock, Headers, Health, Outgoing};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// What one test has to itself.
pub struct Bench {
    pub database: Database,
    pub pool: PgPool,
    pub prefix: String,
    pub settings: RelaySettings,
}

/// A client of the stack's Kafka.
pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &stack().kafka);
    config
}

impl Bench {
    /// A fresh database with an outbox, and topics (name, largest record) of four partitions.
    pub async fn with_topics(topics: &[(&str, u32)]) -> Self {
        let database = Database::fresh().await;
        let pool = PgPoolOptions::new().max_connections(20).connect(&database.url).await.unwrap();
        let prefix = format!("{}-", database.name);
        let kafka = [("bootstrap.servers".to_owned(), stack().kafka.clone())].into();
        let settings = RelaySettings {
            database_urls: vec![database.url.clone().into()],
            kafka,
            topic_prefix: prefix.clone(),
            ..RelaySettings::default()
        };
        let bench = Self { database, pool, prefix, settings };
        bench.create(topics).await;
        bench.create(&[("operations", 1_000_000)]).await;
        bench
    }

    /// Creates topics of four partitions; the number is the largest record.
    pub async fn create(&self, topics: &[(&str, u32)]) {
        if topics.is_empty() {
            return;
        }
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let names: Vec<(String, String)> =
            topics.iter().map(|(name, limit)| (format!("{}{name}", self.prefix), limit.to_string())).collect();
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|(name, limit)| NewTopic::new(name, 4, TopicReplication::Fixed(1)).set("max.message.bytes", limit))
            .collect();
        for result in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
    }

    /// A topic of one partition that takes no record without a key.
    pub async fn create_compacted(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let name = format!("{}{topic}", self.prefix);
        let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
        admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    }

    /// A topic that says when each record was appended.
    pub async fn create_appending(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let name = format!("{}{topic}", self.prefix);
        let topic = NewTopic::new(&name, 4, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
        admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    }

    /// A relay in this process.
    pub fn relay(&self) -> Relay {
        self.relay_with(self.settings.clone())
    }

    /// A relay with other settings.
    pub fn relay_with(&self, settings: RelaySettings) -> Relay {
        let (shutdown, health) = (CancellationToken::new(), Arc::new(Health::of("outbox-relay")));
        let task = tokio::spawn(relay::run(settings, Clock::default(), health, shutdown.clone()));
        Relay { task, shutdown }
    }

    /// A relay in a process of its own: the binary that cargo put beside the tests, or `RELAY` (a release build to measure).
    pub fn process(&self) -> Process {
        let binary = std::env::var_os("RELAY").map_or_else(|| binary("quadrille-outbox-relay"), PathBuf::from);
        let child = Command::new(binary)
            .env("DATABASE_URL", &self.database.url)
            .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
            .env("QUADRILLE_TOPIC_PREFIX", &self.prefix)
            .env("QUADRILLE_OUTBOX_RELAY__HTTP", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the relay starts");
        Process(child)
    }

    /// What `quadrille relay …` prints on this outbox, where all is well.
    pub fn operator(&self, arguments: &[&str]) -> String {
        let (well, printed) = self.operator_says(arguments);
        assert!(well, "{printed}");
        printed
    }

    /// Whether `quadrille relay …` finds all well on this outbox, and what it prints.
    pub fn operator_says(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(binary("quadrille"))
            .arg("relay")
            .args(arguments)
            .env("DATABASE_URL", &self.database.url)
            .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
            .output()
            .expect("quadrille starts");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(printed).expect("text"))
    }

    /// Rows that no cursor covers.
    pub async fn waiting(&self) -> i64 {
        let mut db = self.pool.acquire().await.unwrap();
        relay::status(&mut db).await.unwrap().waiting
    }

    /// Waits until everything committed is published.
    pub async fn settled(&self) {
        let ends = Ends::within(PATIENCE);
        loop {
            match self.waiting().await {
                0 => return,
                rows => ends.pause(|| format!("{rows} rows wait to be published")).await,
            }
        }
    }

    /// Waits until the number that a query returns is as wanted.
    pub async fn until(&self, query: &'static str, is_wanted: impl Fn(i64) -> bool) {
        let ends = Ends::within(PATIENCE);
        loop {
            match self.count(query).await {
                number if is_wanted(number) => return,
                number => ends.pause(|| format!("{query} is {number}")).await,
            }
        }
    }

    /// A topic from its beginning to its end now, each partition in order.
    pub fn read(&self, topic: &str) -> Vec<Read> {
        let records = quadrille_tests::read_all(&format!("{}{topic}", self.prefix)).into_iter();
        records.map(Read::from).collect()
    }

    /// The number that a query returns.
    pub async fn count(&self, query: &'static str) -> i64 {
        quadrille_tests::deadline::at(|| query.to_owned());
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// Drops the database and the topics.
    pub async fn drop_it(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.pool.close()).await; // a test may still hold a connection
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let consumer: BaseConsumer = client().create().unwrap();
        let all = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let ours: Vec<&str> =
            all.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&self.prefix)).collect();
        if !ours.is_empty() {
            admin.delete_topics(&ours, &AdminOptions::new()).await.unwrap();
        }
        self.database.drop_it().await;
    }
}

/// A relay as a task.
pub struct Relay {
    task: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Relay {
    /// As it ends when it is told to.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// As a crash within the process: nothing is settled.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// How it ended by itself.
    pub async fn error(self) -> String {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("the relay stops").unwrap();
        format!("{:#}", ended.unwrap_err())
    }
}

/// A relay as a process; killed when the test ends, however it does.
pub struct Process(Child);

impl Process {
    /// `kill -9`.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Appends rows (topic, key, payload) in the caller's transaction; returns their positions.
pub async fn append(db: &mut PgConnection, rows: &[(&'static str, &str, Vec<u8>)]) -> Vec<i64> {
    let outgoing = |(topic, key, payload): &(&'static str, &str, Vec<u8>)| {
        let event_id = Uuid::now_v7();
        let mut headers = Headers::default();
        headers.push("ce_id", &event_id.to_string());
        headers.push("ce_type", "test");
        Outgoing { topic, key: Some(key.as_bytes().to_vec()), event_id, headers, payload: Some(payload.clone()) }
    };
    let rows: Vec<Outgoing> = rows.iter().map(outgoing).collect();
    runtime::outbox::append(db, &rows).await.expect("the outbox takes rows")
}

/// A record, with the time that Kafka gave it.
#[derive(Clone, Debug)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: Vec<u8>,
    pub headers: HashMap<String, String>,
    pub timestamp: i64,
}

impl From<Record> for Read {
    fn from(record: Record) -> Self {
        let Record { partition, offset, key, value, headers, timestamp } = record;
        let key = String::from_utf8_lossy(&key.unwrap_or_default()).into_owned();
        Self { partition, offset, key, value: value.unwrap_or_default(), headers, timestamp }
    }
}

impl Read {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap()
    }
}
