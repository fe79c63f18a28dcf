//! `quadrille restore …`: after a database was restored from a dump, what the topics know and it does not.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use choreography::Choreography;
use clap::{Args, Subcommand};
use events::{Event as _, OrderId, StockLevelChanged, Timestamp};
use kafka_admin::replay::{Point, check_stopped, stories};
use pipeline::{ConsumerEntry, Retell};
use runtime::restore::{KnownEvents, Restored, Retelling, Stories, advance_positions};
use runtime::sql::Timestamptz;
use runtime::{Clock, Registry, Settings, databases, migrations, sql};
use serde_json::json;
use sqlx::PgPool;

use crate::output;

/// Before the last moment that a relay noted in the dump, by so much: what was then being written is read too.
const MARGIN: Duration = Duration::from_secs(120);

#[derive(Subcommand)]
pub enum Command {
    /// Say which orders the topics know better than the databases, and whether they can be told again. Changes nothing; exits with 1 if there are any.
    Check(Arguments),
    /// Tell them again: each order's rows, as they were, without asking anyone outside; then make the outboxes publishable (`relay rebase`) and set
    /// the consumers back, which hear the rest when they are started. Exits with 1 if orders are left to a person, whom it names.
    ///
    /// Once, after the restore, before anything is started: consumers and relays must be stopped.
    Apply(Arguments),
}

#[derive(Args)]
pub struct Arguments {
    /// From where topics are read: `beginning`, or a moment before the dump was made. Two minutes before the dump's last note of a relay unless given.
    #[arg(long)]
    since: Option<Point>,
}

type Of = (&'static str, Restored);

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let (arguments, write) = match command {
        Command::Check(arguments) => (arguments, false),
        Command::Apply(arguments) => (arguments, true),
    };
    let settings = Settings::from_env()?;
    if write {
        for consumer in names() {
            check_stopped(&settings, consumer).await?;
        }
    }
    let since = match arguments.since {
        Some(since) => since,
        None => dumped(&settings).await?,
    };
    let told = stories(&settings, since).await?;
    let consumers = used(&settings).await?;
    let restoring = Restoring { settings: &settings, consumers, stories: &told, write, now: Clock::default().now() };
    let all = restoring.all().await?;
    let notes = restoring.levels().await?;
    let unpublished = if write { restoring.ready(since).await? } else { Vec::new() };
    Ok(shown(json, write, since, &told, &all, &[notes, unpublished].concat()))
}

struct Restoring<'r> {
    settings: &'r Settings,
    consumers: Vec<ConsumerEntry>,
    stories: &'r Stories,
    write: bool,
    now: Timestamp,
}

impl Restoring<'_> {
    async fn all(&self) -> anyhow::Result<Vec<Of>> {
        let mut all = Vec::new();
        for consumer in &self.consumers {
            if let Some(retell) = &consumer.retell {
                all.push((consumer.name, self.one(consumer, retell).await.with_context(|| consumer.name)?));
            }
        }
        Ok(all)
    }

    async fn one(&self, consumer: &ConsumerEntry, retell: &Retell) -> anyhow::Result<Restored> {
        let pool = pool(self.settings, consumer.name)?;
        for (schema, migrator) in migrations::house() {
            migrations::check(&pool, schema, &migrator).await?;
        }
        for (schema, migrator) in &consumer.schemas {
            migrations::check(&pool, schema, migrator).await?;
        }
        let codec = Registry::codec(&pool).await?;
        let known = KnownEvents::read(&mut *pool.acquire().await?, self.stories).await?;
        let one_outbox = databases::of(self.settings, names())?.len() == 1;
        let (stories, write, now) = (self.stories, self.write, self.now);
        let retelling = Retelling { stories, known: &known, one_outbox, codec: &codec, write, now };
        retell(&retelling, self.settings, &pool).await
    }

    /// The levels of stock, as their topic has them.
    async fn levels(&self) -> anyhow::Result<Vec<String>> {
        let pool = pool(self.settings, "inventory")?;
        let codec = Registry::codec(&pool).await?;
        let mut levels: Vec<StockLevelChanged> = Vec::new();
        for told in self.stories.levels.iter().filter(|told| told.event_type() == StockLevelChanged::TYPE) {
            levels.push(told.message.read(&codec)?);
        }
        let mut tx = pool.begin().await?;
        let notes = inventory::restore_levels(&mut tx, &levels, self.now).await?;
        match self.write {
            true => tx.commit().await?,
            false => return Ok(Vec::new()), // what orders explain is not written either
        }
        Ok(notes)
    }

    /// Has the outboxes published, and the consumers hear again what they heard since.
    async fn ready(&self, since: Point) -> anyhow::Result<Vec<String>> {
        let mut notes = Vec::new();
        for url in databases::of(self.settings, names())?.into_keys() {
            let mut db = sql::pool(url.expose(), "quadrille restore", 1).context("DATABASE_URL")?.acquire().await?;
            advance_positions(&mut db, self.stories).await?;
            let rebased = ::relay::rebase(&mut db).await?;
            if rebased.unpublished > 0 {
                notes.push(format!(
                    "{} events that the dump had not published yet are published again",
                    rebased.unpublished
                ));
            }
        }
        for consumer in &self.consumers {
            consumer.reset(self.settings, since).await?;
        }
        Ok(notes)
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    Choreography::embedded().consumers.names()
}

/// The consumers that are used here: an optional one is where its schema is.
async fn used(settings: &Settings) -> anyhow::Result<Vec<ConsumerEntry>> {
    let mut used = Vec::new();
    for consumer in pipeline::consumers() {
        let schema = consumer.schemas.first().map(|(schema, _)| schema);
        let there = sqlx::query_scalar("select to_regnamespace($1) is not null").bind(schema);
        if !consumer.is_optional || there.fetch_one(&pool(settings, consumer.name)?).await? {
            used.push(consumer);
        }
    }
    Ok(used)
}

fn pool(settings: &Settings, consumer: &str) -> anyhow::Result<PgPool> {
    sql::pool(settings.database_url(consumer)?.expose(), "quadrille restore", 2).context("DATABASE_URL")
}

/// When the dump was made, by the last note that a relay left in it: of several databases the earliest.
async fn dumped(settings: &Settings) -> anyhow::Result<Point> {
    let mut dumped: Option<Timestamp> = None;
    for url in databases::of(settings, names())?.into_keys() {
        let pool = sql::pool(url.expose(), "quadrille restore", 1).context("DATABASE_URL")?;
        let (noted, orders): (Option<Timestamptz>, bool) = sqlx::query_as(
            "select (select max(taken_at) from outbox.moment), exists (select from outbox.relay_cursor)",
        )
        .fetch_one(&pool)
        .await?;
        match noted {
            Some(Timestamptz(noted)) => dumped = Some(dumped.map_or(noted, |before| before.min(noted))),
            None if orders => bail!(
                "when the dump was made is not noted in it (or its outbox was rebased already): say --since, a moment before it, such as \
                 2026-11-23T09:30:00Z, or `beginning`"
            ),
            None => return Ok(Point::Beginning),
        }
    }
    Ok(dumped.map_or(Point::Beginning, |noted| Point::Time(noted.minus(MARGIN))))
}

fn shown(json: bool, write: bool, since: Point, stories: &Stories, all: &[Of], notes: &[String]) -> ExitCode {
    let ids = all.iter().flat_map(|(_, of)| of.rebuilt.iter().chain(of.left.iter().map(|(id, _)| id)));
    let behind: BTreeSet<OrderId> = ids.copied().collect();
    let left: usize = all.iter().map(|(_, restored)| restored.left.len()).sum();
    if json {
        let consumers: Vec<_> = all
            .iter()
            .map(|(consumer, Restored { known, rebuilt, left })| {
                let left = left.iter().map(|(order_id, why)| json!({"order_id": order_id, "why": why}));
                json!({"consumer": consumer, "known": known, "rebuilt": rebuilt, "left": left.collect::<Vec<_>>()})
            })
            .collect();
        println!(
            "{:#}",
            json!({"since": since.to_string(), "records": stories.records, "orders": stories.orders.len(), "behind": behind,
                "written": write, "consumers": consumers, "notes": notes})
        );
    } else {
        println!("{} records since {since} tell of {} orders", stories.records, stories.orders.len());
        let done = if write { "rebuilt" } else { "can be rebuilt" };
        for (consumer, Restored { known, rebuilt, left }) in all {
            println!("{consumer}: {known} known, {} {done}, {} left to a person", rebuilt.len(), left.len());
        }
        for (consumer, Restored { left, .. }) in all {
            left.iter().for_each(|(order_id, why)| println!("LEFT  {consumer}  {order_id}: {why}"));
        }
        for note in notes {
            println!("{note}");
        }
        match (behind.len(), write) {
            (0, _) => println!("the databases know all that the topics tell"),
            (orders, false) => {
                println!("{orders} orders are behind the topics, or unknown:");
                behind.iter().for_each(|id| println!("  {id}"));
                println!("stop consumers and relays, then `quadrille restore apply`");
            }
            (orders, true) => {
                println!("{orders} orders were told again; consumers and relays may start, then `quadrille audit`")
            }
        }
    }
    output::code(if write { left == 0 } else { behind.is_empty() })
}
