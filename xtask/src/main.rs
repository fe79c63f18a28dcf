//! `cargo xtask …`: the commands of the project's automation.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{
    bench,
    consumers::Build,
    demo,
    install::{self, Need},
    project::Project,
    stack::Part,
    test, up,
};

/// Set up, start, stop and test Quadrille on real Kafka and PostgreSQL, without Docker.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what this machine lacks (Debian and Ubuntu: with apt; elsewhere: says what to install).
    Install,
    /// Start Kafka, PostgreSQL and the schema registry, and write their addresses to .quadrille/env.
    ///
    /// A part whose address is set in the environment (KAFKA_BOOTSTRAP_SERVERS, DATABASE_URL, SCHEMA_REGISTRY_URL) is
    /// taken from there and not started.
    Up {
        /// Start these parts only; the registry brings PostgreSQL, where it keeps its schemas.
        #[arg(long, value_delimiter = ',', value_enum)]
        only: Vec<Part>,
    },
    /// Stop them; their data stays.
    Down {
        /// Delete their data too: topics, databases, schemas.
        #[arg(long)]
        wipe: bool,
    },
    /// Say what runs, where, and where its log is; fails when a part does not run.
    Status,
    /// Start everything, place mixed orders over HTTP and Kafka, and show how each ended; stays up until Ctrl-C.
    Demo {
        /// How many orders.
        #[arg(long, default_value_t = 1_000)]
        orders: u64,
        /// Run these optional consumers of topics.yaml besides, separated by commas, and show at the end what each made of the orders.
        #[arg(long, value_delimiter = ',')]
        with: Vec<String>,
        /// Who holds the money: the sandbox, or Stripe as stripe-sim plays it, with its webhooks and faults.
        #[arg(long, value_enum, default_value_t)]
        gateway: demo::DemoGateway,
        /// Kill these programs (`SIGKILL`) in turns and start them again while the orders run, such as `payments,stripe-sim`.
        #[arg(long, value_delimiter = ',')]
        kill: Vec<String>,
        /// End by itself; with a non-zero code if an order ended otherwise than it should, or an invariant does not hold.
        #[arg(long)]
        exit: bool,
        /// Build without optimization: for work on the project itself.
        #[arg(long, hide = true)]
        dev: bool,
    },
    /// Measure the whole pipeline in release builds.
    Bench(bench::BenchOptions),
    /// Install, build, start the parts, run every test, and leave the parts as they were found.
    Test {
        /// Leave the parts running that were started for the tests.
        #[arg(long)]
        keep: bool,
        /// Arguments for `cargo test`, after `--`: `cargo xtask test -- -p quadrille-orders -- --nocapture`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let project = Project::find()?;
    match command {
        Command::Install => install::ensure(&[Need::Build, Need::Java, Need::Postgres, Need::Tools])?,
        Command::Up { only } => up::up(&project, &Part::with_needed(&only)).map(drop)?,
        Command::Down { wipe } => up::down(&project, wipe)?,
        Command::Status => return Ok(if up::status(&project)? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Demo { orders, with, gateway, kill, exit, dev } => {
            let build = if dev { Build::Dev } else { Build::Release };
            return demo::run(&project, build, &demo::DemoOptions { with, gateway, orders, kill, exit });
        }
        Command::Bench(options) => return bench::run(&project, &options),
        Command::Test { keep, arguments } => return test::run(&project, keep, &arguments),
    }
    Ok(ExitCode::SUCCESS)
}
