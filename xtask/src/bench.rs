//! `cargo xtask bench`: the whole pipeline in release builds, measured.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    consumers::{Build, Pipeline},
    project::Project,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Orders placed as fast as Kafka takes them: orders a second, and CPU an order of each process.
    Backlog,
    /// Orders on a fixed schedule: latency from due to completed.
    OpenLoop,
    /// A backlog of each profile, then open loops at 50, 200 and 500 orders a second.
    All,
}

/// Which orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Two lines each over 1,000 SKUs and 3 warehouses; 2 % declined, 1 % fraudulent, 1 % cancelled.
    Mixed,
    /// The same over one SKU.
    Hot,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Hot => "hot",
        }
    }
}

/// How.
#[derive(Args, Clone, Debug)]
pub struct Options {
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
    profile: Profile,
    /// Latency of the sandbox gateway in milliseconds.
    #[arg(long, default_value_t = 0)]
    payment_latency: u64,
    /// Adds one JSON object a run to this file, a line each.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Prints ratios against the last run in such a file that measured the same.
    #[arg(long)]
    compare: Option<PathBuf>,
}

/// Measures; a fast wrong run fails.
///
/// # Errors
/// When something can't be installed, built or started, or a consumer dies.
pub fn run(project: &Project, options: &Options) -> Result<ExitCode> {
    let latency = format!("{}ms", options.payment_latency);
    let mut pipeline = Pipeline::start(project, Build::Release, &[("QUADRILLE_PAYMENTS__SANDBOX__LATENCY", &latency)])?;
    let result = measure(project, &mut pipeline, options);
    let stopped = pipeline.stop();
    let right = result?;
    stopped?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run of `quadrille-load bench`.
struct Run {
    profile: Profile,
    /// Orders a second; none: a backlog.
    rate: Option<u64>,
}

fn measure(project: &Project, pipeline: &mut Pipeline<'_>, options: &Options) -> Result<bool> {
    let runs = match options.mode {
        Mode::Backlog => vec![Run { profile: options.profile, rate: None }],
        Mode::OpenLoop => vec![Run { profile: options.profile, rate: Some(options.rate) }],
        Mode::All => {
            let backlogs = [Profile::Mixed, Profile::Hot].map(|profile| Run { profile, rate: None });
            let loops = [50, 200, 500].map(|rate| Run { profile: Profile::Mixed, rate: Some(rate) });
            backlogs.into_iter().chain(loops).collect()
        }
    };
    let revision = revision(project);
    println!("payment latency {} ms, revision {revision}", options.payment_latency);
    let mut right = true;
    for (position, Run { profile, rate }) in runs.into_iter().enumerate() {
        let mut load = pipeline.load()?;
        load.arg("bench");
        match rate {
            None => load.args(["backlog", "--orders", &options.orders.to_string()]),
            Some(rate) => {
                load.args(["open-loop", "--rate", &rate.to_string(), "--seconds", &options.seconds.to_string()])
            }
        };
        load.args([
            "--profile",
            profile.name(),
            "--revision",
            &revision,
            "--payment-latency",
            &options.payment_latency.to_string(),
        ]);
        if position > 0 {
            load.args(["--warm-up", "0"]); // the run before did that
        }
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
