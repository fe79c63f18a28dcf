//! What becomes of a refund to the customer (–: nothing):
//!
//! | | asked for under its key | its timer | gateway: refunded | pending | refused | found nothing | failed on its side | a person's retry |
//! |---|---|---|---|---|---|---|---|---|
//! | no row | `Refunding` **RefundRequested**, also for a return ([`super::returns`]); more than is left: refused | – | – | – | – | – | – | 404 |
//! | `Requested`, `Refunding` | as it was answered | the call again, then look-ups; after the last a person's case | `Refunded` **RefundCompleted** | `Pending` | `Failed` **RefundFailed** | the call again; where its key is spoilt or old, looked up again | looked up | – |
//! | the same, a person's case | as it was answered | – | as above | as above | as above | retried: another attempt | – | looked up |
//! | `Pending` | as it was answered | looked up | `Refunded` **RefundCompleted** | – | `Failed` **RefundFailed** | – | – | – |
//! | `Refunded` | as it was answered | – | – | – | a notice, days later: `Failed` **RefundFailed** | – | – | 409 |
//! | `Failed` | as it was answered | – | – | – | – | – | – | another attempt, where as much is still left |
//!
//! A refund that was made at the provider is known by the provider's id of it: it begins as `Pending` (**RefundRequested**), and goes on as any.

use std::time::Duration;

use events::{OrderId, RefundCompleted, RefundFailed, RefundId, RefundRequested, Resolution, Timestamp};
use gateway::{Money, Obstacle, Operation, Outcome, RefundStatus};
use runtime::rows::Row;
use runtime::{Conflict, Effects};

use super::attempts::{CALLS, KEY_LASTS};
use super::{DecisionContext, reach_of};
use crate::attempt::{Ask, Phase};
use crate::batch::{BatchState, NextCall};
use crate::call::Call;
use crate::gateways::Reach;
use crate::input::{REFUND, Reply};
use crate::payment::{Payment, State};
use crate::refunds::{
    CustomerRefund, RefundAttempt, RefundData, RefundInput, RefundReply, RefundRequest, Refusal, RefusalKind, Shipped,
    key,
};
use crate::settings::PaymentsSettings;

impl DecisionContext<'_> {
    pub(super) fn refunds(
        self,
        world: &mut BatchState,
        input: &RefundInput,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        match input {
            RefundInput::Dispatched(event) => {
                if world.shipments.get(&event.shipment_id).is_none() {
                    let shipped = Shipped { order_id: event.order_id, items: event.items.clone() };
                    world.shipments.add(event.shipment_id, shipped);
                }
            }
            RefundInput::Returned(event) => self.returned(world, event, effects)?,
            RefundInput::Asked(request) => return Ok(Reply::Refund(self.refund_asked(world, request, effects)?)),
            RefundInput::Answer { order_id, refund_id, attempt, outcome } => {
                let unasked = || {
                    Conflict(format!(
                        "the gateway answers {} to {}: it was not asked that; compare the payment with the gateway's books",
                        outcome.as_str(),
                        key(*order_id, *refund_id, *attempt)
                    ))
                };
                if outcome.answers().is_some_and(|operation| operation != Operation::Refund) {
                    return Err(unasked());
                }
                let mut step = self.refund_step(world, *order_id, *refund_id, effects).ok_or_else(unasked)?;
                step.answer(*attempt, outcome)?;
                self.refund_known_as(world, (*order_id, *refund_id), outcome, effects)?;
            }
            RefundInput::Due { order_id, refund_id, due } => {
                if let Some(mut step) = self.refund_step(world, *order_id, *refund_id, effects) {
                    step.due(*due);
                }
            }
            RefundInput::Retry { order_id, refund_id, by } => {
                return Ok(Reply::Refund(self.refund_retried(world, (*order_id, *refund_id), by, effects)));
            }
        }
        Ok(Reply::Nobody)
    }

    fn refund_asked(
        self,
        world: &mut BatchState,
        request: &RefundRequest,
        effects: &mut Effects<'_, Call>,
    ) -> Result<RefundReply, Conflict> {
        let RefundRequest { order_id, refund_id, asked, reason, requested_by, currency } = request;
        if let Some(known) = world.refunds.get(refund_id) {
            let same = known.data.asked == *asked && known.data.reason == *reason;
            let refund = Box::new(known.clone());
            return Ok(if same { RefundReply::Taken { refund, replayed: true } } else { RefundReply::Differs });
        }
        let refused = |kind, detail: String| Ok(RefundReply::Refused(Refusal { kind, detail, left: None }));
        let days = self.settings.refundable_for.0.as_secs() / 86_400;
        if order_id.minted_at().is_some_and(|placed| self.now > placed.plus(self.settings.refundable_for.0)) {
            return refused(
                RefusalKind::TooOld,
                format!(
                    "expected an order that was placed in the last {days} days (payments.refundable_for), got an older one: pay back by other means"
                ),
            );
        }
        let Some(payment) = world.payment(*order_id).filter(|payment| payment.state != State::New) else {
            return refused(RefusalKind::Unknown, format!("no payment of order {order_id} is known"));
        };
        let (amount, lines) = match world.room(*order_id, payment).of(asked, currency.as_deref()) {
            Ok(found) => found,
            Err(refusal) => return Ok(RefundReply::Refused(refusal)),
        };
        let attempt = RefundAttempt::new(self.now);
        let data = RefundData {
            asked: asked.clone(),
            lines,
            reason: reason.clone(),
            requested_by: requested_by.clone(),
            requested_at: self.now,
            attempt,
            detail: None,
        };
        let refund = CustomerRefund { order_id: *order_id, amount, data };
        self.refund_opened(world, *refund_id, refund, effects)?;
        let refund = world.refunds.get(refund_id).cloned().map(Box::new);
        Ok(refund.map_or(RefundReply::Unknown, |refund| RefundReply::Taken { refund, replayed: false }))
    }

    /// Writes a refund and its first attempt down; its call is made after the commit.
    pub(crate) fn refund_opened(
        self,
        world: &mut BatchState,
        refund_id: RefundId,
        refund: CustomerRefund,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let order_id = refund.order_id;
        world.refunds.add(refund_id, refund);
        let unknown = || Conflict(format!("refund {refund_id} of order {order_id}, of which no payment is known"));
        let mut step = self.refund_step(world, order_id, refund_id, effects).ok_or_else(unknown)?;
        match step.attempt().provider_id {
            Some(_) => step.adopt(),
            None => step.open(),
        }
        step.say_requested(&refund_id.to_string())
    }

    fn refund_retried(
        self,
        world: &mut BatchState,
        (order_id, refund_id): (OrderId, RefundId),
        by: &str,
        effects: &mut Effects<'_, Call>,
    ) -> RefundReply {
        let Some((refund, payment)) = world.refunds.get(&refund_id).zip(world.payment(order_id)) else {
            return RefundReply::Unknown;
        };
        let phase = refund.data.attempt.phase;
        if !phase.is_stuck() {
            return RefundReply::NotStuck(refund.state());
        }
        let room = world.room(order_id, payment);
        if phase == Phase::Failed && !room.has(refund) {
            let detail = format!(
                "expected at least {} minor units and the refund's units to be left, got {} minor units, or fewer units: other \
                 refunds took them; nothing is to be tried again",
                refund.amount,
                room.left()
            );
            return RefundReply::Refused(Refusal { kind: RefusalKind::TooMuch, detail, left: Some(room.left()) });
        }
        let Some(mut step) = self.refund_step(world, order_id, refund_id, effects) else { return RefundReply::Unknown };
        step.retry(by);
        RefundReply::Retried { refund: Box::new((**step.refund).clone()) }
    }

    /// Nothing of the saga is stuck: a person means the order's refunds, each of which is tried again where it may be.
    pub(super) fn stuck_refunds_retried(
        self,
        world: &mut BatchState,
        order_id: OrderId,
        by: &str,
        effects: &mut Effects<'_, Call>,
    ) -> Option<Reply> {
        let state = world.payment(order_id)?.state;
        let of_order = world.refunds.iter().filter(|(_, refund)| refund.order_id == order_id && refund.is_stuck());
        let stuck: Vec<RefundId> = of_order.map(|(refund_id, _)| *refund_id).collect();
        let mut retried = None;
        for refund_id in stuck {
            if let RefundReply::Retried { refund } = self.refund_retried(world, (order_id, refund_id), by, effects) {
                retried = Some(Reply::Retried { state, attempt: key(order_id, refund_id, refund.data.attempt.number) });
            }
        }
        retried
    }

    /// An answer that names the provider's refund makes known which of ours it is; notices that came before count now.
    fn refund_known_as(
        self,
        world: &mut BatchState,
        (order_id, refund_id): (OrderId, RefundId),
        outcome: &Outcome,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let Some(provider_id) = outcome.refund_id() else { return Ok(()) };
        let reference = world.reference_mut(provider_id);
        if reference.order_id.is_none() {
            (reference.order_id, reference.customer_refund) = (Some(order_id), Some(refund_id));
        }
        if let Some(ended) = reference.ended().cloned() {
            self.refund_notified(world, (order_id, refund_id), provider_id, &ended, effects)?;
        }
        Ok(())
    }

    /// How a refund ended, by the provider's notice: for its open attempt, and where one that succeeded fails later.
    pub(super) fn refund_notified(
        self,
        world: &mut BatchState,
        (order_id, refund_id): (OrderId, RefundId),
        provider_id: &str,
        status: &RefundStatus,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let state = world.payment(order_id).map_or(State::New, |payment| payment.state);
        let step = self.refund_step(world, order_id, refund_id, effects);
        let ours = |step: &RefundStep<'_, '_>| step.attempt().provider_id.as_deref() == Some(provider_id);
        let Some(mut step) = step.filter(ours) else { return Ok(Reply::Nothing(state)) };
        match status {
            RefundStatus::Succeeded if step.counts() => step.completed()?,
            RefundStatus::Failed { detail } if step.counts() || step.attempt().phase == Phase::Done => {
                step.failed(detail)?;
            }
            RefundStatus::Pending | RefundStatus::Succeeded | RefundStatus::Failed { .. } => {
                return Ok(Reply::Nothing(state));
            }
        }
        Ok(Reply::Recorded(state))
    }

    pub(crate) fn refund_step<'s, 'c>(
        &'s self,
        world: &'s mut BatchState,
        order_id: OrderId,
        refund_id: RefundId,
        effects: &'s mut Effects<'c, Call>,
    ) -> Option<RefundStep<'s, 'c>> {
        let Self { settings, gateway, reach, now } = *self;
        let BatchState { payments, refunds, refund_calls, .. } = world;
        let (payment, refund) = (payments.get_mut(&order_id)?, refunds.get_mut(&refund_id)?);
        if let Some(thread) = &payment.case.thread {
            effects.follow(thread);
        }
        let call = refund_calls.entry(refund_id).or_default();
        let reach = reach_of(payment, reach, gateway);
        Some(RefundStep { order_id, refund_id, payment, refund, call, effects, settings, reach, now })
    }
}

pub(crate) struct RefundStep<'s, 'c> {
    order_id: OrderId,
    refund_id: RefundId,
    payment: &'s mut Row<Payment>,
    refund: &'s mut Row<CustomerRefund>,
    call: &'s mut NextCall,
    effects: &'s mut Effects<'c, Call>,
    settings: &'s PaymentsSettings,
    /// Of the gateway that took the money.
    reach: Reach,
    now: Timestamp,
}

impl RefundStep<'_, '_> {
    fn attempt(&self) -> &RefundAttempt {
        &self.refund.data.attempt
    }

    fn change(&mut self) -> &mut RefundAttempt {
        &mut self.refund.data.attempt
    }

    /// Whether the attempt still takes an answer.
    fn counts(&self) -> bool {
        matches!(self.attempt().phase, Phase::Open | Phase::Pending | Phase::Unanswered)
    }

    fn money(&self) -> Result<Money, Conflict> {
        self.payment.money(self.refund.amount)
    }

    /// Opens the next attempt, its money with it. While the gateway answers nobody it is not asked: no try, and the key stays unused.
    pub(crate) fn open(&mut self) {
        let (now, tries) = (self.now, u32::from(self.reach != Reach::Silent));
        let promised = matches!(self.attempt().phase, Phase::Unanswered | Phase::Disputed);
        if !promised {
            self.payment.refunds_open += self.refund.amount;
        }
        let attempt = self.change();
        attempt.number += 1;
        (attempt.since, attempt.tries, attempt.errored, attempt.provider_id) = (now, tries, false, None);
        self.wait(Phase::Open, self.now.plus(self.settings.pause(1)));
        self.ask(Ask::Make);
    }

    /// A refund that was made at the provider: nothing is asked for; its end is told, or looked up.
    fn adopt(&mut self) {
        self.payment.refunds_open += self.refund.amount;
        let attempt = self.change();
        (attempt.number, attempt.tries) = (1, 1);
        self.wait(Phase::Pending, self.now.plus(self.settings.pending_pause(Operation::Refund, 1)));
    }

    /// Asks the gateway that took the money. One that answers nobody is asked later; no other one is asked instead of one that is not configured any more.
    fn ask(&mut self, ask: Ask) {
        match self.reach {
            Reach::Answers => self.call.ask = Some(ask),
            Reach::Silent => {}
            Reach::Absent => {
                let gateway = self.payment.gateway.clone().unwrap_or_default();
                let what = format!(
                    "expected settings for the gateway {gateway:?}, which took the money, got none: set them, and restart payments"
                );
                self.stick(Phase::Unanswered, "gateway_not_configured", &what);
            }
        }
    }

    /// What was answered before a restore. A person may have had it tried again meanwhile: that is in no topic.
    pub(crate) fn retold(&mut self, outcome: &Outcome) -> Result<(), Conflict> {
        match (self.attempt().phase, outcome) {
            (Phase::Done, Outcome::RefundFailed { detail, .. }) => return self.failed(detail),
            (Phase::Failed, _) => self.open(),
            (_, _) => {}
        }
        let provider_id = self.attempt().provider_id.clone();
        self.answer(self.attempt().number, outcome)?;
        if self.attempt().provider_id.as_deref() == Some("") {
            self.change().provider_id = provider_id; // not told, unless by RefundRequested
        }
        Ok(())
    }

    fn wait(&mut self, phase: Phase, due: Timestamp) {
        let attempt = self.change();
        (attempt.phase, attempt.due) = (phase, due);
        self.effects.schedule(REFUND, self.order_id, &self.refund_id.to_string(), due);
    }

    fn rest(&mut self, phase: Phase) {
        self.change().phase = phase;
        self.call.ask = None;
        self.effects.cancel_timer(REFUND, self.order_id, &self.refund_id.to_string());
    }

    fn due(&mut self, due: Timestamp) {
        let RefundAttempt { tries, phase, errored, .. } = *self.attempt();
        if due < self.attempt().due {
            return;
        }
        match phase {
            Phase::Open if self.reach == Reach::Silent => {
                let due = self.now.plus(self.settings.long_pause(self.order_id));
                self.wait(Phase::Open, due);
            }
            Phase::Open if tries >= self.settings.attempt_tries => {
                let what = format!("no answer after {tries} tries: nobody knows whether it was done");
                self.stick(Phase::Unanswered, "refund_no_answer", &what);
            }
            Phase::Open => {
                let may_be_made = tries < CALLS && !errored && self.key_lasts();
                self.try_again(self.settings.pause(tries + 1));
                self.ask(if may_be_made { Ask::Make } else { Ask::LookUp });
            }
            Phase::Pending => {
                self.count_try();
                self.wait(Phase::Pending, self.now.plus(self.settings.pending_pause(Operation::Refund, tries + 1)));
                self.ask(Ask::LookUp);
            }
            Phase::Waiting | Phase::Done | Phase::Unanswered | Phase::Disputed | Phase::Failed => {}
        }
    }

    fn try_again(&mut self, pause: Duration) {
        self.count_try();
        self.wait(Phase::Open, self.now.plus(pause));
    }

    fn count_try(&mut self) {
        let now = self.now;
        let attempt = self.change();
        if attempt.tries == 0 {
            attempt.since = now; // its key is used from now on
        }
        attempt.tries += 1;
    }

    /// Whether the gateway still knows what was done under the attempt's key.
    fn key_lasts(&self) -> bool {
        self.attempt().tries == 0 || self.now.since(self.attempt().since) < KEY_LASTS
    }

    fn answer(&mut self, number: u32, outcome: &Outcome) -> Result<(), Conflict> {
        if number != self.attempt().number || !self.counts() {
            return Ok(()); // of an earlier attempt, or answered already
        }
        let asked = self.money()?;
        if let Some(provider_id) = outcome.refund_id() {
            self.change().provider_id = Some(provider_id.to_owned());
        }
        match outcome {
            Outcome::Refunded { money, .. } | Outcome::RefundPending { money, .. } if *money != asked => {
                let what = format!("expected {asked} as asked for, the gateway says {money}");
                self.stick(Phase::Disputed, "amount_mismatch", &what);
            }
            Outcome::Refunded { .. } => self.completed()?,
            Outcome::RefundPending { .. } if self.attempt().phase != Phase::Pending => {
                self.settle_letter();
                self.call.ask = None;
                self.change().tries = 1;
                self.wait(Phase::Pending, self.now.plus(self.settings.pending_pause(Operation::Refund, 1)));
            }
            Outcome::RefundFailed { detail, .. } => self.failed(detail)?,
            Outcome::NotFound => self.not_found(),
            Outcome::Errored { .. } if self.attempt().phase == Phase::Open && !self.attempt().errored => {
                self.change().errored = true;
                self.ask(Ask::LookUp);
            }
            Outcome::NotExecuted { obstacle, .. } if self.attempt().phase == Phase::Open => {
                self.not_executed(*obstacle)
            }
            // Nothing new; what is not known, its timer asks again.
            Outcome::RefundPending { .. }
            | Outcome::Errored { .. }
            | Outcome::Unknown { .. }
            | Outcome::NotExecuted { .. }
            | Outcome::Opened { .. }
            | Outcome::Authorized(_)
            | Outcome::ActionRequired { .. }
            | Outcome::Declined { .. }
            | Outcome::Captured { .. }
            | Outcome::CaptureFailed { .. }
            | Outcome::Voided { .. }
            | Outcome::VoidFailed { .. } => {}
        }
        Ok(())
    }

    /// It was not executed: that was no try, and the same call is as good as the first after a pause.
    fn not_executed(&mut self, obstacle: Obstacle) {
        let attempt = self.change();
        attempt.tries = attempt.tries.saturating_sub(1);
        let pause = match obstacle {
            Obstacle::Busy => self.settings.pause(1),
            Obstacle::Unreachable | Obstacle::Misconfigured => self.settings.long_pause(self.order_id),
        };
        self.wait(Phase::Open, self.now.plus(pause));
    }

    /// A look-up found nothing under the key: the same call again. Where the key is spoilt or old, what was done may come to light later, so it is only
    /// made anew once a person has looked.
    fn not_found(&mut self) {
        let RefundAttempt { phase, errored, tries, .. } = *self.attempt();
        if phase != Phase::Open {
            return;
        }
        let is_sure = !errored && self.key_lasts();
        if is_sure {
            self.ask(Ask::Make);
        } else if self.attempt().retried_by.is_some() && tries == 1 {
            self.change().phase = Phase::Unanswered; // its money is promised already
            self.open();
        }
    }

    fn completed(&mut self) -> Result<(), Conflict> {
        let (Money { amount, currency }, lines) = (self.money()?, self.refund.data.lines.clone());
        self.settle_letter();
        self.rest(Phase::Done);
        self.refund.data.detail = None;
        self.payment.refunds_open -= amount;
        self.payment.refunds_done += amount;
        let (order_id, refund_id, refunded) = (self.order_id, self.refund_id, self.payment.refunds_done);
        let event = RefundCompleted { order_id, refund_id, amount, currency, lines, refunded, unshipped: false };
        self.effects.emit(&event, &refund_id.to_string());
        Ok(())
    }

    fn failed(&mut self, detail: &str) -> Result<(), Conflict> {
        let Money { amount, currency } = self.money()?;
        let what = match self.attempt().phase {
            Phase::Done => {
                self.payment.refunds_done -= amount;
                format!("it failed after it had succeeded: {detail}")
            }
            Phase::Open | Phase::Waiting | Phase::Pending | Phase::Unanswered | Phase::Disputed | Phase::Failed => {
                self.payment.refunds_open -= amount;
                format!("not given back: {detail}")
            }
        };
        self.refund.data.detail = Some(detail.to_owned());
        self.stick(Phase::Failed, "refund_failed", &what);
        let (order_id, refund_id, detail) = (self.order_id, self.refund_id, detail.to_owned());
        self.effects.emit(&RefundFailed { order_id, refund_id, amount, currency, detail }, &refund_id.to_string());
        Ok(())
    }

    fn say_requested(&mut self, discriminator: &str) -> Result<(), Conflict> {
        let CustomerRefund { amount, data, .. } = &**self.refund;
        let RefundData { asked, lines, reason, requested_by, attempt, .. } = data.clone();
        let holder = self.payment.case.settlement.is_elsewhere();
        let event = RefundRequested {
            order_id: self.order_id,
            refund_id: self.refund_id,
            amount: *amount,
            currency: self.payment.currency()?,
            lines,
            asked: asked.as_str().to_owned(),
            reason,
            requested_by,
            provider: holder.then(|| self.payment.gateway.clone()).flatten(),
            reference: holder.then(|| self.payment.payment_id.clone()).flatten(),
            provider_refund_id: attempt.provider_id,
        };
        self.effects.emit(&event, discriminator);
        Ok(())
    }

    /// A person has it tried again: what failed by a new attempt, what is not known by a look-up. Who holds the money elsewhere is asked anew.
    fn retry(&mut self, by: &str) {
        self.change().retried_by = Some(by.to_owned());
        if self.attempt().phase == Phase::Failed {
            self.open();
            if self.payment.case.settlement.is_elsewhere() {
                let again = format!("{}:{}", self.refund_id, self.attempt().number);
                let _ = self.say_requested(&again); // it has a currency: it was asked for before
            }
            return;
        }
        self.change().tries = 0;
        self.try_again(self.settings.pause(1));
        self.ask(Ask::LookUp);
    }

    /// Lays it before a person; another dead letter takes the place of the one before.
    fn stick(&mut self, phase: Phase, class: &str, what: &str) {
        let (order_id, refund_id) = (self.order_id, self.refund_id);
        self.resolve(Resolution::DiedAgain);
        self.rest(phase);
        let RefundAttempt { number, tries, since, .. } = *self.attempt();
        let what = format!(
            "{}: {what}; look at the payment in the gateway, then POST /orders/{order_id}/refunds/{refund_id}/retry at payments",
            key(order_id, refund_id, number)
        );
        let attempts = i32::try_from(tries.max(number)).unwrap_or(i32::MAX);
        let letter_id = self.effects.dead_letter_after(order_id, class, what, attempts, since);
        self.change().letter_id = Some(letter_id);
    }

    fn settle_letter(&mut self) {
        self.resolve(Resolution::Recovered);
    }

    fn resolve(&mut self, resolution: Resolution) {
        let order_id = self.order_id;
        let attempt = self.change();
        let Some(letter_id) = attempt.letter_id.take() else { return };
        let by = attempt.retried_by.clone().unwrap_or_default();
        self.effects.resolve(letter_id, Some(order_id), resolution, &by);
    }
}
