//! One thing of a batch: what it is, where it came from, and whether it can be decided.

use std::collections::HashSet;

use events::{OrderId, Timestamp};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::dead_letter::{self, burial::Attempts};
use crate::health::Open;
use crate::kafka::record::Message;
use crate::parking::queue::{self, ParkedRecord};
use crate::timers::store::Fired;
use crate::vocabulary::{Cause, Committed, ErrorInfo, RequestError, Work};

#[derive(Clone, Debug)]
pub(crate) enum ItemError {
    /// It is a dead letter at once: no repetition helps, and nobody waits behind it.
    Dead(ErrorInfo),
    /// It failed for its order alone: it is tried again later, and what comes after it of its key waits.
    Failed(ErrorInfo),
    /// What it needs is away for everyone: it is tried again later, however often that takes, and what comes after it of its key waits.
    Waits(ErrorInfo),
    Skipped,
}

/// One thing to decide, or one that can't be.
pub(crate) struct BatchItem<C: Consumer> {
    pub work: Result<Work<C::Input>, ItemError>,
    /// The record, for a dead letter that keeps its bytes.
    pub message: Option<Message>,
    pub fired: Option<Fired>,
    /// The row of the queue that it is, for what was parked.
    pub kept: Option<ParkedRecord>,
    /// Whether it waits behind another event of its key.
    pub behind: bool,
    /// Keeps it counted as open, where it did not come from a topic.
    #[expect(dead_code, reason = "held for what its drop does")]
    pub open: Option<Open>,
    pub reply: Option<oneshot::Sender<Result<Committed<C::Reply>, RequestError>>>,
}

impl<C: Consumer> BatchItem<C> {
    /// A record of a topic.
    pub fn heard(work: Result<Work<C::Input>, ItemError>, message: Message) -> Self {
        Self { message: Some(message), ..Self::new(work) }
    }

    pub fn new(work: Result<Work<C::Input>, ItemError>) -> Self {
        Self { work, message: None, fired: None, kept: None, behind: false, open: None, reply: None }
    }

    /// What has no record: an answer, a request, a timer.
    pub fn asked(work: Work<C::Input>, open: Open) -> Self {
        Self { open: Some(open), ..Self::new(Ok(work)) }
    }

    pub fn to_decide(&self) -> Option<&Work<C::Input>> {
        self.work.as_ref().ok().filter(|_| !self.behind)
    }

    /// Whether it was asked for by somebody who has left: it is not done then, as its caller may have it done elsewhere or another time.
    pub fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    pub fn mark_dead(&mut self, stage: &'static str, class: String, message: String) {
        self.work = Err(ItemError::Dead(failed(stage, class, message, self.timer_of())));
    }

    /// It failed for its order alone. What can't be tried again by itself is given up: a request, whose caller hears of it; an answer, whose timer
    /// asks again; and a dead letter, which would be heard, and fail, for ever.
    pub fn fail(&mut self, stage: &'static str, class: String, message: String) {
        let death = failed(stage, class, message, self.timer_of());
        let record = self.message.as_ref().is_some_and(|message| message.topic != dead_letter::TOPIC);
        let again = self.reply.is_none() && (record || self.fired.is_some());
        self.work = Err(if again { ItemError::Failed(death) } else { ItemError::Dead(death) });
    }

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
            (Err(_), Some(fired)) => Cause::timer(&fired.timer).id.to_string(),
            (Err(_), None) => String::new(),
        }
    }

    pub fn tried(&self, attempts: i32, now: Timestamp) -> Attempts {
        let kept = self.kept.as_ref();
        Attempts {
            attempts,
            first_failed_at: kept.and_then(|kept| kept.first_failed_at).map_or(now, |at| at.0),
            loops: kept.map_or(0, |kept| kept.loops),
            arrival: kept.map(|kept| kept.arrival),
        }
    }

    /// What tells its record from others at the same place: as it was kept, where it was parked.
    pub fn incarnation(&self) -> Option<Uuid> {
        let kept = self.kept.as_ref().and_then(|kept| kept.incarnation);
        kept.or_else(|| self.message.as_ref().map(Message::incarnation))
    }

    /// The dead letter that it was before a person had it tried again.
    pub fn letter_before(&self) -> Option<Uuid> {
        let kept = self.kept.as_ref().and_then(|kept| kept.letter_id);
        kept.or_else(|| self.fired.as_ref().and_then(|fired| fired.letter_id))
    }
}

/// A failure that no decision laid before a person.
pub(crate) fn failed(
    stage: &'static str,
    class: impl Into<String>,
    message: impl Into<String>,
    order_id: Option<OrderId>,
) -> ErrorInfo {
    ErrorInfo { stage, class: class.into(), message: message.into(), order_id, escalation: None }
}

/// Says of each item whether it waits behind another one of its key: one that is parked, or one before it in the batch that failed.
pub(crate) fn line_up<C: Consumer>(items: &mut [BatchItem<C>], held: &HashSet<Vec<u8>>) {
    let failed = |item: &BatchItem<C>| matches!(item.work, Err(ItemError::Failed(_) | ItemError::Waits(_)));
    if held.is_empty() && !items.iter().any(failed) {
        items.iter_mut().for_each(|item| item.behind = false);
        return;
    }
    let mut blocked = held.clone();
    for item in items {
        let Some(lane) = item.lane() else { continue };
        item.behind = blocked.contains(&lane) && !matches!(item.work, Err(ItemError::Dead(_) | ItemError::Skipped));
        if !item.behind && failed(item) {
            blocked.insert(lane);
        }
    }
}
