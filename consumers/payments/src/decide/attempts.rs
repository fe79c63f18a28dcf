//! Attempts: opened before the gateway is asked, asked again when their timer fires, given to a person after the last try.

use std::time::Duration;

use events::{RefundCompleted, RefundFailed, RefundId, RefundRequested, Timestamp};
use gateway::{Money, Obstacle, Operation, RefundStatus};
use runtime::{Conflict, Consumer as _};

use super::PaymentStep;
use crate::attempt::{Ask, CallAttempt, Phase, key};
use crate::gateways::Reach;
use crate::input::{ATTEMPT, Reply};
use crate::payment::{Payment, Remainder, State};
use crate::settings::Payments;

/// Tries under one key by the call itself; later ones only look.
pub(super) const CALLS: u32 = 2;
/// How long a call may be made again under its key. Providers keep what was done under a key for a day; after it the same call is done once more.
pub(super) const KEY_LASTS: Duration = Duration::from_secs(23 * 3_600);

impl PaymentStep<'_, '_> {
    /// Opens the first attempt at an operation. Where no money moves the answer is yes, at once and without a gateway: the saga needs the events.
    pub(super) fn begin(&mut self, operation: Operation, amount: i64) -> Result<(), Conflict> {
        let settlement = self.payment.case.settlement;
        let is_refund = operation == Operation::Refund;
        if self.payment.amount > 0 && (!is_refund || amount > 0) && (!settlement.is_elsewhere() || is_refund) {
            self.open(operation, amount);
            return Ok(());
        }
        if is_refund {
            // Nothing is asked: what is told of an earlier refund is not of this one.
            self.say_recovered();
            self.change().case.attempt = None;
        }
        match operation {
            Operation::Authorize => self.authorized(None),
            Operation::Capture => self.captured(amount),
            Operation::Void => self.voided(None),
            Operation::Refund => self.given_back(amount),
        }
    }

    /// What was to go back is given back. Of a payment that was taken before its order was placed, that is how it is let go, and how the part is released
    /// that does not ship.
    pub(super) fn given_back(&mut self, amount: i64) -> Result<(), Conflict> {
        if self.payment.state == State::Capturing {
            return self.without_rest(amount, RefundStatus::Succeeded);
        }
        let refund_id = self.payment.unshipped_refund();
        if self.payment.case.attempt.is_some() {
            self.say_given_back(refund_id, amount);
        }
        self.refunded(amount)
    }

    /// What ships is taken already, and the rest goes back, or is on its way.
    pub(super) fn without_rest(&mut self, amount: i64, status: RefundStatus) -> Result<(), Conflict> {
        let refund_id = self.payment.unshipped_refund();
        let payment = self.change();
        if let Some(attempt) = payment.case.attempt.as_ref().filter(|_| amount > 0) {
            let provider_id = attempt.refund_id.clone();
            payment.case.remainder = Some(Remainder { amount, provider_id, status: status.clone() });
            if status == RefundStatus::Succeeded {
                self.say_given_back(refund_id, amount);
            }
        }
        self.captured(self.payment.authorized - amount)
    }

    /// Tells who holds the money elsewhere what is to go back.
    fn ask_holder(&mut self, amount: i64, number: u32) {
        let refund_id = self.payment.unshipped_refund();
        let Payment { order_id, gateway, payment_id, currency, case, state, .. } = &**self.payment;
        let Some(currency) = *currency else { return };
        let why = case.undoing.as_ref().filter(|_| *state != State::Capturing);
        let event = RefundRequested {
            order_id: *order_id,
            refund_id,
            amount,
            currency,
            lines: Vec::new(),
            asked: "unshipped".to_owned(),
            reason: why.map_or_else(|| "a part of the order does not ship".to_owned(), |why| why.reason.detail.clone()),
            requested_by: Payments::NAME.to_owned(),
            provider_refund_id: None,
            provider: gateway.clone(),
            reference: payment_id.clone(),
        };
        self.effects.emit(&event, &format!("{refund_id}:{number}"));
    }

    /// Who holds the money elsewhere gave back what did not ship.
    pub(super) fn say_given_back(&mut self, refund_id: RefundId, amount: i64) {
        let Payment { order_id, currency, refunds_done: refunded, .. } = **self.payment;
        let Some(currency) = currency.filter(|_| self.payment.case.settlement.is_elsewhere()) else { return };
        let event =
            RefundCompleted { order_id, refund_id, amount, currency, lines: Vec::new(), refunded, unshipped: true };
        self.effects.emit(&event, &refund_id.to_string());
    }

    /// Who holds the money elsewhere did not give it back.
    pub(super) fn say_failed_elsewhere(&mut self, refund_id: RefundId, amount: i64, detail: &str) {
        let Payment { order_id, currency, .. } = **self.payment;
        let Some(currency) = currency.filter(|_| self.payment.case.settlement.is_elsewhere()) else { return };
        let detail = detail.to_owned();
        self.effects.emit(&RefundFailed { order_id, refund_id, amount, currency, detail }, &refund_id.to_string());
    }

    /// Writes the next attempt at an operation down; its call is made after the commit, and asked for again when its lease runs out.
    fn open(&mut self, operation: Operation, amount: i64) {
        let due = self.now.plus(self.settings.pause(1));
        let since = self.now;
        let tries = u32::from(!self.is_silent());
        self.go_on();
        let payment = self.change();
        let before = payment.case.attempt.as_ref().filter(|attempt| attempt.operation == operation);
        let (parked, letter_id) = before.map_or((false, None), |attempt| (attempt.parked, attempt.letter_id));
        let made = payment.case.made.at(operation);
        *made += 1;
        payment.case.attempt = Some(CallAttempt {
            operation,
            number: *made,
            amount,
            since,
            tries,
            due,
            phase: Phase::Open,
            errored: false,
            refund_id: None,
            retried_by: None,
            parked,
            letter_id,
        });
        // While the gateway answers nobody it is not asked: no try, and the key stays unused.
        self.call.ask = (!self.is_silent()).then_some(Ask::Make);
        self.call.fresh = true;
        let order_id = self.payment.order_id;
        self.effects.schedule(ATTEMPT, order_id, "", due);
        if operation == Operation::Refund && self.payment.case.settlement.is_elsewhere() {
            self.ask_holder(amount, self.payment.case.made.of(operation));
        }
    }

    /// Takes back an attempt of this batch that nobody was asked about.
    pub(super) fn take_back(&mut self) {
        let payment = self.change();
        if let Some(attempt) = payment.case.attempt.take() {
            *payment.case.made.at(attempt.operation) -= 1;
        }
        payment.case.confirmed.clear();
        self.call.ask = None;
        self.call.fresh = false;
        self.effects.cancel_timer(ATTEMPT, self.payment.order_id, "");
    }

    pub(super) fn conclude(&mut self) {
        self.say_recovered();
        self.rest(Phase::Done);
    }

    fn rest(&mut self, phase: Phase) {
        let payment = self.change();
        let Some(attempt) = payment.case.attempt.as_mut().filter(|attempt| attempt.phase != phase) else { return };
        attempt.phase = phase;
        self.call.ask = None;
        self.call.fresh = false;
        self.effects.cancel_timer(ATTEMPT, self.payment.order_id, "");
    }

    fn wait(&mut self, phase: Phase, due: Timestamp) {
        let payment = self.change();
        let Some(attempt) = payment.case.attempt.as_mut() else { return };
        attempt.phase = phase;
        attempt.due = due;
        self.effects.schedule(ATTEMPT, self.payment.order_id, "", due);
    }

    /// Lays it before a person: the order stays open, and the door lets it be tried again.
    pub(super) fn stick(&mut self, phase: Phase, class: &str, what: &str) {
        let order_id = self.payment.order_id;
        let attempt = self.payment.case.attempt.as_ref();
        let name = attempt.map(|attempt| key(order_id, attempt.operation, attempt.number)).unwrap_or_default();
        self.rest(phase);
        let what = format!("{name}: {what}; look at the payment in the gateway, then POST /payments/{order_id}/retry");
        self.say_stuck(class, what);
    }

    /// The attempt's timer fired: asked again, looked up, attempted anew, or given to a person.
    pub fn attempt_due(&mut self, due: Timestamp) {
        let Some(attempt) = self.payment.case.attempt.clone().filter(|attempt| due >= attempt.due) else { return };
        match attempt.phase {
            // It answers nobody: that is no failure of this attempt.
            Phase::Open if self.is_silent() => {
                self.wait(Phase::Open, self.now.plus(self.settings.long_pause(self.payment.order_id)));
                self.say_waiting("the gateway answers nobody");
            }
            Phase::Open if attempt.tries >= self.settings.attempt_tries => {
                let what = format!("no answer after {} tries: nobody knows whether it was done", attempt.tries);
                self.stick(Phase::Unanswered, "gateway_no_answer", &what);
            }
            Phase::Open => {
                self.try_again(attempt.tries);
                if attempt.tries > 0 {
                    self.say_waiting(if attempt.errored { "the gateway failed on its own side" } else { "no answer" });
                }
                let may_be_made = attempt.tries < CALLS && !attempt.errored && self.key_lasts(&attempt);
                self.call.ask = Some(if may_be_made { Ask::Make } else { Ask::LookUp });
            }
            Phase::Pending => {
                let due = self.now.plus(self.settings.pending_pause(attempt.operation, attempt.tries + 1));
                self.count_try(attempt.tries);
                self.wait(Phase::Pending, due);
                self.call.ask = Some(Ask::LookUp);
            }
            Phase::Waiting => self.open(attempt.operation, attempt.amount),
            Phase::Done | Phase::Unanswered | Phase::Disputed | Phase::Failed => {}
        }
    }

    fn is_silent(&self) -> bool {
        self.reach() == Reach::Silent
    }

    /// No other gateway is asked about money that one holds which is not configured here any more: a person's case.
    pub(super) fn refuse_unrouted(&mut self) {
        if self.call.ask.is_some() && self.reach() == Reach::Absent {
            let gateway = self.payment.gateway.clone().unwrap_or_default();
            let what = format!(
                "expected the gateway {gateway:?}, which holds its money, beside {:?}, which is for new orders, got no settings for it: set them, and restart payments",
                self.gateway
            );
            self.stick(Phase::Unanswered, "gateway_not_configured", &what);
        }
    }

    /// Whether the gateway still knows what was done under the attempt's key. A key that was never used has all its time before it.
    fn key_lasts(&self, attempt: &CallAttempt) -> bool {
        attempt.tries == 0 || self.now.since(attempt.since) < KEY_LASTS
    }

    fn try_again(&mut self, tries: u32) {
        let due = self.now.plus(self.settings.pause(tries + 1));
        self.count_try(tries);
        self.wait(Phase::Open, due);
    }

    fn count_try(&mut self, tries: u32) {
        let now = self.now;
        if let Some(attempt) = self.change().case.attempt.as_mut() {
            if attempt.tries == 0 {
                attempt.since = now; // its key is used from now on
            }
            attempt.tries = tries + 1;
        }
    }

    /// The refund is under way.
    pub(super) fn pending(&mut self, refund_id: &str) {
        self.known_as(refund_id);
        self.call.ask = None;
        self.await_news();
    }

    /// By which id the provider knows the attempt's refund: a notice that it failed may come days later.
    pub(super) fn known_as(&mut self, refund_id: &str) {
        if let Some(attempt) = self.change().case.attempt.as_mut().filter(|_| !refund_id.is_empty()) {
            attempt.refund_id = Some(refund_id.to_owned());
        }
    }

    /// A bank, or the customer, must go on: a webhook, or a look-up now and then, says how the attempt ends.
    pub(super) fn await_news(&mut self) {
        self.say_recovered();
        let Some(attempt) = self.change().case.attempt.as_mut() else { return };
        attempt.tries = 1;
        let operation = attempt.operation;
        self.wait(Phase::Pending, self.now.plus(self.settings.pending_pause(operation, 1)));
    }

    /// Asks how the authorization stands, once more each time that there is no answer.
    pub(super) fn look_up_hold(&mut self) {
        if self.payment.case.attempt.as_ref().is_some_and(|attempt| attempt.operation == Operation::Authorize) {
            self.await_news();
            self.call.ask = Some(Ask::LookUp);
        }
    }

    /// The customer's time is over: a look-up says whether they confirmed, before anything is let go.
    pub(super) fn look_before_giving_up(&mut self) {
        self.change().case.expired = true;
        self.try_again(CALLS);
        self.call.ask = Some(Ask::LookUp);
    }

    /// A definite failure to void: another attempt after a pause; after the last a person.
    pub(super) fn void_failed(&mut self, number: u32, detail: &str) {
        if number < self.settings.void_attempts {
            self.wait(Phase::Waiting, self.now.plus(self.settings.pause(number)));
            self.say_waiting(&format!("not let go: {detail}"));
        } else {
            self.stick(Phase::Failed, "void_failed", &format!("not let go after {number} attempts: {detail}"));
        }
    }

    /// The payment exists at the provider: its id is recorded, then the same call goes on with it, unless fulfillment let go meanwhile.
    pub(super) fn opened(&mut self, payment_id: &str) -> Result<(), Conflict> {
        self.change().payment_id = Some(payment_id.to_owned());
        match self.payment.case.stop.clone() {
            Some(stop) => {
                self.conclude();
                self.void(stop)
            }
            None => {
                self.call.ask = Some(Ask::Make);
                Ok(())
            }
        }
    }

    /// It was not executed: that was no try, and the same call is as good as the first after a pause.
    pub(super) fn not_executed(&mut self, obstacle: Obstacle, detail: &str) {
        let order_id = self.payment.order_id;
        let Some(attempt) = self.change().case.attempt.as_mut().filter(|attempt| attempt.phase == Phase::Open) else {
            return;
        };
        attempt.tries = attempt.tries.saturating_sub(1);
        match obstacle {
            Obstacle::Busy => self.wait(Phase::Open, self.now.plus(self.settings.pause(1))),
            Obstacle::Unreachable | Obstacle::Misconfigured => {
                self.wait(Phase::Open, self.now.plus(self.settings.long_pause(order_id)));
                self.say_waiting(detail);
            }
        }
    }

    /// The provider failed on its own side, and will repeat that under this key: what was done, if anything, is looked up.
    pub(super) fn errored(&mut self) {
        let Some(attempt) = self.payment.case.attempt.as_ref() else { return };
        if attempt.phase == Phase::Open && !attempt.errored {
            if let Some(attempt) = self.change().case.attempt.as_mut() {
                attempt.errored = true;
            }
            self.call.ask = Some(Ask::LookUp);
        }
    }

    /// A look-up found nothing under the key. Nothing was done: the same call again; or, where the key is spoilt, another attempt after a pause.
    /// Of an old key the gateway may have forgotten what was done under it: a person looks, and has it attempted anew.
    pub(super) fn not_found(&mut self) {
        let Some(attempt) = self.payment.case.attempt.clone() else { return };
        match attempt.phase {
            Phase::Open if !attempt.errored && self.key_lasts(&attempt) => self.call.ask = Some(Ask::Make),
            // The provider may yet roll a failed refund forward, and a second one would give the money back twice: looked up until a person decides.
            Phase::Open
                if attempt.errored
                    && attempt.operation == Operation::Refund
                    && attempt.retried_by.is_none()
                    && self.key_lasts(&attempt) => {}
            // A person has just looked, as they were asked to, and so did we.
            Phase::Open if !self.key_lasts(&attempt) && attempt.retried_by.is_some() && attempt.tries == 1 => {
                self.open(attempt.operation, attempt.amount);
            }
            Phase::Open if !self.key_lasts(&attempt) => {
                let hours = KEY_LASTS.as_secs() / 3_600;
                let what = format!(
                    "begun more than {hours} hours ago, and the gateway knows nothing of it: it was not done, or is forgotten, so it is not done again by itself"
                );
                self.stick(Phase::Unanswered, "gateway_no_answer", &what);
            }
            Phase::Open if attempt.number < self.settings.attempt_tries => {
                self.wait(Phase::Waiting, self.now.plus(self.settings.pause(attempt.number)));
                self.say_waiting("the gateway failed on its own side, and did nothing");
            }
            Phase::Open => {
                let what = format!(
                    "the gateway failed on its own side in each of {} attempts, and did nothing",
                    attempt.number
                );
                self.stick(Phase::Failed, "gateway_errored", &what);
            }
            Phase::Waiting | Phase::Pending | Phase::Done | Phase::Unanswered | Phase::Disputed | Phase::Failed => {}
        }
    }

    /// The provider's amount or currency is not the order's: nothing ships, a person decides.
    pub(super) fn dispute(&mut self, payment_id: Option<&str>, asked: Money, got: Money) {
        if let Some(payment_id) = payment_id {
            self.change().payment_id = Some(payment_id.to_owned());
        }
        let what = format!("expected {asked} as asked for, the gateway says {got}: conflict, nothing ships");
        self.stick(Phase::Disputed, "amount_mismatch", &what);
    }

    /// A person has what is stuck tried again: what failed by a new attempt, what is not known by a look-up.
    pub fn retry(&mut self, by: &str) -> Result<Reply, Conflict> {
        let state = self.payment.state;
        let Some(attempt) = self.payment.case.attempt.clone() else {
            return Ok(if state == State::New { Reply::Unknown } else { Reply::NotStuck(state) });
        };
        match attempt.phase {
            Phase::Unanswered | Phase::Disputed => {
                self.try_again(0);
                self.call.ask = Some(Ask::LookUp);
            }
            Phase::Failed if attempt.operation == Operation::Refund => {
                let amount = self.within_returnable(attempt.amount);
                self.begin(Operation::Refund, amount)?;
            }
            Phase::Failed => self.open(attempt.operation, attempt.amount),
            Phase::Open | Phase::Waiting | Phase::Pending | Phase::Done => return Ok(Reply::NotStuck(state)),
        }
        let payment = self.change();
        let order_id = payment.order_id;
        let again = payment.case.attempt.as_mut().map(|attempt| {
            attempt.retried_by = Some(by.to_owned());
            key(order_id, attempt.operation, attempt.number)
        });
        Ok(Reply::Retried { state, attempt: again.unwrap_or_default() })
    }
}
