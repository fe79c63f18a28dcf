//! How a consumer starts: what it needs is checked, then its tasks run and its group is joined.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use events::{DeadLetterResolved, Event as _, OrderParked, OrderUnparked};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};

use super::{Host, locked};
use crate::avro::registry::Registry;
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::cooldown::Cooldown;
use crate::engine::requests::{self, RequestQueue};
use crate::failure::{DatabaseFault, cause};
use crate::health::Health;
use crate::http::Routes;
use crate::kafka::bootstrap_again::BootstrapAgain;
use crate::kafka::client_config;
use crate::kafka::consumer_loop::{Listener, Stopped};
use crate::kafka::rebalance::RebalanceContext;
use crate::kafka::topology::Topology;
use crate::parking::queue::ParkingQueue;
use crate::parking::{RetryPace, retrier};
use crate::postgres::sql::{self, StickyPool};
use crate::postgres::{migrations, pooler, reachable, watch};
use crate::retention::horizon::Horizon;
use crate::retention::pruner;
use crate::settings::ConsumerSettings;
use crate::timers::poller;
use crate::timers::store::Timers;
use crate::vocabulary::Abandoned;

/// How long a start waits for a database that is away.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// That a task ends because the process stops is no failure.
async fn until_stopped(task: impl Future<Output = Result<(), Abandoned>>) -> anyhow::Result<()> {
    match task.await {
        Ok(()) | Err(Abandoned::Stopping) => Ok(()),
        Err(stop @ Abandoned::Stop { .. }) => Err(stop.into()),
    }
}

impl Host {
    /// Starts a consumer: checks its schema, its topics and its event schemas, then opens its routes and joins its group.
    ///
    /// # Errors
    /// When something that it needs is missing; the message says what to run.
    pub async fn start<C: Consumer>(
        &self,
        consumer: Arc<C>,
        doors: impl FnOnce(RequestQueue<C>) -> Routes,
    ) -> anyhow::Result<()> {
        let settings = self.settings.consumer(C::NAME, &C::defaults())?;
        let pool = self.pool::<C>()?;
        self.wait_for(&pool).await?;
        pooler::check_for_consumers(&pool.connect_options(), C::NAME).await?;
        let schema = C::NAME.replace('-', "_");
        for (schema, migrator) in migrations::house().into_iter().chain([(schema.as_str(), C::migrations())]) {
            migrations::check(&pool, schema, &migrator).await?;
        }
        let codec = Registry::codec(&pool).await?;
        codec.check_writers(&C::publishes())?;
        codec.check_writers(&[OrderParked::TYPE, OrderUnparked::TYPE, DeadLetterResolved::TYPE])?;
        let (calls, called) = mpsc::unbounded_channel();
        let (queue, waiting) = mpsc::channel(requests::WAITING);
        let health = self.health_of(C::NAME);
        let keep = self.settings.keep(C::NAME, &C::defaults())?;
        let horizon = consumer.retention().map(|retention| Horizon::of(&schema, keep, retention));
        let engine = Arc::new(Engine {
            consumer,
            timers: Timers::of(&schema),
            queue: ParkingQueue::of(&schema),
            pace: RetryPace::of(&settings),
            schema,
            warm: StickyPool::of(self.batches::<C>()?),
            codec,
            clock: self.clock.clone(),
            health: Arc::clone(&health),
            horizon,
            calls,
            scheduled: tokio::sync::watch::Sender::new(None),
            parked: Notify::new(),
            waited: AtomicU32::new(0),
            lock_cooldown: Cooldown::default(),
            log_share: self.settings.common().log_share,
            shutdown: self.shutdown.clone(),
        });
        let records = pool.clone();
        let registry = Registry::from_settings(&self.settings, pool)?;
        // Before the group is joined: who can't open its doors takes nobody's partitions.
        let doors = doors(RequestQueue::new(queue.clone(), Arc::clone(&health)));
        let listener = self.bind(C::NAME, settings.http, &doors).await?;
        self.listen(&engine, settings.clone(), registry.clone()).await?;
        self.spawn(C::NAME, until_stopped(poller::sweep(Arc::clone(&engine))));
        self.spawn(C::NAME, until_stopped(retrier::retry(Arc::clone(&engine), registry)));
        self.spawn(C::NAME, until_stopped(requests::attend(Arc::clone(&engine), waiting)));
        let pruned = pruner::prune(Arc::clone(&engine), self.settings.common().prune_every.0);
        self.spawn(C::NAME, async move {
            pruned.await;
            Ok(())
        });
        let called = requests::call_out(engine, called, queue);
        self.spawn(C::NAME, async move {
            called.await;
            Ok(())
        });
        self.serve(C::NAME, listener, doors, health, Some(records))
    }

    /// Waits a little for a database that is away, as during a failover; then says which, and why.
    async fn wait_for(&self, pool: &PgPool) -> anyhow::Result<()> {
        let place = sql::place(&pool.connect_options());
        let since = Instant::now();
        loop {
            let Err(error) = pool.acquire().await else { return Ok(()) };
            if !matches!(DatabaseFault::of(&error), DatabaseFault::Parts | DatabaseFault::Connection) {
                return Err(error).with_context(|| format!("the database {place}"));
            }
            let why = reachable::reason_of(pool).await.unwrap_or_else(|| cause(&error));
            if since.elapsed() >= START_PATIENCE {
                bail!(
                    "the database can't be used, tried for {START_PATIENCE:?}: {why}. Check DATABASE_URL, or start the database"
                );
            }
            tracing::warn!(why, "the database can't be used yet, will be tried again");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = self.shutdown.cancelled() => bail!("stopped while it waited for the database: {why}"),
            }
        }
    }

    fn watch<C: Consumer>(
        &self,
        health: &Arc<Health>,
        client: &Arc<BaseConsumer<RebalanceContext>>,
        topology: &Topology,
        servers: BootstrapAgain,
    ) -> anyhow::Result<()> {
        let (pools, settings) = (Arc::clone(&self.pools), self.settings.clone());
        let ours =
            |name: &str| name.strip_prefix("quadrille ").and_then(|rest| rest.split(' ').next()) == Some(C::NAME);
        let database = watch::Database {
            health: Arc::clone(health),
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            pool: self.pool::<C>()?,
            pools: Box::new(move || {
                let pools = locked(&pools);
                pools.iter().filter(|(name, _)| ours(name)).map(|(_, pool)| pool.clone()).collect()
            }),
            address: Box::new(move || {
                sql::address(settings.read_again().ok()?.database_url(C::NAME).ok()?.expose()).ok()
            }),
        };
        let written = events::catalogue().iter().filter(|entry| C::publishes().contains(&entry.event_type));
        let written = written.map(|entry| topology.full(entry.topic));
        let topics: BTreeSet<String> = topology.full_names().into_iter().map(Into::into).chain(written).collect();
        let kafka = watch::Kafka {
            health: Arc::clone(health),
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            client: Arc::downgrade(client),
            topics: topics.into_iter().collect(),
            servers,
            needs_topics: true,
        };
        self.spawn(C::NAME, async move {
            tokio::join!(watch::watch_databases(vec![database]), kafka.watch());
            Ok(())
        });
        Ok(())
    }

    /// Joins the consumer group, with a thread of its own for the loop.
    async fn listen<C: Consumer>(
        &self,
        engine: &Arc<Engine<C>>,
        settings: ConsumerSettings,
        registry: Registry,
    ) -> anyhow::Result<()> {
        let common = self.settings.common();
        let raw_topics = C::raw_topics();
        let topology = Topology::of(&common.topic_prefix, &C::subscribes_to(), &raw_topics);
        let group = format!("{}{}", common.topic_prefix, C::NAME);
        let context = RebalanceContext { progress: Arc::default(), health: Arc::clone(&engine.health), name: C::NAME };
        locked(&self.progress).insert(C::NAME, Arc::clone(&context.progress));
        let config = client_config::of_consumer(&common.kafka, &settings, &group);
        let config = config.with_context(|| format!("KAFKA_… settings of {}", C::NAME))?;
        let properties = config.config_map().into_iter().map(|(name, value)| (name.into(), value.into()));
        let servers = BootstrapAgain::new(&properties.collect());
        let kafka: BaseConsumer<RebalanceContext> =
            config.create_with_context(context.clone()).context("KAFKA_… settings")?;
        let kafka = tokio::task::spawn_blocking({
            let names: Vec<String> = topology.full_names().into_iter().map(ToOwned::to_owned).collect();
            move || -> anyhow::Result<_> {
                for topic in &names {
                    let metadata = kafka
                        .fetch_metadata(Some(topic), Duration::from_secs(10))
                        .context("Kafka does not answer: check KAFKA_BOOTSTRAP_SERVERS")?;
                    if metadata.topics().iter().all(|found| found.partitions().is_empty()) {
                        bail!(Stopped::NoTopic { consumer: C::NAME, topic: topic.clone() });
                    }
                }
                kafka.subscribe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
                Ok(kafka)
            }
        })
        .await??;
        let kafka = Arc::new(kafka);
        self.watch::<C>(&engine.health, &kafka, &topology, servers)?;
        let listener = Listener {
            engine: Arc::clone(engine),
            topology: Arc::new(topology),
            registry,
            database: self.settings.database_url(C::NAME)?.expose().to_owned(),
            settings,
            process: tokio::runtime::Handle::current(),
            context,
            kafka,
            subscribes_to: C::subscribes_to().into_iter().map(str::as_bytes).collect(),
            raw_topics: raw_topics.into_iter().collect(),
            unanswered_since: Cell::new(None),
        };
        let pools = Arc::clone(&self.pools);
        let opened = move |pool: &PgPool| {
            locked(&pools).insert(format!("quadrille {} loop", C::NAME), pool.clone());
        };
        let thread = move || listener.run(opened).map_err(anyhow::Error::from);
        self.spawn(C::NAME, async move { tokio::task::spawn_blocking(thread).await? });
        Ok(())
    }
}
