//! `quadrille`: what an operator types.

mod audit;
mod config;
mod dead_letters;
mod deadlines;
mod keys;
mod migrate;
mod openapi;
mod orders;
mod relay;
mod replay;
mod restore;
mod run;
mod stock;
mod topics;
mod who;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Operates the Quadrille order pipeline.
#[derive(Parser)]
#[command(name = "quadrille", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring every schema of the database to this version. Consumers only check it.
    Migrate,
    /// Settings: what is set and where, whether it fits, what can be set.
    #[command(subcommand)]
    Config(config::Command),
    /// Topics and schemas: check topics.yaml, apply it to Kafka and the registry, draw it.
    #[command(subcommand)]
    Topics(topics::Command),
    /// Host several consumers in this one process, for small shops.
    Run {
        /// Which, separated by commas; `all` for all of them.
        #[arg(value_delimiter = ',', required = true)]
        consumers: Vec<String>,
    },
    /// Ask whether every invariant holds: stock, money, orders, read models, outbox against topics.
    Audit(audit::Arguments),
    /// Orders: one order's whole case, at any moment.
    #[command(subcommand)]
    Orders(orders::Command),
    /// The outbox and its relay: how it stands, and what to do when something went wrong outside.
    #[command(subcommand)]
    Relay(relay::Command),
    /// Deadlines: what open orders are owed, and more time for one of them.
    #[command(subcommand)]
    Deadlines(deadlines::Command),
    /// Have a consumer hear again what it has heard; the tracker's read models are rebuilt beside the live ones.
    Replay(replay::Arguments),
    /// After a database was restored from a dump: what the topics know and it does not, and how it is told again.
    #[command(subcommand)]
    Restore(restore::Command),
    /// What needs a person: dead letters and stuck orders; look at them, and do something about one or all of a filter.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Keys for whoever calls the routes of programs.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Print the OpenAPI document of all programs' routes.
    Openapi,
    /// Stock: load levels from a file.
    #[command(subcommand)]
    Stock(stock::Command),
}

fn main() -> ExitCode {
    end_with_the_reader();
    let result = match Arguments::parse().command {
        Command::Run { consumers } => return run::run(consumers),
        Command::Migrate => block_on(migrate::migrate()),
        Command::Config(command) => block_on(config::run(command)),
        Command::Topics(command) => block_on(topics::run(command)),
        Command::Audit(arguments) => block_on(audit::run(arguments)),
        Command::Orders(command) => block_on(orders::run(command)),
        Command::Relay(command) => block_on(relay::run(command)),
        Command::Deadlines(command) => block_on(deadlines::run(command)),
        Command::Replay(arguments) => block_on(replay::run(arguments)),
        Command::Restore(command) => block_on(restore::run(command)),
        Command::DeadLetters(command) => block_on(dead_letters::run(command)),
        Command::Keys(command) => keys::run(command),
        Command::Openapi => openapi::run(),
        Command::Stock(command) => block_on(stock::run(command)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quadrille: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends without a word when whoever reads our output (`head`, `less`) has enough. The signal for that stays ignored: it would end `run` as well, over
/// any connection that breaks.
fn end_with_the_reader() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.contains("stdout: Broken pipe")) {
            std::process::exit(128 + 13); // as a shell counts an end by SIGPIPE
        }
        hook(panic);
    }));
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
