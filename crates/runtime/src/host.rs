//! The host: what the consumers of one process share, who watches over their tasks, and how they stop.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use events::{DeadLetterResolved, Event as _, OrderParked, OrderUnparked};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bootstrap_again::BootstrapAgain;
use crate::caution::Caution;
use crate::client;
use crate::clock::Clock;
use crate::consumer::Consumer;
use crate::door::{self, Door};
use crate::engine::Engine;
use crate::failure::{DatabaseFault, told};
use crate::health::Health;
use crate::horizon::Horizon;
use crate::http::{self, Gate, Keys, Routes, Serving};
use crate::listen::{Listener, Stopped};
use crate::parking::Pace;
use crate::parking::queue::Queue;
use crate::rebalance::{Context, Partition, Progress};
use crate::registry::Registry;
use crate::settings::{Common, ConsumerSettings, Secret, Settings};
use crate::sql::Warm;
use crate::timers::Timers;
use crate::topology::Topology;
use crate::{migrations, pooler, prune, retry, sql, sweep, telemetry, watch};

/// Connections for batches: of the doors, the sweeper, the retrier, and one to spare.
const BATCHES: u32 = 4;

/// How long a start waits for a database that is away.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Where each consumer listens unless it is told otherwise.
const PORTS: [(&str, u16); 8] = [
    ("orders", 8080),
    ("inventory", 8081),
    ("payments", 8082),
    ("fraud", 8083),
    ("fulfillment", 8084),
    ("notifications", 8085),
    ("saga-tracker", 8086),
    ("outbox-relay", 8087),
];

/// Without keys doors are open to this machine alone.
pub(crate) fn refuse_reachable(name: &str, address: SocketAddr, common: &Common) -> anyhow::Result<()> {
    if !address.ip().is_loopback() && Keys::parse(common.keys.expose())?.is_empty() {
        bail!(
            "{name} would listen on {address}, which other machines can reach, and no keys are set: anyone could cancel, refund and ship. \
             Set QUADRILLE_KEYS (or QUADRILLE_KEYS_FILE) to lines that `quadrille keys new NAME --role ROLE` prints, \
             or listen on 127.0.0.1 only"
        );
    }
    Ok(())
}

/// Where a consumer's doors listen unless it is told otherwise; none for what is no consumer.
pub fn default_address(name: &str) -> Option<SocketAddr> {
    let (_, port) = PORTS.iter().find(|(other, _)| *other == name)?;
    Some((Ipv4Addr::LOCALHOST, *port).into())
}

/// The names of all that is started: consumers and the relay.
pub(crate) fn consumers() -> impl Iterator<Item = &'static str> {
    PORTS.iter().map(|(name, _)| *name)
}

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
    progress: Mutex<HashMap<&'static str, Arc<Mutex<Progress>>>>,
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

    /// The database of a consumer, for its doors: each question is planned for itself.
    ///
    /// # Errors
    /// When its settings or its address can't be read.
    pub fn pool<C: Consumer>(&self) -> anyhow::Result<PgPool> {
        let connections = self.settings.consumer(C::NAME, &C::defaults())?.connections;
        self.pool_for::<C>("", |url, application| sql::pool(url, application, connections))
    }

    /// The database of a consumer, for what is done in batches, by few statements that go by primary keys: they are planned once.
    ///
    /// # Errors
    /// When its settings or its address can't be read.
    pub fn batches<C: Consumer>(&self) -> anyhow::Result<PgPool> {
        self.pool_for::<C>(" batches", |url, application| sql::batch_pool(url, application, BATCHES))
    }

    fn pool_for<C: Consumer>(
        &self,
        purpose: &str,
        open: impl FnOnce(&str, &str) -> Result<PgPool, sqlx::Error>,
    ) -> anyhow::Result<PgPool> {
        let name = format!("quadrille {}{purpose}", C::NAME);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&name) {
            return Ok(pool.clone());
        }
        let settings = self.settings.consumer(C::NAME, &C::defaults())?;
        let pool = open(self.database_url(&settings).expose(), &name).context("DATABASE_URL")?;
        pools.insert(name, pool.clone());
        Ok(pool)
    }

    fn database_url<'s>(&'s self, settings: &'s ConsumerSettings) -> &'s Secret {
        settings.database_url.as_ref().unwrap_or(&self.settings.common().database_url)
    }

    /// The health of a consumer in this process: what opens and closes its circuits.
    pub fn health_of(&self, name: &'static str) -> Arc<Health> {
        let mut all = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name).or_insert_with(|| Arc::new(Health::of(name))))
    }

    /// Where a hosted consumer's doors listen.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// What keeps hosted consumers from their work; empty when all are ready.
    pub fn not_ready(&self) -> Vec<String> {
        self.health
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .filter_map(|health| health.not_ready())
            .collect()
    }

    /// Requests, due timers and calls to the outside that hosted consumers have not concluded yet.
    pub fn open_work(&self) -> usize {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).values().map(|health| health.open_work()).sum()
    }

    /// How far hosted consumers have read what they own now: the next offset by consumer and partition (topic by its full name).
    pub fn decided(&self) -> Vec<(&'static str, Partition, i64)> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(name, progress): (&&'static str, &Arc<Mutex<Progress>>)| {
            let decided = progress.lock().unwrap_or_else(PoisonError::into_inner).decided();
            decided.into_iter().map(|(partition, next)| (*name, partition, next)).collect::<Vec<_>>()
        };
        progress.iter().flat_map(of).collect()
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
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failed);
            shutdown.cancel();
        });
    }

    /// Starts a consumer: checks its schema, its topics and its event schemas, then opens its doors and joins its group.
    ///
    /// # Errors
    /// When something that it needs is missing; the message says what to run.
    pub async fn start<C: Consumer>(
        &self,
        consumer: Arc<C>,
        doors: impl FnOnce(Door<C>) -> Routes,
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
        codec.check_writers(&C::says())?;
        codec.check_writers(&[OrderParked::TYPE, OrderUnparked::TYPE, DeadLetterResolved::TYPE])?;
        let (calls, called) = mpsc::unbounded_channel();
        let (queue, waiting) = mpsc::channel(door::WAITING);
        let health = self.health_of(C::NAME);
        let keep = self.settings.keep(C::NAME, &C::defaults())?;
        let horizon = consumer.retention().map(|retention| Horizon::of(&schema, keep, retention));
        let engine = Arc::new(Engine {
            consumer,
            timers: Timers::of(&schema),
            queue: Queue::of(&schema),
            pace: Pace::of(&settings),
            schema,
            warm: Warm::of(self.batches::<C>()?),
            codec,
            clock: self.clock.clone(),
            health: Arc::clone(&health),
            horizon,
            calls,
            armed: tokio::sync::watch::Sender::new(None),
            parked: Notify::new(),
            waited: AtomicU32::new(0),
            doubt: Caution::default(),
            caution: Caution::default(),
            log_share: self.settings.common().log_share,
            shutdown: self.shutdown.clone(),
        });
        let records = pool.clone();
        let registry = Registry::from_settings(self.settings.common(), pool)?;
        // Before the group is joined: who can't open its doors takes nobody's partitions.
        let doors = doors(Door::new(queue.clone(), Arc::clone(&health)));
        let listener = self.bind(C::NAME, settings.http, &doors).await?;
        self.listen(&engine, settings.clone(), registry.clone()).await?;
        self.spawn(C::NAME, {
            let engine = Arc::clone(&engine);
            async move { Ok(sweep::sweep(engine).await?) }
        });
        self.spawn(C::NAME, {
            let engine = Arc::clone(&engine);
            async move { Ok(retry::retry(engine, registry).await?) }
        });
        self.spawn(C::NAME, {
            let engine = Arc::clone(&engine);
            async move { Ok(door::attend(engine, waiting).await?) }
        });
        let every = self.settings.common().prune_every.0;
        self.spawn(C::NAME, {
            let engine = Arc::clone(&engine);
            async move {
                prune::prune(engine, every).await;
                Ok(())
            }
        });
        let answers = queue.clone();
        self.spawn(C::NAME, async move {
            door::call_out(engine, called, answers).await;
            Ok(())
        });
        self.serve(C::NAME, listener, doors, health, Some(records))
    }

    /// Serves a hosted part's probes, metrics and doors. What is done through doors is put on record in the database of `pool`.
    ///
    /// # Errors
    /// When its address is taken, or can be reached from elsewhere and no keys are set.
    pub async fn open(
        &self,
        name: &'static str,
        address: Option<SocketAddr>,
        doors: Routes,
        health: Arc<Health>,
        pool: Option<PgPool>,
    ) -> anyhow::Result<()> {
        let listener = self.bind(name, address, &doors).await?;
        self.serve(name, listener, doors, health, pool)
    }

    async fn bind(
        &self,
        name: &'static str,
        address: Option<SocketAddr>,
        doors: &Routes,
    ) -> anyhow::Result<TcpListener> {
        Serving::new(self.settings.common())?; // a certificate that does not fit is told before anything is joined
        let any_port = (Ipv4Addr::LOCALHOST, 0).into();
        let address = address.or(default_address(name)).unwrap_or(any_port);
        if !doors.is_empty() {
            refuse_reachable(name, address, self.settings.common())?;
        }
        http::bind(name, address).await
    }

    fn serve(
        &self,
        name: &'static str,
        listener: TcpListener,
        doors: Routes,
        health: Arc<Health>,
        pool: Option<PgPool>,
    ) -> anyhow::Result<()> {
        let common = self.settings.common();
        let keys = Keys::parse(common.keys.expose())?;
        let address = listener.local_addr()?;
        if !doors.is_empty() && keys.is_empty() {
            tracing::warn!(consumer = name, %address, "no keys are set: whoever is on this machine may do everything, and nobody else is answered");
        }
        tracing::info!(consumer = name, %address, "doors open");
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).insert(name, address);
        self.health.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&health));
        let gate = Gate::new(name, keys, pool, self.clock.clone(), common.request_timeout.0);
        let router = http::routes(name, doors, health, gate);
        self.spawn(name, http::serve(listener, router, Serving::new(common)?, self.shutdown.clone()));
        Ok(())
    }

    /// Waits a little for a database that is away, as during a failover; then says which, and why.
    async fn wait_for(&self, pool: &PgPool) -> anyhow::Result<()> {
        let place = sql::place(&pool.connect_options());
        let since = Instant::now();
        loop {
            let error = match pool.acquire().await {
                Ok(_) => return Ok(()),
                Err(error) if matches!(DatabaseFault::of(&error), DatabaseFault::Parts | DatabaseFault::Connection) => {
                    error
                }
                Err(error) => return Err(error).with_context(|| format!("the database {place}")),
            };
            let why = watch::reason_of(pool).await.unwrap_or_else(|| sql::cause(&error));
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

    /// Watches over what a consumer depends on.
    fn watch<C: Consumer>(
        &self,
        health: &Arc<Health>,
        client: &Arc<BaseConsumer<Context>>,
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
                let pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
                pools.iter().filter(|(name, _)| ours(name)).map(|(_, pool)| pool.clone()).collect()
            }),
            address: Box::new(move || {
                let settings = settings.read_again().ok()?;
                let own = settings.consumer(C::NAME, &C::defaults()).ok()?.database_url;
                sql::address(own.as_ref().unwrap_or(&settings.common().database_url).expose()).ok()
            }),
        };
        let written = events::catalogue().iter().filter(|entry| C::says().contains(&entry.event_type));
        let written = written.map(|entry| topology.full(entry.topic));
        let topics: BTreeSet<String> =
            topology.full_names().into_iter().map(ToOwned::to_owned).chain(written).collect();
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
        let untyped = C::untyped();
        let topology = Topology::of(&common.topic_prefix, &C::hears(), &untyped);
        let group = format!("{}{}", common.topic_prefix, C::NAME);
        let context = Context { progress: Arc::default(), health: Arc::clone(&engine.health), name: C::NAME };
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).insert(C::NAME, Arc::clone(&context.progress));
        let config = client::of_consumer(&common.kafka, &settings, &group);
        let config = config.with_context(|| format!("KAFKA_… settings of {}", C::NAME))?;
        let properties =
            config.config_map().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let servers = BootstrapAgain::new(&properties);
        let kafka: BaseConsumer<Context> = config.create_with_context(context.clone()).context("KAFKA_… settings")?;
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
        let pools = Arc::clone(&self.pools);
        let listener = Listener {
            opened: Box::new(move |pool| {
                let name = format!("quadrille {} loop", C::NAME);
                pools.lock().unwrap_or_else(PoisonError::into_inner).insert(name, pool.clone());
            }),
            engine: Arc::clone(engine),
            topology: Arc::new(topology),
            registry,
            database: self.database_url(&settings).expose().to_owned(),
            settings,
            process: tokio::runtime::Handle::current(),
            context,
            kafka,
            hears: C::hears().into_iter().map(str::as_bytes).collect(),
            untyped: untyped.into_iter().collect(),
            unanswered_since: Cell::new(None),
        };
        let thread = move || listener.run().map_err(anyhow::Error::from);
        self.spawn(C::NAME, async move { tokio::task::spawn_blocking(thread).await? });
        Ok(())
    }

    /// Stops: batches in work are finished, offsets committed, groups left; what takes longer than `shutdown_within` is cut off.
    ///
    /// # Errors
    /// The failure for which the host stopped by itself, or that it had to be cut off.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.tasks.close();
        let within = self.settings.common().shutdown_within.0;
        let finished = tokio::time::timeout(within, self.tasks.wait()).await.is_ok();
        telemetry::flush();
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
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
    ///
    /// # Errors
    /// As [`Host::stop`].
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

/// The whole of a binary's `main`: settings from file and environment, logs, metrics and traces, then `start` and run until told to stop.
pub fn main<F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    start: impl FnOnce(Arc<Host>) -> F,
) -> ExitCode {
    telemetry::log();
    match run(name, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = told(&error);
            tracing::error!(consumer = name, "{error}");
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run<F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    start: impl FnOnce(Arc<Host>) -> F,
) -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    if let Some(endpoint) = &settings.common().otlp_endpoint {
        telemetry::export(endpoint, &format!("quadrille-{name}")).context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    }
    let workers = settings.common().worker_threads.max(1);
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let result = tokio.block_on(async {
        let host = Arc::new(Host::new(settings, Clock::default()));
        match start(Arc::clone(&host)).await {
            Ok(()) => host.run().await,
            Err(error) => {
                let _ = host.stop().await; // the first error is the one that counts
                Err(error)
            }
        }
    });
    tokio.shutdown_timeout(Duration::from_secs(1));
    result
}
