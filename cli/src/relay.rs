//! `quadrille relay …`: the outboxes of all databases that consumers are set to use.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use events::Timestamp;
use runtime::relay::{self, Aside, RelayError, Status};
use runtime::{migrations, sql};
use sqlx::PgConnection;

/// What can be done with the outbox.
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
    },
}

/// Runs one of them on each database.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut all_well = true;
    for url in outbox_relay::settings(&crate::config::settings()?)?.database_urls {
        let pool = sql::pool(url.expose(), "quadrille relay", 1).context("DATABASE_URL")?;
        for (schema, migrator) in migrations::house() {
            migrations::check(&pool, schema, &migrator).await?;
        }
        let mut db = pool.acquire().await?;
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut *db).await?;
        let (said, well) = one(&command, &mut db).await.with_context(|| name.clone())?;
        println!("{name}: {said}");
        all_well &= well;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to print of one database, and whether all is well there.
async fn one(command: &Command, db: &mut PgConnection) -> Result<(String, bool), RelayError> {
    if let Command::Status = command {
        let status = relay::status(db).await?;
        return Ok((shown(&status), status.set_aside == 0));
    }
    Ok((done(command, db).await?, true))
}

fn shown(status: &Status) -> String {
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

async fn done(command: &Command, db: &mut PgConnection) -> Result<String, RelayError> {
    Ok(match command {
        Command::Status => shown(&relay::status(db).await?),
        Command::Rewind { since } => {
            let done = relay::rewind(db, *since).await?;
            let to = done.to.map_or_else(|| "the oldest event that is kept".to_owned(), |at| at.to_string());
            let gone = match done.emptied_until {
                Some(until) if until > *since => {
                    format!("; events committed before {until} had been removed and are NOT published again")
                }
                _ => String::new(),
            };
            format!("{} shards went back to {to}; running relays publish again from there{gone}", done.shards)
        }
        Command::Rebase => {
            let done = relay::rebase(db).await?;
            format!("{} events had not been published and will be; relays and consumers may start", done.unpublished)
        }
        Command::Release { topic } => {
            let events = relay::release(db, topic.as_deref()).await?;
            format!("{events} events are with the relay again")
        }
    })
}
