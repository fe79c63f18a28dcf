//! A database that was restored from a dump is behind the topics: what each consumer knew of an order is told again, from what it published itself.
//!
//! Rules are pure, and ids of events are derived from causes. So an order's events are decided once more, in the order in which they were
//! published, on the rows of the dump, and come to the rows that were lost; nothing is published and nobody outside is asked. What no topic holds (a
//! gateway's answer, a request, a timer, what was found on rows that orders share) is in the consumer's own event, which says what came of it
//! ([`Restore::retell`]). An order of which that does not come to the very events that the topic holds is left as it was, and named.
//!
//! What a consumer heard after it last said something of an order is left to it: its group is set back, and it reads that again.

mod order;
mod story;

pub use story::{OrderEvent, Stories};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use events::{OrderId, Timestamp};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::avro::codec::Codec;
use crate::consumer::Consumer;
use crate::engine::effects::Effects;
use crate::failure::{Failure, Verdict};
use crate::kafka::record::{Message, Unreadable};
use crate::rows::{Loader, Saver};
use crate::timers::store::{TimerChange, TimerChanges, Timers};
use crate::vocabulary::{Cause, Conflict, Origin, Timer, TraceContext, Work};

use order::{RestoreStep, StepOrder, Timed};

/// A consumer whose rows can be told again.
pub trait Restore: Consumer {
    /// Types of its own events that hold what was found on rows that orders share, or what was minted: they are retold, their cause is not decided again.
    const FORCED: &'static [&'static str] = &[];

    /// An input that has the row of an order read, and nothing else.
    fn about(&self, order_id: OrderId) -> Self::Input {
        let due = Timestamp::from_millis(0);
        self.on_timer(&Timer { order_id, kind: String::new(), discriminator: String::new(), due })
    }

    /// Prepares what a batch loaded for rules that change what orders share.
    fn ready(&self, _world: &mut Self::BatchState, _order_id: OrderId) {}

    /// Ends a step, as a batch ends.
    fn settled(&self, _world: &mut Self::BatchState) {}

    /// Has the world know what this event of its own says: by deciding what no topic holds, or, of a [`FORCED`](Restore::FORCED) one, as it says. Unless
    /// a consumer says how, no event of its own can be retold, and none need be.
    ///
    /// # Errors
    /// When the event does not say enough, or contradicts what is known.
    fn retell(
        &self,
        _world: &mut Self::BatchState,
        event: &RetoldEvent<'_, Self::Input>,
        _effects: &mut Effects<'_, Self::Call>,
    ) -> Result<(), Conflict> {
        Err(event.untold())
    }
}

/// An event of the consumer itself.
pub struct RetoldEvent<'r, I> {
    /// Whose.
    pub order_id: OrderId,
    /// The event.
    pub told: &'r OrderEvent,
    /// What it was said because of, where a topic holds it.
    pub input: Option<&'r I>,
    /// Whether it is the last that the consumer said of the order.
    pub is_last: bool,
    codec: &'r Codec,
}

impl<I> RetoldEvent<'_, I> {
    /// Decodes it.
    pub fn read<E: events::Event>(&self) -> Result<E, Conflict> {
        self.told.message.read(self.codec).map_err(|Unreadable(why)| Conflict(why))
    }

    /// It says too little.
    pub fn untold(&self) -> Conflict {
        let (event_type, place) = (self.told.event_type(), self.told.message.place());
        Conflict(format!("{event_type} at {place} can't be told again from what topics hold"))
    }
}

/// What of one consumer's orders was told again.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Orders that its database knows as well as the topics do.
    pub known: usize,
    /// Orders that were behind the topics, or unknown, and are not any more.
    pub rebuilt: Vec<OrderId>,
    /// Orders that are, and can't be told again: why.
    pub left: Vec<(OrderId, String)>,
}

/// Which events a database knows.
#[derive(Clone, Debug)]
pub struct KnownEvents {
    /// What is older than its outbox keeps is known.
    kept_from: i64,
    ids: HashSet<Uuid>,
}

impl KnownEvents {
    /// Asks an outbox which of the events that topics hold it knows.
    ///
    /// # Errors
    /// What the database says; when it was rebased already, and no longer knows.
    pub async fn read(db: &mut PgConnection, stories: &Stories) -> Result<Self, Failure> {
        // An entry has 1,024 positions; of an empty outbox all that it ever gave is known, of a new database nothing.
        let kept_from: i64 = sqlx::query_scalar(
            "select coalesce((select min(seq) from outbox.entry where slot = any('{0,1,2,3}')), case when is_called then last_value + 1024 else 0 end)
               from outbox.entry_seq_seq",
        )
        .fetch_one(&mut *db)
        .await?;
        let newer: Vec<Uuid> =
            stories.orders.values().flatten().filter(|told| told.seq >= kept_from).map(|told| told.id).collect();
        let known: Vec<Uuid> = sqlx::query_scalar(
            "select said.event_id from outbox.entry cross join lateral unnest(event_ids) as said (event_id)
              where slot = any('{0,1,2,3}') and said.event_id = any($1)",
        )
        .bind(&newer)
        .fetch_all(db)
        .await?;
        Ok(Self { kept_from, ids: known.into_iter().collect() })
    }

    fn has(&self, told: &OrderEvent) -> bool {
        told.seq < self.kept_from || self.ids.contains(&told.id)
    }
}

/// Has later positions follow all that topics hold.
pub async fn advance_positions(db: &mut PgConnection, stories: &Stories) -> Result<(), Failure> {
    let said = stories.orders.values().flatten().chain(&stories.levels).map(|told| told.seq);
    let Some(last) = said.filter(|seq| *seq < i64::MAX).max() else { return Ok(()) };
    sqlx::query("select setval('outbox.entry_seq_seq', greatest($1, nextval('outbox.entry_seq_seq')))")
        .bind(last + 1_024)
        .execute(db)
        .await?;
    Ok(())
}

/// How orders are told again.
pub struct Retelling<'r> {
    /// What topics tell.
    pub stories: &'r Stories,
    /// What the database of the consumer knows.
    pub known: &'r KnownEvents,
    /// Whether positions of all consumers are of one outbox: then they say what came first, else clocks do.
    pub one_outbox: bool,
    /// The event schemas.
    pub codec: &'r Codec,
    /// Whether what is told is written, or only tried.
    pub write: bool,
    /// The time.
    pub now: Timestamp,
}

impl Retelling<'_> {
    /// Tells one consumer its orders again.
    pub async fn of<C: Restore>(&self, consumer: &C, pool: &PgPool) -> Result<Restored, Failure> {
        let placed = self.placed(consumer);
        let (publishes, timers) = (C::publishes(), Timers::of(&C::NAME.replace('-', "_")));
        let mut restored = Restored::default();
        for (order_id, story) in &self.stories.orders {
            let own: Vec<&OrderEvent> = story.iter().filter(|told| publishes.contains(&told.event_type())).collect();
            if own.iter().all(|told| self.known.has(told)) {
                restored.known += usize::from(!own.is_empty());
                continue;
            }
            let mut tx = pool.begin().await?;
            let cause = Cause { id: Uuid::nil(), thread: None, origin: Origin::Request };
            let work = Work { cause, input: consumer.about(*order_id) };
            let case = RestoredCase { retelling: self, consumer, order_id: *order_id, story, own, placed: &placed };
            let inputs = case.inputs();
            let mut order = StepOrder::of(case.steps(&inputs));
            let (world, changes) = loop {
                let mut loader = Loader { db: &mut tx, now: self.now, with_locks: true };
                let mut world = consumer.load(&[&work], &mut loader).await?;
                let told = catch_unwind(AssertUnwindSafe(|| case.told(&mut world, &inputs, order.steps())));
                let panicked = |_| Err((0, Conflict("a rule panicked".into())));
                match told.unwrap_or_else(panicked) {
                    Ok(changes) => break (world, Ok(changes)),
                    Err((at, Conflict(why))) => {
                        if let Err(why) = order.fails(at, why) {
                            break (world, Err(why));
                        }
                    }
                }
            };
            let done = match changes {
                Ok(changes) => {
                    let mut saver = Saver::new(&mut tx, self.now);
                    consumer.save(world, &mut saver).await?;
                    let mut writes = saver.writes;
                    timers.save(&mut writes, &changes);
                    match writes.execute(&mut tx).await {
                        Err(failure) if failure.verdict() == Verdict::Retry => return Err(failure),
                        executed => executed.map_err(|failure| failure.to_string()),
                    }
                }
                Err(why) => Err(why),
            };
            match done {
                Ok(()) => {
                    if self.write {
                        tx.commit().await?
                    } else {
                        tx.rollback().await?
                    };
                    restored.rebuilt.push(*order_id);
                }
                Err(why) => restored.left.push((*order_id, why)),
            }
        }
        Ok(restored)
    }

    /// What a consumer reads of the front door, by what it is a cause of.
    fn placed<C: Restore>(&self, consumer: &C) -> HashMap<Uuid, Work<C::Input>> {
        let raw_topics = C::raw_topics();
        let read = self.stories.placed.iter().filter(|message| raw_topics.contains(&message.topic));
        let works = read.filter_map(|message| decoded(consumer, message, self.codec));
        works.map(|work| (work.cause.id, work)).collect()
    }
}

/// What a consumer makes of a record; none: it can't be read.
fn decoded<C: Consumer>(consumer: &C, message: &Message, codec: &Codec) -> Option<Work<C::Input>> {
    catch_unwind(AssertUnwindSafe(|| consumer.decode(message, codec))).ok().and_then(Result::ok)
}

struct RestoredCase<'c, C: Restore> {
    retelling: &'c Retelling<'c>,
    consumer: &'c C,
    order_id: OrderId,
    story: &'c [OrderEvent],
    own: Vec<&'c OrderEvent>,
    placed: &'c HashMap<Uuid, Work<C::Input>>,
}

/// Something that a topic holds for the consumer to hear.
type StoredInput<'s, I> = (&'s OrderEvent, Work<I>);

/// When it was said or decided: by the outbox's positions, or by clocks.
type Coordinates = (Timestamp, i64, u8);

impl<C: Restore> RestoredCase<'_, C> {
    fn moment(&self, told: &OrderEvent, rank: u8) -> Coordinates {
        let at = if self.retelling.one_outbox { Timestamp::from_millis(0) } else { told.at };
        (at, told.seq, rank)
    }

    /// Tells the order; returns the timers that it leaves armed, or forgotten.
    /// Or at which step it can't be told, and why.
    fn told(
        &self,
        world: &mut C::BatchState,
        inputs: &[StoredInput<'_, C::Input>],
        steps: &[Timed<'_, C::Input>],
    ) -> Result<TimerChanges, (usize, Conflict)> {
        let causes: HashMap<Uuid, &Work<C::Input>> = inputs.iter().map(|(told, work)| (told.id, work)).collect();
        let mut said: HashSet<Uuid> = HashSet::new();
        let mut timers = BTreeMap::new();
        self.consumer.ready(world, self.order_id);
        for (index, (at, step)) in steps.iter().enumerate() {
            let changes = self.step(world, &causes, &mut said, *at, step).map_err(|conflict| (index, conflict))?;
            timers.extend(changes);
        }
        Ok(timers)
    }

    fn step(
        &self,
        world: &mut C::BatchState,
        causes: &HashMap<Uuid, &Work<C::Input>>,
        said: &mut HashSet<Uuid>,
        at: Timestamp,
        step: &RestoreStep<'_, C::Input>,
    ) -> Result<TimerChanges, Conflict> {
        let Self { retelling, consumer, own, .. } = self;
        let cause = match step {
            RestoreStep::Decided { work, .. } => work.cause.clone(),
            RestoreStep::Said(told) if said.contains(&told.id) => return Ok(TimerChanges::new()),
            RestoreStep::Said(told) => {
                let thread = told.message.cause().map_err(|Unreadable(why)| Conflict(why))?.thread;
                let thread = thread.map(|thread| TraceContext { event: told.causation, ..thread });
                Cause { id: told.cause.unwrap_or(told.id), thread, origin: Origin::Request }
            }
        };
        let mut effects = Effects::new(retelling.codec, C::NAME, &cause, at);
        match step {
            RestoreStep::Decided { work, silent } => match consumer.decide(world, work, at, &mut effects) {
                Ok(_) => {}
                Err(_) if *silent => return Ok(TimerChanges::new()), // it was a contradiction then too
                Err(conflict) => return Err(conflict),
            },
            RestoreStep::Said(told) => {
                let input = told.cause.and_then(|cause| {
                    let placed = || self.placed.get(&cause);
                    causes.get(&cause).copied().or_else(placed).map(|work| &work.input)
                });
                let is_last = own.iter().all(|own| self.moment(own, 1) <= self.moment(told, 1));
                let (order_id, codec) = (self.order_id, retelling.codec);
                let retold = RetoldEvent { order_id, told, input, is_last, codec };
                consumer.retell(world, &retold, &mut effects)?;
                self.is_told(told, &effects)?;
                said.insert(told.id);
            }
        }
        consumer.settled(world);
        for event in &effects.said {
            let event_type = event.headers.text("ce_type").unwrap_or_default();
            let stands = matches!(step, RestoreStep::Said(told) if told.event_type() == event_type);
            if C::publishes().contains(&event_type) && !stands && own.iter().all(|told| told.id != event.event_id) {
                return Err(Conflict(format!(
                    "told again, {event_type} would follow, which its topic does not hold: decide by hand what became of it"
                )));
            }
            said.insert(event.event_id);
        }
        let change = |due: Option<Timestamp>| due.map_or(TimerChange::Disarm, TimerChange::Arm);
        Ok(effects.timers.into_iter().map(|(key, due)| (key, change(due))).collect())
    }

    /// What is told, when it was.
    fn steps<'s>(&'s self, inputs: &'s [StoredInput<'s, C::Input>]) -> Vec<Timed<'s, C::Input>> {
        let mut steps = self.decided(inputs);
        let unknown = self.own.iter().filter(|told| !self.retelling.known.has(told));
        steps.extend(unknown.map(|told| (self.moment(told, 1), told.at, RestoreStep::Said(told))));
        steps.sort_by_key(|(moment, ..)| *moment);
        steps.into_iter().map(|(_, at, step)| (at, step)).collect()
    }

    /// What comes of an event must be that event, unless it is taken as it is.
    fn is_told(&self, told: &OrderEvent, effects: &Effects<'_, C::Call>) -> Result<(), Conflict> {
        let event_type = told.event_type();
        let is_said = effects.said.iter().any(|event| event.headers.text("ce_type") == Some(event_type));
        if is_said || C::FORCED.contains(&event_type) {
            return Ok(());
        }
        let place = told.message.place();
        Err(Conflict(format!("told again, {event_type} at {place} does not follow from what topics and database hold")))
    }

    /// What topics hold for the consumer to hear of this order.
    fn inputs(&self) -> Vec<StoredInput<'_, C::Input>> {
        let (subscribes_to, mut once) = (C::subscribes_to(), HashSet::new());
        let own = self.story.iter().filter(|told| subscribes_to.contains(&told.event_type()));
        let once = own.filter(|told| once.insert(told.id));
        let read = once.map(|told| Some((told, decoded(self.consumer, &told.message, self.retelling.codec)?)));
        read.flatten().collect()
    }

    /// Those that are decided again, each when it was: what something unknown was said because of, and what came before the last of it.
    fn decided<'i>(
        &self,
        inputs: &'i [StoredInput<'i, C::Input>],
    ) -> Vec<(Coordinates, Timestamp, RestoreStep<'i, C::Input>)> {
        let known = &self.retelling.known;
        let last = self.own.iter().filter(|told| !known.has(told)).map(|told| self.moment(told, 1)).max();
        // Of one partition nothing was heard before what stands before it.
        let mut heard: HashMap<(&str, i32), Coordinates> = HashMap::new();
        let step = |(told, work): &'i StoredInput<'i, C::Input>| {
            let came_of_it: Vec<&&OrderEvent> = self.own.iter().filter(|own| own.cause == Some(told.id)).collect();
            let first = came_of_it.iter().min_by_key(|own| self.moment(own, 0));
            let silent = first.is_none();
            let said = first.map_or(told, |first| first);
            let before =
                heard.entry((told.message.topic, told.message.partition)).or_insert_with(|| self.moment(told, 0));
            let moment = self.moment(said, 0).max(*before);
            *before = if silent { moment } else { moment.max(self.moment(said, 2)) };
            if !silent && came_of_it.iter().all(|own| known.has(own))
                || came_of_it.iter().any(|own| C::FORCED.contains(&own.event_type()))
            {
                return None;
            }
            (Some(moment) < last).then_some((moment, said.at, RestoreStep::Decided { work, silent }))
        };
        inputs.iter().filter_map(step).collect()
    }
}
