//! `cargo xtask bench`: the whole pipeline in release builds, measured.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    consumers::{Build, RunningPipeline},
    project::Project,
    report,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Orders placed as fast as Kafka takes them: orders a second, and CPU an order of each process.
    Backlog,
    /// Orders on a fixed schedule: latency from due to completed.
    OpenLoop,
    /// The relay alone: 300,000 rows that wait, then 2,000 and 10,000 rows a second.
    Relay,
    /// The rows of 20,000 orders that went through, written again by bare set-based SQL: the ceiling. After a backlog, which brings them.
    Limit,
    /// A backlog of each profile, open loops at 50, 200 and 500 orders a second, the ceiling, then the relay.
    All,
    /// Measures nothing: draws the charts of the figures in the file of `--json`.
    Report,
}

/// Which orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderMix {
    /// Two lines each over 1,000 SKUs and 3 warehouses; 2 % declined, 1 % fraudulent, 1 % cancelled.
    Mixed,
    /// The same over one SKU.
    Hot,
    /// As mixed, but for 65 in a thousand the gateway is down, answers with errors or loses its answer, or poison comes first. Latency is that of the
    /// others.
    Sick,
}

impl OrderMix {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// What is measured.
    #[arg(value_enum, default_value = "backlog")]
    mode: Mode,
    /// Orders of a backlog.
    #[arg(long, default_value_t = 30_000)]
    orders: u64,
    /// Orders a second of an open loop.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Seconds of an open loop.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Which orders.
    #[arg(long, value_enum, default_value = "mixed")]
    profile: OrderMix,
    /// Latency of the sandbox gateway in milliseconds.
    #[arg(long, default_value_t = 0)]
    payment_latency: u64,
    /// Adds one JSON object a run to this file, a line each; of `report`: the figures to draw, those of docs/performance.md by default.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The folder for the charts of `report`; docs/images by default.
    #[arg(long)]
    charts: Option<PathBuf>,
    /// Prints ratios against the last run in such a file that measured the same.
    #[arg(long)]
    compare: Option<PathBuf>,
}

pub fn run(project: &Project, options: &BenchOptions) -> Result<ExitCode> {
    if options.mode == Mode::Report {
        let figures = options.json.clone().unwrap_or_else(|| project.root().join(report::FIGURES));
        let charts = options.charts.clone().unwrap_or_else(|| project.root().join(report::CHARTS));
        report::draw(project.root(), &figures, &charts)?;
        return Ok(ExitCode::SUCCESS);
    }
    let latency = format!("{}ms", options.payment_latency);
    let settings = [("QUADRILLE_PAYMENTS__SANDBOX__LATENCY", latency.as_str())];
    RunningPipeline::with(project, Build::Release, &[], &settings, |pipeline| measure(project, pipeline, options))
}

/// The runs of a mode, as arguments of `quadrille-load bench`, those that need consumers first; a rate is a second's orders, or rows.
fn runs(options: &BenchOptions) -> Vec<String> {
    let BenchOptions { orders, seconds, .. } = options;
    let backlog = |mix: OrderMix| format!("backlog --orders {orders} --profile {}", mix.name());
    let open_loop =
        |mix: OrderMix, rate| format!("open-loop --rate {rate} --seconds {seconds} --profile {}", mix.name());
    let paced = |rate| format!("relay --rate {rate} --seconds {seconds}");
    let relay = ["relay".to_owned(), paced(2_000), paced(10_000)];
    match options.mode {
        Mode::Backlog => vec![backlog(options.profile)],
        Mode::OpenLoop => vec![open_loop(options.profile, options.rate)],
        Mode::Limit => vec![backlog(options.profile), "limit".to_owned()],
        Mode::Relay => relay.to_vec(),
        Mode::All => {
            let backlogs = [OrderMix::Mixed, OrderMix::Hot].map(backlog);
            let loops = [50, 200, 500].map(|rate| open_loop(OrderMix::Mixed, rate));
            backlogs.into_iter().chain(loops).chain(["limit".to_owned()]).chain(relay).collect()
        }
        Mode::Report => Vec::new(),
    }
}

fn measure(project: &Project, pipeline: &mut RunningPipeline<'_>, options: &BenchOptions) -> Result<bool> {
    let (revision, latency) = (revision(project), options.payment_latency.to_string());
    println!("payment latency {latency} ms, revision {revision}");
    let (mut right, mut is_warm) = (true, false);
    for run in runs(options) {
        if run.starts_with("limit") || run.starts_with("relay") {
            pipeline.stop_consumers()?; // idle they cost little, but not nothing
        }
        let mut load = pipeline.load()?;
        load.arg("bench").args(run.split(' ')).args(["--revision", &revision, "--payment-latency", &latency]);
        if is_warm {
            load.args(["--warm-up", "0"]);
        }
        is_warm = true;
        for (name, file) in [("--json", &options.json), ("--compare", &options.compare)] {
            if let Some(file) = file {
                load.arg(name).arg(file);
            }
        }
        println!();
        right &= pipeline.run(load)?;
        if pipeline.is_interrupted() {
            return Ok(false);
        }
    }
    Ok(right)
}

/// The commit, with a `+` if the tree differs from it.
fn revision(project: &Project) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(project.root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if changed { commit + "+" } else { commit }
}
