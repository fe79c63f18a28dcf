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
    /// `mixed`, or `hot` for one SKU.
    #[arg(long, default_value = "mixed")]
    profile: String,
    /// Latency of the sandbox gateway in milliseconds.
    #[arg(long, default_value_t = 0)]
    payment_latency: u64,
    /// Adds one JSON object for the run to this file, a line.
    #[arg(long)]
    json: Option<PathBuf>,
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

fn measure(project: &Project, pipeline: &mut Pipeline<'_>, options: &Options) -> Result<bool> {
    let mut load = pipeline.program("quadrille-load");
    match options.mode {
        Mode::Backlog => load.args(["backlog", "--orders", &options.orders.to_string()]),
        Mode::OpenLoop => {
            load.args(["open-loop", "--rate", &options.rate.to_string(), "--seconds", &options.seconds.to_string()])
        }
    };
    load.args(["--profile", &options.profile, "--revision", &revision(project)]).env("RUST_LOG", "warn");
    if let Some(json) = &options.json {
        load.arg("--json").arg(json);
    }
    pipeline.run(load)
}

fn revision(project: &Project) -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(project.root()).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
