//! What becomes of each item of a batch once all that can be decided is: a pure reckoning, which the engine carries out.

use std::time::Duration;

use events::Timestamp;

use crate::consumer::Consumer;
use crate::engine::item::{BatchItem, ItemError, failed};
use crate::parking::{RetryPace, queue};
use crate::vocabulary::{Conflict, ErrorInfo};

/// What waits for everyone's trouble to end is tried again after as long as it has waited, between these two; and at once when it ended.
const WAITS_FROM: Duration = Duration::from_secs(1);
const WAITS_TO: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Done,
    /// It waits behind the head of its lane.
    Behind,
    /// It failed for its order alone, so many times now, and is tried again then.
    Again {
        death: ErrorInfo,
        attempts: i32,
        next_at: Timestamp,
    },
    /// It is a dead letter; `blocking`: its lane waits behind it.
    Dead {
        death: ErrorInfo,
        attempts: i32,
        blocking: bool,
    },
    Skipped,
    /// Who asked is answered that it was not done.
    Refused,
}

impl Disposition {
    pub fn of<C: Consumer>(
        item: &BatchItem<C>,
        outcome: Option<&Result<C::Reply, Conflict>>,
        pace: &RetryPace,
        now: Timestamp,
    ) -> Self {
        let before = item.kept.as_ref().map(|kept| kept.attempts).or(item.fired.as_ref().map(|fired| fired.attempts));
        let attempts = before.unwrap_or(0) + 1;
        let dead = |death: ErrorInfo| Self::Dead { death, attempts, blocking: false };
        match (&item.work, outcome) {
            (Ok(_), _) if item.behind => Self::Behind,
            (Err(_), _) | (_, Some(Err(_))) if item.reply.is_some() => Self::Refused,
            (Err(ItemError::Failed(_) | ItemError::Waits(_)), _) if item.behind => Self::Behind,
            (Err(ItemError::Waits(death)), _) => {
                let waited = item.kept.as_ref().map_or(Duration::ZERO, |kept| now.since(kept.parked_at.0));
                let next_at = now.plus(waited.clamp(WAITS_FROM, WAITS_TO));
                Self::Again { death: death.clone(), attempts: before.unwrap_or(1), next_at }
            }
            (Err(ItemError::Failed(death)), _) => {
                let seed = item.message.as_ref().map_or_else(|| item.cause().into_bytes(), queue::lane);
                match pace.next(attempts.unsigned_abs(), &seed, now) {
                    Some(next_at) => Self::Again { death: death.clone(), attempts, next_at },
                    None => Self::Dead { death: death.clone(), attempts, blocking: item.message.is_some() },
                }
            }
            (Err(ItemError::Dead(death)), _) => dead(death.clone()),
            (Err(ItemError::Skipped), _) => Self::Skipped,
            (Ok(_), Some(Err(Conflict(message)))) => dead(failed("decide", "conflict", message, item.timer_of())),
            (Ok(_), Some(Ok(_)) | None) => Self::Done,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
