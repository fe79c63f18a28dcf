//! `quadrille dead-letters …`: what needs a person, and what is done about it. It works on the databases, whether or not the tracker runs.

mod arguments;
mod carry_out;
mod shown;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use operator::{Act, Operator, with_fields};
use runtime::{Clock, Settings};
use serde_json::Value;

use arguments::{EditArguments, FilterArguments, Which};

use crate::output;

#[derive(Subcommand)]
pub enum Command {
    /// List them, the newest first.
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Group them by cause (fingerprint): how many, since when, and an example; those that are open, unless --status says otherwise.
    Groups {
        #[command(flatten)]
        filter: FilterArguments,
        /// How many groups at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Show one: its case, its data, what was done about it, and what can be done.
    Show {
        /// Its id, or how it begins.
        id: String,
        /// Print its data as JSON and nothing else: what an edit begins with.
        #[arg(long)]
        data: bool,
    },
    /// Have its consumer decide it again, before everything of the same key that waits behind it.
    Retry(Which),
    /// Leave it out for good, and cancel its order: an event that is skipped is never skipped in silence.
    Skip(Which),
    /// Cancel its order now. The dead letter stays: retry or skip it too, or what waits behind it waits on.
    Compensate(Which),
    /// Have its consumer decide it again, with other data, which is checked against the event's schema.
    Edit(EditArguments),
    /// Show who had what done, why, and what came of it, the newest first.
    Audit {
        /// About this dead letter: its id, or how it begins.
        id: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let operator = Operator::open(&Settings::from_env()?, Clock::default()).await?;
    match command {
        Command::List { filter, limit } => {
            output::rows(&operator.list(&filter.filter(), limit).await?, json, shown::LETTERS)
        }
        Command::Groups { filter, limit } => {
            output::rows(&operator.groups(&filter.filter().or_open(), limit).await?, json, shown::GROUPS)
        }
        Command::Show { id, data } => show(&operator, &id, data, json).await,
        Command::Retry(which) => carry_out::carry_out(&operator, Act::Retry, which, json).await,
        Command::Skip(which) => carry_out::carry_out(&operator, Act::Skip, which, json).await,
        Command::Compensate(which) => carry_out::carry_out(&operator, Act::Compensate, which, json).await,
        Command::Edit(arguments) => edit(&operator, arguments, json).await,
        Command::Audit { id, limit } => {
            let letter_id = match id {
                Some(id) => Some(operator.find(&id).await?),
                None => None,
            };
            output::rows(&operator.audit(letter_id, limit).await?, json, shown::ACTIONS)
        }
    }
}

async fn show(operator: &Operator, id: &str, data: bool, json: bool) -> anyhow::Result<ExitCode> {
    let letter = operator.show(operator.find(id).await?).await?.context("it is gone")?;
    match (data, json) {
        (true, _) => {
            println!("{:#}", letter.data.context("its value can't be read: an edit must give all of its data")?)
        }
        (false, true) => println!("{:#}", serde_json::to_value(&letter)?),
        (false, false) => print!("{}", shown::letter(&letter)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn edit(operator: &Operator, arguments: EditArguments, json: bool) -> anyhow::Result<ExitCode> {
    let EditArguments { id, data, set, how } = arguments;
    let letter_id = operator.find(&id).await?;
    let whole = match &data {
        Some(path) => read(path)?,
        None if set.is_empty() => {
            bail!(
                "expected new data: --data FILE, or --set POINTER=VALUE; `quadrille dead-letters show {id} --data` prints what there is"
            )
        }
        None => {
            let letter = operator.show(letter_id).await?.context("it is gone")?;
            letter.data.context("its value can't be read: give all of its data with --data FILE")?
        }
    };
    let data = with_fields(whole, &set).map_err(anyhow::Error::msg)?;
    carry_out::each(operator, vec![letter_id], Act::Edit(data), how, json).await
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = match path == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()).context("standard input")?,
        false => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
    };
    serde_json::from_str(&text).with_context(|| format!("{}: expected the event's data as JSON", path.display()))
}
