//! An outbox of its own for each test: a database, topics under a prefix, writers and relays.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use runtime::relay::{self, RelaySettings};
use runtime::{Clock, Headers, Health, migrations};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Bench {
    pub url: String,
    pub pool: PgPool,
    pub prefix: String,
    pub settings: RelaySettings,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.quadrille/env")).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .unwrap_or_else(|| panic!("{name} is not set"))
            .to_owned()
    })
}

pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", env("KAFKA_BOOTSTRAP_SERVERS"));
    config
}

impl Bench {
    /// A fresh database with an outbox, and topics (name, largest record) of four partitions.
    pub async fn with_topics(topics: &[(&str, u32)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("relaytest_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let base = env("DATABASE_URL");
        let url = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
        let mut server = PgConnection::connect(&base).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut server).await.unwrap();
        for (schema, migrator) in migrations::house() {
            migrations::run(&url, schema, migrator).await.unwrap();
        }
        let pool = PgPoolOptions::new().max_connections(20).connect(&url).await.unwrap();
        let prefix = format!("{name}-");
        let kafka = [("bootstrap.servers".to_owned(), env("KAFKA_BOOTSTRAP_SERVERS"))].into();
        let settings = RelaySettings {
            database_urls: vec![url.clone()],
            kafka,
            topic_prefix: prefix.clone(),
            ..RelaySettings::default()
        };
        let bench = Self { url, pool, prefix, settings };
        if !topics.is_empty() {
            bench.create(topics).await;
        }
        bench
    }

    pub async fn create(&self, topics: &[(&str, u32)]) {
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

    pub fn relay_with(&self, settings: RelaySettings) -> Relay {
        runtime::telemetry::log();
        let (shutdown, health) = (CancellationToken::new(), Arc::new(Health::of("outbox-relay")));
        let task = tokio::spawn(relay::run(settings, Clock::default(), health, shutdown.clone()));
        Relay { task, shutdown }
    }

    /// A relay in a process of its own.
    pub fn process(&self) -> Process {
        let child = Command::new(
            std::env::var("RELAY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_quadrille-outbox-relay").into()),
        )
        .env("DATABASE_URL", &self.url)
        .env("KAFKA_BOOTSTRAP_SERVERS", env("KAFKA_BOOTSTRAP_SERVERS"))
        .env("QUADRILLE_TOPIC_PREFIX", &self.prefix)
        .env("QUADRILLE_OUTBOX_RELAY__HTTP", "127.0.0.1:0")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
        Process(child)
    }

    /// Rows that no cursor covers.
    pub async fn waiting(&self) -> i64 {
        let mut db = self.pool.acquire().await.unwrap();
        relay::status(&mut db).await.unwrap().waiting
    }

    /// Waits until everything committed is published.
    pub async fn settled(&self) {
        let since = Instant::now();
        while self.waiting().await > 0 {
            assert!(since.elapsed() < PATIENCE, "{} rows are still waiting", self.waiting().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn read(&self, topic: &str) -> Vec<Read> {
        read_all(&format!("{}{topic}", self.prefix))
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn drop_it(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.pool.close()).await; // a test may still hold a connection
        let (server, name) = self.url.rsplit_once('/').unwrap();
        let mut server = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut server).await.unwrap();
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let consumer: BaseConsumer = client().create().unwrap();
        let all = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let ours: Vec<&str> =
            all.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&self.prefix)).collect();
        if !ours.is_empty() {
            admin.delete_topics(&ours, &AdminOptions::new()).await.unwrap();
        }
    }
}

pub struct Relay {
    task: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Relay {
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

pub struct Process(Child);

impl Process {
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

/// Appends rows (topic, key, payload) in the caller's transaction, as the runtime does; returns their positions.
pub async fn append(db: &mut PgConnection, rows: &[(&str, &str, Vec<u8>)]) -> Vec<i64> {
    let mut headers = Headers::default();
    headers.push("ce_id", "00000000-0000-0000-0000-000000000000");
    headers.push("ce_type", "test");
    let shards: Vec<i16> = rows.iter().map(|(_, key, _)| runtime::outbox::shard(Some(key.as_bytes()))).collect();
    sqlx::query_scalar(
        "insert into outbox.event (slot, shard, topic, key, event_id, headers, payload)
         select rotation.current_slot, said.shard, said.topic, said.key, gen_random_uuid(), $5, said.payload
         from outbox.rotation, unnest($1::int2[], $2::text[], $3::bytea[], $4::bytea[]) with ordinality as said (shard, topic, key, payload, n)
         order by said.n returning seq",
    )
    .bind(shards)
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.as_bytes()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.as_slice()).collect::<Vec<_>>())
    .bind(headers.encode())
    .fetch_all(db)
    .await
    .unwrap()
}

#[derive(Clone, Debug)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub value: Vec<u8>,
    pub headers: HashMap<String, String>,
    pub timestamp: i64,
}

impl Read {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap()
    }
}

/// A topic from its beginning to its end now, each partition in order.
pub fn read_all(topic: &str) -> Vec<Read> {
    let consumer: BaseConsumer =
        client().set("group.id", "relaytest").set("enable.auto.commit", "false").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let (mut list, mut left) = (TopicPartitionList::new(), HashMap::new());
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap();
        if high > low {
            left.insert(partition.id(), high);
            list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    while !left.is_empty() {
        let message = consumer.poll(PATIENCE).expect("records arrive").unwrap();
        let headers = message.headers().map(|all| {
            all.iter()
                .map(|header| {
                    (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
                })
                .collect()
        });
        records.push(Read {
            partition: message.partition(),
            offset: message.offset(),
            key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
        });
        if left.get(&message.partition()).is_some_and(|high| message.offset() + 1 >= *high) {
            left.remove(&message.partition());
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}
