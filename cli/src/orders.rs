//! `quadrille orders …`: one order's case, from the event store.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use events::{OrderId, Timestamp};
use runtime::{Consumer as _, sql};
use saga_tracker::{Case, SagaTracker};

/// What can be asked of orders.
#[derive(Subcommand)]
pub enum Command {
    /// Show everything that happened to an order, and how it stood: money, stock, shipments, latencies. Folded from its stored events alone.
    Show {
        /// The order's id.
        id: OrderId,
        /// As it was at this moment, in RFC 3339: 2026-11-23T09:30:00Z. Now unless given.
        #[arg(long)]
        at: Option<Timestamp>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of them.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Show { id, at, json } = command;
    let settings = crate::config::settings()?;
    let url = settings.database_url(SagaTracker::NAME)?;
    let pool = sql::pool(url.expose(), "quadrille orders", 1).context("DATABASE_URL")?;
    let Some(case) = Case::read(&pool, id, at).await? else {
        let by = at.map_or_else(String::new, |at| format!(" by {at}"));
        eprintln!("quadrille: nothing was heard of order {id}{by}");
        return Ok(ExitCode::FAILURE);
    };
    if json {
        println!("{:#}", case.json()?);
    } else {
        print!("{case}");
    }
    Ok(ExitCode::SUCCESS)
}
