//! `quadrille deadlines …`: what open orders are owed, and more time for one of them.

use std::process::ExitCode;

use clap::Subcommand;
use events::{OrderId, Timestamp, entry_of};
use runtime::{Clock, Settings};
use saga_tracker::open_orders;
use serde_json::json;

use crate::{output, who};

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

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env()?;
    let url = settings.database_url("saga-tracker")?;
    let mut db = runtime::connect(url.expose(), "quadrille deadlines", 1).await?.acquire().await?;
    match command {
        Command::List { limit } => {
            let orders = open_orders::list(&mut db, None, limit).await?;
            for order in &orders {
                output::said(json, &object(order), || text(order));
            }
            if !json {
                println!("{} open orders", orders.len());
            }
        }
        Command::Move { order_id, until, by, why } => {
            open_orders::move_deadline(&mut db, order_id, until, (&who::asks(by)?, &why), Clock::default().now())
                .await?;
            let object = json!({"order_id": order_id, "moved_until": until.to_string()});
            output::said(json, &object, || format!("nothing is owed to {order_id} before {until}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn short(event_type: &str) -> String {
    entry_of(event_type).map_or(event_type.to_owned(), |entry| entry.name.to_owned())
}

fn text(order: &open_orders::Deadline) -> String {
    let moved = order.moved_until.map_or_else(String::new, |until| format!(", moved to {until}"));
    let mut text = format!("{}: looked at {}{moved}", order.order_id, order.look_at);
    for owed in &order.owed {
        let answers: Vec<String> = owed.waiting_for.iter().map(|answer| short(answer)).collect();
        let (consumer, event, since, due) = (owed.consumer, short(owed.event_type), owed.since, owed.due);
        text.push_str(&format!("\n  {consumer} answers {event} of {since} with {} by {due}", answers.join(", ")));
    }
    text
}

fn object(order: &open_orders::Deadline) -> serde_json::Value {
    let owed = order.owed.iter().map(|owed| {
        let answers: Vec<String> = owed.waiting_for.iter().map(|answer| short(answer)).collect();
        json!({"consumer": owed.consumer, "event": short(owed.event_type), "since": owed.since.to_string(),
               "answers": answers, "due": owed.due.to_string()})
    });
    json!({"order_id": order.order_id, "look_at": order.look_at.to_string(),
           "moved_until": order.moved_until.map(|until| until.to_string()), "owed": owed.collect::<Vec<_>>()})
}
