//! What becomes of each item of a batch once all that can be decided is: a pure reckoning, which the engine carries out.

use std::time::Duration;

use events::Timestamp;
use uuid::Uuid;

use crate::consumer::{Conflict, Consumer};
use crate::dead_letter::{Burial, Death, Tried};
use crate::engine::batch::{Attempt, Item, Trouble};
use crate::kafka::record::Message;
use crate::parking::{Pace, queue};

/// What waits for everyone's trouble to end is tried again after as long as it has waited, between these two; and at once when it ended.
const WAITS_FROM: Duration = Duration::from_secs(1);
const WAITS_TO: Duration = Duration::from_secs(60);

/// What becomes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is decided.
    Done,
    /// It waits behind the head of its lane.
    Behind,
    /// It failed for its order alone, so many times now, and is tried again then.
    Again { death: Death, attempts: i32, next_at: Timestamp },
    /// It is a dead letter; `blocking`: its lane waits behind it.
    Dead { death: Death, attempts: i32, blocking: bool },
    /// A person left it out.
    Skipped,
    /// Who asked hears that it was not done.
    Refused,
}

impl Fate {
    /// The fate of one item.
    pub fn of<C: Consumer>(
        item: &Item<C>,
        outcome: Option<&Result<C::Reply, Conflict>>,
        pace: &Pace,
        now: Timestamp,
    ) -> Self {
        let before = item.kept.as_ref().map(|kept| kept.attempts).or(item.fired.as_ref().map(|fired| fired.attempts));
        let attempts = before.unwrap_or(0) + 1;
        let dead = |death: Death| Self::Dead { death, attempts, blocking: false };
        match (&item.work, outcome) {
            (Ok(_), _) if item.behind => Self::Behind,
            (Err(_), _) | (_, Some(Err(_))) if item.reply.is_some() => Self::Refused,
            (Err(Trouble::Failed(_) | Trouble::Waits(_)), _) if item.behind => Self::Behind,
            (Err(Trouble::Waits(death)), _) => {
                let waited = item.kept.as_ref().map_or(Duration::ZERO, |kept| now.since(kept.parked_at.0));
                let next_at = now.plus(waited.clamp(WAITS_FROM, WAITS_TO));
                Self::Again { death: death.clone(), attempts: before.unwrap_or(1), next_at }
            }
            (Err(Trouble::Failed(death)), _) => {
                let seed = item.message.as_ref().map_or_else(|| item.cause().into_bytes(), queue::lane);
                match pace.next(attempts.unsigned_abs(), &seed, now) {
                    Some(next_at) => Self::Again { death: death.clone(), attempts, next_at },
                    None => Self::Dead { death: death.clone(), attempts, blocking: item.message.is_some() },
                }
            }
            (Err(Trouble::Dead(death)), _) => dead(death.clone()),
            (Err(Trouble::Skipped), _) => Self::Skipped,
            (Ok(_), Some(Err(Conflict(message)))) => {
                let (class, message) = ("conflict".to_owned(), message.clone());
                dead(Death { stage: "decide", class, message, order_id: item.timer_of(), laid: None })
            }
            (Ok(_), Some(Ok(_)) | None) => Self::Done,
        }
    }
}

impl<C: Consumer> Item<C> {
    fn tried(&self, attempts: i32, now: Timestamp) -> Tried {
        match &self.kept {
            Some(kept) => Tried {
                attempts,
                first_failed_at: kept.first_failed_at.map_or(now, |at| at.0),
                loops: kept.loops,
                arrival: Some(kept.arrival),
            },
            None => Tried { attempts, ..Tried::once(now) },
        }
    }

    /// What tells its record from others at the same place: as it was kept, where it was parked.
    fn incarnation(&self) -> Option<Uuid> {
        let kept = self.kept.as_ref().and_then(|kept| kept.incarnation);
        kept.or_else(|| self.message.as_ref().map(Message::incarnation))
    }

    /// The dead letter that it was before a person had it tried again.
    pub fn letter_before(&self) -> Option<Uuid> {
        let kept = self.kept.as_ref().and_then(|kept| kept.letter_id);
        kept.or_else(|| self.fired.as_ref().and_then(|fired| fired.letter_id))
    }
}

impl<C: Consumer> Attempt<C> {
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

#[cfg(test)]
pub(crate) mod tests;
