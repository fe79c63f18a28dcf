//! `quadrille-load`: places orders on a running pipeline, measures, and checks the books. `cargo xtask demo` and `cargo xtask bench` run it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use load::mix::{DEMO, MIXED, Mix, SICK};
use load::processes::Process;
use load::runs::{LoadRun, RunOutcome};
use load::stripe::{STRIPE_DEMO, StripeSim};
use load::{PipelineAddresses, invariants, lag, limit, relay, report};
use serde_json::Value;

/// For how long nothing may end until a run gives up.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the pipeline may take to come to rest after the last order has ended.
const REST: Duration = Duration::from_secs(30);
/// Faults that are shown one by one.
const SHOWN: usize = 20;

/// Places orders on the pipeline that the environment names.
#[derive(Parser)]
#[command(name = "quadrille-load", version)]
struct Arguments {
    /// A process whose CPU time and memory are measured, as NAME=PID; several times.
    #[arg(long, global = true)]
    process: Vec<Process>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Mixed orders of every kind, over HTTP and over Kafka; a table of how they ended; the invariants.
    Demo {
        /// How many orders.
        #[arg(long, default_value_t = 1_000)]
        orders: u64,
        /// Where stripe-sim listens, if payments pays through it: it is set up, with webhooks and faults, and its ledger is checked.
        #[arg(long, requires = "webhook_secret")]
        stripe_sim: Option<String>,
        /// What it signs webhooks with, which payments knows.
        #[arg(long, env = "STRIPE_SIM_WEBHOOK_SECRET", hide_env_values = true)]
        webhook_secret: Option<String>,
    },
    /// Measures, and checks the books: a fast wrong run fails.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Orders placed over Kafka as fast as it takes them: orders a second from the first placed to the last ended.
    Backlog {
        /// How many orders.
        #[arg(long, default_value_t = 30_000)]
        orders: u64,
        #[command(flatten)]
        options: LoadOptions,
    },
    /// Orders on a fixed schedule that waits for no answer: latency from when each was due to when it completed.
    OpenLoop {
        /// Orders a second.
        #[arg(long, default_value_t = 500)]
        rate: u64,
        /// For how long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        #[command(flatten)]
        options: LoadOptions,
    },
    /// The ceiling: rows of orders that went through before, written once more by bare set-based SQL, without Kafka.
    Limit {
        /// How many orders.
        #[arg(long, default_value_t = 20_000)]
        orders: u64,
        #[command(flatten)]
        options: LoadOptions,
    },
    /// The relay alone, on an outbox and a topic of its own: a backlog of rows, or rows on a fixed schedule.
    Relay {
        /// Rows of a backlog.
        #[arg(long, default_value_t = 300_000)]
        events: u64,
        /// Rows a second, on a schedule; without it: a backlog.
        #[arg(long)]
        rate: Option<u64>,
        /// For how long.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        #[command(flatten)]
        options: LoadOptions,
    },
}

#[derive(Args, Clone)]
struct LoadOptions {
    /// Which orders; no matter for the relay alone.
    #[arg(long, value_enum, default_value_t = OrderMix::Mixed)]
    profile: OrderMix,
    /// Adds one JSON object for the run to this file, a line.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Prints ratios against the last run in such a file that measured the same.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// How long the sandbox gateway takes, in milliseconds, as it was set: for the JSON.
    #[arg(long, default_value_t = 0)]
    payment_latency: u64,
    /// The revision that is measured, for the JSON.
    #[arg(long, default_value = "unknown")]
    revision: String,
    /// Places so many orders first that are not measured: the broker's JIT is cold after its start.
    #[arg(long, default_value_t = 30_000)]
    warm_up: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderMix {
    /// Two lines each over 1,000 SKUs and 3 warehouses; some declined, fraudulent or cancelled.
    Mixed,
    /// The same over one SKU.
    Hot,
    /// As mixed, but something fails for 65 in a thousand; latency is that of the others.
    Sick,
}

impl OrderMix {
    fn mix(self) -> Mix {
        match self {
            Self::Mixed => Mix { kinds: MIXED, skus: 1_000 },
            Self::Hot => Mix { kinds: MIXED, skus: 1 },
            Self::Sick => Mix { kinds: SICK, skus: 1_000 },
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

fn main() -> ExitCode {
    // Its own statements over all orders are slow, and no news among its tables.
    runtime::telemetry::log_unless_set("warn,sqlx=error");
    let arguments = Arguments::parse();
    let run = || -> anyhow::Result<bool> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(arguments))
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quadrille-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { process, command }: Arguments) -> anyhow::Result<bool> {
    let load = LoadArguments { pipeline: PipelineAddresses::from_env().await?, processes: process };
    match command {
        Command::Demo { orders, stripe_sim, webhook_secret } => {
            let sim = stripe_sim.zip(webhook_secret).map(|(url, webhook_secret)| StripeSim { url, webhook_secret });
            load.demo(orders, sim).await
        }
        Command::Bench(Bench::Backlog { orders, options }) => load.bench(orders, None, &options).await,
        Command::Bench(Bench::OpenLoop { rate, seconds, options }) => {
            load.bench(rate * seconds, Some(rate), &options).await
        }
        Command::Bench(Bench::Limit { orders, options }) => {
            let (connections, outcome) = limit::run(&load.pipeline, orders, &load.processes).await?;
            println!(
                "limit: {}, with {connections} connections\n{}\n",
                report::figures(&outcome),
                report::usage(&outcome)
            );
            tell(report::json("limit", "rows", &options.revision, &outcome, true), None, &options)?;
            Ok(true)
        }
        Command::Bench(Bench::Relay { events, rate, seconds, options }) => {
            load.relay(events, rate, seconds, &options).await
        }
    }
}

struct LoadArguments {
    pipeline: PipelineAddresses,
    processes: Vec<Process>,
}

impl LoadArguments {
    async fn run(&self, mix: Mix, orders: u64) -> anyhow::Result<LoadRun> {
        LoadRun::prepare(&self.pipeline, mix, orders, PATIENCE, &self.processes).await
    }

    async fn dead_letters(&self) -> anyhow::Result<usize> {
        Ok(invariants::dead_letters(&self.pipeline.pool).await?.len())
    }

    async fn demo(&self, orders: u64, sim: Option<StripeSim>) -> anyhow::Result<bool> {
        let dead = self.dead_letters().await?;
        let kinds = if sim.is_some() { STRIPE_DEMO.as_slice() } else { DEMO };
        if let Some(sim) = &sim {
            sim.prepare(&self.pipeline).await?;
        }
        let outcome = self.run(Mix { kinds, skus: 40 }, orders).await?.both_ways().await?;
        println!("{}\n{}\n{}\n", report::ends(&outcome), report::figures(&outcome), report::most(&outcome));
        // What an earlier run left unread is not wrong, only late.
        self.caught_up().await?;
        let right = self.conclude(&outcome, dead).await?;
        let Some(sim) = sim else { return Ok(right) };
        let books = sim.books(&self.pipeline).await?;
        println!("{}", report::invariants(&books));
        Ok(right && books.iter().all(|book| book.holds))
    }

    async fn warm_up(&self, options: &LoadOptions) -> anyhow::Result<()> {
        if options.warm_up > 0 {
            println!("warming up with {} orders", options.warm_up);
            let healthy = Mix { kinds: MIXED, ..options.profile.mix() };
            self.run(healthy, options.warm_up).await?.over_kafka(None).await?;
        }
        let waited = self.caught_up().await?;
        if waited > Duration::from_secs(1) {
            println!("consumers caught up with what was placed before after {:.1} s", waited.as_secs_f64());
        }
        Ok(())
    }

    /// Waits until all that was placed before is consumed by every consumer, tracker and notifications included.
    async fn caught_up(&self) -> anyhow::Result<Duration> {
        let pipeline = self.pipeline.clone();
        tokio::task::spawn_blocking(move || lag::await_none(&pipeline)).await?
    }

    async fn relay(&self, events: u64, rate: Option<u64>, seconds: u64, options: &LoadOptions) -> anyhow::Result<bool> {
        let bench = relay::RelayBench::prepare(self.pipeline.clone(), self.processes.clone()).await?;
        let (mode, outcome) = match rate {
            None => ("relay", bench.backlog(events).await),
            Some(rate) => ("relay-open-loop", bench.open_loop(rate, seconds).await),
        };
        let (outcome, cleared) = (outcome, bench.clear().await);
        let outcome = outcome?;
        cleared?;
        println!("{mode}: {}\n{}\n", report::figures(&outcome), report::usage(&outcome));
        tell(report::json(mode, "events", &options.revision, &outcome, true), rate, options)?;
        Ok(true)
    }

    /// A backlog, or an open loop of this rate.
    async fn bench(&self, orders: u64, rate: Option<u64>, options: &LoadOptions) -> anyhow::Result<bool> {
        self.warm_up(options).await?;
        let dead = self.dead_letters().await?;
        let run = self.run(options.profile.mix(), orders).await?;
        let outcome = run.over_kafka(rate.map(|rate| rate as f64)).await?;
        let (mode, profile) = (rate.map_or("backlog", |_| "open-loop"), options.profile.name());
        let caught_up = self.caught_up().await?.as_secs_f64();
        println!("read models and notifications had caught up {caught_up:.1} s after the last order ended");
        println!("{mode}, {profile}: {}\n{}\n", report::figures(&outcome), report::usage(&outcome));
        let right = self.conclude(&outcome, dead).await?;
        tell(report::json(mode, &profile, &options.revision, &outcome, right), rate, options)?;
        Ok(right)
    }

    /// The invariants, and what is wrong besides; `dead` letters were there before.
    async fn conclude(&self, outcome: &RunOutcome, dead: usize) -> anyhow::Result<bool> {
        let invariants = invariants::settled(&self.pipeline.pool, REST).await?;
        println!("{}", report::invariants(&invariants));
        let letters = invariants::dead_letters(&self.pipeline.pool).await?;
        let died = letters.len().saturating_sub(dead);
        if outcome.poison > 0 {
            println!("{died} dead letters of {} messages that nobody can read", outcome.poison);
        }
        let letters: Vec<String> = match died == outcome.poison {
            true => Vec::new(),
            false => letters.iter().skip(dead).map(|letter| format!("dead letter of {letter}")).collect(),
        };
        let wrong: Vec<String> = outcome.faults.iter().cloned().chain(letters).collect();
        for fault in wrong.iter().take(SHOWN) {
            println!("WRONG: {fault}");
        }
        if wrong.len() > SHOWN {
            println!("WRONG: and {} more", wrong.len() - SHOWN);
        }
        Ok(wrong.is_empty() && invariants.iter().all(|invariant| invariant.holds))
    }
}

/// Compares a result with an older one and writes it to its file, as the options ask.
fn tell(mut result: Value, rate: Option<u64>, options: &LoadOptions) -> anyhow::Result<()> {
    result["rate"] = rate.into();
    result["payment_latency_ms"] = options.payment_latency.into();
    if let Some(path) = &options.compare {
        match older(path, &result)? {
            Some(old) => println!("{}", report::compare(&old, &result)),
            None => println!(
                "{} has no run of {} {}: nothing to compare with",
                path.display(),
                result["mode"],
                result["profile"]
            ),
        }
    }
    if let Some(path) = &options.json {
        let file = std::fs::File::options().create(true).append(true).open(path);
        writeln!(file.with_context(|| path.display().to_string())?, "{result}")?;
    }
    Ok(())
}

/// The last run in the file that measured the same in the same way.
fn older(path: &Path, new: &Value) -> anyhow::Result<Option<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let runs: Result<Vec<Value>, _> = text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
    let runs = runs.with_context(|| format!("{}: expected one JSON object on each line", path.display()))?;
    let same =
        |old: &Value| ["mode", "profile", "rate", "payment_latency_ms"].iter().all(|field| old[field] == new[field]);
    Ok(runs.into_iter().rev().find(same))
}
