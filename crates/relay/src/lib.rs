//! The outbox relay: it publishes what consumers committed to their outbox, each row once it is visible, by the difference of two snapshots.
//!
//! A cursor is a snapshot up to which a shard is published. What the cursor does not see and a newer snapshot does is read, in the order of `seq`,
//! given to Kafka and, when all of it is acknowledged, the newer snapshot becomes the cursor. Nothing waits for a transaction that is still open, and
//! nothing is passed over that commits late. A relay that dies between acknowledgement and cursor publishes again, under the same ids.
//!
//! Shards are leased as advisory locks of the session that polls: a relay that is gone has let go. Whatever is out of the ordinary (start, takeover,
//! backlog, a failed delivery, a cursor moved by hand) takes one way: [`catch_up`](self), from the stored cursors up to a fixed snapshot, by pages.

mod catch_up;
mod error;
mod meter;
mod outbound;
mod publisher;
mod reading;
mod record;
mod rescue;
mod rotation;
mod session;
mod set_aside;
mod settings;
mod snapshot;
mod statements;
mod topics;
mod watermark;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::RelayError;
pub use rescue::{Aside, Rebased, RelayStatus, Rewound, rebase, release, rewind, status};
pub use settings::{ReadAgain, ReadUrls, RelaySettings};
pub use snapshot::{NotASnapshot, Snapshot};
pub use statements::statements;

use self::worker::Worker;
use runtime::kafka::bootstrap_again::BootstrapAgain;
use runtime::kafka::rebalance::RebalanceContext;
use runtime::postgres::{migrations, sql, watch};
use runtime::{Backoff, Clock, Health, Pooled};

/// Publishes the outboxes of all databases in the settings until told to stop. What passes by itself (a database or a broker that is away) is waited
/// for; `health` says so meanwhile.
///
/// # Errors
/// What needs a person: another cluster under the cursor, missing migrations, wrong settings. The message says what to do.
pub async fn run(
    settings: RelaySettings,
    clock: Clock,
    health: Arc<Health>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !settings.database_urls.is_empty(),
        "the relay has no database: expected at least one address in `database_urls`"
    );
    settings.check()?;
    let settings = Arc::new(settings);
    // Not spawned through the host: this future owns the tasks, and dropped it drops them.
    let mut relays = JoinSet::new();
    for index in 0..settings.database_urls.len() {
        let (settings, clock, health, shutdown) =
            (Arc::clone(&settings), clock.clone(), Arc::clone(&health), shutdown.clone());
        relays.spawn(async move { relay(index, &settings, &clock, &health, &shutdown).await });
    }
    // These watch on as long as the relays work, and end with them.
    let mut watches = JoinSet::new();
    let client = watch_parts(&mut watches, &settings, &clock, &health, &shutdown)?;
    while let Some(ended) = relays.join_next().await {
        ended.context("a relay died")??;
    }
    drop((watches, client));
    Ok(())
}

/// Watches over the databases and Kafka, whether there is anything to publish or not.
fn watch_parts(
    watches: &mut JoinSet<()>,
    settings: &Arc<RelaySettings>,
    clock: &Clock,
    health: &Arc<Health>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Arc<BaseConsumer<RebalanceContext>>> {
    let mut databases = Vec::new();
    for (index, url) in settings.database_urls.iter().enumerate() {
        let pool = sql::pool(url.expose(), &format!("{} watch", settings.name), 1).context("DATABASE_URL")?;
        let (pools, again) = (pool.clone(), Arc::clone(settings));
        databases.push(watch::Database {
            health: Arc::clone(health),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
            pool,
            pools: Box::new(move || vec![pools.clone()]),
            address: Box::new(move || sql::address(again.url(index)?.expose()).ok()),
        });
    }
    watches.spawn(watch::watch_databases(databases));
    let context = RebalanceContext { progress: Arc::default(), health: Arc::clone(health), name: health.name() };
    let mut config: ClientConfig = settings.kafka.clone().into_iter().collect();
    // It reads nothing, and librdkafka wants a group of every consumer.
    let client: BaseConsumer<RebalanceContext> = config.set("group.id", &settings.name).create_with_context(context)?;
    let client = Arc::new(client);
    let kafka = watch::Kafka {
        health: Arc::clone(health),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
        client: Arc::downgrade(&client),
        topics: vec![format!("{}operations", settings.topic_prefix)],
        servers: BootstrapAgain::new(&settings.kafka),
        needs_topics: false,
    };
    watches.spawn(kafka.watch());
    Ok(client)
}

/// A relay that has worked for so long starts its waits anew.
const SETTLED: Duration = Duration::from_secs(10);

/// Publishes one outbox, starting again from its cursor after whatever passes.
async fn relay(
    index: usize,
    settings: &RelaySettings,
    clock: &Clock,
    health: &Health,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        let Some(url) = settings.url(index) else {
            anyhow::bail!("there is no address of the database {index} any more")
        };
        let Err(error) = attempt(url.expose(), settings, clock, health, shutdown).await else { break };
        let Some(circuit) = error.circuit() else { return Err(error.into()) };
        if began.elapsed() > SETTLED {
            backoff = Backoff::default();
        }
        let wait = backoff.next_wait();
        metrics::counter!("quadrille_relay_restarts_total").increment(1);
        tracing::warn!(%error, attempt = backoff.attempts(), ?wait, "the relay starts again from its cursor");
        health.break_circuit(circuit, error.to_string(), clock.now());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(())
}

async fn attempt(
    url: &str,
    settings: &RelaySettings,
    clock: &Clock,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), RelayError> {
    Pooled::refuse::<RelayError>(&sql::address(url)?, "the relay, whose leases live in the session,").await?;
    let pool = sql::pool(url, &settings.name, 1)?;
    for (schema, migrator) in migrations::house() {
        migrations::check(&pool, schema, &migrator).await?;
    }
    pool.close().await;
    Worker::start(url, settings, clock).await?.work(health, shutdown).await
}
