//! One batch: loaded, decided, saved and published in one transaction; and what happens when that fails.

mod after_commit;
mod announce;
pub(crate) mod answers;
pub(crate) mod batch;
pub(crate) mod cooldown;
pub(crate) mod disposition;
pub(crate) mod effects;
pub(crate) mod item;
pub(crate) mod linger;
mod pass_over;
mod persist;
pub(crate) mod requests;
pub(crate) mod write_set;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use events::Timestamp;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::avro::codec::Codec;
use crate::clock::Clock;
use crate::consumer::Consumer;
use crate::engine::batch::Attempt;
use crate::engine::cooldown::Cooldown;
use crate::engine::effects::Effects;
use crate::engine::item::{BatchItem, line_up};
use crate::engine::write_set::WriteSet;
use crate::failure::{Backoff, Failure, Verdict};
use crate::health::{Circuit, Health, Open};
use crate::parking::RetryPace;
use crate::parking::queue::ParkingQueue;
use crate::postgres::reachable;
use crate::postgres::sql::{StickyPool, renew_connections};
use crate::retention::horizon::Horizon;
use crate::rows::{Loader, Saver};
use crate::telemetry::Spans;
use crate::timers::store::Timers;
use crate::vocabulary::{Abandoned, Work};

/// How often a batch is repeated, in haste, before it is split for a wait that took too long.
const HASTY_REPEATS: u32 = 2;
/// From so many lone items on, one after another, whose wait took too long, it is no longer theirs but everyone's.
const EVERYONES: u32 = 5;
/// From so many failures in a row on, a batch that is repeated opens the circuit.
const BREAKS_AT: u32 = 3;
/// So long an attempt may take: a few of the longest statements.
const SILENT: Duration = Duration::from_secs(40);
/// So often a batch is decided again at once, as what it was decided on is no longer so; then with pauses.
const AT_ONCE: u32 = 8;

/// Decides batches of one consumer; shared by its loop, its routes, its timer poller and its retrier.
pub(crate) struct Engine<C: Consumer> {
    pub consumer: Arc<C>,
    pub schema: String,
    /// Connections of the process's runtime: of all but the loop, which has its own.
    pub warm: StickyPool,
    pub codec: Codec,
    pub clock: Clock,
    pub health: Arc<Health>,
    pub timers: Timers,
    pub horizon: Option<Horizon>,
    pub queue: ParkingQueue,
    pub pace: RetryPace,
    pub calls: mpsc::UnboundedSender<(C::Call, Open)>,
    pub scheduled: tokio::sync::watch::Sender<Option<Timestamp>>,
    pub parked: Notify,
    /// Lone items whose wait took too long, since the last batch that was written.
    pub waited: AtomicU32,
    /// Whether batches are decided with locks, as others change the same rows.
    pub lock_cooldown: Cooldown,
    pub log_share: f64,
    pub shutdown: CancellationToken,
}

/// What is due: rows, or when there will be some, as far as this instance knows.
pub(crate) enum Due<T> {
    Now(Vec<T>),
    At(Option<Timestamp>),
}

#[derive(Default)]
struct BatchProgress {
    /// Whether it waits for no lock for long, so that those beside it are not held up.
    haste: bool,
    repeats: u32,
    /// How often what was to be decided now was decided on what was no longer so.
    overtaken: u32,
}

impl<C: Consumer> Engine<C> {
    /// As [`Self::process_on`], for who lives on the process's runtime.
    pub async fn process(&self, items: Vec<BatchItem<C>>) -> Result<(), Abandoned> {
        self.process_on(&self.warm, items).await
    }

    /// Decides a batch, however often it takes; when this returns Ok every item of it is written, parked, or a dead letter. The connections are those
    /// of the runtime that this runs on.
    pub async fn process_on(&self, warm: &StickyPool, mut items: Vec<BatchItem<C>>) -> Result<(), Abandoned> {
        let mut pending = Vec::new(); // the rest of a batch that was split
        // What was parked before is tried in haste: it may hold a lock still.
        let haste = items.iter().any(|item| item.kept.is_some());
        let mut course = BatchProgress { haste, ..BatchProgress::default() };
        loop {
            self.settle(warm, &mut items, &mut pending, &mut course).await?;
            match pending.pop() {
                Some(rest) => items = rest,
                None => return Ok(()),
            }
        }
    }

    /// Repeats one batch until it is written, or splits it: what remains to be decided is in `items` and then `pending`.
    async fn settle(
        &self,
        warm: &StickyPool,
        items: &mut Vec<BatchItem<C>>,
        pending: &mut Vec<Vec<BatchItem<C>>>,
        course: &mut BatchProgress,
    ) -> Result<(), Abandoned> {
        let mut backoff = Backoff::default();
        course.overtaken = 0;
        loop {
            items.retain(|item| !item.is_abandoned());
            if items.is_empty() {
                return Ok(());
            }
            let failure = match self.attempt_within(warm, items, course).await {
                Ok(attempt) => {
                    self.went_well(items);
                    self.conclude(std::mem::take(items), attempt);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            metrics::counter!("quadrille_batch_failures_total", "consumer" => C::NAME, "class" => failure.class())
                .increment(1);
            if failure.is_of_connection() {
                renew_connections();
            }
            match failure.verdict() {
                Verdict::Again => {
                    tracing::debug!(consumer = C::NAME, %failure, "batch decided again");
                    course.overtaken += 1;
                    if course.overtaken > AT_ONCE {
                        self.pause(&mut backoff, &failure).await?;
                    }
                }
                Verdict::Retry => self.pause(&mut backoff, &failure).await?,
                Verdict::Park if failure.is_wait() && self.repeats(items, course) => {
                    self.pause(&mut backoff, &failure).await?;
                }
                Verdict::Park | Verdict::DeadLetter if items.len() > 1 => {
                    pending.push(items.split_off(items.len() / 2));
                }
                // Not even its dead letter can be written: that is no longer the item's fault alone.
                Verdict::Park | Verdict::DeadLetter if items[0].to_decide().is_none() => {
                    self.pause(&mut backoff, &failure).await?;
                }
                Verdict::Park => items[0].fail("save", failure.class(), failure.to_string()),
                Verdict::DeadLetter => items[0].mark_dead("save", failure.class(), failure.to_string()),
                Verdict::Stop => return Err(Abandoned::Stop { consumer: C::NAME, failure }),
            }
        }
    }

    /// One attempt, without locks where that may do. Longer than any of its statements may take nobody waits for an answer: a machine that is gone sends
    /// none, and the connection to it breaks only after a quarter of an hour.
    async fn attempt_within(
        &self,
        warm: &StickyPool,
        items: &mut Vec<BatchItem<C>>,
        course: &BatchProgress,
    ) -> Result<Attempt<C>, Failure> {
        let mut attempt = Box::pin(async {
            match self.run_optimistic(warm, items, course).await? {
                Some(attempt) => Ok(attempt),
                None => self.run_locked(warm, items, course.haste).await,
            }
        });
        match tokio::time::timeout(SILENT, &mut attempt).await {
            Ok(decided) => decided,
            Err(_) => {
                renew_connections(); // before the attempt is dropped, so that its connection is closed and not asked whether it lives
                Err(Failure::Silent(SILENT))
            }
        }
    }

    /// Whether a batch whose wait took too long is repeated as it is: in haste at first, so that an offender is found soon; and where one item after
    /// another waits too long, with patience, because then it is everyone's wait.
    fn repeats(&self, items: &[BatchItem<C>], course: &mut BatchProgress) -> bool {
        course.haste = true;
        course.repeats += 1;
        let parked_before = items.iter().any(|item| item.kept.is_some());
        if !parked_before && course.repeats <= HASTY_REPEATS {
            return true;
        }
        if items.len() > 1 || parked_before {
            return false;
        }
        let everyones = self.waited.fetch_add(1, Ordering::AcqRel) >= EVERYONES;
        course.haste = !everyones;
        everyones
    }

    fn went_well(&self, items: &[BatchItem<C>]) {
        self.health.close_circuit(Circuit::Database, self.clock.now());
        self.health.wrote();
        if self.waited.load(Ordering::Acquire) > 0 && items.iter().any(|item| item.to_decide().is_some()) {
            self.waited.store(0, Ordering::Release);
        }
    }

    async fn pause(&self, backoff: &mut Backoff, failure: &Failure) -> Result<(), Abandoned> {
        let wait = backoff.next_wait();
        tracing::warn!(consumer = C::NAME, %failure, attempt = backoff.attempts(), ?wait, "batch failed, will be tried again");
        let at_once = matches!(failure, Failure::Silent(_) | Failure::Database(sqlx::Error::PoolTimedOut)); // that was waiting enough
        if (backoff.attempts() >= BREAKS_AT || at_once) && failure.verdict() != Verdict::Again {
            let none = matches!(failure, Failure::Database(sqlx::Error::PoolTimedOut));
            let why = if none { reachable::reason_of(self.warm.pool()).await } else { None };
            self.health.break_circuit(Circuit::Database, why.unwrap_or_else(|| failure.to_string()), self.clock.now());
        }
        self.or_stop(tokio::time::sleep(wait)).await;
        if self.shutdown.is_cancelled() { Err(Abandoned::Stopping) } else { Ok(()) }
    }

    /// Waits, unless the process stops before.
    pub async fn or_stop(&self, wait: impl Future<Output = ()>) {
        tokio::select! {
            () = wait => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Sleeps until then; without a time, for ever.
    pub async fn sleep_until(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// How long nobody looks for what is due after it could not be read.
    pub fn look_again_in(&self, backoff: &mut Backoff, failure: Failure, what: &str) -> Result<Duration, Abandoned> {
        if !matches!(failure.verdict(), Verdict::Retry | Verdict::Park) {
            return Err(Abandoned::Stop { consumer: C::NAME, failure });
        }
        let wait = backoff.next_wait();
        tracing::warn!(consumer = C::NAME, %failure, ?wait, "{what} can't be read, will be tried again");
        Ok(wait)
    }

    /// Without locks, where that may do: read, decided, and written by one statement. None, and nothing was written, where it did not: the batch is
    /// decided with locks.
    async fn run_optimistic(
        &self,
        warm: &StickyPool,
        items: &[BatchItem<C>],
        course: &BatchProgress,
    ) -> Result<Option<Attempt<C>>, Failure> {
        // None waits behind another that failed.
        let plain = |item: &BatchItem<C>| item.to_decide().is_some() && item.kept.is_none();
        let alone = C::OPTIMISTIC && !course.haste && !self.queue.is_in_use();
        if !alone || !items.iter().all(plain) || self.lock_cooldown.active() {
            return Ok(None);
        }
        let works: Vec<&Work<C::Input>> = items.iter().filter_map(BatchItem::to_decide).collect();
        let now = self.clock.now();
        let mut spans = Spans::default();
        let mut db = warm.take().await?;
        let mut attempt = Attempt::new(items);
        let mut world = self.consumer.load(&works, &mut Loader { db: &mut db, now, with_locks: false }).await?;
        self.pass_over(&mut db, items, &mut attempt, now).await?;
        if !self.decide_all(&mut world, items, &mut attempt, &mut spans, now)?.is_empty() {
            return Ok(None);
        }
        none_left(items)?;
        let mut saver = Saver::new(&mut db, now);
        self.consumer.save(world, &mut saver).await?;
        let writes = saver.writes;
        match self.persist_autocommit(&mut db, writes, items, &mut attempt, now).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Failure::LostRace { .. }) => {
                self.lock_cooldown.trip();
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        }
        warm.keep(db);
        spans.end();
        Ok(Some(attempt))
    }

    /// One transaction. Items on which a rule panics failed for their order alone, and the batch is decided again without them.
    async fn run_locked(
        &self,
        warm: &StickyPool,
        items: &mut Vec<BatchItem<C>>,
        haste: bool,
    ) -> Result<Attempt<C>, Failure> {
        let now = self.clock.now();
        let mut spans = Spans::default();
        let (mut tx, held) = self.begin(warm.pool(), items, haste).await?;
        loop {
            line_up(items, &held);
            let works: Vec<&Work<C::Input>> = items.iter().filter_map(BatchItem::to_decide).collect();
            let mut attempt = Attempt::new(items);
            let mut writes = WriteSet::default();
            if !works.is_empty() {
                let mut loader = Loader { db: &mut tx, now, with_locks: true };
                let mut world = self.consumer.load(&works, &mut loader).await?;
                self.pass_over(&mut tx, items, &mut attempt, now).await?;
                let panicked = self.decide_all(&mut world, items, &mut attempt, &mut spans, now)?;
                if !panicked.is_empty() {
                    for (index, message) in panicked {
                        items[index].fail("decide", "panic".into(), message);
                    }
                    continue;
                }
                let mut saver = Saver::new(&mut tx, now);
                self.consumer.save(world, &mut saver).await?;
                writes = saver.writes;
            }
            none_left(items)?;
            self.persist_in_tx(&mut tx, writes, items, &mut attempt, now).await?;
            tx.commit().await?;
            spans.end();
            return Ok(attempt);
        }
    }

    /// Begins a transaction: of what was parked, it claims the rows that nobody else is at; of what comes from topics, it says which lanes are held.
    async fn begin(
        &self,
        pool: &PgPool,
        items: &mut Vec<BatchItem<C>>,
        haste: bool,
    ) -> Result<(Transaction<'static, Postgres>, HashSet<Vec<u8>>), Failure> {
        let from_queue = items.iter().any(|item| item.kept.is_some());
        let from_topic = !from_queue && items.iter().any(|item| item.message.is_some());
        let (mut tx, mut held) = if from_topic {
            self.queue.begin(pool, || items.iter().filter_map(BatchItem::lane).collect()).await?
        } else {
            (pool.begin().await?, HashSet::new())
        };
        if haste {
            ParkingQueue::hasten(&mut tx).await?;
        }
        if from_queue {
            held = self.claim(&mut tx, items).await?;
        }
        Ok((tx, held))
    }

    /// Lets go of rows that another instance, or a person, was first at, and of what waits behind them. Returns the lanes whose heads are not among
    /// these: the batch was split, and they failed once more before it came to these.
    async fn claim(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        items: &mut Vec<BatchItem<C>>,
    ) -> Result<HashSet<Vec<u8>>, Failure> {
        let rows: Vec<(i64, i32)> =
            items.iter().filter_map(|item| item.kept.as_ref()).map(|kept| (kept.arrival, kept.attempts)).collect();
        let claimed = self.queue.claim(tx, &rows).await?;
        let mut lost = HashSet::new();
        items.retain(|item| {
            let Some(kept) = &item.kept else { return true };
            let ours = claimed.contains(&kept.arrival) && !lost.contains(&kept.lane);
            if !ours {
                lost.insert(kept.lane.clone());
            }
            ours
        });
        let mut firsts: BTreeMap<&[u8], i64> = BTreeMap::new();
        for kept in items.iter().filter_map(|item| item.kept.as_ref()) {
            let first = firsts.entry(&kept.lane).or_insert(kept.arrival);
            *first = kept.arrival.min(*first);
        }
        self.queue.ahead(tx, firsts).await
    }

    /// Decides what can be; returns the items on which a rule panicked. What comes after one is decided only to find further ones.
    fn decide_all(
        &self,
        world: &mut C::BatchState,
        items: &[BatchItem<C>],
        attempt: &mut Attempt<C>,
        spans: &mut Spans,
        now: Timestamp,
    ) -> Result<Vec<(usize, String)>, Failure> {
        let (mut last, mut panicked) = (None, Vec::new());
        for (index, item) in items.iter().enumerate() {
            let is_passed_over = attempt.outcomes[index].is_some();
            let Some(work) = item.to_decide().filter(|_| !is_passed_over) else { continue };
            let mut effects = Effects::new(&self.codec, C::NAME, &work.cause, now);
            effects.trace(spans, C::NAME);
            let decided = catch_unwind(AssertUnwindSafe(|| self.consumer.decide(world, work, now, &mut effects)));
            match decided {
                Ok(decision) => attempt.decided(index, decision, effects),
                Err(panic) => panicked.push((index, panic_text(&*panic))),
            }
            last = Some(&work.cause);
        }
        let Some(cause) = last.filter(|_| panicked.is_empty()) else { return Ok(panicked) };
        let mut effects = Effects::new(&self.codec, C::NAME, cause, now);
        catch_unwind(AssertUnwindSafe(|| self.consumer.finish(world, now, &mut effects)))
            .map_err(|panic| Failure::Panicked(panic_text(&*panic)))?;
        attempt.finished(effects);
        Ok(panicked)
    }
}

/// Sees that nobody left who asked for one of these: a database that stood still for a while answers when callers have long turned elsewhere.
fn none_left<C: Consumer>(items: &[BatchItem<C>]) -> Result<(), Failure> {
    if items.iter().any(BatchItem::is_abandoned) { Err(Failure::CallerGone) } else { Ok(()) }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a rule panicked: {}", text.unwrap_or("without a message"))
}
