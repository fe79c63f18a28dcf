//! The host: what the consumers of one process share, who watches over their tasks, and how they stop.

mod doors;
mod program;
mod start;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::consumer::Consumer;
use crate::failure::told;
use crate::health::Health;
use crate::kafka::rebalance::{Partition, PartitionProgress};
use crate::postgres::sql;
use crate::settings::Settings;
use crate::telemetry;

pub use program::main;

/// Connections for batches: of the routes, the sweeper, the retrier, and one to spare.
const BATCHES: u32 = 4;

/// A consumer that starts. Boxed, so that all of a consumer is compiled in its own crate, once, and not in each program and test that starts it.
pub type Starting<'h> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'h>>;

/// One process that hosts consumers.
pub struct Host {
    settings: Settings,
    clock: Clock,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
    pools: Arc<Mutex<HashMap<String, PgPool>>>,
    addresses: Mutex<HashMap<&'static str, SocketAddr>>,
    health: Mutex<HashMap<&'static str, Arc<Health>>>,
    progress: Mutex<HashMap<&'static str, Arc<Mutex<PartitionProgress>>>>,
}

impl Host {
    /// A host that runs nothing yet. From now on the process records metrics.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        telemetry::metrics();
        Self {
            settings,
            clock,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            failure: Arc::default(),
            pools: Arc::default(),
            addresses: Mutex::default(),
            health: Mutex::default(),
            progress: Mutex::default(),
        }
    }

    /// All settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Cancelled when the process shall stop.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// The database of a consumer, for its routes: each question is planned for itself.
    pub fn pool<C: Consumer>(&self) -> anyhow::Result<PgPool> {
        let connections = self.settings.consumer(C::NAME, &C::defaults())?.connections;
        self.pool_for::<C>("", |url, application| sql::pool(url, application, connections))
    }

    /// The database of a consumer, for what is done in batches, by few statements that go by primary keys: they are planned once.
    pub fn batches<C: Consumer>(&self) -> anyhow::Result<PgPool> {
        self.pool_for::<C>(" batches", |url, application| sql::batch_pool(url, application, BATCHES))
    }

    fn pool_for<C: Consumer>(
        &self,
        purpose: &str,
        open: impl FnOnce(&str, &str) -> Result<PgPool, sqlx::Error>,
    ) -> anyhow::Result<PgPool> {
        let name = format!("quadrille {}{purpose}", C::NAME);
        let mut pools = locked(&self.pools);
        if let Some(pool) = pools.get(&name) {
            return Ok(pool.clone());
        }
        let pool = open(self.settings.database_url(C::NAME)?.expose(), &name).context("DATABASE_URL")?;
        pools.insert(name, pool.clone());
        Ok(pool)
    }

    /// The health of a consumer in this process: what opens and closes its circuits.
    pub fn health_of(&self, name: &'static str) -> Arc<Health> {
        let mut all = locked(&self.health);
        Arc::clone(all.entry(name).or_insert_with(|| Arc::new(Health::of(name))))
    }

    /// Where a hosted consumer's routes listen.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        locked(&self.addresses).get(name).copied()
    }

    /// What keeps hosted consumers from their work; empty when all are ready.
    pub fn not_ready(&self) -> Vec<String> {
        locked(&self.health).values().filter_map(|health| health.not_ready()).collect()
    }

    /// Requests, due timers and calls to the outside that hosted consumers have not concluded yet.
    pub fn open_work(&self) -> usize {
        locked(&self.health).values().map(|health| health.open_work()).sum()
    }

    /// How far hosted consumers have read what they own now: the next offset by consumer and partition (topic by its full name).
    pub fn decided(&self) -> Vec<(&'static str, Partition, i64)> {
        let progress = locked(&self.progress);
        let decided = progress.iter().map(|(name, progress)| (*name, locked(progress).decided()));
        decided.flat_map(|(name, all)| all.into_iter().map(move |(partition, next)| (name, partition, next))).collect()
    }

    /// Runs a task under the host's watch: when it fails, the process stops with its error.
    #[allow(clippy::disallowed_methods)] // the one place whose tasks are watched
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let (shutdown, failure) = (self.shutdown.clone(), Arc::clone(&self.failure));
        let task = tokio::spawn(task);
        self.tasks.spawn(async move {
            let failed = match task.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(ended) => anyhow::anyhow!("{name} died: {ended}"),
            };
            tracing::error!(task = name, error = told(&failed), "stopping");
            locked(&failure).get_or_insert(failed);
            shutdown.cancel();
        });
    }

    /// Stops: batches in work are finished, offsets committed, groups left; what takes longer than `shutdown_timeout` is cut off.
    ///
    /// # Errors
    /// The failure for which the host stopped by itself, or that it had to be cut off.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.tasks.close();
        let within = self.settings.common().shutdown_timeout.0;
        let finished = tokio::time::timeout(within, self.tasks.wait()).await.is_ok();
        telemetry::flush();
        if let Some(failure) = locked(&self.failure).take() {
            return Err(failure);
        }
        if !finished {
            bail!(
                "not everything had stopped after {within:?}: cut off; what was not committed is read again at the next start"
            );
        }
        Ok(())
    }

    /// Runs until a signal, or a failure, ends it.
    pub async fn run(&self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut upkeep = tokio::time::interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                () = self.shutdown.cancelled() => break,
                _ = upkeep.tick() => if let Some(metrics) = telemetry::metrics() { metrics.run_upkeep() },
            }
        }
        tracing::info!("stopping");
        self.stop().await
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
