//! The turns of a payment: what it becomes, what is said of it, and what is asked next.

use events::{
    AuthorizationExpiring, Card, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured,
    PaymentDeclined, PaymentRefundFailed, PaymentRefunded, PaymentVoided, Reason, ReasonCode, Timestamp,
};
use gateway::{ActionResult, Hold, Money, Operation};
use runtime::Conflict;

use super::PaymentStep;
use super::undoing::{expiry, refund_amount};
use crate::attempt::Phase;
use crate::input::AUTHORIZATION;
use crate::payment::State::*;
use crate::payment::{ActionAsked, NO_GATEWAY, Payment, Undoing};

impl PaymentStep<'_, '_> {
    /// The money is held (none: there is nothing to pay): told, unless fulfillment let go meanwhile.
    pub(super) fn authorized(&mut self, hold: Option<&Hold>) -> Result<(), Conflict> {
        let lapses = hold.and_then(|hold| hold.capture_before);
        let capture_before = lapses.unwrap_or_else(|| self.now.plus(self.settings.authorization_validity.0));
        let stop = self.payment.case.stop.clone();
        let event = match stop {
            Some(_) => None,
            None => Some(announcement(self.payment, hold, capture_before)?),
        };
        self.conclude();
        let payment = self.change();
        payment.payment_id = hold.map(|hold| hold.payment_id.clone()).or_else(|| payment.payment_id.take());
        let settlement = payment.case.settlement;
        payment.authorized = match hold {
            Some(hold) => hold.money.amount,
            None if settlement.is_elsewhere() => payment.amount,
            None => 0,
        };
        payment.capture_before = Some(capture_before);
        if let Some(stop) = stop {
            return self.void(stop);
        }
        payment.state = Authorized;
        payment.announced = true;
        payment.forget_purchase();
        let order_id = payment.order_id;
        if let Some(event) = event {
            self.effects.emit(&event, "");
        }
        if hold.is_some() && !settlement.is_captured() {
            let due = capture_before.minus(self.settings.expiring_margin.0).max(self.now);
            self.effects.schedule(AUTHORIZATION, order_id, "", due);
        }
        Ok(())
    }

    /// The customer must act first; unless nobody waits for it any more, or the result is here already.
    pub(super) fn action_required(
        &mut self,
        payment_id: &str,
        asked: ActionAsked,
        asked_for: Money,
    ) -> Result<(), Conflict> {
        let case = &self.payment.case;
        let (stop, expired, early) = (case.stop.clone(), case.expired, case.early_result.clone());
        let order_id = self.payment.order_id;
        let expires_at = asked.expires_at;
        if self.payment.state == ActionRequired {
            // Looked up: nothing new, unless the customer's time is over.
            return if expired { self.void(expiry(expires_at)) } else { Ok(()) };
        }
        self.conclude();
        let payment = self.change();
        payment.payment_id = Some(payment_id.to_owned());
        if let Some(stop) = stop {
            return self.void(stop);
        }
        if expired {
            return self.void(expiry(expires_at));
        }
        payment.state = ActionRequired;
        let ActionAsked { action, url, .. } = asked.clone();
        payment.case.asked = Some(asked);
        match early {
            Some(ActionResult::Passed { hold }) => self.passed(hold.as_ref()),
            Some(ActionResult::Failed { detail }) => self.action_failed(&detail),
            None => {
                let Money { amount, currency } = asked_for;
                self.effects.emit(&PaymentActionRequired { order_id, action, url, amount, currency, expires_at }, "");
                self.await_news();
                Ok(())
            }
        }
    }

    pub(super) fn passed(&mut self, hold: Option<&Hold>) -> Result<(), Conflict> {
        let payment = &**self.payment;
        let assumed = Hold {
            payment_id: payment.payment_id.clone().unwrap_or_default(),
            money: payment.money(payment.amount)?,
            capture_before: None,
            card: None,
        };
        self.authorized(Some(hold.unwrap_or(&assumed)))
    }

    /// The customer did not confirm: the payment is cancelled at the provider, as it could still succeed.
    pub(super) fn action_failed(&mut self, detail: &str) -> Result<(), Conflict> {
        let reason = Reason { code: ReasonCode::ActionFailed, detail: detail.to_owned() };
        self.void(Undoing { given_up: Vec::new(), reason })
    }

    pub(super) fn declined(&mut self, code: &str, detail: &str) -> Result<(), Conflict> {
        let asked = self.payment.money(self.payment.amount)?;
        self.conclude();
        if let Some(mut stop) = self.payment.case.stop.clone().filter(|_| self.payment.case.settlement.is_taken_over())
        {
            stop.reason.detail = format!("{}; {}", stop.reason.detail, with_code(code, detail));
            self.never_mind(&stop);
            return Ok(());
        }
        let payment = self.change();
        payment.state = Declined;
        payment.forget_purchase();
        let reason = Reason { code: ReasonCode::Declined, detail: with_code(code, detail) };
        let order_id = payment.order_id;
        self.effects.emit(&PaymentDeclined { order_id, amount: asked.amount, currency: asked.currency, reason }, "");
        Ok(())
    }

    /// The money for what ships is taken; where fulfillment let go meanwhile, its part goes back at once.
    pub(super) fn captured(&mut self, amount: i64) -> Result<(), Conflict> {
        let currency = self.payment.currency()?;
        let stop = self.payment.case.stop.clone();
        let stop = stop.map(|stop| refund_amount(self.payment, &stop).map(|amount| (stop, amount))).transpose()?;
        self.conclude();
        let payment = self.change();
        payment.state = Captured;
        payment.captured = amount;
        payment.released_remainder = payment.authorized - amount;
        let event = PaymentCaptured {
            order_id: payment.order_id,
            amount,
            remainder: payment.released_remainder,
            currency,
            items: payment.case.confirmed.clone(),
        };
        self.effects.emit(&event, "");
        match stop {
            Some((undoing, amount)) => self.refund(undoing, amount),
            None => Ok(()),
        }
    }

    /// It can't be taken: fulfillment must let go, and has where it was stopped.
    pub(super) fn capture_failed(&mut self, amount: i64, code: &str, detail: &str) -> Result<(), Conflict> {
        let currency = self.payment.currency()?;
        self.conclude();
        if let Some(stop) = self.payment.case.stop.clone() {
            return self.void(stop);
        }
        let reason = Reason { code: ReasonCode::CaptureFailed, detail: with_code(code, detail) };
        let payment = self.change();
        payment.state = Lapsed;
        let order_id = payment.order_id;
        self.effects.emit(&PaymentCaptureFailed { order_id, amount, currency, reason }, "");
        Ok(())
    }

    /// The hold's timer: a word in time, then its end.
    pub fn authorization_due(&mut self) -> Result<(), Conflict> {
        let Payment { order_id, state, authorized: amount, capture_before, .. } = **self.payment;
        match (state, capture_before) {
            (Authorized, _) if self.payment.case.captured_outside.is_some() => {}
            (Authorized, Some(capture_before)) => {
                let currency = self.payment.currency()?;
                if self.now >= capture_before {
                    self.hold_gone(&format!("the hold ran out at {capture_before} before it was taken"))?;
                } else {
                    if !std::mem::replace(&mut self.change().case.expiring, true) {
                        self.effects.emit(&AuthorizationExpiring { order_id, amount, currency, capture_before }, "");
                        self.look_up_hold();
                    }
                    self.effects.schedule(AUTHORIZATION, order_id, "", capture_before);
                }
            }
            (Authorized, None)
            | (
                New | Authorizing | ActionRequired | Capturing | Lapsed | Captured | Voiding | Refunding | Declined
                | Voided | Refunded,
                _,
            ) => {}
        }
        Ok(())
    }

    /// A look-up found the hold as it was; the provider may have moved its end.
    pub(super) fn still_held(&mut self, hold: &Hold) {
        self.conclude();
        if let Some(capture_before) = hold.capture_before.filter(|at| self.payment.capture_before != Some(*at)) {
            self.change().capture_before = Some(capture_before);
            self.effects.schedule(AUTHORIZATION, self.payment.order_id, "", capture_before);
        }
    }

    /// The hold has ended.
    pub(super) fn hold_gone(&mut self, detail: &str) -> Result<(), Conflict> {
        let Payment { order_id, authorized: amount, .. } = **self.payment;
        let currency = self.payment.currency()?;
        if self.payment.phase() == Some(Phase::Pending) {
            self.conclude();
        }
        self.change().state = Lapsed;
        self.effects.cancel_timer(AUTHORIZATION, order_id, "");
        let reason = Reason { code: ReasonCode::AuthorizationExpired, detail: detail.to_owned() };
        self.effects.emit(&PaymentCaptureFailed { order_id, amount, currency, reason }, "");
        Ok(())
    }

    /// Lets go of what is held, or cancels what is open at the provider; what was taken before the order was placed is refunded.
    pub(super) fn void(&mut self, undoing: Undoing) -> Result<(), Conflict> {
        let payment = self.change();
        payment.state = Voiding;
        payment.forget_purchase();
        payment.case.stop = None;
        payment.case.undoing = Some(undoing);
        let Payment { order_id, authorized: amount, .. } = *payment;
        let is_captured = payment.case.settlement.is_captured();
        payment.captured = if is_captured { amount } else { payment.captured };
        self.effects.cancel_timer(AUTHORIZATION, order_id, "");
        if is_captured {
            let amount = self.within_returnable(amount);
            return self.begin(Operation::Refund, amount);
        }
        self.begin(Operation::Void, amount)
    }

    /// The money was taken at the provider before it was let go: it is given back instead. For all others the order is undone as by a void.
    pub(super) fn taken_before_void(&mut self, taken: Money) -> Result<(), Conflict> {
        let asked = self.payment.money(self.payment.authorized)?;
        if taken.currency != asked.currency {
            self.dispute(None, asked, taken);
            return Ok(());
        }
        self.conclude();
        self.say_captured_outside(taken, "it is given back, as its order is undone");
        let payment = self.change();
        payment.captured = taken.amount;
        payment.authorized = payment.authorized.max(taken.amount);
        payment.released_remainder = payment.authorized - taken.amount;
        let amount = self.within_returnable(taken.amount);
        self.begin(Operation::Refund, amount)
    }

    /// Nothing is held any more, or what was taken instead is given back; ended. A hold that the provider had and we did not know of is counted too.
    pub(super) fn voided(&mut self, had: Option<Money>) -> Result<(), Conflict> {
        let Undoing { given_up, reason } = self.undoing()?;
        self.conclude();
        let payment = self.change();
        payment.state = Voided;
        if let Some(had) = had.filter(|had| payment.authorized == 0 && payment.currency == Some(had.currency)) {
            payment.authorized = had.amount;
        }
        payment.voided = payment.authorized - payment.captured - payment.released_remainder;
        let event = PaymentVoided {
            order_id: payment.order_id,
            amount: payment.authorized,
            currency: payment.currency,
            announced: payment.announced,
            given_up,
            reason,
        };
        self.effects.emit(&event, "");
        Ok(())
    }

    pub(super) fn refund(&mut self, undoing: Undoing, amount: i64) -> Result<(), Conflict> {
        let amount = self.within_returnable(amount);
        let payment = self.change();
        payment.state = Refunding;
        payment.case.stop = None;
        payment.case.undoing = Some(undoing);
        self.begin(Operation::Refund, amount)
    }

    /// What of a refund can go back; the rest was taken by a dispute, or given back at the provider, before.
    pub(super) fn within_returnable(&mut self, amount: i64) -> i64 {
        let given_back = amount.min(self.payment.returnable());
        if given_back < amount {
            self.change().refund_shortfall += amount - given_back;
        }
        given_back
    }

    pub(super) fn refunded(&mut self, amount: i64) -> Result<(), Conflict> {
        let (currency, Undoing { given_up: items, reason }) = (self.payment.currency()?, self.undoing()?);
        if self.payment.state == Voiding {
            self.change().refunded += amount;
            return self.voided(None);
        }
        self.conclude();
        let payment = self.change();
        payment.state = Refunded;
        payment.refunded += amount;
        let order_id = payment.order_id;
        self.effects.emit(&PaymentRefunded { order_id, amount, currency, items, reason }, "");
        Ok(())
    }

    /// It was not given back: told to people, who decide.
    pub(super) fn refund_failed(&mut self, amount: i64, detail: &str) -> Result<(), Conflict> {
        if self.payment.state == Capturing {
            self.stick(Phase::Failed, "refund_failed", &format!("what does not ship is not given back: {detail}"));
            return Ok(());
        }
        let (currency, Undoing { reason, .. }) = (self.payment.currency()?, self.undoing()?);
        let reason = Reason { detail: format!("{}; the gateway: {detail}", reason.detail), ..reason };
        let order_id = self.payment.order_id;
        self.stick(Phase::Failed, "refund_failed", &format!("not given back: {detail}"));
        let refund_id = self.payment.unshipped_refund();
        self.say_failed_elsewhere(refund_id, amount, detail);
        self.effects.emit(&PaymentRefundFailed { order_id, amount, currency, reason }, "");
        Ok(())
    }

    /// It was given back, and failed days later: the money is here again, and a person decides.
    pub(crate) fn refund_failed_late(&mut self, amount: i64, detail: &str) -> Result<(), Conflict> {
        let _ = (self.payment.currency()?, self.undoing()?); // checked first: a conflict leaves the payment as it was
        let payment = self.change();
        payment.refunded -= amount;
        payment.state = if payment.state == Voided { Voiding } else { Refunding };
        self.refund_failed(amount, &format!("the refund failed after it had succeeded: {detail}"))
    }

    fn undoing(&self) -> Result<Undoing, Conflict> {
        let Payment { order_id, case, .. } = &**self.payment;
        let missing = || {
            Conflict(format!(
                "the payment of order {order_id} does not say why it is undone: its row was not written by these rules"
            ))
        };
        case.undoing.clone().ok_or_else(missing)
    }
}

fn announcement(
    payment: &Payment,
    hold: Option<&Hold>,
    capture_before: Timestamp,
) -> Result<PaymentAuthorized, Conflict> {
    let missing =
        || Conflict(format!("the payment of order {} was forgotten before it was authorized", payment.order_id));
    let purchase = payment.case.purchase.as_ref().ok_or_else(missing)?;
    let card: Option<Card> = hold.and_then(|hold| hold.card.clone());
    Ok(PaymentAuthorized {
        order_id: payment.order_id,
        customer_id: purchase.buyer.customer_id.clone(),
        gateway: payment.gateway.clone().unwrap_or_else(|| NO_GATEWAY.to_owned()),
        payment_id: hold.map(|hold| hold.payment_id.clone()).or_else(|| payment.payment_id.clone()),
        amount: payment.amount,
        currency: payment.currency()?,
        capture_before,
        lines: payment.case.lines.clone(),
        plan: purchase.plan.clone(),
        card,
        personal: payment.personal.clone().ok_or_else(missing)?,
    })
}

fn with_code(code: &str, detail: &str) -> String {
    format!("{code}: {detail}")
}
