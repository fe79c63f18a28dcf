//! A batch while it is decided: its items, and what one attempt collects of their decisions.

use events::Timestamp;
use tokio::sync::oneshot;

use crate::codec::CodecError;
use crate::consumer::{Conflict, Consumer, Timer, Work};
use crate::dead_letter::{Burial, Death};
use crate::effects::{Effects, Outgoing};
use crate::engine::Done;
use crate::health::Open;
use crate::message::Message;
use crate::timers::{TimerChange, TimerChanges};

/// One thing to decide, or one that can't be: then it is a dead letter already.
pub(crate) struct Item<C: Consumer> {
    pub work: Result<Work<C::Input>, Death>,
    /// The record, for a dead letter that keeps its bytes.
    pub message: Option<Message>,
    /// The timer that it is, for a timer.
    pub fired: Option<Timer>,
    /// Keeps it counted as open, where it did not come from a topic.
    #[expect(dead_code, reason = "held for what its drop does")]
    pub open: Option<Open>,
    /// Who waits for the answer.
    pub reply: Option<oneshot::Sender<Result<Done<C::Reply>, Conflict>>>,
}

impl<C: Consumer> Item<C> {
    /// Gives the item up.
    pub fn condemn(&mut self, stage: &'static str, class: String, message: String) {
        let order_id = self.fired.as_ref().map(|timer| timer.order_id);
        self.work = Err(Death { stage, class, message, order_id });
    }

    /// Why it is a dead letter, if it is one.
    pub fn death(&self, outcome: &Option<Result<C::Reply, Conflict>>) -> Option<Death> {
        match (&self.work, outcome) {
            (Err(death), _) => Some(death.clone()),
            (Ok(_), Some(Err(Conflict(message)))) => {
                let order_id = self.fired.as_ref().map(|timer| timer.order_id);
                Some(Death { stage: "decide", class: "conflict".into(), message: message.clone(), order_id })
            }
            (Ok(_), Some(Ok(_)) | None) => None,
        }
    }

    fn cause(&self) -> String {
        self.work.as_ref().map_or_else(|_| String::new(), |work| work.cause.id.to_string())
    }
}

/// What one attempt at a batch has decided.
pub(crate) struct Attempt<C: Consumer> {
    /// By item; none for an item that is a dead letter.
    pub outcomes: Vec<Option<Result<C::Reply, Conflict>>>,
    /// How many rows were said when the item was done: where its own end.
    pub said_until: Vec<usize>,
    pub said: Vec<Outgoing>,
    pub timers: TimerChanges,
    pub calls: Vec<C::Call>,
    pub deaths: Vec<(usize, Death)>,
    pub broken: Option<CodecError>,
    pub positions: Vec<i64>,
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
            said_until: vec![0; items.len()],
            said: Vec::new(),
            timers: fired.map(|timer| (timer.key(), TimerChange::Fired(timer.due))).collect(),
            calls: Vec::new(),
            deaths: Vec::new(),
            broken: None,
            positions: Vec::new(),
            armed: None,
            expired: 0,
        }
    }

    /// Takes one decision.
    pub fn decided(&mut self, index: usize, decision: Result<C::Reply, Conflict>, effects: Effects<'_, C::Call>) {
        if decision.is_ok() {
            self.deaths.extend(effects.deaths.iter().cloned().map(|death| (index, death)));
            self.finished(effects);
        }
        self.outcomes[index] = Some(decision);
        self.said_until[index] = self.said.len();
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
        self.broken = self.broken.take().or(effects.broken);
    }

    /// What is to be buried: items that can't be decided or contradict, and what a decision laid before a person.
    /// A caller at a door hears of his conflict himself.
    pub fn burials<'m>(&self, items: &'m [Item<C>]) -> Vec<Burial<'m>> {
        let of_items = items.iter().zip(&self.outcomes).filter(|(item, _)| item.reply.is_none());
        let of_items = of_items.filter_map(|(item, outcome)| item.death(outcome).map(|death| (item, death)));
        let decided = self.deaths.iter().map(|(index, death)| (&items[*index], death.clone()));
        of_items
            .chain(decided)
            .map(|(item, death)| Burial { death, message: item.message.as_ref(), cause: item.cause() })
            .collect()
    }
}
