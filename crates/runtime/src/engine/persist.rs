//! What is written at the end of a batch's transaction beside what its consumer saves: timers, dead letters, what is parked, and the outbox.

use std::collections::{BTreeMap, HashSet};

use events::{OrderUnparked, Timestamp, Unparked};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::dead_letter::{self, NewDeadLetter};
use crate::engine::Engine;
use crate::engine::announce::Wait;
use crate::engine::answers;
use crate::engine::batch::Attempt;
use crate::engine::disposition::Disposition;
use crate::engine::effects::Resolved;
use crate::engine::item::BatchItem;
use crate::engine::write_set::{Scope, WriteSet};
use crate::failure::Failure;
use crate::outbox;
use crate::parking::change::{Failed, NewlyParked};
use crate::parking::is_told;
use crate::postgres::sql::Timestamptz;
use crate::timers::store::TimerChange;

impl<C: Consumer> Engine<C> {
    /// Writes a batch: what its consumer saves, and the rest; the outbox last, when every lock of the transaction is held.
    pub(crate) async fn persist_in_tx(
        &self,
        tx: &mut PgConnection,
        mut writes: WriteSet,
        items: &[BatchItem<C>],
        attempt: &mut Attempt<C>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let plain = self.judge(items, attempt, now)?;
        for (item, disposition) in items.iter().zip(&attempt.dispositions) {
            if let (Some(fired), Disposition::Again { next_at, .. }) = (&item.fired, disposition)
                && let Some(change @ TimerChange::Fired(_)) = attempt.timers.get_mut(&fired.timer.key())
            {
                *change = TimerChange::Again { was: fired.timer.due, next: *next_at };
            }
        }
        attempt.scheduled = self.timers.save(&mut writes, &attempt.timers);
        if !plain {
            self.write_troubles(tx, items, attempt, now).await?;
        }
        if !attempt.resolved.is_empty() {
            self.resolve(tx, &attempt.resolved, now).await?;
        }
        let known = self.answered_before(tx, answers::silent(items, attempt)).await?;
        let answers = self.answers(items, attempt, now);
        attempt.positions = outbox::write(tx, writes, &attempt.said, Some(&answers), Scope::Transaction).await?;
        attempt.answered = answers::positions(items, attempt, known);
        Ok(())
    }

    /// Writes a batch that was read without locks, by one statement; false, and nothing is written, where there is more to do than that.
    pub(crate) async fn persist_autocommit(
        &self,
        db: &mut PgConnection,
        mut writes: WriteSet,
        items: &[BatchItem<C>],
        attempt: &mut Attempt<C>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        if !self.judge(items, attempt, now)? || !attempt.resolved.is_empty() {
            return Ok(false);
        }
        attempt.scheduled = self.timers.save(&mut writes, &attempt.timers);
        let from_topic = items.iter().any(|item| item.message.is_some());
        let unless = from_topic.then_some(self.queue.any.as_str());
        let known = self.answered_before(db, answers::silent(items, attempt)).await?;
        let answers = self.answers(items, attempt, now);
        attempt.positions =
            outbox::write(db, writes, &attempt.said, Some(&answers), Scope::Autocommit { unless }).await?;
        attempt.answered = answers::positions(items, attempt, known);
        Ok(true)
    }

    /// What becomes of each item; whether all that is left to do is to write what was decided.
    fn judge(&self, items: &[BatchItem<C>], attempt: &mut Attempt<C>, now: Timestamp) -> Result<bool, Failure> {
        if let Some(error) = attempt.broken.take() {
            return Err(Failure::Unsendable(error.to_string()));
        }
        attempt.dispositions = items
            .iter()
            .zip(&attempt.outcomes)
            .map(|(item, outcome)| Disposition::of(item, outcome.as_ref(), &self.pace, now))
            .collect();
        let plain = |(item, disposition): (&BatchItem<C>, &Disposition)| {
            matches!(disposition, Disposition::Done | Disposition::Refused)
                && item.kept.is_none()
                && item.letter_before().is_none()
        };
        Ok(items.iter().zip(&attempt.dispositions).all(plain) && attempt.deaths.is_empty())
    }

    /// Dead letters, and what goes into the queue, stays there, or comes out of it.
    async fn write_troubles(
        &self,
        tx: &mut PgConnection,
        items: &[BatchItem<C>],
        attempt: &mut Attempt<C>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (indexes, dead_letters): (Vec<usize>, Vec<NewDeadLetter<'_>>) =
            attempt.dead_letters(items, now).into_iter().unzip();
        let letters = dead_letter::record_dead_letters(tx, C::NAME, &self.schema, &dead_letters, now).await?;
        // A blocking letter that is not new is one that is read again: it is in the queue, or decided on.
        let new: HashSet<Uuid> = letters.iter().map(|letter| letter.event_id).collect();
        let held: BTreeMap<usize, Uuid> = indexes
            .into_iter()
            .zip(&dead_letters)
            .filter(|(_, dead_letter)| dead_letter.blocking)
            .map(|(index, dead_letter)| (index, dead_letter.letter_id(C::NAME)))
            .filter(|(_, letter_id)| new.contains(letter_id))
            .collect();
        attempt.said.extend(letters);
        let dispositions = std::mem::take(&mut attempt.dispositions); // what is said of them goes into the attempt
        self.write_arrivals(tx, items, &dispositions, attempt, &held, now).await?;
        self.write_kept(tx, items, &dispositions, attempt, &held, now).await?;
        attempt.dispositions = dispositions;
        self.settle_letters(items, attempt, now);
        Ok(())
    }

    async fn write_arrivals(
        &self,
        tx: &mut PgConnection,
        items: &[BatchItem<C>],
        dispositions: &[Disposition],
        attempt: &mut Attempt<C>,
        held: &BTreeMap<usize, Uuid>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let fresh = items.iter().zip(dispositions).enumerate().filter(|(_, (item, _))| item.kept.is_none());
        let fresh = fresh.filter_map(|(index, (item, disposition))| {
            let message = item.message.as_ref()?;
            let failure = match disposition {
                Disposition::Behind => None,
                Disposition::Again { death, next_at, .. } => Some((death, Ok(*next_at))),
                Disposition::Dead { death, blocking: true, .. } => Some((death, Err(*held.get(&index)?))),
                Disposition::Dead { .. } | Disposition::Done | Disposition::Skipped | Disposition::Refused => {
                    return None;
                }
            };
            Some(NewlyParked { message, failure })
        });
        let fresh: Vec<NewlyParked<'_>> = fresh.collect();
        let parked = self.queue.park(tx, &fresh, now).await?;
        for NewlyParked { message, failure } in fresh {
            let is_new = parked.contains(&(message.topic.to_owned(), message.partition, message.offset));
            if let Some((death, next)) = failure.filter(|_| is_new) {
                let wait = Wait { attempts: 1, parked_at: now, next_at: next.unwrap_or(now) };
                self.say_parked(attempt, message, death, &wait, now);
            }
        }
        Ok(())
    }

    /// What was parked before: handled, given up, left out, or tried again later.
    async fn write_kept(
        &self,
        tx: &mut PgConnection,
        items: &[BatchItem<C>],
        dispositions: &[Disposition],
        attempt: &mut Attempt<C>,
        held: &BTreeMap<usize, Uuid>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (mut gone, mut failed) = (Vec::new(), Vec::new());
        let mut emptied: BTreeMap<Vec<u8>, (usize, Unparked)> = BTreeMap::new();
        for (index, (item, disposition)) in items.iter().zip(dispositions).enumerate() {
            let Some(kept) = &item.kept else { continue };
            let arrival = kept.arrival;
            let outcome = match disposition {
                Disposition::Behind | Disposition::Refused => continue,
                Disposition::Again { death, attempts, next_at } => {
                    failed.push(Failed { arrival, attempts: *attempts, death, next: Ok(*next_at) });
                    let is_told = *attempts > kept.attempts && is_told(attempts.unsigned_abs());
                    if let Some(message) = item.message.as_ref().filter(|_| is_told) {
                        let wait = Wait { attempts: *attempts, parked_at: kept.parked_at.0, next_at: *next_at };
                        self.say_parked(attempt, message, death, &wait, now);
                    }
                    continue;
                }
                Disposition::Dead { death, attempts, blocking: true } if held.contains_key(&index) => {
                    failed.push(Failed { arrival, attempts: *attempts, death, next: Err(held[&index]) });
                    continue;
                }
                Disposition::Dead { .. } => Unparked::DeadLettered,
                Disposition::Done => Unparked::Recovered,
                Disposition::Skipped => Unparked::Skipped,
            };
            gone.push(arrival);
            emptied.insert(kept.lane.clone(), (index, outcome));
        }
        self.queue.fail(tx, &failed, now).await?;
        if gone.is_empty() {
            return Ok(());
        }
        self.queue.remove(tx, &gone).await?;
        let lanes: Vec<Vec<u8>> = emptied.keys().cloned().collect();
        let waiting = self.queue.follow_up(tx, &lanes, now).await?;
        for (lane, (index, outcome)) in emptied {
            let message = items[index].message.as_ref();
            if let Some(order_id) = message.filter(|_| !waiting.contains(&lane)).and_then(dead_letter::order_of) {
                let unparked = OrderUnparked { order_id, consumer: C::NAME.to_owned(), outcome };
                self.emit(attempt, message, now, |effects| effects.emit(&unparked, &now.as_millis().to_string()));
            }
        }
        Ok(())
    }

    /// Notes on this consumer's letters what became of them.
    async fn resolve(&self, tx: &mut PgConnection, resolved: &[Resolved], now: Timestamp) -> Result<(), Failure> {
        let statement = format!(
            "update {}.dead_letter set resolution = done.resolution, resolved_by = coalesce(nullif(done.by, ''), resolved_by), resolved_at = $4
               from unnest($1::uuid[], $2::text[], $3::text[]) as done (letter_id, resolution, by)
              where dead_letter.letter_id = done.letter_id",
            self.schema
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(resolved.iter().map(|resolved| resolved.letter_id).collect::<Vec<_>>())
            .bind(resolved.iter().map(|resolved| resolved.resolution.as_str()).collect::<Vec<_>>())
            .bind(resolved.iter().map(|resolved| resolved.by.as_str()).collect::<Vec<_>>())
            .bind(Timestamptz(now))
            .execute(tx)
            .await?;
        Ok(())
    }
}
