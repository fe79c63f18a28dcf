//! What people are told of an attempt that is not answered at once: that its order waits for it, and what came of the wait.

use events::{EventId, OrderParked, OrderUnparked, Resolution, Unparked};
use runtime::{Cause, Consumer as _};

use super::PaymentStep;
use crate::attempt::{CallAttempt, key};
use crate::settings::Payments;

impl PaymentStep<'_, '_> {
    /// The order waits for its attempt; said once. It has no record: topic and place are empty, and its type is the operation's.
    pub(super) fn say_waiting(&mut self, error: &str) {
        let order_id = self.payment.order_id;
        let Some(attempt) = self.change().case.attempt.as_mut().filter(|attempt| !attempt.parked) else { return };
        attempt.parked = true;
        let CallAttempt { operation, number, tries, due, .. } = *attempt;
        let name = key(order_id, operation, number);
        let parked = OrderParked {
            order_id,
            consumer: Payments::NAME.to_owned(),
            event_id: EventId(Cause::answer(&name).id),
            event_type: format!("gateway/{operation}"),
            topic: String::new(),
            partition: -1,
            offset: -1,
            attempts: i64::from(tries),
            next_at: due,
            parked_at: Some(self.now),
            error: format!("{name}: {error}"),
        };
        self.effects.emit(&parked, &self.discriminator());
    }

    /// The attempt is answered: nothing waits for it any more, and the dead letter that lay before a person is settled.
    pub(super) fn say_recovered(&mut self) {
        self.say_unparked(Unparked::Recovered);
        self.resolve_letter(Resolution::Recovered);
    }

    /// The attempt is a person's case: another dead letter takes the place of the one before.
    pub(super) fn say_stuck(&mut self, class: &str, what: String) {
        self.say_unparked(Unparked::DeadLettered);
        self.resolve_letter(Resolution::DiedAgain);
        let order_id = self.payment.order_id;
        let attempt = self.payment.case.attempt.as_ref();
        let tried = attempt.map_or((1, self.now), |attempt| (attempt.tries.max(attempt.number), attempt.since));
        let (attempts, since) = (i32::try_from(tried.0).unwrap_or(i32::MAX), tried.1);
        let letter_id = self.effects.dead_letter_after(order_id, class, what, attempts, since);
        self.keep_letter(Some(letter_id));
    }

    fn say_unparked(&mut self, outcome: Unparked) {
        let order_id = self.payment.order_id;
        if !self.payment.case.attempt.as_ref().is_some_and(|attempt| attempt.parked) {
            return;
        }
        if let Some(attempt) = self.change().case.attempt.as_mut() {
            attempt.parked = false;
        }
        let unparked = OrderUnparked { order_id, consumer: Payments::NAME.to_owned(), outcome };
        self.effects.emit(&unparked, &self.discriminator());
    }

    fn resolve_letter(&mut self, resolution: Resolution) {
        let (order_id, attempt) = (self.payment.order_id, self.payment.case.attempt.as_ref());
        let Some(CallAttempt { letter_id: Some(letter_id), retried_by, .. }) = attempt else { return };
        let (letter_id, by) = (*letter_id, retried_by.clone().unwrap_or_default());
        self.effects.resolve(letter_id, Some(order_id), resolution, &by);
        self.keep_letter(None);
    }

    fn keep_letter(&mut self, letter_id: Option<uuid::Uuid>) {
        if let Some(attempt) = self.change().case.attempt.as_mut() {
            attempt.letter_id = letter_id;
        }
    }

    /// The same answer may come twice, and mean something each time: a person had it tried again between.
    fn discriminator(&self) -> String {
        let attempt = self.payment.case.attempt.as_ref();
        let name = attempt.map(|attempt| format!("{}:{}", attempt.operation, attempt.number)).unwrap_or_default();
        format!("{name}:{}", self.now.as_millis())
    }
}
