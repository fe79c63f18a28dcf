//! `quadrille acts`: what was done through the routes of programs, and by whom.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use runtime::sql::Timestamptz;
use runtime::{Settings, databases, sql};
use serde::Serialize;
use uuid::Uuid;

use crate::output::{self, TableColumn};

#[derive(Args)]
pub struct Arguments {
    /// Those of this key's name; `local` did what was done without keys.
    #[arg(long)]
    who: Option<String>,
    /// At most so many, the newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Serialize, sqlx::FromRow)]
struct ConsumerAction {
    action_id: Uuid,
    #[serde(serialize_with = "as_text")]
    at: Timestamptz,
    consumer: String,
    who: String,
    role: String,
    what: String,
    subject: String,
    why: Option<String>,
    /// What was answered; none: begun, and nobody knows how it went.
    status: Option<i32>,
}

fn as_text<S: serde::Serializer>(at: &Timestamptz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.0)
}

const COLUMNS: &[TableColumn<ConsumerAction>] = &[
    ("at", |act| act.at.0.to_string()),
    ("consumer", |act| act.consumer.clone()),
    ("who", |act| act.who.clone()),
    ("role", |act| act.role.clone()),
    ("what", |act| act.what.clone()),
    ("subject", |act| act.subject.clone()),
    ("status#", |act| act.status.map_or_else(String::new, |status| status.to_string())),
    ("why", |act| act.why.clone().unwrap_or_default()),
];

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let Arguments { who, limit } = arguments;
    let settings = Settings::from_env()?;
    let consumers = choreography::Choreography::embedded().consumers.names();
    let mut acts: Vec<ConsumerAction> = Vec::new();
    for url in databases::of(&settings, consumers)?.into_keys() {
        let pool = sql::pool(url.expose(), "quadrille acts", 1).context("DATABASE_URL")?;
        let select = sqlx::query_as(
            "select action_id, at, consumer, who, role, what, subject, why, status from runtime.door_action
             where $1::text is null or who = $1 order by action_id desc limit $2",
        );
        acts.extend(select.bind(&who).bind(limit).fetch_all(&pool).await?);
    }
    // Their ids begin with their time.
    acts.sort_unstable_by_key(|act| std::cmp::Reverse(act.action_id));
    acts.dedup_by_key(|act| act.action_id); // one database by two addresses
    acts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    output::rows(&acts, json, COLUMNS)
}
