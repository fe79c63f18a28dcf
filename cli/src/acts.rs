//! `quadrille acts`: what was done through the routes of programs, and by whom.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use runtime::sql::Timestamptz;
use runtime::{Settings, databases, sql};
use serde::Serialize;
use uuid::Uuid;

use crate::output;

/// Which of them.
#[derive(Args)]
pub struct Arguments {
    /// Those of this key's name; `local` did what was done without keys.
    #[arg(long)]
    who: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// One of them.
#[derive(Serialize)]
struct ConsumerAction {
    action_id: Uuid,
    at: String,
    consumer: String,
    who: String,
    role: String,
    what: String,
    subject: String,
    why: Option<String>,
    /// What was answered; none: begun, and nobody knows how it went.
    status: Option<i32>,
}

type ActionRow = (Uuid, Timestamptz, String, String, String, String, String, Option<String>, Option<i32>);

/// Lists them, of all databases.
pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let Arguments { who, limit } = arguments;
    let settings = Settings::from_env()?;
    let consumers = choreography::Choreography::embedded().consumers.names();
    let mut acts = Vec::new();
    for url in databases::of(&settings, consumers)?.into_keys() {
        let pool = sql::pool(url.expose(), "quadrille acts", 1).context("DATABASE_URL")?;
        let rows: Vec<ActionRow> = sqlx::query_as(
            "select action_id, at, consumer, who, role, what, subject, why, status from runtime.door_action
             where $1::text is null or who = $1 order by action_id desc limit $2",
        )
        .bind(&who)
        .bind(limit)
        .fetch_all(&pool)
        .await?;
        acts.extend(rows.into_iter().map(
            |(action_id, Timestamptz(at), consumer, who, role, what, subject, why, status)| ConsumerAction {
                action_id,
                at: at.to_string(),
                consumer,
                who,
                role,
                what,
                subject,
                why,
                status,
            },
        ));
    }
    // Their ids begin with their time.
    acts.sort_unstable_by_key(|act| std::cmp::Reverse(act.action_id));
    acts.dedup_by_key(|act| act.action_id); // one database by two addresses
    acts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    output::rows(&acts, json, |acts| {
        let mut table = output::table(&["at", "consumer", "who", "role", "what", "subject", "status", "why"], &[6]);
        for ConsumerAction { at, consumer, who, role, what, subject, why, status, .. } in acts {
            let (status, why) = (status.map(|status| status.to_string()), why.as_deref().unwrap_or_default());
            table.add_row([at, consumer, who, role, what, subject, &status.unwrap_or_default(), why]);
        }
        table
    })
}
