//! A batch while it is decided: its items, and what one attempt collects of their decisions.

use std::ops::Range;

use events::Timestamp;

use crate::avro::codec::CodecError;
use crate::consumer::Consumer;
use crate::dead_letter::burial::{Attempts, NewDeadLetter};
use crate::engine::disposition::Disposition;
use crate::engine::effects::{Effects, Outgoing, Resolved};
use crate::engine::item::BatchItem;
use crate::timers::store::{TimerChange, TimerChanges};
use crate::vocabulary::{Conflict, ErrorInfo, Escalation};

/// What one attempt at a batch has decided.
pub(crate) struct Attempt<C: Consumer> {
    /// By item; none for an item that was not decided.
    pub outcomes: Vec<Option<Result<C::Reply, Conflict>>>,
    pub dispositions: Vec<Disposition>,
    /// Which of the rows that were said are each item's own.
    pub own: Vec<Range<usize>>,
    pub said: Vec<Outgoing>,
    pub timers: TimerChanges,
    pub calls: Vec<C::Call>,
    pub deaths: Vec<(usize, ErrorInfo)>,
    pub resolved: Vec<Resolved>,
    pub broken: Option<CodecError>,
    /// Of each row that was said.
    pub positions: Vec<i64>,
    pub answered: Vec<Option<i64>>,
    pub scheduled: Option<Timestamp>,
    /// How many events of forgotten orders did nothing.
    pub expired: u64,
}

impl<C: Consumer> Attempt<C> {
    /// Timers that fired are forgotten, unless a decision arms them anew.
    pub fn new(items: &[BatchItem<C>]) -> Self {
        let fired = items.iter().filter_map(|item| item.fired.as_ref());
        Self {
            outcomes: items.iter().map(|_| None).collect(),
            dispositions: Vec::new(),
            own: vec![0..0; items.len()],
            said: Vec::new(),
            timers: fired.map(|fired| (fired.timer.key(), TimerChange::Fired(fired.timer.due))).collect(),
            calls: Vec::new(),
            deaths: Vec::new(),
            resolved: Vec::new(),
            broken: None,
            positions: Vec::new(),
            answered: Vec::new(),
            scheduled: None,
            expired: 0,
        }
    }

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

    pub fn finished(&mut self, effects: Effects<'_, C::Call>) {
        for (key, due) in effects.timers {
            self.timers.insert(key, due.map_or(TimerChange::Disarm, TimerChange::Arm));
        }
        self.said.extend(effects.said);
        self.calls.extend(effects.calls);
        self.resolved.extend(effects.resolved);
        self.broken = self.broken.take().or(effects.broken);
    }

    /// What is to be buried: items that died, and what a decision laid before a person.
    pub fn dead_letters<'m>(&self, items: &'m [BatchItem<C>], now: Timestamp) -> Vec<(usize, NewDeadLetter<'m>)> {
        let dead_letter = |index: usize, death: &ErrorInfo, attempts: i32, blocking: bool| {
            let item = &items[index];
            NewDeadLetter {
                death: death.clone(),
                message: item.message.as_ref(),
                incarnation: item.incarnation(),
                timer: item.fired.as_ref().map(|fired| &fired.timer),
                cause: item.cause(),
                tried: item.tried(attempts, now),
                blocking,
            }
        };
        let mut all = Vec::new();
        for (index, disposition) in self.dispositions.iter().enumerate() {
            if let Disposition::Dead { death, attempts, blocking } = disposition {
                all.push((index, dead_letter(index, death, *attempts, *blocking)));
            }
        }
        for (index, death) in &self.deaths {
            // The decision stands: there is no timer to be armed again.
            let mut decided = NewDeadLetter { timer: None, ..dead_letter(*index, death, 1, false) };
            if let Some(Escalation { attempts, since: first_failed_at, .. }) = death.escalation {
                decided.tried = Attempts { attempts, first_failed_at, ..decided.tried };
            }
            all.push((*index, decided));
        }
        all
    }
}
