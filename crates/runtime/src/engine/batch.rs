//! A batch while it is decided: its items, and what one attempt collects of their decisions.

use crate::dead_letter::burial::Burial;
use crate::dead_letter::burial::Tried;
use crate::engine::item::Item;
use std::ops::Range;

use events::Timestamp;

use crate::avro::codec::CodecError;
use crate::consumer::Consumer;
use crate::engine::disposition::Fate;
use crate::engine::effects::{Effects, Outgoing, Resolved};
use crate::timers::store::{TimerChange, TimerChanges};
use crate::vocabulary::Conflict;
use crate::vocabulary::Death;

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

    /// What is to be buried: items that died, and what a decision laid before a person.
    pub fn burials<'m>(&self, items: &'m [Item<C>], now: Timestamp) -> Vec<(usize, Burial<'m>)> {
        let burial = |item: &'m Item<C>, death: Death, attempts: i32, blocking: bool| Burial {
            death,
            message: item.message.as_ref(),
            incarnation: item.incarnation(),
            timer: item.fired.as_ref().map(|fired| &fired.timer),
            cause: item.cause(),
            tried: item.tried(attempts, now),
            blocking,
        };
        let died = items.iter().zip(&self.fates).enumerate().filter_map(|(index, (item, fate))| match fate {
            Fate::Dead { death, attempts, blocking } => {
                Some((index, burial(item, death.clone(), *attempts, *blocking)))
            }
            Fate::Done | Fate::Behind | Fate::Again { .. } | Fate::Skipped | Fate::Refused => None,
        });
        let decided = self.deaths.iter().map(|(index, death)| {
            // The decision stands: there is no timer to be armed again.
            let burial = burial(&items[*index], death.clone(), 1, false);
            let tried = death.laid.map_or(burial.tried, |laid| Tried {
                attempts: laid.attempts,
                first_failed_at: laid.since,
                ..burial.tried
            });
            (*index, Burial { timer: None, tried, ..burial })
        });
        died.chain(decided).collect()
    }
}
