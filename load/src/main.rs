//! `quadrille-load`: places orders on a running pipeline, measures, and checks the books. `cargo xtask demo` and `cargo xtask bench` run it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use load::mix::{DEMO, MIXED, Mix};
use load::runs::{Outcome, Run};
use load::{Pipeline, invariants, report};

/// Places orders on the pipeline that the environment names.
#[derive(Parser)]
#[command(name = "quadrille-load", version)]
struct Arguments {
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
    },
    /// Orders placed over Kafka as fast as it takes them: orders a second from the first placed to the last ended.
    Backlog {
        /// How many orders.
        #[arg(long, default_value_t = 30_000)]
        orders: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Orders on a fixed schedule that waits for no answer: latency from when each was due to when it completed.
    OpenLoop {
        /// Orders a second.
        #[arg(long, default_value_t = 500.0)]
        rate: f64,
        /// For how long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Clone)]
struct Common {
    /// Which orders.
    #[arg(long, value_enum, default_value_t = Profile::Mixed)]
    profile: Profile,
    /// Adds one JSON object for the run to this file, a line.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The revision that is measured, for the JSON.
    #[arg(long, default_value = "unknown")]
    revision: String,
    /// Places so many orders first that are not measured: the broker's JIT is cold after its start.
    #[arg(long, default_value_t = 5_000)]
    warm_up: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// Two lines each over 1,000 SKUs and 3 warehouses; some declined, abroad or cancelled.
    Mixed,
    /// The same over one SKU.
    Hot,
}

impl Profile {
    fn mix(self) -> Mix {
        let skus = match self {
            Self::Mixed => 1_000,
            Self::Hot => 1,
        };
        Mix { kinds: MIXED, skus }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Hot => "hot",
        }
    }
}

fn main() -> ExitCode {
    runtime::telemetry::log();
    let run = || -> anyhow::Result<bool> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(Arguments::parse().command))
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

async fn run(command: Command) -> anyhow::Result<bool> {
    let pipeline = Pipeline::from_env().await?;
    match command {
        Command::Demo { orders } => {
            let mix = Mix { kinds: DEMO, skus: 40 };
            let run = Run::prepare(pipeline.clone(), mix, orders, Duration::from_secs(90)).await?;
            let outcome = run.both_ways().await?;
            println!("{}\n{}", report::ends(&outcome), report::figures(&outcome));
            conclude(&pipeline, &outcome).await
        }
        Command::Backlog { orders, common } => {
            warm_up(&pipeline, &common).await?;
            let run = Run::prepare(pipeline.clone(), common.profile.mix(), orders, Duration::from_secs(60)).await?;
            let outcome = run.backlog().await?;
            measured(&pipeline, "backlog", &common, &outcome).await
        }
        Command::OpenLoop { rate, seconds, common } => {
            warm_up(&pipeline, &common).await?;
            let orders = (rate * seconds as f64) as u64;
            let run = Run::prepare(pipeline.clone(), common.profile.mix(), orders, Duration::from_secs(60)).await?;
            let outcome = run.open_loop(rate).await?;
            measured(&pipeline, "open-loop", &common, &outcome).await
        }
    }
}

async fn warm_up(pipeline: &Pipeline, common: &Common) -> anyhow::Result<()> {
    if common.warm_up > 0 {
        Run::prepare(pipeline.clone(), common.profile.mix(), common.warm_up, Duration::from_secs(60)).await?.backlog().await?;
    }
    Ok(())
}

async fn measured(pipeline: &Pipeline, mode: &str, common: &Common, outcome: &Outcome) -> anyhow::Result<bool> {
    println!("{mode}, {}\n{}\n{}", common.profile.name(), report::figures(outcome), report::usage(outcome));
    let right = conclude(pipeline, outcome).await?;
    if let Some(path) = &common.json {
        use std::io::Write as _;
        let line = report::json(mode, common.profile.name(), &common.revision, outcome, right);
        let mut file = std::fs::File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
        writeln!(file, "{line}")?;
    }
    Ok(right)
}

/// The invariants and what is wrong; a fast wrong run fails.
async fn conclude(pipeline: &Pipeline, outcome: &Outcome) -> anyhow::Result<bool> {
    let invariants = invariants::check(&pipeline.pool).await?;
    println!("{}", report::invariants(&invariants));
    for fault in outcome.faults.iter().take(20) {
        println!("WRONG: {fault}");
    }
    if outcome.faults.len() > 20 {
        println!("WRONG: and {} more", outcome.faults.len() - 20);
    }
    Ok(outcome.faults.is_empty() && invariants.iter().all(|invariant| invariant.holds))
}
