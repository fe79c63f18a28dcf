//! The runs: the demo, a backlog, an open loop.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::addresses::PipelineAddresses;
use crate::mix::{Mix, OrderKind, Twist};
use crate::people;
use crate::place::Placer;
use crate::processes::{self, Process, Usages};
use crate::watch::{OrderEnd, WatchThread};

#[derive(Debug)]
pub struct RunOutcome {
    pub what: &'static str,
    /// How many there were: orders that were placed, events that were written.
    pub orders: u64,
    pub took: Duration,
    /// From the first order placed until nine tenths had ended: some kinds wait for a deadline on purpose.
    pub most_took: Duration,
    /// From placed to ended of the orders that completed and for which nothing failed on purpose, in microseconds.
    pub latency: Histogram<u64>,
    /// Records that nobody can read, placed among the orders: each is a dead letter.
    pub poison: usize,
    pub ends: BTreeMap<(&'static str, &'static str, String), u64>,
    pub faults: Vec<String>,
    pub usage: Usages,
}

impl RunOutcome {
    pub fn of(what: &'static str, orders: u64, took: Duration, latency: Histogram<u64>, usage: Usages) -> Self {
        let (ends, faults) = (BTreeMap::new(), Vec::new());
        Self { what, orders, took, most_took: took, latency, poison: 0, ends, faults, usage }
    }
}

pub struct LoadRun {
    placer: Placer,
    watch: WatchThread,
    bar: ProgressBar,
    orders: u64,
    patience: Duration,
    processes: Vec<Process>,
}

impl LoadRun {
    /// Prepares: loads stock, begins to watch, lets people answer. Without an order that ends for `patience` it gives up; `processes` are
    /// those whose CPU time and memory are measured.
    pub async fn prepare(
        pipeline: &PipelineAddresses,
        mix: Mix,
        orders: u64,
        patience: Duration,
        processes: &[Process],
    ) -> anyhow::Result<Self> {
        load_stock(pipeline, &mix, orders).await?;
        // What was placed by another run is not ours: a source of our own tells them apart.
        let source = format!("load-{}", pipeline.clock_id());
        let (watch, calls) = WatchThread::start(pipeline, &source)?;
        let (people, tokio) = (pipeline.clone(), tokio::runtime::Handle::current());
        std::thread::Builder::new().name("people".into()).spawn(move || people::answer(people, mix, calls, &tokio))?;
        let bar = ProgressBar::new(orders);
        let style = "{elapsed_precise} {bar:40} {pos}/{len} orders ended  {msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let placed = (0..orders).map(|_| OnceLock::new()).collect();
        let placer = Placer { pipeline: pipeline.clone(), mix, source, placed };
        Ok(Self { placer, watch, bar, orders, patience, processes: processes.to_vec() })
    }

    /// Places every second order over HTTP and the others over Kafka, as fast as they are taken.
    pub async fn both_ways(self) -> anyhow::Result<RunOutcome> {
        let (usage, began) = (processes::usage(&self.processes), Instant::now());
        let (placer, orders) = (self.placer.clone(), self.orders);
        let kafka = tokio::task::spawn_blocking(move || placer.all_over_kafka((1..orders).step_by(2), |_| None));
        let placer = self.placer.clone();
        let placing = async {
            let (http, kafka) = tokio::join!(placer.over_http((0..orders).step_by(2)), kafka);
            http?;
            kafka?
        };
        // Over HTTP an invalid order is refused at the door: no event tells of it.
        let refused = |n: u64, kind: &OrderKind| kind.twist == Twist::Invalid && n.is_multiple_of(2);
        let (placed, ended) = tokio::join!(placing, self.await_ends(self.orders - self.count(refused)));
        placed?;
        self.judge(began, ended, &usage, refused, |_| None)
    }

    /// Places all orders over Kafka: at once, or at this rate by a fixed schedule, each then measured from when it was due: no coordinated omission.
    pub async fn over_kafka(self, rate: Option<f64>) -> anyhow::Result<RunOutcome> {
        let usage = processes::usage(&self.processes);
        let began = Instant::now() + rate.map_or(Duration::ZERO, |_| Duration::from_millis(100));
        let due = move |n: u64| rate.map(|rate| began + Duration::from_secs_f64(n as f64 / rate));
        let (placer, orders) = (self.placer.clone(), self.orders);
        let placing = tokio::task::spawn_blocking(move || placer.all_over_kafka(0..orders, due));
        let ended = self.await_ends(self.orders).await;
        placing.await??;
        self.judge(began, ended, &usage, |_, _| false, due)
    }

    fn count(&self, which: impl Fn(u64, &OrderKind) -> bool) -> u64 {
        (0..self.orders).filter(|n| which(*n, self.placer.mix.kind(*n))).count() as u64
    }

    /// Waits until so many orders have ended, or none does any more; answers when the last one did.
    async fn await_ends(&self, expected: u64) -> Instant {
        let mut last = (0, Instant::now());
        loop {
            let (ended, message) = {
                let seen = self.watch.seen();
                let counts: Vec<String> =
                    seen.by_status.iter().map(|(status, count)| format!("{} {count}", status.to_lowercase())).collect();
                (seen.ends.len() as u64, counts.join(", "))
            };
            if ended > last.0 {
                last = (ended, Instant::now());
                self.bar.set_position(ended);
                self.bar.set_message(message);
            }
            self.bar.tick();
            if ended >= expected || last.1.elapsed() > self.patience {
                self.bar.finish_and_clear();
                return last.1;
            }
            tokio::time::sleep(Duration::from_millis(5)).await; // between two looks
        }
    }

    fn judge(
        &self,
        began: Instant,
        ended: Instant,
        usage: &Usages,
        refused: impl Fn(u64, &OrderKind) -> bool,
        due: impl Fn(u64) -> Option<Instant>,
    ) -> anyhow::Result<RunOutcome> {
        let usage = processes::since(usage, &self.processes);
        let seen = self.watch.seen();
        let mut latency = Histogram::new(3).context("a histogram")?;
        let (mut ends, mut faults) = (BTreeMap::new(), Vec::new());
        for n in 0..self.orders {
            let kind = self.placer.mix.kind(n);
            let (status, reason) = match seen.ends.get(&n) {
                Some(OrderEnd { status, reason, at }) => {
                    let placed = due(n).or_else(|| self.placer.placed.get(n as usize)?.get().copied()).unwrap_or(began);
                    if *status == "COMPLETED" && !kind.sick {
                        latency.record(at.saturating_duration_since(placed).as_micros() as u64)?;
                    }
                    (*status, reason.clone())
                }
                None if refused(n, kind) => ("REFUSED", "invalid".to_owned()),
                None => {
                    faults.push(format!("order {n} ({}) has not ended", kind.name));
                    ("OPEN", String::new())
                }
            };
            if status != "OPEN" && !kind.may_end(status, &reason) {
                faults.push(format!("order {n} ({}) ended {status} ({reason}): expected {:?}", kind.name, kind.ends));
            }
            *ends.entry((kind.name, status, reason)).or_insert(0) += 1;
        }
        let mut times: Vec<Instant> = seen.ends.values().map(|end| end.at).collect();
        times.sort_unstable();
        let most = times.get(times.len() * 9 / 10).copied().unwrap_or(ended);
        if seen.ended_twice > 0 {
            faults.push(format!("{} orders ended twice", seen.ended_twice));
        }
        let poison = self.count(|_, kind| kind.twist == Twist::Poison) as usize;
        let (took, most_took) = (ended.saturating_duration_since(began), most.saturating_duration_since(began));
        Ok(RunOutcome { what: "orders", orders: self.orders, took, most_took, latency, poison, ends, faults, usage })
    }
}

async fn load_stock(pipeline: &PipelineAddresses, mix: &Mix, orders: u64) -> anyhow::Result<()> {
    for (warehouse, priority) in crate::mix::WAREHOUSES.iter().zip(1..) {
        let url = pipeline.door("inventory", &format!("/warehouses/{warehouse}"));
        let body = json!({"name": warehouse, "priority": priority, "country": "IE"});
        expect_success(pipeline.http.put(url).json(&body).send().await.context("inventory's door")?).await?;
    }
    for levels in mix.stock(orders).chunks(500) {
        let received = levels.iter().filter(|(_, _, units)| *units > 0);
        let rows: Vec<_> = received
            .map(|(sku, warehouse, units)| json!({"sku": sku, "warehouse": warehouse, "on_hand": units, "aisle": sku.get(..5), "bin": warehouse}))
            .collect();
        let url = pipeline.door("inventory", "/stock/load");
        // A key of its own: each run fills the shelves anew.
        let load = pipeline.http.post(url).header("Idempotency-Key", pipeline.clock_id()).json(&rows);
        expect_success(load.send().await?).await?;
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
