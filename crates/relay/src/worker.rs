//! One relay on one database: lease, read, publish, remember, again.

use std::time::{Duration, Instant};

use events::Timestamp;
use tokio_util::sync::CancellationToken;

use super::catch_up::CatchUp;
use super::error::RelayError;
use super::meter::Meter;
use super::outbound::Outbound;
use super::rotation::{Rotated, note_moment, rotate};
use super::session::{Session, Unstored};
use super::settings::RelaySettings;
use super::snapshot::Snapshot;
use super::watermark::{RelayProgress, RelayWatermark};
use runtime::{Circuit, Clock, Health};

const BUSY_PAUSE_MAX: Duration = Duration::from_millis(10);
/// A read that found so many rows shows that there is much to do.
const MANY: usize = 200;
/// Longest wait then; half of it is the shortest.
const MUCH_PAUSE_MAX: Duration = Duration::from_millis(20);
/// So long after the last rows a relay that finds none looks again as soon as ever: most orders go on within it, through one hop after another, and
/// each would wait for the relay at each.
const LIVELY: Duration = Duration::from_millis(500);
/// How often a relay that waits looks after its session.
const TICK: Duration = Duration::from_millis(100);

pub(super) enum ReadSource {
    /// No shard is held.
    Nothing,
    Following {
        since: Snapshot,
        read_at: Instant,
    },
    CatchingUp(Box<CatchUp>),
}

pub(super) enum ReadOutcome {
    Nothing,
    Rows(usize),
    /// Rows, and more wait.
    More,
}

pub(super) struct Worker<'r> {
    pub(super) settings: &'r RelaySettings,
    pub(super) clock: &'r Clock,
    pub(super) session: Session,
    pub(super) outbound: Outbound,
    watermark: RelayWatermark,
    pub(super) meter: Meter,
    pub(super) reading: ReadSource,
    pub(super) unstored: Unstored,
    pub(super) published_until: Option<Timestamp>,
    pub(super) last_seq: i64,
    /// Rows were published since a moment was noted.
    pub(super) moved: bool,
    leases_due: Instant,
    rotation_due: Instant,
    /// Whether it has held leases, or seen that there are none for it.
    works: bool,
}

impl<'r> Worker<'r> {
    pub async fn start(url: &str, settings: &'r RelaySettings, clock: &'r Clock) -> Result<Self, RelayError> {
        let mut session = answered(settings, Session::open(url, settings)).await?;
        let watermark = answered(settings, RelayWatermark::load(&mut session.db)).await?;
        let (meter, now) = (Meter::of(&session.database), Instant::now());
        Ok(Self {
            settings,
            clock,
            session,
            outbound: Outbound::new(settings)?,
            watermark,
            meter,
            reading: ReadSource::Nothing,
            unstored: Unstored::default(),
            published_until: None,
            last_seq: 0,
            moved: false,
            leases_due: now,
            rotation_due: now,
            works: false,
        })
    }

    /// Publishes until told to stop, then settles what is on its way.
    pub async fn work(mut self, health: &Health, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let (mut idle, mut found_at) = (self.settings.idle_pause, Instant::now());
        while !shutdown.is_cancelled() {
            self.settle().await?;
            self.look_after(health).await?;
            let pause = if matches!(self.reading, ReadSource::Nothing) {
                self.settings.lease_interval
            } else if self.outbound.is_full(self.settings) {
                self.outbound.changed(TICK).await;
                continue;
            } else {
                let began = Instant::now();
                match self.read().await? {
                    ReadOutcome::More => continue,
                    ReadOutcome::Rows(rows) => {
                        (idle, found_at) = (self.settings.idle_pause, Instant::now());
                        // As long a pause as the read took: reading takes half a core at most, and the busier the machine the larger the batches.
                        // Much to do: longer, for Kafka is given one request for each partition that a read has rows for, however few.
                        let most = if rows >= MANY { MUCH_PAUSE_MAX } else { BUSY_PAUSE_MAX };
                        let least = if rows >= MANY { MUCH_PAUSE_MAX / 2 } else { self.settings.pause };
                        began.elapsed().clamp(least, most.max(least))
                    }
                    ReadOutcome::Nothing => {
                        let pause = idle;
                        if found_at.elapsed() >= LIVELY {
                            idle = (idle * 2).min(self.settings.idle_pause_max);
                        }
                        pause
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        let _ = tokio::time::timeout(self.settings.drain_timeout, self.drain()).await;
        self.session.close().await
    }

    async fn look_after(&mut self, health: &Health) -> Result<(), RelayError> {
        let now = Instant::now();
        if now >= self.leases_due {
            self.leases_due = now + self.settings.lease_interval;
            self.balance().await?;
            health.joined();
            if !std::mem::replace(&mut self.works, true) {
                health.close_circuit(Circuit::Database, self.clock.now()); // from now on the watcher asks
            }
            self.meter.shards.set(self.session.held.len() as f64);
            if let Some(until) = self.published_until {
                self.meter.lag(self.clock.now().as_millis() - until.as_millis(), self.backlog());
            }
        }
        // Whoever holds the first shard keeps the house.
        if now >= self.rotation_due && self.session.held.first() == Some(&0) {
            self.rotation_due = now + self.settings.rotation_interval;
            self.keep_house().await?;
        }
        self.announce().await
    }

    /// Says how far the relay is, and stores it where no rows brought that about.
    async fn announce(&mut self) -> Result<(), RelayError> {
        let Some(published_until) = self.published_until.filter(|_| !self.session.held.is_empty()) else {
            return Ok(());
        };
        let backlog = self.backlog();
        let (database, shards, last_seq) = (&self.session.database, self.session.held.as_slice(), self.last_seq);
        let progress = RelayProgress { database, shards, published_until, last_seq, backlog };
        if self.watermark.is_due(&progress, self.settings) {
            let now = self.clock.now();
            self.watermark.emit(&mut self.outbound, &self.settings.name, progress, now).await?;
            self.store_reached().await?;
        }
        Ok(())
    }

    fn backlog(&self) -> i64 {
        if let ReadSource::CatchingUp(catch_up) = &self.reading { catch_up.waiting.max(0) } else { 0 }
    }

    async fn keep_house(&mut self) -> Result<(), RelayError> {
        if std::mem::take(&mut self.moved) {
            answered(self.settings, note_moment(&mut self.session.db)).await?;
        }
        self.store_reached().await?;
        if let Rotated::To(slot) = answered(self.settings, rotate(&mut self.session.db, self.settings)).await? {
            tracing::info!(database = self.session.database, slot, "the outbox rotated");
        }
        Ok(())
    }

    /// Takes or gives back shards, so that all relays that live have their share; catches up where that changed anything.
    async fn balance(&mut self) -> Result<(), RelayError> {
        let share = answered(self.settings, self.session.fair_share()).await?;
        answered(self.settings, self.session.check_epoch()).await?;
        if self.session.held.len() > share {
            self.drain().await?;
            answered(self.settings, self.session.release(share)).await?;
        } else {
            let new = answered(self.settings, self.session.lease(share)).await?;
            if new.is_empty() {
                return Ok(());
            }
            // What is on its way must be stored for the shards that it was read from, and for no others.
            self.drain().await?;
            self.session.adopt(new);
        }
        tracing::info!(database = self.session.database, shards = ?self.session.held, "leases");
        self.begin_to_catch_up().await
    }

    /// Waits until everything that was read is settled. The session is kept awake, and with it the leases: nobody else could do better.
    async fn drain(&mut self) -> Result<(), RelayError> {
        let mut spoke = Instant::now();
        loop {
            self.settle().await?;
            if self.outbound.in_flight() == 0 {
                return self.store_reached().await;
            }
            self.outbound.changed(TICK).await;
            self.keep_awake(&mut spoke).await?;
        }
    }

    /// Waits until Kafka has answered about everything that was read, well or ill; the session is kept awake as in [`Self::drain`].
    pub(super) async fn reported(&mut self) -> Result<(), RelayError> {
        let mut spoke = Instant::now();
        while !self.outbound.is_reported() {
            self.outbound.changed(TICK).await;
            self.keep_awake(&mut spoke).await?;
        }
        Ok(())
    }

    async fn keep_awake(&mut self, spoke: &mut Instant) -> Result<(), RelayError> {
        if spoke.elapsed() > self.settings.session_timeout / 4 {
            *spoke = Instant::now();
            answered(self.settings, self.session.check_epoch()).await?;
        }
        Ok(())
    }
}

/// What the database says, or that it says nothing: a statement has its own limit there, a connection to a machine that is gone has none.
pub(super) async fn answered<T>(
    settings: &RelaySettings,
    question: impl Future<Output = Result<T, RelayError>>,
) -> Result<T, RelayError> {
    let limit = settings.statement_timeout + settings.lock_timeout;
    tokio::time::timeout(limit, question).await.unwrap_or(Err(RelayError::Silent(limit)))
}
