//! The relay alone: rows that bare SQL put into an outbox of its own, and when Kafka had them.

use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use kafka_admin::topics::{self, WantedTopic};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use runtime::{Headers, migrations, sql};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::addresses::PipelineAddresses;
use crate::processes::{self, Process};
use crate::runs::RunOutcome;

/// Bytes of an event's value: an order's event has about as many.
const VALUE: usize = 220;
const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);
/// Events that go through before a backlog is measured: the broker compiles its code while it runs.
const WARM_UP: u64 = 200_000;
/// When an event of a warm-up was due: it is not counted, though a relay that is killed may publish it twice.
const WARM: u64 = u64::MAX;
/// Between two transactions of an open loop's writer, by its schedule.
const TICK: Duration = Duration::from_millis(5);
const WRITERS: u32 = 8;

pub struct RelayBench {
    pipeline: PipelineAddresses,
    database: String,
    url: String,
    pool: PgPool,
    prefix: String,
    program: PathBuf,
    processes: Vec<Process>,
}

impl RelayBench {
    /// Makes database and topics; `quadrille-outbox-relay` is expected beside this program.
    pub async fn prepare(pipeline: PipelineAddresses, processes: Vec<Process>) -> anyhow::Result<Self> {
        let database = format!("quadrille_relay_{}", pipeline.clock_id());
        let prefix = format!("{database}.");
        sqlx::query(AssertSqlSafe(format!("create database {database}")))
            .execute(&pipeline.pool)
            .await
            .context("create database")?;
        let options = PgConnectOptions::from_str(pipeline.settings.common().database_url.expose())?.database(&database);
        let url = options.to_url_lossy().to_string();
        for (schema, migrator) in migrations::house() {
            migrations::run(&url, schema, migrator).await?;
        }
        let pool = sql::pool(&url, "quadrille load", WRITERS)?;
        let known: Vec<(i32, String, String)> =
            sqlx::query_as("select schema_id, subject, definition from runtime.schema_id")
                .fetch_all(&pipeline.pool)
                .await?;
        for (schema_id, subject, definition) in known {
            let insert = sqlx::query("insert into runtime.schema_id values ($1, $2, $3)");
            insert.bind(schema_id).bind(subject).bind(definition).execute(&pool).await?;
        }
        let topic = |name: &str| WantedTopic {
            name: format!("{prefix}{name}"),
            partitions: PARTITIONS,
            replicas: 1,
            keyed: true,
            config: [].into(),
        };
        let wanted = ["orders", "operations"].map(topic);
        topics::apply(&pipeline.settings.common().kafka, &wanted).await?;
        topics::ready(&pipeline.settings.common().kafka, &wanted).await?;
        let program = std::env::current_exe().context("this program")?.with_file_name("quadrille-outbox-relay");
        Ok(Self { pipeline, database, url, pool, prefix, program, processes })
    }

    pub async fn clear(self) -> anyhow::Result<()> {
        self.pool.close().await;
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.database)))
            .execute(&self.pipeline.pool)
            .await?;
        let admin: AdminClient<DefaultClientContext> = self.pipeline.kafka().create()?;
        let names = ["orders", "operations"].map(|name| format!("{}{name}", self.prefix));
        admin.delete_topics(&names.each_ref().map(String::as_str), &AdminOptions::new()).await?;
        Ok(())
    }

    /// Starts the relay; killed when it is dropped.
    fn relay(&self) -> anyhow::Result<(Child, Vec<Process>)> {
        let mut command = Command::new(&self.program);
        command
            .env("DATABASE_URL", &self.url)
            .env("QUADRILLE_TOPIC_PREFIX", &self.prefix)
            .env("QUADRILLE_OUTBOX_RELAY__HTTP", "127.0.0.1:0");
        // As a user would run it, logs included.
        command.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().with_context(|| self.program.display().to_string())?;
        let pid = child.id().context("the relay ended at once")?;
        let mut processes = self.processes.clone();
        processes.retain(|process| ["kafka", "postgres"].contains(&process.name.as_str()));
        processes.push(Process { name: "outbox-relay".to_owned(), pid });
        Ok((child, processes))
    }

    /// Writes so many rows, then starts the relay, and measures from the first that Kafka has to the last.
    pub async fn backlog(&self, events: u64) -> anyhow::Result<RunOutcome> {
        let (mut relay, _) = self.relay()?;
        let consumer = self.warm(WARM_UP).await?;
        relay.kill().await?;
        self.fill(events, 0).await?;
        let mut before = processes::usage(&self.processes);
        let (mut relay, processes) = self.relay()?;
        before.insert("outbox-relay".to_owned(), processes::Usage::default());
        let bar = bar(events);
        let watching = tokio::task::spawn_blocking(move || watch(&consumer, events, &bar, |due, _| due != WARM));
        let (first, last) = watching.await??;
        let usage = processes::since(&before, &processes);
        relay.kill().await?;
        Ok(RunOutcome::of("events", events, last.duration_since(first), Histogram::new(3)?, usage))
    }

    /// Writes rows on a fixed schedule, and measures each from when it was due until a consumer has it.
    pub async fn open_loop(&self, rate: u64, seconds: u64) -> anyhow::Result<RunOutcome> {
        let (mut relay, processes) = self.relay()?;
        let consumer = self.warm(2_000).await?;
        let (before, events) = (processes::usage(&processes), rate * seconds);
        let (began, progress) = (Instant::now() + Duration::from_millis(200), bar(events));
        let watching = tokio::task::spawn_blocking(move || {
            let mut latency: Histogram<u64> = Histogram::new(3)?;
            let (_, last) = watch(&consumer, events, &progress, |due, at| {
                if due == WARM {
                    return false;
                }
                let since = at.saturating_duration_since(began).as_micros() as u64;
                latency += since.saturating_sub(due);
                true
            })?;
            anyhow::Ok((latency, last))
        });
        self.on_schedule(began, rate, events).await?;
        let (latency, last) = watching.await??;
        let usage = processes::since(&before, &processes);
        relay.kill().await?;
        Ok(RunOutcome::of("events", events, last.duration_since(began), latency, usage))
    }

    /// Has so many events go through; returns the consumer that has read them.
    async fn warm(&self, events: u64) -> anyhow::Result<BaseConsumer> {
        self.fill(events, WARM as i64).await?;
        let (consumer, ready) = (self.consumer()?, bar(events));
        let warm = move || watch(&consumer, events, &ready, |_, _| true).map(|_| consumer);
        tokio::task::spawn_blocking(warm).await?
    }

    async fn on_schedule(&self, began: Instant, rate: u64, events: u64) -> anyhow::Result<()> {
        let (mut written, mut writing) = (0, JoinSet::new());
        for tick in 1.. {
            let due = TICK * tick;
            tokio::time::sleep_until((began + due).into()).await; // the schedule itself
            let until = ((due.as_micros() as u64).saturating_mul(rate) / 1_000_000).min(events);
            if until > written {
                let (pool, from, due) = (self.pool.clone(), written, due.as_micros() as i64);
                writing.spawn(async move { insert(&pool, from, until - from, due).await });
                written = until;
            }
            if written == events {
                break;
            }
        }
        while let Some(done) = writing.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn fill(&self, events: u64, due: i64) -> anyhow::Result<()> {
        for from in (0..events).step_by(10_000) {
            insert(&self.pool, from, (events - from).min(10_000), due).await?;
        }
        Ok(())
    }

    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let mut config = self.pipeline.kafka();
        config
            .set("group.id", "quadrille-load")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        config.set("fetch.wait.max.ms", "100").set("queued.min.messages", "100000");
        let consumer: BaseConsumer = config.create()?;
        let mut list = rdkafka::TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(&format!("{}orders", self.prefix), partition, rdkafka::Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }
}

/// Events as consumers append them, a hundred to an entry; each begins with when it was due, in microseconds since the run began.
async fn insert(pool: &PgPool, from: u64, rows: u64, due: i64) -> anyhow::Result<()> {
    let mut headers = Headers::default();
    for (name, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", "019ab0d6-7c00-7000-8000-000000000000"),
        ("ce_source", "/quadrille/orders"),
        ("ce_type", "com.quadrille.orders.OrderAccepted"),
        ("ce_time", "2026-01-01T00:00:00.000Z"),
        ("ce_sequence", "00000000000000000000"),
        ("ce_causationid", "019ab0d6-7c00-7000-8000-000000000000"),
        ("ce_correlationid", "019ab0d6-7c00-7000-8000-000000000000"),
        ("traceparent", "00-019ab0d67c0070008000000000000000-019ab0d67c007000-00"),
        ("content-type", "application/vnd.apache.avro"),
    ] {
        headers.push(name, value);
    }
    let insert = sqlx::query(
        "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
         select current_slot, array_agg(n % 8), array_agg(gen_random_uuid()), array_agg('orders'::text), array_agg(convert_to('order-' || n, 'utf8')),
                array_agg($3), array_agg(int8send($4) || $5)
           from outbox.rotation, generate_series($1::bigint, $2::bigint) as n group by current_slot, (n - $1) / 100",
    );
    let (from, last) = (from as i64, (from + rows) as i64 - 1);
    insert
        .bind(from)
        .bind(last)
        .bind(headers.encode().to_vec())
        .bind(due)
        .bind(vec![7_u8; VALUE - 8])
        .execute(pool)
        .await?;
    Ok(())
}

/// Reads so many records, of those that `see` counts; answers when the first and the last were there.
fn watch(
    consumer: &BaseConsumer,
    events: u64,
    bar: &ProgressBar,
    mut see: impl FnMut(u64, Instant) -> bool,
) -> anyhow::Result<(Instant, Instant)> {
    let (mut first, mut last, mut seen) = (None, Instant::now(), 0);
    while seen < events {
        match consumer.poll(Duration::from_millis(200)) {
            Some(message) => {
                let message = message?;
                let now = Instant::now();
                let due =
                    message.payload().and_then(|value| Some(u64::from_be_bytes(value.get(..8)?.try_into().ok()?)));
                if !see(due.unwrap_or(0), now) {
                    continue;
                }
                last = now;
                first.get_or_insert(now);
                seen += 1;
                if seen % 1_000 == 0 {
                    bar.set_position(seen);
                }
            }
            None => ensure!(
                last.elapsed() < PATIENCE,
                "Kafka has {seen} of {events} events, and no more came for {PATIENCE:?}"
            ),
        }
    }
    bar.finish_and_clear();
    Ok((first.unwrap_or(last), last))
}

fn bar(events: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:40} {pos}/{len} events");
    ProgressBar::new(events).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
