//! The consumer loop: a thread that gathers batches from Kafka, has each decided in one transaction, and then, only then, commits offsets.

use std::cell::Cell;
use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use sqlx::PgPool;
use tokio::runtime::{Handle, Runtime};

use crate::avro::registry::Registry;
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::item::BatchItem;
use crate::engine::linger;
use crate::health::Circuit;
use crate::kafka::decode::{self, Asking};
use crate::kafka::rebalance::{self, Partition, PartitionProgress, RebalanceContext};
use crate::kafka::record::{Message, headers};
use crate::kafka::topology::Topology;
use crate::postgres::sql::{self, StickyPool};
use crate::settings::ConsumerSettings;
use crate::vocabulary::Abandoned;

/// How long the loop waits for a first event; also how late it sees that it shall stop. Longer is cheaper: librdkafka's wrapper spins
/// through the last millisecond of each wait.
const POLL: Duration = Duration::from_millis(400);
/// A batch that takes longer is waited for with its partitions paused, polling, or the group would throw the instance out.
const LONG_BATCH: Duration = Duration::from_secs(5);
/// Offsets are committed this often: what a crash repeats, to no effect.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// And all of them, whatever became of earlier commits, this often.
const COMMIT_AGAIN_EVERY: Duration = Duration::from_secs(5);
pub(crate) const ASK: Duration = Duration::from_secs(10);
/// From so many calls to the outside on that are open, no further events are taken.
const MANY_CALLS: usize = 600;

/// Connections of the loop: it uses one, and another after one on which something failed.
const CONNECTIONS: u32 = 2;
const CLOSE: Duration = Duration::from_secs(1);

/// A batch ends after so many times its events were read and most were not heard, so that their offsets are committed.
const MANY_SKIPPED: usize = 8;

/// Why a loop ended; topics by their full names.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Abandoned(#[from] Abandoned),
    #[error("{consumer}: Kafka: {source}")]
    Kafka { consumer: &'static str, source: KafkaError },
    #[error("{consumer}: {what}: {reason}")]
    NotBegun { consumer: &'static str, what: &'static str, reason: String },
    #[error(
        "{consumer}: {lost} events of {topic}/{partition} were deleted unread: the group stands at {committed}, the log begins at {low}. \
         Run `quadrille relay rewind` to publish them again, or reset the group's offsets to accept the loss"
    )]
    Lost { consumer: &'static str, topic: String, partition: i32, committed: i64, low: i64, lost: i64 },
    #[error("{consumer}: topic {topic} does not exist: run `quadrille topics apply` first")]
    NoTopic { consumer: &'static str, topic: String },
}

pub(crate) struct Listener<C: Consumer> {
    pub engine: Arc<Engine<C>>,
    pub settings: ConsumerSettings,
    pub topology: Arc<Topology>,
    pub registry: Registry,
    pub database: String,
    /// The process's runtime, for what is asked seldom.
    pub process: Handle,
    pub context: RebalanceContext,
    pub kafka: Arc<BaseConsumer<RebalanceContext>>,
    /// The names, as bytes, of the event types that it subscribes to.
    pub subscribes_to: HashSet<&'static [u8]>,
    /// The front door's topic, whose records need not say their type.
    pub raw_topics: HashSet<&'static str>,
    /// When the broker was asked last about partitions that are not read before it answers; none: there are none.
    pub unanswered_since: Cell<Option<Instant>>,
}

impl<C: Consumer> Listener<C> {
    /// Runs until told to stop, then commits what was decided and leaves the group; `opened` gets the loop's pool, for a password that changes.
    ///
    /// Batches are decided on this thread, with connections of its own: handed to another thread and back, each would wake two more.
    pub fn run(self, opened: impl FnOnce(&PgPool)) -> Result<(), Stopped> {
        let none = |what, reason: String| Stopped::NotBegun { consumer: C::NAME, what, reason };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| none("runtime", error.to_string()))?;
        let warm = {
            let _on = runtime.enter();
            let pool = sql::batch_pool(&self.database, &format!("quadrille {} loop", C::NAME), CONNECTIONS);
            StickyPool::of(pool.map_err(|error| none("DATABASE_URL", error.to_string()))?)
        };
        opened(warm.pool());
        let ended = self.turn(&runtime, &warm);
        let _ = runtime.block_on(async { tokio::time::timeout(CLOSE, warm.close()).await }); // what is not closed by then ends with the process
        ended
    }

    /// Batch after batch, with the offsets of what was decided.
    fn turn(&self, runtime: &Runtime, warm: &StickyPool) -> Result<(), Stopped> {
        let (mut last_commit, mut last_whole_commit) = (Instant::now(), Instant::now());
        let mut linger = Duration::ZERO;
        while !self.engine.shutdown.is_cancelled() {
            self.engine.health.come_round();
            self.let_calls_return();
            self.read_recreated_topics();
            let batch = self.gather(linger)?;
            if !batch.ends.is_empty() {
                let (began, events) = (Instant::now(), batch.messages.len());
                metrics::histogram!("quadrille_batch_size", "consumer" => C::NAME, "from" => "topic")
                    .record(events as f64);
                if !self.decide(batch, runtime, warm)? {
                    break;
                }
                let took = began.elapsed();
                metrics::histogram!("quadrille_batch_seconds", "consumer" => C::NAME).record(took);
                linger = linger::next(self.settings.linger.0, took, events);
            }
            if last_whole_commit.elapsed() >= COMMIT_AGAIN_EVERY {
                self.context.with(PartitionProgress::commit_again);
                last_whole_commit = Instant::now();
            }
            if last_commit.elapsed() >= COMMIT_EVERY {
                self.commit(CommitMode::Async);
                last_commit = Instant::now();
            }
        }
        self.commit(CommitMode::Sync);
        Ok(())
    }

    /// Takes no further events while many calls to the outside are open: each would wait behind them beyond its lease, and be asked for twice; nor
    /// while the outside does not answer at all, but for one batch now and then, so that the loop goes on polling.
    fn let_calls_return(&self) {
        let since = Instant::now();
        let health = &self.engine.health;
        while (health.open_calls() > MANY_CALLS || health.is_broken(Circuit::Outside))
            && since.elapsed() < LONG_BATCH
            && !self.engine.shutdown.is_cancelled()
        {
            std::thread::sleep(self.settings.linger.0.max(Duration::from_millis(1)));
            health.come_round();
        }
    }

    /// A topic that was away and is back is another one, whose offsets mean nothing of the first's.
    fn read_recreated_topics(&self) {
        if self.engine.health.is_broken(Circuit::Topic) {
            return;
        }
        let topics = self.context.with(PartitionProgress::take_anew);
        if topics.is_empty() {
            return;
        }
        tracing::warn!(consumer = C::NAME, ?topics, "topics were made anew: they are read from their beginning");
        let Ok(assigned) = self.kafka.assignment() else { return }; // its partitions come anew by a rebalance
        for element in assigned.elements().iter().filter(|element| topics.contains(element.topic())) {
            if !self.seek(element.topic(), element.partition(), Offset::Beginning) {
                // Tried again: at the position of the first topic its beginning would never be read.
                self.context.with(|progress| progress.begin_anew(&[element.topic()]));
            }
        }
    }

    /// Blocks for a first event that is heard, then takes what there is, waits once for a little more, and takes that too.
    fn gather(&self, linger: Duration) -> Result<Batch, Stopped> {
        let (mut batch, since) = (Batch::default(), Instant::now());
        loop {
            let before = batch.read;
            self.take(POLL, &mut batch)?;
            if batch.read == before {
                return Ok(batch);
            }
            self.drain(&mut batch)?;
            if !batch.messages.is_empty() {
                break;
            }
            if self.full(&batch) || since.elapsed() >= POLL {
                return Ok(batch);
            }
        }
        if !linger.is_zero() && !self.full(&batch) {
            std::thread::sleep(linger);
            self.drain(&mut batch)?;
        }
        Ok(batch)
    }

    fn full(&self, batch: &Batch) -> bool {
        batch.messages.len() >= self.settings.batch_events
            || batch.bytes >= self.settings.batch_bytes
            || batch.read >= MANY_SKIPPED * self.settings.batch_events
    }

    fn drain(&self, batch: &mut Batch) -> Result<(), Stopped> {
        while !self.full(batch) {
            let before = batch.read;
            let rebalanced = self.take(Duration::ZERO, batch)?;
            if batch.read == before && !rebalanced {
                break;
            }
        }
        Ok(())
    }

    /// One poll. Returns whether partitions changed meanwhile: then none is not an empty queue.
    fn take(&self, wait: Duration, batch: &mut Batch) -> Result<bool, Stopped> {
        let polled = self.kafka.poll(wait);
        let (assigned, revoked) = self.context.with(PartitionProgress::take_changes);
        let rebalanced = !assigned.is_empty() || !revoked.is_empty();
        if !revoked.is_empty() {
            let gone = |topic: &str, partition: i32| {
                revoked.iter().any(|gone| gone.1 == partition && gone.0 == self.topology.full(topic))
            };
            batch.messages.retain(|message| !gone(message.topic, message.partition));
            batch.ends.retain(|((topic, partition), _)| !gone(topic, *partition));
        }
        if assigned.is_empty() {
            self.check_the_unchecked()?;
        } else {
            self.check_nothing_lost(&assigned)?;
        }
        match polled {
            Some(Ok(message)) if self.is_unchecked(&message) => self.rewind(&message),
            Some(Ok(message)) => {
                self.engine.health.close_circuit(Circuit::Kafka, self.engine.clock.now());
                if let Some(topic) = self.topology.known(message.topic()) {
                    batch.reached(topic, message.partition(), message.offset() + 1);
                }
                if let Some(message) = self.own(&message) {
                    batch.bytes += message.payload.as_ref().map_or(0, Vec::len);
                    batch.messages.push(message);
                }
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(Stopped::Kafka { consumer: C::NAME, source: KafkaError::MessageConsumptionFatal(code) });
            }
            Some(Err(error)) => self.trouble(&error),
            None => {} // whether an idle topic's broker is away or back is for the watcher to say
        }
        Ok(rebalanced)
    }

    /// Kafka's client says that something does not go well: when no broker can be reached, that is for everyone. It says so ten times a second: the
    /// circuit says it once.
    fn trouble(&self, error: &KafkaError) {
        if rebalance::is_all_down(error) {
            self.engine.health.break_circuit(Circuit::Kafka, error.to_string(), self.engine.clock.now());
        } else {
            tracing::warn!(consumer = C::NAME, %error, "poll");
        }
    }

    /// Copies what the consumer subscribes to; what it does not subscribe to is skipped by its type, without being copied or decoded.
    fn own(&self, message: &BorrowedMessage<'_>) -> Option<Message> {
        let topic = self.topology.known(message.topic())?;
        if !self.raw_topics.contains(topic) {
            let event_type = headers(message).filter(|header| header.key == "ce_type").last();
            if event_type.and_then(|header| header.value).is_some_and(|name| !self.subscribes_to.contains(name)) {
                return None;
            }
        }
        Some(Message::taken(topic, message))
    }

    /// Has a batch decided; false when the process is stopping and nothing of it was written.
    fn decide(&self, batch: Batch, runtime: &Runtime, warm: &StickyPool) -> Result<bool, Stopped> {
        let asking = Asking::of(&self.registry);
        let items =
            batch.messages.into_iter().map(|message| self.item(message, &asking)).collect::<Result<Vec<_>, _>>();
        let Ok(items) = items else { return Ok(false) };
        metrics::counter!("quadrille_events_total", "consumer" => C::NAME).increment(items.len() as u64);
        if !items.is_empty() {
            match self.wait(runtime, pin!(self.engine.process_on(warm, items))) {
                Ok(()) => {}
                Err(Abandoned::Stopping) => return Ok(false),
                Err(stop @ Abandoned::Stop { .. }) => return Err(stop.into()),
            }
        }
        self.context.with(|progress| {
            for ((topic, partition), next) in batch.ends {
                progress.decide((self.topology.full(topic), partition), next);
            }
        });
        Ok(true)
    }

    /// Waits for the batch; a long one with its partitions paused, polling on.
    fn wait(
        &self,
        runtime: &Runtime,
        mut batch: Pin<&mut impl Future<Output = Result<(), Abandoned>>>,
    ) -> Result<(), Abandoned> {
        let (mut paused, since) = (false, Instant::now());
        loop {
            self.engine.health.come_round();
            let patience = Duration::from_millis(if paused { 200 } else { 1_000 });
            match runtime.block_on(async { tokio::time::timeout(patience, batch.as_mut()).await }) {
                Ok(result) => {
                    if paused {
                        self.resume();
                    }
                    return result;
                }
                Err(_) if since.elapsed() < LONG_BATCH => {}
                Err(_) => {
                    self.pause();
                    paused = true;
                    // Paused partitions give no messages; what a rebalance brings meanwhile is paused at the next round.
                    if let Some(Ok(message)) = self.kafka.poll(Duration::ZERO) {
                        self.rewind(&message);
                    }
                }
            }
        }
    }

    fn pause(&self) {
        if let Err(error) = self.kafka.assignment().and_then(|assigned| self.kafka.pause(&assigned)) {
            tracing::warn!(consumer = C::NAME, %error, "partitions not paused");
        }
    }

    /// Reads on, but for the partitions that are not checked yet.
    fn resume(&self) {
        let unchecked = self.context.with(|progress| progress.unchecked.clone());
        let resumed = self.kafka.assignment().and_then(|assigned| {
            let checked = rebalance::partitions(&assigned).into_iter().filter(|one| !unchecked.contains(one));
            self.kafka.resume(&rebalance::list(checked))
        });
        if let Err(error) = resumed {
            tracing::warn!(consumer = C::NAME, %error, "partitions not resumed");
        }
    }

    fn is_unchecked(&self, message: &BorrowedMessage<'_>) -> bool {
        let is_it = |(topic, partition): &Partition| *partition == message.partition() && topic == message.topic();
        self.unanswered_since.get().is_some() && self.context.with(|progress| progress.unchecked.iter().any(is_it))
    }

    /// A message that slipped in from a partition assigned during the pause is read again later.
    fn rewind(&self, message: &BorrowedMessage<'_>) {
        self.seek(message.topic(), message.partition(), Offset::Offset(message.offset()));
    }

    fn seek(&self, topic: &str, partition: i32, to: Offset) -> bool {
        let sought = self.kafka.seek(topic, partition, to, ASK);
        sought.inspect_err(|error| tracing::warn!(consumer = C::NAME, %error, "seek")).is_ok()
    }

    /// What a record is to the consumer: work, a dead letter, or one that waits for the registry.
    fn item(&self, message: Message, asking: &Asking) -> Result<BatchItem<C>, Abandoned> {
        let work = match decode::try_decode(&self.engine, asking, &message) {
            Some(work) => work,
            None => self.process.block_on(decode::decode_record(&self.engine, asking, &message))?,
        };
        Ok(BatchItem::heard(work, message))
    }

    fn commit(&self, mode: CommitMode) {
        let offsets = self.context.with(PartitionProgress::take_uncommitted);
        if offsets.count() > 0
            && let Err(error) = self.kafka.commit(&offsets, mode)
        {
            tracing::warn!(consumer = C::NAME, %error, "offsets not committed: their events are decided again, to no effect");
        }
    }
}

#[derive(Default)]
struct Batch {
    /// What the consumer hears of it.
    messages: Vec<Message>,
    bytes: usize,
    /// How many records were read, heard or not.
    read: usize,
    /// Where each partition is read on once the batch is decided.
    ends: Vec<((&'static str, i32), i64)>,
}

impl Batch {
    fn reached(&mut self, topic: &'static str, partition: i32, next: i64) {
        self.read += 1;
        match self.ends.iter_mut().find(|(of, _)| *of == (topic, partition)) {
            Some((_, end)) => *end = next.max(*end),
            None => self.ends.push(((topic, partition), next)),
        }
    }
}
