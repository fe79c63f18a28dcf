//! The rebuild: read models made anew beside the live ones, from the event store and the topics, and put in their place when they have caught up.
//!
//! Nobody waits for it. The consumer goes on writing the live tables and the routes go on reading them; the rebuild reads the topics without a
//! group, folds as the consumer folds, and writes into tables of its own. When it has read what there is, it keeps writers out for a moment, folds
//! what the live tables have and it has not (it can see how far they are), and puts its tables in their place. As the fold is commutative and
//! idempotent, what both have folded does no harm, and what the consumer folds next goes into the new tables.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use events::OrderId;
use kafka_admin::replay::{Point, ReplayReader};
use runtime::{Failure, Pooled, Registry, Settings, Verdict, migrations, sql};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{self, Tables, rebuild as tables};
use crate::tracker::{NAME, SagaTracker};
use crate::world::BatchState;
use crate::{decide, decode};

const REPEATING: bool = true;

/// Events of the store, and records of the topics, that are folded and written at once.
const PAGE: usize = 5_000;
/// Writers are kept out no longer than this while the last records are folded; a rebuild that needs longer lets them in and tries again.
const HELD: Duration = Duration::from_millis(1_500);
/// How often it tries, after a pause that grows by this with each try, up to the longest.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Folding the event store: events so far, and about how many there are.
    Store(u64, u64),
    /// Folding the topics: records so far, and how many there are by now.
    Topics(u64, u64),
    /// Taking over what neither of them tells any more.
    CarryOver,
    /// Taking the live tables' place.
    Switch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events of the store that were folded; none if the topics hold everything that was ever said.
    pub stored: u64,
    /// Stored events that this version can't read: their orders keep what other events tell of them.
    pub unknown: u64,
    pub records: u64,
    /// Records that can't be understood: they are among the dead letters.
    pub unreadable: u64,
    /// Rows that were taken over as they were, as nothing that can be read any more tells of them.
    pub carried_over: u64,
    /// How long writers were kept out, in milliseconds.
    pub held_ms: u64,
}

/// Rebuilds the read models. The topics are read from `from` on; what happened before comes from the event store. Cancelling `stop` leaves the
/// live tables as they are and removes the others.
///
/// # Errors
/// When the database or Kafka does not answer, another rebuild is under way, or `stop` was cancelled: the live tables are as they were.
pub async fn rebuild(
    settings: &Settings,
    from: Point,
    stop: &CancellationToken,
    tell: impl Fn(Stage),
) -> anyhow::Result<Rebuilt> {
    let url = settings.database_url(NAME)?;
    let pool = sql::pool(url.expose(), "quadrille replay", 2).context("DATABASE_URL")?;
    // First, as prepared statements of the checks would fail there with a riddle.
    Pooled::refuse::<anyhow::Error>(&pool.connect_options(), "a rebuild of the read models").await?;
    for (schema, migrator) in migrations::house().into_iter().chain([("saga_tracker", crate::migrations())]) {
        migrations::check(&pool, schema, &migrator).await?;
    }
    let mut db = pool.acquire().await?.detach();
    tables::be_patient(&mut db).await?;
    if let Some((user, database)) = tables::who_may_not(&mut db).await? {
        bail!(
            "the user {user} may create no schema in the database {database}: expected that right, as a rebuild writes its tables beside the live ones, in a \
             schema of its own. Have it granted for as long as the rebuild takes: `grant create on database {database} to {user}`. Nothing was changed"
        );
    }
    if !tables::claim(&mut db).await? {
        bail!(
            "another rebuild of the read models is under way in this database: let it end, or stop it, then ask again"
        );
    }
    tables::begin(&mut db).await?;
    let done = work(&mut db, &pool, settings, from, stop, &tell).await;
    if done.is_err() {
        // The connection may be the reason.
        match tables::give_up(&mut db).await {
            Ok(()) => {}
            Err(_) => tables::give_up(&mut *pool.acquire().await?).await?,
        }
    }
    db.close().await?;
    done
}

async fn work(
    db: &mut PgConnection,
    pool: &PgPool,
    settings: &Settings,
    from: Point,
    stop: &CancellationToken,
    tell: &impl Fn(Stage),
) -> anyhow::Result<Rebuilt> {
    let codec = Registry::codec(pool).await?;
    let registry = Registry::from_settings(settings, pool.clone())?;
    let reader =
        ReplayReader::open(settings, Arc::<SagaTracker>::default(), codec, registry, from, stop.clone()).await?;
    let mut rebuild = Rebuild { db, reader, stop, unwritten: BatchState::default(), done: Rebuilt::default() };
    if !rebuild.topics_are_whole() {
        rebuild.fold_store(tell).await?;
    }
    rebuild.fold_topics(tell).await?;
    tell(Stage::CarryOver);
    rebuild.carry_over().await?;
    tell(Stage::Switch);
    rebuild.switch().await?;
    Ok(rebuild.done)
}

struct Rebuild<'r> {
    db: &'r mut PgConnection,
    reader: ReplayReader<SagaTracker>,
    stop: &'r CancellationToken,
    /// What was read while writers were kept out, until the transaction in which it was written has committed.
    unwritten: BatchState,
    done: Rebuilt,
}

/// What each table is told by: topics of events without an order, or (none named) all topics of events of orders.
fn told_by(table: &str) -> &'static [&'static str] {
    match table {
        "level" => &["stock-levels"],
        "letter" => &["dead-letter-events", "dead-letter-orders"],
        "watermark" => &["operations"],
        _ => &[],
    }
}

impl Rebuild<'_> {
    fn heed(&self) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            bail!("stopped: the read models are as they were");
        }
        Ok(())
    }

    fn topics_are_whole(&self) -> bool {
        self.reader.topics().all(|topic| self.reader.is_whole(topic))
    }

    async fn fold_store(&mut self, tell: &impl Fn(Stage)) -> anyhow::Result<()> {
        let about = tables::stored_about(self.db).await?;
        let mut behind = (Uuid::nil(), Uuid::nil());
        loop {
            self.heed()?;
            let events = store::stored_events(self.db, behind, PAGE as i64).await?;
            let Some(last) = events.last() else { return Ok(()) };
            behind = (last.order_id, last.event_id);
            let mut world = BatchState::default();
            for event in &events {
                match decode::stored_facts(&event.event_type, &event.data, event.at.0, event.seq) {
                    Some(Ok(facts)) => world.orders.entry(OrderId(event.order_id)).or_default().merge(&facts),
                    Some(Err(_)) | None => self.done.unknown += 1,
                }
            }
            store::save(self.db, Tables::Rebuilt, &world, REPEATING).await?;
            self.done.stored += events.len() as u64;
            tell(Stage::Store(self.done.stored, about.max(self.done.stored)));
        }
    }

    /// Reads on to what was the end when it was last looked for.
    async fn fold_topics(&mut self, tell: &impl Fn(Stage)) -> anyhow::Result<()> {
        while self.reader.left() > 0 {
            self.heed()?;
            if self.page(Duration::from_secs(5)).await? == 0 {
                break; // the last records of a topic were compacted away: there is nothing left to come
            }
            self.write().await?;
            tell(Stage::Topics(self.reader.extent() - self.reader.left(), self.reader.extent()));
        }
        Ok(())
    }

    /// Reads what came meanwhile, and what came meanwhile again, until that is little.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        loop {
            self.reader.look().await?;
            let left = self.reader.left();
            self.fold_topics(&|_| {}).await?;
            if left <= PAGE as u64 {
                return Ok(());
            }
        }
    }

    /// Folds the next records into what is not written yet; how many there were.
    async fn page(&mut self, patience: Duration) -> anyhow::Result<u64> {
        let page = self.reader.page(PAGE, patience).await?;
        self.done.records += page.read;
        self.done.unreadable += page.unreadable;
        page.inputs.iter().for_each(|input| decide::fold(&mut self.unwritten, input));
        Ok(page.read)
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let mut tx = self.db.begin().await?;
        store::save(&mut tx, Tables::Rebuilt, &self.unwritten, REPEATING).await?;
        tx.commit().await?;
        self.unwritten = BatchState::default();
        Ok(())
    }

    /// What was said before the topics' oldest records, of tables that the event store does not tell of, is taken over as it is; and orders of
    /// which not even the event store knows an event.
    async fn carry_over(&mut self) -> anyhow::Result<()> {
        for table in store::REBUILT {
            let topics = told_by(table);
            let whole = if topics.is_empty() {
                self.topics_are_whole()
            } else {
                topics.iter().all(|topic| self.reader.is_whole(topic))
            };
            if !whole {
                self.heed()?;
                self.done.carried_over += tables::carry_over(self.db, table).await?;
            }
        }
        Ok(tables::analyze(self.db).await?)
    }

    async fn switch(&mut self) -> anyhow::Result<()> {
        for tried in 0..TRIES {
            tokio::time::sleep((tried * PAUSE).min(LONGEST_PAUSE)).await;
            self.write().await?; // what a try that failed has read
            self.catch_up().await?;
            self.heed()?;
            match self.try_switch().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // A lock that was not to be had, or a deadlock with a reader: nothing was changed.
                Err(error) if passes(&error) => tracing::debug!(%error, "the switch is tried again"),
                Err(error) => return Err(error),
            }
        }
        bail!(
            "the rebuilt tables did not catch up with the live ones in {TRIES} tries: ask again when less is going on"
        )
    }

    /// One try, in one transaction: false when what the live tables are ahead by can't be had in time.
    async fn try_switch(&mut self) -> anyhow::Result<bool> {
        let since = Instant::now();
        tables::open(self.db).await?;
        let result = self.held(since).await;
        match result {
            Ok(true) => tables::end(self.db, true).await?,
            Ok(false) | Err(_) => tables::end(self.db, false).await?,
        };
        self.done.held_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        result
    }

    async fn held(&mut self, since: Instant) -> anyhow::Result<bool> {
        let live = tables::hold_writers(self.db).await?;
        let behind = |reader: &ReplayReader<SagaTracker>| {
            let read = |topic: &str, part: i32, last: i64| {
                reader.next().iter().any(|((of, its), next)| *of == topic && *its == part && *next > last)
            };
            live.iter().any(|((topic, part), last)| !read(topic, *part, *last))
        };
        while behind(&self.reader) {
            if since.elapsed() > HELD {
                return Ok(false);
            }
            self.page(Duration::from_millis(50)).await?;
        }
        // Not the event store: a batch that waits for us may hold rows of it.
        store::save_models(self.db, Tables::Rebuilt, &self.unwritten).await?;
        tables::switch(self.db).await?;
        Ok(true)
    }
}

/// Whether another try may succeed.
fn passes(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.verdict() == Verdict::Retry || failure.is_wait())
}
