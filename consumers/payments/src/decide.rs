//! The rules of a payment, pure. What each event does in each state (–: nothing, it came twice or too late; ✗: a conflict, the protocol excludes it):
//!
//! | | `StockReserved` | `ReservationExpired` | `FraudRejected`, `FulfillmentRejected` | `FulfillmentConfirmed` | `FulfillmentCancelled` |
//! |---|---|---|---|---|---|
//! | `New` | authorize | kept | ✗ | ✗ | `Voided` (a tombstone) |
//! | `Authorizing` | – | kept | ✗ | ✗ | kept; not asked yet: `Voided`; amounts disputed: void |
//! | `ActionRequired` | – | looked up: `Authorized`, or void | ✗ | ✗ | void |
//! | `Authorized` | – | – | void | capture | void |
//! | `Capturing` | – | – | ✗ | – | kept; not asked yet, or amounts disputed: void |
//! | `Lapsed` | – | – | void | – | void |
//! | `Captured` | – | – | ✗ | – | refund |
//! | `Voiding`, `Refunding`, `Declined`, `Voided`, `Refunded` | – | – | – | – | – |
//!
//! *Authorize, capture, void* and *refund* open an attempt: the state is `Authorizing`, `Capturing`, `Voiding` or `Refunding` until the gateway's answer
//! is recorded, and what is *kept* is acted on with that answer. What an answer does to the open attempt:
//!
//! | | |
//! |---|---|
//! | authorized, captured, voided, refunded | `Authorized`, `Captured`, `Voided`, `Refunded`; another amount than asked for is disputed, a person's case |
//! | action required | `ActionRequired`, until the customer's result (a notice, or a look-up now and then): `Authorized`, or void |
//! | declined, capture failed | `Declined`, `Lapsed` |
//! | opened | its id is recorded, and the same call goes on with it |
//! | captured, to a void | somebody took it at the provider: it is given back instead; then `Voided`, as by a void |
//! | void failed, errored | another attempt after a pause; after the last one a person's case. A refund that errored is looked up until a person decides |
//! | not executed | asked again under the same key after a pause; no try is used up |
//! | refund pending, refund failed | looked up now and then; a person's case |
//! | none | asked again under the same key, then looked up; after the last try a person's case |
//!
//! A payment that was held or taken before its order was placed ([`Settlement`](crate::Settlement)) goes through the same states. To authorize it is to take it over, which
//! declines what is not as the order says; where it was taken, to void it is to refund it, and to capture a part is to refund the rest. Where no gateway here
//! holds the money, whoever does is asked by `RefundRequested`, and a notice says how that ended. `StockReserved` meets a tombstone, and `StockRejected` comes,
//! with such a payment: it is taken over and let go.
//!
//! A refund that failed after it had succeeded, by the provider's notice, is a person's case: `Refunded` is `Refunding` again, `Voided` is `Voiding`.
//!
//! The hold's timer lets `Authorized` become `Lapsed`, and so does a hold that is gone at the provider, which is looked up once the hold nears its end. What
//! else happens there without us has a table of its own (outside.rs). A gateway that is not configured here any more is a person's case: no other one is
//! asked about its money. A rule checks first and changes then, so that a conflict leaves the payment as it was.

mod answers;
mod attempts;
mod events;
mod notify;
mod outside;
mod refunds;
mod returns;
mod turns;
mod undoing;

#[cfg(test)]
mod tests;

use ::events::{OrderId, Timestamp};
use gateway::ProviderNotice;
use runtime::rows::Row;
use runtime::{Conflict, Effects};

use crate::batch::{BatchState, NextCall, RefundNotice};
use crate::call::Call;
use crate::gateways::Reach;
use crate::input::{Answer, Input, Reply};
use crate::payment::Payment;
use crate::settings::PaymentsSettings;

#[derive(Clone, Copy)]
pub(crate) struct DecisionContext<'r> {
    pub settings: &'r PaymentsSettings,
    /// Where new orders go.
    pub gateway: &'static str,
    /// Whether a gateway can be asked, by its name.
    pub reach: &'r dyn Fn(&str) -> Reach,
    pub now: Timestamp,
}

impl DecisionContext<'_> {
    pub fn decide(
        self,
        world: &mut BatchState,
        input: &Input,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let Some(order_id) = input.order_id() else { return self.refund_notice(world, input, effects) };
        if let Input::Refund(input) = input {
            return self.refunds(world, input, effects);
        }
        if matches!(input, Input::StockRejected(event) if event.payment.is_none()) {
            return Ok(Reply::Nobody); // its row is not read
        }
        let mut step = self.step(world, order_id, effects);
        let nobody = |()| Reply::Nobody;
        let reply = match input {
            Input::Reserved(event) => step.reserved(event).map(nobody),
            Input::StockRejected(event) => step.stock_rejected(event).map(nobody),
            Input::Expired(_) => {
                step.expired();
                Ok(Reply::Nobody)
            }
            Input::FraudRejected(event) => step.rejected("FraudRejected", &event.reason).map(nobody),
            Input::Confirmed(event) => step.confirmed(event).map(nobody),
            Input::Rejected(event) => step.rejected("FulfillmentRejected", &event.reason).map(nobody),
            Input::Cancelled(event) => step.cancelled(event).map(nobody),
            Input::Answer(answer) => self.answered(world, answer, effects).map(nobody),
            Input::Notice(ProviderNotice::Action { result, .. }) => {
                let taken = step.action_result(result);
                // A provider that is told so sends it again, to no end: it is a person's.
                taken.or_else(|conflict| Ok(step.outside("notice_contradicts", &conflict.0)))
            }
            Input::Notice(ProviderNotice::Payment { payment_id, change, .. }) => {
                self.payment_notice(world, (order_id, payment_id), change, effects)
            }
            Input::Retry { by, .. } => {
                let reply = step.retry(by)?;
                let is_else = matches!(reply, Reply::NotStuck(_));
                let retried = is_else.then(|| self.stuck_refunds_retried(world, order_id, by, effects));
                Ok(retried.flatten().unwrap_or(reply))
            }
            Input::AttemptDue { due, .. } => {
                step.attempt_due(*due);
                Ok(Reply::Nobody)
            }
            Input::AuthorizationDue { .. } => step.authorization_due().map(nobody),
            Input::Notice(ProviderNotice::Refund { .. }) | Input::Refund(_) | Input::UnknownTimer { .. } => {
                Ok(Reply::Nobody)
            }
        }?;
        self.step(world, order_id, effects).refuse_unrouted();
        Ok(reply)
    }

    pub fn step<'s, 'c>(
        &'s self,
        world: &'s mut BatchState,
        order_id: OrderId,
        effects: &'s mut Effects<'c, Call>,
    ) -> PaymentStep<'s, 'c> {
        let Self { settings, gateway, reach, now } = *self;
        let (payment, call) = world.payment_mut(order_id);
        PaymentStep { payment, call, effects, settings, gateway, gateways: reach, now }
    }

    /// An answer; one that names a refund makes known whose it is, and the provider's notices that came before count now.
    fn answered(
        self,
        world: &mut BatchState,
        answer: &Answer,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        self.step(world, answer.order_id, effects).answer(answer)?;
        let Some(refund_id) = answer.outcome.refund_id() else { return Ok(()) };
        let reference = world.reference_mut(refund_id);
        if reference.order_id.is_none() {
            reference.order_id = Some(answer.order_id);
        }
        if let Some(ended) = reference.ended().cloned() {
            self.step(world, answer.order_id, effects).refund_status(refund_id, &ended)?;
        }
        Ok(())
    }

    /// A provider's notice of a refund: counted once by its id, and kept while nobody knows whose refund it is.
    fn refund_notice(
        self,
        world: &mut BatchState,
        input: &Input,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let Input::Notice(ProviderNotice::Refund { message_id, refund_id, status }) = input else {
            return Ok(Reply::Unknown);
        };
        let reference = world.reference_mut(refund_id);
        let (order_id, customer_refund) = (reference.order_id, reference.customer_refund);
        let again = reference.notices.iter().any(|notice| notice.message_id == *message_id);
        let reply = match order_id {
            Some(order_id) if again => Reply::Nothing(world.payment_mut(order_id).0.state),
            Some(order_id) => match customer_refund {
                Some(own) => self.refund_notified(world, (order_id, own), refund_id, status, effects)?,
                None => self.step(world, order_id, effects).refund_status(refund_id, status)?,
            },
            None => Reply::Kept,
        };
        if !again {
            let (message_id, status) = (message_id.clone(), status.clone());
            world.reference_mut(refund_id).notices.push(RefundNotice { message_id, status, at: self.now });
        }
        Ok(reply)
    }
}

/// Emits the calls that the batch left to be made: those of attempts that a later input took back are not among them.
pub(crate) fn finish(world: &mut BatchState, effects: &mut Effects<'_, Call>) {
    for (order_id, NextCall { ask, .. }) in std::mem::take(&mut world.calls) {
        let payment = world.payment(order_id).zip(ask);
        if let Some(call) = payment.and_then(|(payment, ask)| Call::for_payment(payment, ask)) {
            effects.call(call);
        }
    }
    for (refund_id, NextCall { ask, .. }) in std::mem::take(&mut world.refund_calls) {
        let refund = world.refunds.get(&refund_id).zip(ask);
        let payment = refund.and_then(|(refund, _)| world.payment(refund.order_id)).zip(refund);
        if let Some((payment, (refund, ask))) = payment
            && let Some(call) = Call::for_refund(payment, refund_id, refund, ask)
        {
            effects.call(call);
        }
    }
}

/// Whether the gateway of a payment can be asked. Where none holds the money, payments answers itself.
fn reach_of(payment: &Payment, gateways: &dyn Fn(&str) -> Reach, for_new: &str) -> Reach {
    match payment.case.settlement.is_elsewhere() {
        true => Reach::Answers,
        false => gateways(payment.gateway.as_deref().unwrap_or(for_new)),
    }
}

pub(crate) struct PaymentStep<'s, 'c> {
    pub payment: &'s mut Row<Payment>,
    pub call: &'s mut NextCall,
    pub effects: &'s mut Effects<'c, Call>,
    pub settings: &'s PaymentsSettings,
    pub gateway: &'static str,
    /// Whether a gateway can be asked, by its name.
    pub gateways: &'s dyn Fn(&str) -> Reach,
    pub now: Timestamp,
}

impl PaymentStep<'_, '_> {
    fn reach(&self) -> Reach {
        reach_of(self.payment, self.gateways, self.gateway)
    }

    /// The payment, to be changed; its thread is followed.
    fn change(&mut self) -> &mut Payment {
        if let Some(thread) = &self.payment.case.thread {
            self.effects.follow(thread);
        }
        self.payment
    }

    /// The same for the first that is heard of an order: its thread is kept.
    fn adopt(&mut self) -> &mut Payment {
        let case = &mut self.payment.case;
        if case.thread.is_none() && self.effects.cause().thread.is_some() {
            case.thread = Some(self.effects.thread());
        }
        self.change()
    }

    /// What the gateway answers from now on is said because of this event.
    fn go_on(&mut self) {
        self.change();
        if let Some(thread) = &mut self.payment.case.thread {
            self.effects.go_on(thread);
        }
    }

    fn unexpected(&self, event: &str, when: &str) -> Conflict {
        let Payment { order_id, state, .. } = &**self.payment;
        Conflict(format!(
            "{event} of order {order_id} in state {}: it can't come {when}; look at the order's events, its topics may have been rewritten",
            state.as_str()
        ))
    }

    fn contradiction(&self, event: &str, error: &dyn std::fmt::Display) -> Conflict {
        Conflict(format!("{event} of order {} contradicts the order: {error}", self.payment.order_id))
    }
}
