//! The runs: the demo, a backlog, an open loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::addresses::Pipeline;
use crate::mix::{Mix, Twist};
use crate::people;
use crate::place::Placer;
use crate::processes::{self, Usage};
use crate::watch::{Call, Watch};

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Orders that were placed.
    pub orders: u64,
    /// From the first order placed to the last one ended.
    pub took: Duration,
    /// From placed to ended of the orders that completed, in microseconds.
    pub latency: Histogram<u64>,
    /// Orders by kind, status and reason.
    pub ends: BTreeMap<(&'static str, &'static str, String), u64>,
    /// What is wrong: orders without an end, with a wrong one, or with two.
    pub faults: Vec<String>,
    /// What each process used meanwhile.
    pub usage: BTreeMap<String, Usage>,
}

/// A run in the making.
pub struct Run {
    pipeline: Pipeline,
    placer: Placer,
    watch: Watch,
    bar: ProgressBar,
    orders: u64,
    patience: Duration,
}

impl Run {
    /// Prepares: loads stock, begins to watch, lets people answer.
    ///
    /// # Errors
    /// When the pipeline does not answer.
    pub async fn prepare(pipeline: Pipeline, mix: Mix, orders: u64, patience: Duration) -> anyhow::Result<Self> {
        load_stock(&pipeline, &mix, orders).await?;
        // What was placed by another run is not ours: a source of our own tells them apart.
        let source = format!("load-{}", pipeline.clock_id());
        let (watch, calls): (Watch, Receiver<Call>) = Watch::start(&pipeline, &source)?;
        let (people, tokio) = (pipeline.clone(), tokio::runtime::Handle::current());
        std::thread::Builder::new().name("people".into()).spawn(move || people::answer(people, mix, calls, &tokio))?;
        let bar = ProgressBar::new(orders);
        let style = "{elapsed_precise} {bar:40} {pos}/{len} orders ended, {per_sec}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let placer = Placer { pipeline: pipeline.clone(), mix, source, answered: Arc::default() };
        Ok(Self { pipeline, placer, watch, bar, orders, patience })
    }

    /// Places every second order over HTTP and the others over Kafka, as fast as they are taken.
    ///
    /// # Errors
    /// When one is refused that should not be.
    pub async fn both_ways(self) -> anyhow::Result<Outcome> {
        let (usage, began) = (processes::usage(), Instant::now());
        let (placer, orders) = (self.placer.clone(), self.orders);
        let kafka = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            let producer = placer.producer()?;
            (1..orders).step_by(2).try_for_each(|n| placer.over_kafka(&producer, n))?;
            producer.flush()
        });
        let http = self.placer.over_http((0..self.orders).step_by(2));
        let (http, kafka) = tokio::join!(http, kafka);
        http?;
        kafka??;
        self.await_ends(began, &usage, |_| began).await
    }

    /// Places all orders over Kafka at once: a backlog.
    ///
    /// # Errors
    /// When Kafka does not take them.
    pub async fn backlog(self) -> anyhow::Result<Outcome> {
        let (usage, began) = (processes::usage(), Instant::now());
        let (placer, orders) = (self.placer.clone(), self.orders);
        let placing = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            let producer = placer.producer()?;
            (0..orders).try_for_each(|n| placer.over_kafka(&producer, n))?;
            producer.flush()
        });
        let outcome = self.await_ends(began, &usage, |_| began).await;
        placing.await??;
        outcome
    }

    /// Places orders by a fixed schedule, and measures each from when it was due: no coordinated omission.
    ///
    /// # Errors
    /// When Kafka does not take them.
    pub async fn open_loop(self, rate: f64) -> anyhow::Result<Outcome> {
        let usage = processes::usage();
        let (placer, orders) = (self.placer.clone(), self.orders);
        let began = Instant::now() + Duration::from_millis(100);
        let placing = tokio::task::spawn_blocking(move || placer.on_schedule(&placer.producer()?, began, rate, orders));
        let outcome = self.await_ends(began, &usage, |n| began + Duration::from_secs_f64(n as f64 / rate)).await;
        placing.await??;
        outcome
    }

    async fn await_ends(self, began: Instant, usage: &BTreeMap<String, Usage>, due: impl Fn(u64) -> Instant) -> anyhow::Result<Outcome> {
        let refused = |n: &u64| self.placer.mix.kind(*n).twist == Twist::Invalid && n.is_multiple_of(2);
        let mut last_end = (0, Instant::now());
        let expected = self.orders;
        let ended = loop {
            let ended = self.watch.seen().ends.len() as u64;
            self.bar.set_position(ended);
            if ended > last_end.0 {
                last_end = (ended, Instant::now());
            }
            // Over HTTP an invalid order is refused at the door and has no event.
            if ended >= expected || ended + (0..expected).filter(refused).count() as u64 >= expected && self.over_http() {
                break Instant::now();
            }
            if last_end.1.elapsed() > self.patience {
                break last_end.1;
            }
            tokio::time::sleep(Duration::from_millis(5)).await; // between two looks
        };
        self.bar.finish_and_clear();
        let usage = processes::since(usage);
        self.judge(ended.duration_since(began), usage, due)
    }

    fn over_http(&self) -> bool {
        self.placer.mix.kinds.iter().any(|kind| kind.twist == Twist::Invalid)
    }

    fn judge(&self, took: Duration, usage: BTreeMap<String, Usage>, due: impl Fn(u64) -> Instant) -> anyhow::Result<Outcome> {
        let seen = self.watch.seen();
        let mut latency = Histogram::new(3).context("a histogram")?;
        let (mut ends, mut faults) = (BTreeMap::new(), Vec::new());
        for n in 0..self.orders {
            let kind = self.placer.mix.kind(n);
            match seen.ends.get(&n) {
                Some(end) => {
                    *ends.entry((kind.name, end.status, end.reason.clone())).or_insert(0) += 1;
                    if !kind.ends.contains(&end.status) {
                        faults.push(format!("order {n} ({}) ended {} ({}): expected {:?}", kind.name, end.status, end.reason, kind.ends));
                    }
                    if end.status == "COMPLETED" {
                        latency.record(end.at.saturating_duration_since(due(n)).as_micros() as u64)?;
                    }
                }
                None if kind.twist == Twist::Invalid && self.over_http() && n.is_multiple_of(2) => {
                    *ends.entry((kind.name, "REFUSED", "422 at the door".to_owned())).or_insert(0) += 1;
                }
                None => faults.push(format!("order {n} ({}) has not ended", kind.name)),
            }
        }
        if seen.ended_twice > 0 {
            faults.push(format!("{} orders ended twice", seen.ended_twice));
        }
        Ok(Outcome { orders: self.orders, took, latency, ends, faults, usage })
    }

    /// The pipeline that it runs on.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

async fn load_stock(pipeline: &Pipeline, mix: &Mix, orders: u64) -> anyhow::Result<()> {
    for (warehouse, priority) in crate::mix::WAREHOUSES.iter().zip(1..) {
        let url = pipeline.door("inventory", &format!("/warehouses/{warehouse}"))?;
        let body = json!({"name": warehouse, "priority": priority, "country": "IE"});
        expect_success(pipeline.http.put(url).json(&body).send().await.context("inventory's door")?).await?;
    }
    for levels in mix.stock(orders).chunks(500) {
        let received = levels.iter().filter(|(_, _, units)| *units > 0);
        let rows: Vec<_> = received
            .map(|(sku, warehouse, units)| json!({"sku": sku, "warehouse": warehouse, "on_hand": units, "aisle": sku.get(..5), "bin": warehouse}))
            .collect();
        let url = pipeline.door("inventory", "/stock/load")?;
        expect_success(pipeline.http.post(url).json(&rows).send().await?).await?;
    }
    Ok(())
}

async fn expect_success(response: reqwest::Response) -> anyhow::Result<()> {
    if !response.status().is_success() {
        let (path, status) = (response.url().path().to_owned(), response.status());
        bail!("{path}: {status}: {}", response.text().await.unwrap_or_default());
    }
    Ok(())
}
