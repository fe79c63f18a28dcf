//! What the runtime says of its own: that an order waits for a parked event, and what became of dead letters.

use events::{EventId, OrderId, OrderParked, Resolution, Timestamp};

use crate::consumer::Consumer;
use crate::dead_letter;
use crate::engine::Engine;
use crate::engine::batch::Attempt;
use crate::engine::disposition::Disposition;
use crate::engine::effects::Effects;
use crate::engine::item::BatchItem;
use crate::kafka::record::Message;
use crate::vocabulary::{Cause, ErrorInfo};

const LONGEST_SAID: usize = 300;

pub(crate) struct Wait {
    pub attempts: i32,
    pub parked_at: Timestamp,
    pub next_at: Timestamp,
}

impl<C: Consumer> Engine<C> {
    /// Says what became of letters that a person had tried again, or skipped.
    pub(crate) fn settle_letters(&self, items: &[BatchItem<C>], attempt: &mut Attempt<C>, now: Timestamp) {
        for (index, item) in items.iter().enumerate() {
            let Some(letter_id) = item.letter_before() else { continue };
            let resolution = match attempt.dispositions[index] {
                Disposition::Done => Resolution::Recovered,
                Disposition::Skipped => Resolution::Skipped,
                Disposition::Dead { .. } => Resolution::DiedAgain,
                Disposition::Behind | Disposition::Again { .. } | Disposition::Refused => continue,
            };
            let by = item.kept.as_ref().and_then(|kept| kept.decided_by.clone()).unwrap_or_default();
            let order_id = item.timer_of().or_else(|| order_of_kept(item));
            self.emit(attempt, item.message.as_ref(), now, |effects| {
                effects.resolve(letter_id, order_id, resolution, &by);
            });
        }
    }

    pub(crate) fn say_parked(
        &self,
        attempt: &mut Attempt<C>,
        message: &Message,
        death: &ErrorInfo,
        wait: &Wait,
        now: Timestamp,
    ) {
        let Some(order_id) = dead_letter::order_of(message) else { return };
        let error = format!("{}: {}", death.class, death.message).chars().take(LONGEST_SAID).collect();
        let parked = OrderParked {
            order_id,
            consumer: C::NAME.to_owned(),
            event_id: EventId(message.cause().map(|cause| cause.id).unwrap_or_default()),
            event_type: message.event_type().unwrap_or_default().to_owned(),
            topic: message.topic.to_owned(),
            partition: message.partition,
            offset: message.offset,
            attempts: i64::from(wait.attempts),
            next_at: wait.next_at,
            parked_at: Some(wait.parked_at),
            error,
        };
        self.emit(attempt, Some(message), now, |effects| effects.emit(&parked, &now.as_millis().to_string()));
    }

    /// Says something of the runtime's own because of a record.
    pub(crate) fn emit(
        &self,
        attempt: &mut Attempt<C>,
        message: Option<&Message>,
        now: Timestamp,
        what: impl FnOnce(&mut Effects<'_, C::Call>),
    ) {
        let cause = message.and_then(|message| message.cause().ok());
        let cause = cause.unwrap_or_else(|| {
            let place = message.map_or_else(|| "no record".to_owned(), Message::place);
            Cause::request(C::NAME, &place)
        });
        let mut effects = Effects::new(&self.codec, C::NAME, &cause, now);
        what(&mut effects);
        attempt.finished(effects);
    }
}

/// The order of a row of the queue: of its record, or of the letter without one that a person left out.
fn order_of_kept<C: Consumer>(item: &BatchItem<C>) -> Option<OrderId> {
    if let Some(message) = &item.message {
        return dead_letter::order_of(message);
    }
    let key = item.kept.as_ref()?.key.as_deref()?;
    std::str::from_utf8(key).ok()?.parse().ok()
}
