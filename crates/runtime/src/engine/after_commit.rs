//! After the commit: answers for the routes, calls to the outside, a signal to the timer poller and the retrier, and one line of log for each verdict.

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::batch::Attempt;
use crate::engine::disposition::Disposition;
use crate::engine::item::{BatchItem, ItemError};
use crate::kafka::record::Message;
use crate::telemetry::step_log;
use crate::vocabulary::{Committed, Conflict, ErrorInfo, RequestError};

impl<C: Consumer> Engine<C> {
    /// Lets the items of a batch go that is written.
    pub(crate) fn conclude(&self, items: Vec<BatchItem<C>>, attempt: Attempt<C>) {
        step_log::log(&items, &attempt, self.log_share);
        let Attempt { outcomes, calls, scheduled, answered, dispositions, expired, .. } = attempt;
        // Before the items are let go, so that there is no moment at which nothing seems to be open.
        for call in calls {
            let _ = self.calls.send((call, self.health.open_call())); // stopping: the call's timer asks again
        }
        let (mut dead, mut parked) = (0, 0);
        for (((item, outcome), position), disposition) in
            items.into_iter().zip(outcomes).zip(answered).zip(dispositions)
        {
            match &disposition {
                Disposition::Done | Disposition::Refused | Disposition::Skipped => {}
                Disposition::Behind | Disposition::Again { .. } => {
                    parked += u64::from(item.kept.is_none() && item.fired.is_none());
                }
                Disposition::Dead { .. } => dead += 1,
            }
            log_outcome(&item, &disposition);
            let Some(reply) = item.reply else { continue };
            let answer = match (item.work, outcome) {
                (Err(ItemError::Dead(death) | ItemError::Failed(death) | ItemError::Waits(death)), _) => {
                    Err(RequestError::Broken(death.message))
                }
                (Ok(_), Some(Ok(reply))) => Ok(Committed { reply, position }),
                (Ok(_), Some(Err(Conflict(why)))) => Err(RequestError::Conflict(why)),
                (Err(ItemError::Skipped), _) | (Ok(_), None) => Err(RequestError::Broken("it was not decided".into())),
            };
            let _ = reply.send(answer); // the caller may have gone: its request is done all the same
        }
        if dead > 0 {
            metrics::counter!("quadrille_dead_letters_total", "consumer" => C::NAME).increment(dead);
        }
        if parked > 0 {
            metrics::counter!("quadrille_parked_total", "consumer" => C::NAME).increment(parked);
            self.parked.notify_one();
        }
        if expired > 0 {
            metrics::counter!("quadrille_expired_events_total", "consumer" => C::NAME).increment(expired);
        }
        if let Some(due) = scheduled {
            self.scheduled.send_if_modified(|next| {
                let is_sooner = next.is_none_or(|next| due < next);
                if is_sooner {
                    *next = Some(due);
                }
                is_sooner
            });
        }
    }
}

/// One line for each verdict on what did not go as it should.
fn log_outcome<C: Consumer>(item: &BatchItem<C>, disposition: &Disposition) {
    let message = item.message.as_ref();
    let header = |name| message.and_then(|message| message.headers.text(name));
    let decided = item.work.as_ref().ok().and_then(|work| C::order(&work.input));
    let died = match disposition {
        Disposition::Dead { death, .. } | Disposition::Again { death, .. } => death.order_id,
        Disposition::Done | Disposition::Refused | Disposition::Behind | Disposition::Skipped => None,
    };
    let known = decided.or(died).or(item.timer_of()).or_else(|| message.and_then(crate::dead_letter::order_of));
    let order_id = known.map(|id| id.to_string());
    // Unless whoever placed the order gave it another one, an order's correlation id is its own.
    let correlation_id = header("ce_correlationid").or(order_id.as_deref());
    let (event_type, event_id, place) = (header("ce_type"), header("ce_id"), message.map(Message::place));
    macro_rules! log {
        ($level:ident, $($more:tt)+) => {
            tracing::$level!(consumer = C::NAME, event_type, event_id, correlation_id, order_id, place, $($more)+)
        };
    }
    match disposition {
        Disposition::Dead { death, attempts, blocking } => {
            let ErrorInfo { stage, class, message, .. } = death;
            log!(error, stage, class, attempts, blocking, "dead letter: {message}");
        }
        // Its circuit is open, and says so.
        Disposition::Again { .. } if matches!(item.work, Err(ItemError::Waits(_))) => {
            tracing::debug!(consumer = C::NAME, place, "parked until the registry answers");
        }
        Disposition::Again { death, attempts, next_at } => {
            let ErrorInfo { stage, class, message, .. } = death;
            log!(warn, stage, class, attempts, next_at = %next_at, "parked: {message}");
        }
        Disposition::Skipped => log!(info, "skipped by a person"),
        Disposition::Done if item.kept.is_some() => log!(info, "handled after it was parked"),
        Disposition::Behind if item.kept.is_none() => log!(debug, "parked behind its key's head"),
        Disposition::Done | Disposition::Behind | Disposition::Refused => {}
    }
}
