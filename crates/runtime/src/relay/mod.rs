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
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::RelayError;
pub use rescue::{Aside, Rebased, Rewound, Status, rebase, release, rewind, status};
pub use settings::RelaySettings;
pub use snapshot::{NotASnapshot, Snapshot};

use self::worker::Worker;
use crate::clock::Clock;
use crate::failure::Backoff;
use crate::health::{Circuit, Health};
use crate::migrations;
use crate::settings::Secret;

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
    let settings = Arc::new(settings);
    // Not spawned through the host: this future owns the tasks, and dropped it drops them.
    let mut relays = JoinSet::new();
    for url in settings.database_urls.clone() {
        let (settings, clock, health, shutdown) =
            (Arc::clone(&settings), clock.clone(), Arc::clone(&health), shutdown.clone());
        relays.spawn(async move { relay(&url, &settings, &clock, &health, &shutdown).await });
    }
    while let Some(ended) = relays.join_next().await {
        ended.context("a relay died")??;
    }
    Ok(())
}

/// A relay that has worked for so long starts its waits anew.
const SETTLED: Duration = Duration::from_secs(10);

/// Publishes one outbox, starting again from its cursor after whatever passes.
async fn relay(
    url: &Secret,
    settings: &RelaySettings,
    clock: &Clock,
    health: &Health,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        // A password that was changed in its file is the one that counts.
        let now = url.read_again().unwrap_or_else(|_| url.clone());
        let error = match attempt(now.expose(), settings, clock, health, shutdown).await {
            Ok(()) => break,
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error.into()),
        };
        if began.elapsed() > SETTLED {
            backoff = Backoff::default();
        }
        let wait = backoff.next_wait();
        metrics::counter!("quadrille_relay_restarts_total").increment(1);
        tracing::warn!(%error, attempt = backoff.attempts(), ?wait, "the relay starts again from its cursor");
        let circuit = match error {
            RelayError::Producer(_) | RelayError::Metadata { .. } | RelayError::Undelivered { .. } => Circuit::Kafka,
            RelayError::Database(_)
            | RelayError::Migrations(_)
            | RelayError::Silent(_)
            | RelayError::Thread(_)
            | RelayError::CursorMoved { .. }
            | RelayError::AnotherCluster { .. }
            | RelayError::Backwards { .. }
            | RelayError::Cursor(_)
            | RelayError::StillRunning(_) => Circuit::Database,
        };
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
    check_migrations(url, &settings.name).await?;
    Worker::start(url, settings, clock).await?.work(health, shutdown).await
}

async fn check_migrations(url: &str, name: &str) -> Result<(), RelayError> {
    let pool = crate::sql::pool(url, name, 1)?;
    for (schema, migrator) in migrations::house() {
        migrations::check(&pool, schema, &migrator).await?;
    }
    pool.close().await;
    Ok(())
}
