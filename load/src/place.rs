//! Places orders: over HTTP, or over Kafka like any other system.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::addresses::PipelineAddresses;
use crate::mix::{Mix, Twist};

/// The largest number of HTTP requests that wait for an answer at once.
const OPEN_REQUESTS: usize = 256;

/// What nobody can read.
const POISON: &str = "{\"reference\": 17, ";

#[derive(Clone)]
pub struct Placer {
    pub pipeline: PipelineAddresses,
    pub mix: Mix,
    pub source: String,
    pub placed: Arc<[OnceLock<Instant>]>,
}

impl Placer {
    /// Places these orders over HTTP, with many requests open at once; an invalid one must be refused with 422.
    pub async fn over_http(&self, numbers: impl Iterator<Item = u64>) -> anyhow::Result<()> {
        let (open, mut requests) = (Arc::new(Semaphore::new(OPEN_REQUESTS)), JoinSet::new());
        for n in numbers {
            let permit = Arc::clone(&open).acquire_owned().await?;
            let placer = self.clone();
            requests.spawn(async move {
                let placed = placer.request(n).await;
                drop(permit);
                placed
            });
            while let Some(done) = requests.try_join_next() {
                done??;
            }
        }
        while let Some(done) = requests.join_next().await {
            done??;
        }
        Ok(())
    }

    fn note(&self, n: u64) {
        if let Some(placed) = self.placed.get(n as usize) {
            placed.get_or_init(Instant::now);
        }
    }

    async fn request(&self, n: u64) -> anyhow::Result<()> {
        let twist = self.mix.kind(n).twist;
        self.note(n);
        let expected = if twist == Twist::Invalid { 422 } else { 202 };
        for _ in 0..if twist == Twist::Twice { 2 } else { 1 } {
            let request = self.pipeline.http.post(self.pipeline.door("orders", "/orders"));
            let request = request.header("Idempotency-Key", n.to_string()).json(&self.mix.body(n, &self.source));
            let response = request.send().await.context("POST /orders")?;
            if response.status().as_u16() != expected {
                bail!(
                    "order {n}: expected {expected}, got {}: {}",
                    response.status(),
                    response.text().await.unwrap_or_default()
                );
            }
        }
        Ok(())
    }

    fn producer(&self) -> anyhow::Result<Producer> {
        let mut config = self.pipeline.kafka();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "2");
        config.set("partitioner", "murmur2_random").set("queue.buffering.max.messages", "200000");
        let kafka = config.create().context("KAFKA_… settings")?;
        Ok(Producer { kafka, topic: self.pipeline.topic("order-placed") })
    }

    fn over_kafka(&self, producer: &Producer, n: u64) -> anyhow::Result<()> {
        self.note(n);
        let (key, body) = (n.to_string(), self.mix.body(n, &self.source).to_string());
        match self.mix.kind(n).twist {
            Twist::Twice => producer.send(&key, &body)?,
            Twist::Poison => producer.send(&key, POISON)?,
            Twist::None | Twist::Cancel | Twist::Recall | Twist::Invalid | Twist::Abroad => {}
        }
        producer.send(&key, &body)
    }

    /// Places these orders over Kafka: each when it is due, whatever became of those before; without a due time as fast as Kafka takes them.
    pub fn all_over_kafka(
        &self,
        numbers: impl Iterator<Item = u64>,
        due: impl Fn(u64) -> Option<Instant>,
    ) -> anyhow::Result<()> {
        let producer = self.producer()?;
        for n in numbers {
            if let Some(early) = due(n).and_then(|due| due.checked_duration_since(Instant::now())) {
                std::thread::sleep(early); // the schedule itself
            }
            self.over_kafka(&producer, n)?;
        }
        producer.flush()
    }
}

struct Producer {
    kafka: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    topic: String,
}

impl Producer {
    fn send(&self, key: &str, payload: &str) -> anyhow::Result<()> {
        loop {
            match self.kafka.send(BaseRecord::to(&self.topic).key(key).payload(payload)) {
                Ok(()) => return Ok(()),
                Err((error, _)) if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(2)); // the queue drains meanwhile
                }
                Err((error, _)) => return Err(error).context("order-placed"),
            }
        }
    }

    fn flush(&self) -> anyhow::Result<()> {
        Ok(self.kafka.flush(Duration::from_secs(60))?)
    }
}
