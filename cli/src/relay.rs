//! `quadrille relay …`: the outboxes of all databases that consumers are set to use.

use std::process::ExitCode;

use ::relay::{self, Aside, RelayError, RelayStatus};
use anyhow::Context;
use clap::Subcommand;
use events::Timestamp;
use runtime::{Settings, migrations};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::output;

#[derive(Subcommand)]
pub enum Command {
    /// How many events wait to be published, and which were set aside because Kafka does not take them; with any of those, the exit code is not 0.
    Status,
    /// Publish everything again that was committed since a moment, under the same ids: for a broker that lost acknowledged data. Relays may run.
    Rewind {
        /// The moment, in RFC 3339: 2026-11-23T09:30:00Z.
        #[arg(long)]
        since: Timestamp,
    },
    /// Make the outbox of a restored or copied database publishable: what was not published follows under this cluster's transaction ids.
    /// Stop consumers and relays first.
    Rebase,
    /// Give events that were set aside to the relay again, once their cause is mended.
    Release {
        /// Only those of this topic, without prefix.
        #[arg(long)]
        topic: Option<String>,
        /// All of them, without being asked.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them on each database. Fails where events are set aside, when it is asked how the outbox stands.
pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    if let Command::Release { topic: None, yes } = &command {
        output::confirm("give all events that were set aside to the relay again, of every topic and database", *yes)?;
    }
    let mut code = ExitCode::SUCCESS;
    for url in outbox_relay::settings(&Settings::from_env()?)?.database_urls {
        let pool = runtime::connect(url.expose(), "quadrille relay", 1).await?;
        for (schema, migrator) in migrations::house() {
            migrations::check(&pool, schema, &migrator).await?;
        }
        let mut db = pool.acquire().await?;
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut *db).await?;
        let (mut object, text) = one(&command, &mut db).await.with_context(|| name.clone())?;
        if object["set_aside"].as_u64().is_some_and(|events| events > 0) {
            code = ExitCode::FAILURE;
        }
        object["database"] = json!(name);
        output::said(json, &object, || format!("{name}: {text}"));
    }
    Ok(code)
}

fn shown(status: &RelayStatus) -> String {
    let age = status.slot_age.as_secs();
    let mut text = format!(
        "{} events wait to be published, {} set aside; slot {} is written since {age} s",
        status.waiting,
        if status.set_aside == 0 { "none".to_owned() } else { status.set_aside.to_string() },
        status.current_slot
    );
    for Aside { seq, topic, key, bytes, since, error } in &status.aside {
        let key = key.as_deref().unwrap_or("-").escape_debug();
        text.push_str(&format!("\n  {since}  {topic}  key {key}  {bytes} bytes  position {seq}: {error}"));
    }
    let more = status.set_aside - status.aside.len() as i64;
    if more > 0 {
        text.push_str(&format!("\n  and {more} more in outbox.set_aside"));
    }
    if status.set_aside > 0 {
        text.push_str("\n  Kafka does not take these, and their orders wait for them: mend the cause, then `quadrille relay release`");
    }
    text
}

async fn one(command: &Command, db: &mut PgConnection) -> Result<(Value, String), RelayError> {
    Ok(match command {
        Command::Status => {
            let status = relay::status(db).await?;
            let aside = status.aside.iter().map(|Aside { seq, topic, key, bytes, since, error }| {
                json!({"position": seq, "topic": topic, "key": key, "bytes": bytes, "since": since.to_string(), "error": error})
            });
            let aside: Vec<Value> = aside.collect();
            let object = json!({"waiting": status.waiting, "set_aside": status.set_aside, "aside": aside, "slot": status.current_slot,
                "slot_age_s": status.slot_age.as_secs()});
            (object, shown(&status))
        }
        Command::Rewind { since } => {
            let done = relay::rewind(db, *since).await?;
            let to = done.to.map_or_else(|| "the oldest event that is kept".to_owned(), |at| at.to_string());
            let lost = done.emptied_until.filter(|until| until > since);
            let gone = lost.map_or_else(String::new, |until| {
                format!("; events committed before {until} had been removed and are NOT published again")
            });
            let object = json!({"shards": done.shards, "to": done.to.map(|at| at.to_string()), "removed_before": lost.map(|at| at.to_string())});
            (object, format!("{} shards went back to {to}; running relays publish again from there{gone}", done.shards))
        }
        Command::Rebase => {
            let events = relay::rebase(db).await?.unpublished;
            let text = format!("{events} events had not been published and will be; relays and consumers may start");
            (json!({"unpublished": events}), text)
        }
        Command::Release { topic, .. } => {
            let events = relay::release(db, topic.as_deref()).await?;
            (json!({"released": events}), format!("{events} events are with the relay again"))
        }
    })
}
