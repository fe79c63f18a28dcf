//! `quadrille`: what an operator types.

mod acts;
mod audit;
mod config;
mod consumer;
mod dead_letters;
mod deadlines;
mod keys;
mod migrate;
mod openapi;
mod orders;
mod output;
mod reconcile;
mod refund;
mod relay;
mod release_hold;
mod replay;
mod restore;
mod returns;
mod run;
mod stock;
mod topics;
mod who;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Operates the Quadrille order pipeline.
///
/// Exits with 0 when all that was asked for was done and holds, with 1 when something was not done, not found, or does not hold, with 2 when the command
/// line can't be understood or `reconcile` could not ask, and with 130 when Ctrl-C ended it.
#[derive(Parser)]
#[command(name = "quadrille", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print JSON for programs: one object, or one a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Bring every schema of the database to this version. Consumers only check it.
    Migrate {
        /// Optional consumers to migrate besides, separated by commas.
        #[arg(long, value_delimiter = ',')]
        with: Vec<String>,
    },
    /// Settings: what is set and where, whether it fits, what can be set.
    #[command(subcommand)]
    Config(config::Command),
    /// Topics and schemas: check topics.yaml, apply it to Kafka and the registry, draw it.
    #[command(subcommand)]
    Topics(topics::Command),
    /// Host several consumers in this one process, for small shops.
    Run {
        /// Which, separated by commas; `all` for all but optional ones.
        #[arg(value_delimiter = ',', required = true)]
        consumers: Vec<String>,
    },
    /// Ask whether every invariant holds: stock, money, orders, read models, outbox against topics.
    Audit(audit::Arguments),
    /// Compare our payments with the provider's own books.
    Reconcile(reconcile::Arguments),
    /// Orders: found by their reference; one order's whole case, at any moment.
    #[command(subcommand)]
    Orders(orders::Command),
    /// Give money of an order that shipped back to its customer.
    Refund(refund::Arguments),
    /// Goods that come back: announced, received, refused.
    #[command(subcommand)]
    Return(returns::Command),
    /// Have what has not shipped of an order shipped, although its payment is disputed.
    ReleaseHold(release_hold::Arguments),
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
    /// What was done through the doors of programs: who, what, when, why, and what was answered.
    Acts(acts::Arguments),
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
    let Arguments { command, json } = Arguments::parse();
    // `config` looks for itself, and `run` refuses what its parts refuse.
    let looks_itself = matches!(command, Command::Config(_) | Command::Run { .. });
    if let Err(error) = if looks_itself { Ok(()) } else { config::refuse_unknown() } {
        eprintln!("quadrille: {error:#}");
        return ExitCode::FAILURE;
    }
    let result = match command {
        Command::Run { consumers } => return run::run(consumers),
        Command::Migrate { with } => block_on(migrate::migrate(&with, json)),
        Command::Topics(command) => block_on(topics::run(command, json)),
        Command::Audit(arguments) => block_on(audit::run(arguments, json)),
        Command::Reconcile(arguments) => block_on(reconcile::run(arguments, json)),
        Command::Orders(command) => block_on(orders::run(command, json)),
        Command::Refund(arguments) => block_on(refund::run(arguments, json)),
        Command::Return(command) => block_on(returns::run(command, json)),
        Command::ReleaseHold(arguments) => block_on(release_hold::run(arguments, json)),
        Command::Relay(command) => block_on(relay::run(command, json)),
        Command::Deadlines(command) => block_on(deadlines::run(command, json)),
        Command::Replay(arguments) => block_on(replay::run(arguments, json)),
        Command::Restore(command) => block_on(restore::run(command, json)),
        Command::DeadLetters(command) => block_on(dead_letters::run(command, json)),
        Command::Acts(arguments) => block_on(acts::run(arguments, json)),
        Command::Config(command) => block_on(config::run(command, json)),
        Command::Keys(command) => keys::run(command, json),
        Command::Openapi => openapi::run(),
        Command::Stock(command) => block_on(stock::run(command, json)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quadrille: {}", runtime::told(&error));
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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::CommandFactory as _;

    use super::*;

    const NAME: &str = "quadrille";

    /// Documents and sources: messages tell people what to type.
    fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                texts(&path, found);
            } else if path
                .extension()
                .is_some_and(|kind| ["md", "rs", "yml", "yaml", "sql"].iter().any(|of| kind == *of))
            {
                found.push(path);
            }
        }
    }

    /// Whether the command line knows these words: a command, and what stands below it.
    fn is_known(words: &[String]) -> bool {
        let command = Arguments::command();
        let mut at = &command;
        for word in words.iter().take_while(|word| !word.is_empty() && !word.starts_with('-')) {
            if !at.has_subcommands() {
                return true; // a file, an id: no word of ours
            }
            match at.find_subcommand(word) {
                Some(below) => at = below,
                None => return false,
            }
        }
        true
    }

    #[test]
    fn every_command_that_a_document_or_a_message_names_exists() {
        Arguments::command().debug_assert();
        let (root, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), Vec::new());
        texts(&root, &mut found);
        let mut unknown = Vec::new();
        let mut named = 0;
        for path in found {
            let text = std::fs::read_to_string(&path).unwrap();
            let (in_text, on_a_line) = (format!("`{NAME} "), format!("release/{NAME} "));
            let quoted = text.split(&in_text).skip(1).filter_map(|rest| rest.split('`').next());
            let typed = text.split(&on_a_line).skip(1).filter_map(|rest| rest.lines().next());
            for line in quoted.chain(typed) {
                let bare =
                    |word: &str| word.trim_matches(|of: char| !of.is_ascii_alphanumeric() && of != '-').to_owned();
                let words: Vec<String> = line.split_whitespace().take(2).map(bare).collect();
                named += 1;
                if !is_known(&words) {
                    unknown.push(format!("{}: quadrille {line}", path.display()));
                }
            }
        }
        assert!(named > 50 && unknown.is_empty(), "{unknown:#?}");
        assert!(!is_known(&["dead-letters".to_owned(), "ls".to_owned()]), "or nothing would be found");
    }
}
