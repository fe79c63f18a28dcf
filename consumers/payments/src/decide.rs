//! The rules, cell by cell as docs/protocol.md's tables of payments have them. Pure: each is one step of one payment, with the time as an argument.
//!
//! A rule checks first and changes then, so that a conflict leaves the payment as it was.

use events::{
    FraudRejected, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, PaymentVoided, Reason, ReasonCode,
    ReservationExpired, StockReserved, Timestamp, value,
};
use runtime::{Conflict, Effects};

use crate::attempt::Phase;
use crate::calls::Call;
use crate::gateway::{Buyer, Operation};
use crate::payment::{Payment, Purchase, State, Undoing};
use crate::settings::PaymentsSettings;
use crate::world::Slot;

mod answers;
mod attempts;
mod told;
mod turns;

#[cfg(test)]
mod tests;

/// The timer of the attempt: its lease, the pause before the next one, and the look-ups of a pending refund.
pub(crate) const ATTEMPT: &str = "attempt";
/// The timer of the hold: first a margin before its end, then at it.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// What stands for a gateway when there is nothing to pay.
pub(crate) const NO_GATEWAY: &str = "none";

/// One input's way through one payment.
pub(crate) struct Step<'s, 'c> {
    pub slot: &'s mut Slot,
    pub effects: &'s mut Effects<'c, Call>,
    pub settings: &'s PaymentsSettings,
    pub gateway: &'static str,
    /// Whether the gateway answers nobody.
    pub silent: bool,
    pub now: Timestamp,
}

impl Step<'_, '_> {
    /// Everything is reserved: the money is asked for, once.
    pub fn reserved(&mut self, event: &StockReserved) -> Result<(), Conflict> {
        match self.slot.payment.state {
            State::New => {}
            State::Authorizing
            | State::ActionRequired
            | State::Authorized
            | State::Capturing
            | State::Lapsed
            | State::Captured
            | State::Voiding
            | State::Refunding
            | State::Declined
            | State::Voided
            | State::Refunded => return Ok(()),
        }
        let gateway = if event.total == 0 { NO_GATEWAY } else { self.gateway };
        let payment = self.adopt();
        payment.state = State::Authorizing;
        payment.currency = Some(event.currency);
        payment.amount = event.total;
        payment.personal = Some(event.personal.clone());
        payment.case.lines = event.lines.clone();
        payment.case.purchase = Some(Purchase {
            buyer: Buyer { customer_id: event.customer_id.clone(), payment_method: event.payment_method.clone() },
            plan: event.plan.clone(),
            expires_at: event.expires_at,
        });
        payment.gateway = Some(gateway.to_owned());
        self.begin(Operation::Authorize, event.total)
    }

    /// The reservation's clock fired. Money that is held, or may be, comes first; only an order that waits for its customer is given up.
    pub fn expired(&mut self, event: &ReservationExpired) -> Result<(), Conflict> {
        match self.slot.payment.state {
            State::New => self.adopt().case.expired = true,
            State::Authorizing => self.change().case.expired = true,
            State::ActionRequired => return self.void(expiry(event.expired_at)),
            State::Authorized
            | State::Capturing
            | State::Lapsed
            | State::Captured
            | State::Voiding
            | State::Refunding
            | State::Declined
            | State::Voided
            | State::Refunded => {}
        }
        Ok(())
    }

    /// Fraud says no: what is held is let go.
    pub fn fraud_rejected(&mut self, event: &FraudRejected) -> Result<(), Conflict> {
        self.rejected("FraudRejected", &event.reason)
    }

    /// Nothing can ship: what is held is let go.
    pub fn fulfillment_rejected(&mut self, event: &FulfillmentRejected) -> Result<(), Conflict> {
        self.rejected("FulfillmentRejected", &event.reason)
    }

    fn rejected(&mut self, event: &str, reason: &Reason) -> Result<(), Conflict> {
        match self.slot.payment.state {
            State::Authorized | State::Lapsed => self.void(Undoing { given_up: Vec::new(), reason: reason.clone() }),
            State::New | State::Authorizing | State::ActionRequired | State::Capturing | State::Captured => {
                Err(self.unexpected(event, "before the money is held, or after fulfillment confirmed"))
            }
            State::Voiding | State::Refunding | State::Declined | State::Voided | State::Refunded => Ok(()),
        }
    }

    /// This ships: exactly its money is taken.
    pub fn confirmed(&mut self, event: &FulfillmentConfirmed) -> Result<(), Conflict> {
        match self.slot.payment.state {
            State::Authorized => {}
            State::New | State::Authorizing | State::ActionRequired => {
                return Err(self.unexpected("FulfillmentConfirmed", "before the money is held"));
            }
            State::Capturing
            | State::Lapsed
            | State::Captured
            | State::Voiding
            | State::Refunding
            | State::Declined
            | State::Voided
            | State::Refunded => return Ok(()),
        }
        let items = || event.shipments.iter().flat_map(|shipment| &shipment.items);
        let payment = &self.slot.payment;
        let amount = value(&payment.case.lines, items().map(|item| (&item.line_id, item.quantity)))
            .map_err(|error| self.contradiction("FulfillmentConfirmed", &error))?;
        if amount > payment.authorized {
            let held = payment.money(payment.authorized)?;
            let confirmed = payment.money(amount)?;
            return Err(self.contradiction(
                "FulfillmentConfirmed",
                &format!("expected units worth at most {held}, which is held, got {confirmed}"),
            ));
        }
        let payment = self.change();
        payment.state = State::Capturing;
        payment.case.confirmed = items().cloned().collect();
        self.effects.cancel_timer(AUTHORIZATION, event.order_id, "");
        self.begin(Operation::Capture, amount)
    }

    /// Fulfillment lets go: what is held is let go, what was taken for these units is given back; while a call's outcome is not known it is
    /// only remembered.
    pub fn cancelled(&mut self, event: &FulfillmentCancelled) -> Result<(), Conflict> {
        let undoing = Undoing { given_up: event.items.clone(), reason: event.reason.clone() };
        match self.slot.payment.state {
            State::New => self.never_mind(&undoing),
            State::Authorizing if self.untold() => {
                self.take_back();
                self.never_mind(&undoing);
            }
            State::Authorizing if self.is_disputed() => return self.void(undoing),
            State::ActionRequired | State::Authorized | State::Lapsed => return self.void(undoing),
            State::Capturing if self.untold() => {
                self.take_back();
                return self.void(undoing);
            }
            State::Authorizing => self.stop(undoing),
            State::Capturing => {
                refund_of(&self.slot.payment, &undoing)?;
                self.stop(undoing);
            }
            State::Captured => {
                let amount = refund_of(&self.slot.payment, &undoing)?;
                return self.refund(undoing, amount);
            }
            State::Voiding | State::Refunding | State::Declined | State::Voided | State::Refunded => {}
        }
        Ok(())
    }

    /// Remembered until the open call's answer is recorded.
    fn stop(&mut self, undoing: Undoing) {
        if self.slot.payment.case.stop.is_none() {
            self.go_on();
            self.change().case.stop = Some(undoing);
        }
    }

    /// Stopped before the gateway was asked: a tombstone, and the word is passed on.
    fn never_mind(&mut self, undoing: &Undoing) {
        let payment = self.adopt();
        payment.state = State::Voided;
        payment.forget_purchase();
        payment.case.undoing = Some(undoing.clone());
        let event = PaymentVoided {
            order_id: payment.order_id,
            amount: 0,
            currency: payment.currency,
            announced: false,
            given_up: undoing.given_up.clone(),
            reason: undoing.reason.clone(),
        };
        self.effects.emit(&event, "");
    }

    /// Whether the open attempt is the first at its operation and was opened in this batch: nobody was asked yet.
    fn untold(&self) -> bool {
        let first = |operation| self.slot.payment.case.made.of(operation) == 1;
        self.slot.fresh
            && self
                .slot
                .payment
                .case
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempt.phase == Phase::Open && first(attempt.operation))
    }

    fn is_disputed(&self) -> bool {
        self.slot.payment.case.attempt.as_ref().is_some_and(|attempt| attempt.phase == Phase::Disputed)
    }

    /// The payment, to be changed; its thread is followed.
    fn change(&mut self) -> &mut Payment {
        self.slot.changed = true;
        if let Some(thread) = &self.slot.payment.case.thread {
            self.effects.follow(thread);
        }
        &mut self.slot.payment
    }

    /// The same for the first that is heard of an order: its thread is kept.
    fn adopt(&mut self) -> &mut Payment {
        let case = &mut self.slot.payment.case;
        if case.thread.is_none() && self.effects.cause().thread.is_some() {
            case.thread = Some(self.effects.thread());
        }
        self.change()
    }

    /// What the gateway answers from now on is said because of this event.
    fn go_on(&mut self) {
        self.change();
        if let Some(thread) = &mut self.slot.payment.case.thread {
            self.effects.go_on(thread);
        }
    }

    fn unexpected(&self, event: &str, when: &str) -> Conflict {
        let Payment { order_id, state, .. } = &self.slot.payment;
        Conflict(format!(
            "{event} of order {order_id} in state {}: it can't come {when}; look at the order's events, its topics may have been rewritten",
            state.as_str()
        ))
    }

    fn contradiction(&self, event: &str, error: &dyn std::fmt::Display) -> Conflict {
        Conflict(format!("{event} of order {} contradicts the order: {error}", self.slot.payment.order_id))
    }
}

/// Why a payment is given up when the reservation's clock fired.
fn expiry(expired_at: Timestamp) -> Undoing {
    let detail = format!("the customer had not confirmed the payment when the reservation expired at {expired_at}");
    Undoing { given_up: Vec::new(), reason: Reason { code: ReasonCode::ReservationExpired, detail } }
}

/// What is to be given back for units that will not ship: value(captured) − value(kept), so that no rounding leaks.
fn refund_of(payment: &Payment, undoing: &Undoing) -> Result<i64, Conflict> {
    let Payment { order_id, case, .. } = payment;
    let contradicts = |what: &dyn std::fmt::Display| {
        Conflict(format!("FulfillmentCancelled of order {order_id} contradicts what was confirmed: {what}"))
    };
    let mut kept: Vec<_> =
        case.confirmed.iter().map(|item| (item.allocation_id, &item.line_id, item.quantity)).collect();
    for gone in &undoing.given_up {
        let confirmed = kept.iter_mut().find(|(allocation, line, left)| {
            *allocation == gone.allocation_id && **line == gone.line_id && *left >= gone.quantity
        });
        let Some((_, _, left)) = confirmed.filter(|_| gone.quantity >= 0) else {
            let expected = format!(
                "expected at most the confirmed units of allocation {}, got {}",
                gone.allocation_id, gone.quantity
            );
            return Err(contradicts(&expected));
        };
        *left -= gone.quantity;
    }
    let all = value(&case.lines, case.confirmed.iter().map(|item| (&item.line_id, item.quantity)));
    let rest = value(&case.lines, kept.iter().map(|(_, line, left)| (*line, *left)));
    Ok(all.map_err(|error| contradicts(&error))? - rest.map_err(|error| contradicts(&error))?)
}
