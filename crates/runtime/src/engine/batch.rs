//! A batch while it is decided: its items, and what one attempt collects of their decisions.

use std::collections::HashSet;
use std::ops::Range;

use events::{OrderId, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::avro::codec::CodecError;
use crate::consumer::{Conflict, Consumer, Timer, Work};
use crate::dead_letter::{self, Death};
use crate::engine::Done;
use crate::engine::disposition::Fate;
use crate::engine::effects::{Effects, Outgoing, Resolved};
use crate::engine::requests::Refused;
use crate::health::Open;
use crate::kafka::record::Message;
use crate::parking::queue::{self, Kept};
use crate::timers::store::{TimerChange, TimerChanges};

/// Why an item is not decided.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// It is a dead letter at once: no repetition helps, and nobody waits behind it.
    Dead(Death),
    /// It failed for its order alone: it is tried again later, and what comes after it of its key waits.
    Failed(Death),
    /// What it needs is away for everyone: it is tried again later, however often that takes, and what comes after it of its key waits.
    Waits(Death),
    /// A person leaves it out.
    Skipped,
}

/// A timer that fired.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub timer: Timer,
    /// How often it fired and failed before.
    pub attempts: i32,
    /// The dead letter that it was before a person had it tried again.
    pub letter_id: Option<Uuid>,
}

/// One thing to decide, or one that can't be.
pub(crate) struct Item<C: Consumer> {
    pub work: Result<Work<C::Input>, Trouble>,
    /// The record, for a dead letter that keeps its bytes.
    pub message: Option<Message>,
    /// The timer that it is, for a timer.
    pub fired: Option<Fired>,
    /// The row of the queue that it is, for what was parked.
    pub kept: Option<Kept>,
    /// Whether it waits behind another event of its key.
    pub behind: bool,
    /// Keeps it counted as open, where it did not come from a topic.
    #[expect(dead_code, reason = "held for what its drop does")]
    pub open: Option<Open>,
    /// Who waits for the answer.
    pub reply: Option<oneshot::Sender<Result<Done<C::Reply>, Refused>>>,
}

impl<C: Consumer> Item<C> {
    /// A record of a topic.
    pub fn heard(work: Result<Work<C::Input>, Trouble>, message: Message) -> Self {
        Self { work, message: Some(message), fired: None, kept: None, behind: false, open: None, reply: None }
    }

    /// What has no record: an answer, a request, a timer.
    pub fn asked(work: Work<C::Input>, open: Open) -> Self {
        Self { work: Ok(work), message: None, fired: None, kept: None, behind: false, open: Some(open), reply: None }
    }

    /// Whether it is to be decided.
    pub fn to_decide(&self) -> Option<&Work<C::Input>> {
        self.work.as_ref().ok().filter(|_| !self.behind)
    }

    /// Whether it was asked for by somebody who has left: it is not done then, as its caller may have it done elsewhere or another time.
    pub fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Gives the item up.
    pub fn condemn(&mut self, stage: &'static str, class: String, message: String) {
        self.work = Err(Trouble::Dead(self.death(stage, class, message)));
    }

    /// It failed for its order alone. What can't be tried again by itself is given up: a request, whose caller hears of it; an answer, whose timer
    /// asks again; and a dead letter, which would be heard, and fail, for ever.
    pub fn fail(&mut self, stage: &'static str, class: String, message: String) {
        let death = self.death(stage, class, message);
        let record = self.message.as_ref().is_some_and(|message| message.topic != dead_letter::TOPIC);
        let again = self.reply.is_none() && (record || self.fired.is_some());
        self.work = Err(if again { Trouble::Failed(death) } else { Trouble::Dead(death) });
    }

    fn death(&self, stage: &'static str, class: String, message: String) -> Death {
        Death { stage, class, message, order_id: self.timer_of(), laid: None }
    }

    /// The order of a timer.
    pub fn timer_of(&self) -> Option<OrderId> {
        self.fired.as_ref().map(|fired| fired.timer.order_id)
    }

    /// Its lane, where it has one: others of the same key wait behind it.
    pub fn lane(&self) -> Option<Vec<u8>> {
        self.message.as_ref().filter(|message| message.key.is_some()).map(queue::lane)
    }

    /// What its cause is known by.
    pub fn cause(&self) -> String {
        match (&self.work, &self.fired) {
            (Ok(work), _) => work.cause.id.to_string(),
            (Err(_), Some(fired)) => crate::consumer::Cause::timer(&fired.timer).id.to_string(),
            (Err(_), None) => String::new(),
        }
    }
}

/// Says of each item whether it waits behind another one of its key: one that is parked, or one before it in the batch that failed.
pub(crate) fn line_up<C: Consumer>(items: &mut [Item<C>], held: &HashSet<Vec<u8>>) {
    let failed = |item: &Item<C>| matches!(item.work, Err(Trouble::Failed(_) | Trouble::Waits(_)));
    if held.is_empty() && !items.iter().any(failed) {
        items.iter_mut().for_each(|item| item.behind = false);
        return;
    }
    let mut blocked = held.clone();
    for item in items {
        let Some(lane) = item.lane() else { continue };
        item.behind = blocked.contains(&lane) && !matches!(item.work, Err(Trouble::Dead(_) | Trouble::Skipped));
        if !item.behind && failed(item) {
            blocked.insert(lane);
        }
    }
}

/// What one attempt at a batch has decided.
pub(crate) struct Attempt<C: Consumer> {
    /// By item; none for an item that was not decided.
    pub outcomes: Vec<Option<Result<C::Reply, Conflict>>>,
    /// What becomes of each item.
    pub fates: Vec<Fate>,
    /// Which of the rows that were said are each item's own.
    pub own: Vec<Range<usize>>,
    pub said: Vec<Outgoing>,
    pub timers: TimerChanges,
    pub calls: Vec<C::Call>,
    pub deaths: Vec<(usize, Death)>,
    pub resolved: Vec<Resolved>,
    pub broken: Option<CodecError>,
    /// Of each row that was said.
    pub positions: Vec<i64>,
    /// What each item is answered with.
    pub answered: Vec<Option<i64>>,
    pub armed: Option<Timestamp>,
    /// How many events of forgotten orders did nothing.
    pub expired: u64,
}

impl<C: Consumer> Attempt<C> {
    /// Timers that fired are forgotten, unless a decision arms them anew.
    pub fn new(items: &[Item<C>]) -> Self {
        let fired = items.iter().filter_map(|item| item.fired.as_ref());
        Self {
            outcomes: items.iter().map(|_| None).collect(),
            fates: Vec::new(),
            own: vec![0..0; items.len()],
            said: Vec::new(),
            timers: fired.map(|fired| (fired.timer.key(), TimerChange::Fired(fired.timer.due))).collect(),
            calls: Vec::new(),
            deaths: Vec::new(),
            resolved: Vec::new(),
            broken: None,
            positions: Vec::new(),
            answered: Vec::new(),
            armed: None,
            expired: 0,
        }
    }

    /// Takes one decision.
    pub fn decided(&mut self, index: usize, decision: Result<C::Reply, Conflict>, effects: Effects<'_, C::Call>) {
        let first = self.said.len();
        if decision.is_ok() {
            self.deaths.extend(effects.deaths.iter().cloned().map(|death| (index, death)));
            self.finished(effects);
        }
        self.outcomes[index] = Some(decision);
        self.own[index] = first..self.said.len();
    }

    /// Leaves an item undecided: its order is forgotten.
    pub fn pass_over(&mut self, index: usize, outcome: Result<C::Reply, Conflict>) {
        self.expired += u64::from(outcome.is_ok());
        self.outcomes[index] = Some(outcome);
    }

    /// Takes what a decision wants done.
    pub fn finished(&mut self, effects: Effects<'_, C::Call>) {
        for (key, due) in effects.timers {
            self.timers.insert(key, due.map_or(TimerChange::Disarm, TimerChange::Arm));
        }
        self.said.extend(effects.said);
        self.calls.extend(effects.calls);
        self.resolved.extend(effects.resolved);
        self.broken = self.broken.take().or(effects.broken);
    }
}
