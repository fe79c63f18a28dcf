//! `quadrille deadlines …`: what open orders are owed, and more time for one of them.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use events::{OrderId, Timestamp, entry_of};
use runtime::{Clock, sql};
use saga_tracker::deadlines;

use crate::who;

/// What can be done with deadlines.
#[derive(Subcommand)]
pub enum Command {
    /// Open orders by when they are looked at next, with the answers that they are owed.
    List {
        /// At most so many orders.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Give an order more time: nothing is owed to it before that moment. Who and why are kept.
    Move {
        /// The order.
        order_id: OrderId,
        /// The moment, in RFC 3339: 2026-11-23T09:30:00Z.
        #[arg(long)]
        until: Timestamp,
        /// Who moves it: you, unless set.
        #[arg(long, env = "USER")]
        by: Option<String>,
        /// Why.
        #[arg(long)]
        why: String,
    },
}

/// Runs one of them on the tracker's database.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let settings = crate::config::settings()?;
    let url = settings.database_url("saga-tracker")?;
    let mut db = sql::pool(url.expose(), "quadrille deadlines", 1).context("DATABASE_URL")?.acquire().await?;
    match command {
        Command::List { limit } => {
            let orders = deadlines::list(&mut db, None, limit).await?;
            for order in &orders {
                print(order);
            }
            println!("{} open orders", orders.len());
        }
        Command::Move { order_id, until, by, why } => {
            deadlines::shift(&mut db, order_id, until, (&who::asks(by)?, &why), Clock::default().now()).await?;
            println!("nothing is owed to {order_id} before {until}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(order: &deadlines::Deadline) {
    let moved = order.moved_until.map_or_else(String::new, |until| format!(", moved to {until}"));
    println!("{}: looked at {}{moved}", order.order_id, order.look_at);
    let short = |event_type: &str| entry_of(event_type).map_or(event_type.to_owned(), |entry| entry.name.to_owned());
    for owed in &order.owed {
        let answers: Vec<String> = owed.waiting_for.iter().map(|answer| short(answer)).collect();
        let (event, due) = (short(owed.event_type), owed.due);
        println!("  {} answers {event} of {} with {} by {due}", owed.consumer, owed.since, answers.join(", "));
    }
}
