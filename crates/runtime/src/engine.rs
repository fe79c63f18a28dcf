//! One batch's way through the house: load, decide, save, tell, in one transaction; and what becomes of it when that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use events::Timestamp;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::batch::{Attempt, Item};
use crate::clock::Clock;
use crate::codec::Codec;
use crate::consumer::{Conflict, Consumer, Work};
use crate::dead_letter;
use crate::effects::Effects;
use crate::failure::{Backoff, Failure, Verdict};
use crate::health::{Health, Open};
use crate::outbox;
use crate::telemetry::Spans;
use crate::timers::Timers;
use crate::writes::Writes;

/// What a door's caller gets once its request is committed.
#[derive(Clone, Debug)]
pub struct Done<R> {
    /// The decision's answer.
    pub reply: R,
    /// The last position that the decision said something at; a read model that has seen it has seen this write. None when it said nothing.
    pub position: Option<i64>,
}

/// Decides batches of one consumer; shared by its loop, its doors and its sweeper.
pub(crate) struct Engine<C: Consumer> {
    pub consumer: Arc<C>,
    pub schema: String,
    pub pool: PgPool,
    pub codec: Codec,
    pub clock: Clock,
    pub health: Arc<Health>,
    pub timers: Timers,
    pub calls: mpsc::UnboundedSender<(C::Call, Open)>,
    pub armed: tokio::sync::watch::Sender<Option<Timestamp>>,
    pub shutdown: CancellationToken,
}

/// Why a batch was given up.
#[derive(Debug, thiserror::Error)]
pub enum Abandoned {
    /// The process is stopping; nothing of the batch was written and it will be read again.
    #[error("stopping")]
    Stopping,
    /// No repetition helps.
    #[error("{consumer} can't go on: {failure}")]
    Stop {
        /// Whose batch.
        consumer: &'static str,
        /// What failed.
        failure: Failure,
    },
}

impl<C: Consumer> Engine<C> {
    /// Decides a batch, however often it takes; when this returns Ok every item of it is written, or is a dead letter.
    pub async fn process(&self, mut items: Vec<Item<C>>) -> Result<(), Abandoned> {
        let mut pending = Vec::new(); // the rest of a batch that was split
        loop {
            if !items.is_empty() {
                self.settle(&mut items, &mut pending).await?;
            }
            match pending.pop() {
                Some(rest) => items = rest,
                None => return Ok(()),
            }
        }
    }

    /// Repeats one batch until it is written, or splits it: what remains to be decided is in `items` and then `pending`.
    async fn settle(&self, items: &mut Vec<Item<C>>, pending: &mut Vec<Vec<Item<C>>>) -> Result<(), Abandoned> {
        let mut backoff = Backoff::default();
        loop {
            let failure = match self.attempt(items).await {
                Ok(attempt) => {
                    self.health.recovered();
                    self.conclude(std::mem::take(items), attempt);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            metrics::counter!("quadrille_batch_failures_total", "consumer" => C::NAME, "class" => failure.class())
                .increment(1);
            match failure.verdict() {
                Verdict::Again => tracing::debug!(consumer = C::NAME, %failure, "batch decided again"),
                Verdict::Retry => self.pause(&mut backoff, &failure).await?,
                Verdict::Bisect if items.len() > 1 => {
                    pending.push(items.split_off(items.len() / 2));
                }
                Verdict::Bisect => items[0].condemn("save", failure.class(), failure.to_string()),
                Verdict::Stop => return Err(Abandoned::Stop { consumer: C::NAME, failure }),
            }
        }
    }

    async fn pause(&self, backoff: &mut Backoff, failure: &Failure) -> Result<(), Abandoned> {
        let wait = backoff.next_wait();
        tracing::warn!(consumer = C::NAME, %failure, attempt = backoff.attempts(), ?wait, "batch failed, will be tried again");
        self.health.failing(failure.to_string());
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.shutdown.cancelled() => Err(Abandoned::Stopping),
        }
    }

    /// One transaction. A panic of a rule condemns its item and the batch is decided again without it.
    async fn attempt(&self, items: &mut [Item<C>]) -> Result<Attempt<C>, Failure> {
        let now = self.clock.now();
        let mut spans = Spans::default();
        let mut tx = self.pool.begin().await?;
        loop {
            let works: Vec<&Work<C::Input>> = items.iter().filter_map(|item| item.work.as_ref().ok()).collect();
            let mut attempt = Attempt::new(items);
            if works.is_empty() {
                self.write(&mut tx, Writes::default(), items, &mut attempt, now).await?;
                tx.commit().await?;
                return Ok(attempt);
            }
            let mut world = self.consumer.load(&mut tx, &works, now).await?;
            match self.decide_all(&mut world, items, &mut attempt, &mut spans, now) {
                Ok(()) => {
                    let mut writes = Writes::default();
                    self.consumer.save(&mut tx, world, now, &mut writes).await?;
                    self.write(&mut tx, writes, items, &mut attempt, now).await?;
                    tx.commit().await?;
                    spans.end();
                    return Ok(attempt);
                }
                Err(Panicked { index: Some(index), message }) => {
                    items[index].condemn("decide", "panic".into(), message)
                }
                Err(Panicked { index: None, message }) => return Err(Failure::Unsendable(message)),
            }
        }
    }

    fn decide_all(
        &self,
        world: &mut C::World,
        items: &[Item<C>],
        attempt: &mut Attempt<C>,
        spans: &mut Spans,
        now: Timestamp,
    ) -> Result<(), Panicked> {
        let mut last = None;
        for (index, item) in items.iter().enumerate() {
            let Ok(work) = &item.work else { continue };
            let mut effects = Effects::new(&self.codec, C::NAME, &work.cause, now);
            effects.trace(spans, C::NAME);
            let decided = catch_unwind(AssertUnwindSafe(|| self.consumer.decide(world, work, now, &mut effects)));
            match decided {
                Ok(decision) => attempt.decided(index, decision, effects),
                Err(panic) => return Err(Panicked { index: Some(index), message: panic_text(&*panic) }),
            }
            last = Some(&work.cause);
        }
        let Some(cause) = last else { return Ok(()) };
        let mut effects = Effects::new(&self.codec, C::NAME, cause, now);
        catch_unwind(AssertUnwindSafe(|| self.consumer.finish(world, now, &mut effects)))
            .map_err(|panic| Panicked { index: None, message: panic_text(&*panic) })?;
        attempt.finished(effects);
        Ok(())
    }

    /// What the consumer writes, timers, dead letters and the outbox; the outbox last, when every lock of the transaction is held.
    async fn write(
        &self,
        tx: &mut sqlx::PgConnection,
        mut writes: Writes,
        items: &[Item<C>],
        attempt: &mut Attempt<C>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if let Some(error) = attempt.broken.take() {
            return Err(Failure::Unsendable(error.to_string()));
        }
        attempt.armed = self.timers.save(&mut writes, &attempt.timers);
        let burials = attempt.burials(items);
        if !burials.is_empty() {
            let letters = dead_letter::bury(tx, C::NAME, &self.schema, &burials, now).await?;
            attempt.said.extend(letters);
        }
        attempt.positions = outbox::write(tx, writes, &attempt.said).await?;
        Ok(())
    }

    /// After the commit: answers for the doors, calls to the outside, a word to the sweeper.
    fn conclude(&self, items: Vec<Item<C>>, attempt: Attempt<C>) {
        let Attempt { outcomes, calls, armed, positions, said_until, .. } = attempt;
        // Before the items are let go, so that there is no moment at which nothing seems to be open.
        for call in calls {
            let _ = self.calls.send((call, self.health.open_call())); // stopping: the call's timer asks again
        }
        let mut dead = 0;
        for ((item, outcome), until) in items.into_iter().zip(outcomes).zip(said_until) {
            let place = item.message.as_ref().map(|message| message.place());
            if let (Some(death), true) = (item.death(&outcome), item.reply.is_none()) {
                dead += 1;
                tracing::error!(
                    consumer = C::NAME,
                    event_type = item.message.as_ref().and_then(|message| message.event_type()),
                    place,
                    stage = death.stage,
                    class = death.class,
                    "dead letter: {}",
                    death.message
                );
            }
            let Some(reply) = item.reply else { continue };
            let answer = match (item.work, outcome) {
                (Err(death), _) => Err(Conflict(death.message)),
                (Ok(_), Some(Ok(answer))) => Ok(Done {
                    reply: answer,
                    position: until.checked_sub(1).and_then(|last| positions.get(last).copied()),
                }),
                (Ok(_), Some(Err(conflict))) => Err(conflict),
                (Ok(_), None) => Err(Conflict("it was not decided".into())),
            };
            let _ = reply.send(answer); // the caller may have gone: its request is done all the same
        }
        if dead > 0 {
            metrics::counter!("quadrille_dead_letters_total", "consumer" => C::NAME).increment(dead);
        }
        if let Some(due) = armed {
            self.armed.send_if_modified(|next| {
                let sooner = next.is_none_or(|next| due < next);
                if sooner {
                    *next = Some(due);
                }
                sooner
            });
        }
    }
}

struct Panicked {
    index: Option<usize>,
    message: String,
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a rule panicked: {}", text.unwrap_or_else(|| "without a message".into()))
}
