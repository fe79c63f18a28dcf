//! `quadrille orders …`: orders found by their reference, and one order's case, from the event store.

use std::process::ExitCode;

use clap::Subcommand;
use events::{OrderId, Timestamp};
use runtime::{Consumer as _, Settings};
use saga_tracker::{Case, SagaTracker};
use sqlx::PgPool;

use crate::output;

#[derive(Subcommand)]
pub enum Command {
    /// Find orders by the reference that whoever placed them gave: the shop's own number, or the id of the event. Another shop may have given the same.
    Find {
        /// The reference, whole.
        #[arg(long)]
        reference: String,
    },
    /// Show everything that happened to an order, and how it stood: money, stock, shipments, latencies. Folded from its stored events alone.
    Show {
        /// The order's id.
        id: OrderId,
        /// As it was at this moment, in RFC 3339: 2026-11-23T09:30:00Z. Now unless given.
        #[arg(long)]
        at: Option<Timestamp>,
    },
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    let url = settings.database_url(SagaTracker::NAME)?;
    let pool = runtime::connect(url.expose(), "quadrille orders", 1).await?;
    match command {
        Command::Find { reference } => find(&pool, &reference, json).await,
        Command::Show { id, at } => show(&pool, id, at, json).await,
    }
}

async fn find(pool: &PgPool, reference: &str, json: bool) -> anyhow::Result<ExitCode> {
    let found = saga_tracker::find_orders(pool, reference).await?;
    if found.is_empty() {
        eprintln!("quadrille: no order with reference {reference:?} was heard of");
        return Ok(ExitCode::FAILURE);
    }
    output::rows(
        &found,
        json,
        &[
            ("order", |order| order.order_id.clone()),
            ("status", |order| order.status.clone()),
            ("placed", |order| order.placed_at.clone()),
            ("source", |order| order.source.clone().unwrap_or_default()),
            ("total#", |order| match (order.total, &order.currency) {
                (Some(total), Some(currency)) => format!("{total} {currency}"),
                (None, _) | (_, None) => String::new(),
            }),
        ],
    )
}

async fn show(pool: &PgPool, id: OrderId, at: Option<Timestamp>, json: bool) -> anyhow::Result<ExitCode> {
    let Some(case) = Case::read(pool, id, at).await? else {
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
