//! Answers of the gateway: each counts for the open attempt alone; a later one that contradicts what was recorded is a person's case.

use gateway::{ActionResult, Hold, Operation, Outcome, RefundStatus};
use runtime::Conflict;

use super::PaymentStep;
use crate::attempt::{CallAttempt, Phase, key};
use crate::input::{Answer, Reply};
use crate::payment::State::*;
use crate::payment::{ActionAsked, Payment, Remainder, Settlement, remainder_refund};

impl PaymentStep<'_, '_> {
    pub fn answer(&mut self, answer: &Answer) -> Result<(), Conflict> {
        let made = self.payment.case.made.of(answer.operation);
        if answer.attempt > made {
            return Err(self.unasked(answer));
        }
        if answer.attempt < made {
            return Ok(()); // of an earlier attempt
        }
        let last = self.payment.case.attempt.clone();
        let Some(attempt) = last.filter(|attempt| attempt.operation == answer.operation && counts(attempt)) else {
            return self.late(answer);
        };
        if let Some(outcome) = self.taken_over(answer) {
            return self.recorded(&attempt, &outcome);
        }
        if let (Operation::Void, Outcome::Captured { money }) = (answer.operation, &answer.outcome) {
            return self.taken_before_void(*money);
        }
        if let (Operation::Authorize, Outcome::Captured { money }) = (answer.operation, &answer.outcome) {
            if self.payment.state == Authorized {
                self.captured_outside(*money);
                return Ok(());
            }
            self.stick(
                Phase::Disputed,
                "captured_outside",
                &format!("{money} was taken at the provider, and not by us"),
            );
            return Ok(());
        }
        if answer.outcome.answers().is_some_and(|operation| operation != answer.operation) {
            return Err(self.unasked(answer));
        }
        self.recorded(&attempt, &answer.outcome)
    }

    /// A payment that was taken before its order was placed goes on as one that is held: its gateway answers so only where it is as the order says.
    fn taken_over(&self, answer: &Answer) -> Option<Outcome> {
        let Payment { state, payment_id, case, .. } = &**self.payment;
        let Outcome::Captured { money } = answer.outcome else { return None };
        let adopts = *state == Authorizing && case.settlement == Settlement::Captured;
        let payment_id = payment_id.clone().filter(|_| adopts)?;
        Some(Outcome::Authorized(Hold { payment_id, money, capture_before: None, card: None }))
    }

    fn recorded(&mut self, attempt: &CallAttempt, outcome: &Outcome) -> Result<(), Conflict> {
        let asked = self.payment.money(attempt.amount)?;
        match outcome {
            Outcome::Authorized(hold) if hold.money == asked && self.payment.state == Authorized => {
                self.still_held(hold)
            }
            Outcome::Authorized(hold) if hold.money == asked => return self.authorized(Some(hold)),
            Outcome::Authorized(Hold { payment_id, money, .. }) => self.dispute(Some(payment_id), asked, *money),
            Outcome::ActionRequired { payment_id, action, url } => {
                let case = &self.payment.case;
                let expires_at = case.purchase.as_ref().map_or(self.now, |purchase| purchase.expires_at);
                if let Some(ActionResult::Passed { hold: Some(hold) }) = &case.early_result
                    && hold.money != asked
                {
                    let (payment_id, money) = (hold.payment_id.clone(), hold.money);
                    self.dispute(Some(&payment_id), asked, money);
                    return Ok(());
                }
                let what = ActionAsked { action: action.clone(), url: url.clone(), expires_at };
                return self.action_required(payment_id, what, asked);
            }
            Outcome::Declined { code, detail } => {
                return match self.payment.state {
                    ActionRequired => self.action_failed(&format!("{code}: {detail}")),
                    Authorized => self.hold_gone(&format!("{code}: {detail}")),
                    New | Authorizing | Capturing | Lapsed | Captured | Voiding | Refunding | Declined | Voided
                    | Refunded => self.declined(code, detail),
                };
            }
            Outcome::Captured { money } | Outcome::Refunded { money, .. } | Outcome::RefundPending { money, .. }
                if *money != asked =>
            {
                self.dispute(None, asked, *money);
            }
            Outcome::Captured { money } => return self.captured(money.amount),
            Outcome::CaptureFailed { code, detail } => return self.capture_failed(attempt.amount, code, detail),
            Outcome::Voided { money } => return self.voided(Some(*money)),
            Outcome::VoidFailed { detail } => self.void_failed(attempt.number, detail),
            Outcome::Refunded { refund_id, .. } => {
                self.known_as(refund_id); // before another attempt may follow
                return self.given_back(attempt.amount);
            }
            // The goods need not wait until a bank has given the rest back.
            Outcome::RefundPending { refund_id, .. } if self.payment.state == Capturing => {
                self.known_as(refund_id);
                return self.without_rest(attempt.amount, RefundStatus::Pending);
            }
            Outcome::RefundPending { refund_id, .. } if attempt.phase != Phase::Pending => self.pending(refund_id),
            Outcome::RefundFailed { detail, .. } => return self.refund_failed(attempt.amount, detail),
            Outcome::Opened { payment_id } => return self.opened(payment_id),
            Outcome::NotFound => self.not_found(),
            Outcome::NotExecuted { obstacle, detail } => self.not_executed(*obstacle, detail),
            Outcome::Errored { .. } => self.errored(),
            // Of a refund that is pending already there is nothing new; what is not known, its timer asks again.
            Outcome::RefundPending { .. } | Outcome::Unknown { .. } => {}
        }
        Ok(())
    }

    /// An answer to an attempt that is concluded: a repetition is nothing; what would turn the recorded answer round is a conflict.
    fn late(&self, answer: &Answer) -> Result<(), Conflict> {
        let state = self.payment.state;
        let contradicts = match &answer.outcome {
            // Of several look-ups one is late, and sees what we have done since.
            Outcome::Captured { .. } if answer.operation == Operation::Authorize => {
                return match state {
                    Capturing | Captured | Refunding | Refunded | Voiding => Ok(()),
                    Authorized | Lapsed | Voided if self.payment.case.captured_outside.is_some() => Ok(()),
                    New | Authorizing | ActionRequired | Authorized | Lapsed | Declined | Voided => {
                        Err(self.unasked(answer))
                    }
                };
            }
            Outcome::Captured { .. } if answer.operation == Operation::Void && self.payment.captured > 0 => {
                return Ok(());
            }
            Outcome::Declined { .. } => match state {
                ActionRequired | Authorized | Capturing | Captured => true,
                New | Authorizing | Lapsed | Voiding | Refunding | Declined | Voided | Refunded => false,
            },
            Outcome::Captured { .. } => state == Lapsed,
            Outcome::CaptureFailed { .. } => state == Captured,
            Outcome::Authorized(_)
            | Outcome::ActionRequired { .. }
            | Outcome::Voided { .. }
            | Outcome::VoidFailed { .. }
            | Outcome::Refunded { .. }
            | Outcome::RefundPending { .. }
            | Outcome::RefundFailed { .. }
            | Outcome::Opened { .. }
            | Outcome::NotFound
            | Outcome::NotExecuted { .. }
            | Outcome::Errored { .. }
            | Outcome::Unknown { .. } => false,
        };
        if contradicts || answer.outcome.answers().is_some_and(|operation| operation != answer.operation) {
            return Err(self.unasked(answer));
        }
        Ok(())
    }

    fn unasked(&self, answer: &Answer) -> Conflict {
        Conflict(format!(
            "the gateway answers {} to {} in state {}: it was not asked that, or answered otherwise before; compare the payment with the gateway's books",
            answer.outcome.as_str(),
            key(answer.order_id, answer.operation, answer.attempt),
            self.payment.state.as_str()
        ))
    }

    /// What came of the customer's action. Kept while our own call's answer is not recorded; nothing once the payment went on or was given up.
    pub fn action_result(&mut self, result: &ActionResult) -> Result<Reply, Conflict> {
        let state = self.payment.state;
        match (state, result) {
            (New | Authorizing, _) => {
                self.change().case.early_result = Some(result.clone());
                return Ok(Reply::Kept);
            }
            (ActionRequired, ActionResult::Passed { hold }) => {
                self.as_asked(hold.as_ref())?;
                self.passed(hold.as_ref())?;
            }
            (ActionRequired, ActionResult::Failed { detail }) => self.action_failed(detail)?,
            (Authorized | Capturing | Lapsed | Captured, ActionResult::Failed { .. }) => {
                return Err(self.unexpected("a failed 3-D Secure result", "after the money was held"));
            }
            (Authorized | Capturing | Lapsed | Captured | Voiding | Refunding | Declined | Voided | Refunded, _) => {
                return Ok(Reply::Nothing(state));
            }
        }
        Ok(Reply::Recorded(self.payment.state))
    }

    fn as_asked(&self, hold: Option<&Hold>) -> Result<(), Conflict> {
        let payment = &**self.payment;
        let asked = payment.money(payment.amount)?;
        match hold.map(|hold| hold.money).filter(|got| *got != asked) {
            Some(got) => Err(self.contradiction(
                "the 3-D Secure result",
                &format!("expected {asked} as asked for, the gateway says {got}"),
            )),
            None => Ok(()),
        }
    }

    /// How a refund ended, by the provider's notice: for the open attempt, and where one that succeeded fails later. What is known of the refund is
    /// that it is of this order, and the saga's.
    pub fn refund_status(&mut self, refund_id: &str, status: &RefundStatus) -> Result<Reply, Conflict> {
        let rest = self.payment.case.remainder.clone();
        if let Some(rest) = rest.filter(|rest| rest.provider_id.as_deref() == Some(refund_id)) {
            return Ok(self.rest_told(&rest, status));
        }
        let last = self.payment.case.attempt.clone();
        let only = self.payment.case.made.of(Operation::Refund) == 1;
        let ours = |attempt: &CallAttempt| match &attempt.refund_id {
            Some(known) => known == refund_id,
            None => attempt.phase == Phase::Done && only, // of a version that did not keep it
        };
        let ours = last.filter(|attempt| attempt.operation == Operation::Refund && ours(attempt));
        match (ours, status) {
            (Some(attempt), RefundStatus::Succeeded) if counts(&attempt) => self.given_back(attempt.amount)?,
            (Some(attempt), RefundStatus::Failed { detail }) if counts(&attempt) => {
                self.refund_failed(attempt.amount, detail)?;
            }
            (Some(attempt), RefundStatus::Failed { detail }) if attempt.phase == Phase::Done => {
                self.refund_failed_late(attempt.amount, detail)?;
            }
            (_, RefundStatus::Pending | RefundStatus::Succeeded | RefundStatus::Failed { .. }) => {
                return Ok(Reply::Nothing(self.payment.state));
            }
        }
        Ok(Reply::Recorded(self.payment.state))
    }
}

impl PaymentStep<'_, '_> {
    /// How the refund of what does not ship ended, for which the goods did not wait. What came back of it is owed to the customer: a person refunds it.
    fn rest_told(&mut self, rest: &Remainder, status: &RefundStatus) -> Reply {
        let Payment { state, order_id, .. } = **self.payment;
        let is_over = rest.status == *status || matches!(rest.status, RefundStatus::Failed { .. });
        if is_over || *status == RefundStatus::Pending {
            return Reply::Nothing(state);
        }
        let refund_id = remainder_refund(order_id);
        let payment = self.change();
        payment.case.remainder = Some(Remainder { status: status.clone(), ..rest.clone() });
        let RefundStatus::Failed { detail } = status else {
            self.say_given_back(refund_id, rest.amount);
            return Reply::Recorded(state);
        };
        payment.captured += rest.amount;
        payment.released_remainder -= rest.amount;
        payment.refund_shortfall += rest.amount;
        self.say_failed_elsewhere(refund_id, rest.amount, detail);
        let what = format!(
            "expected {} minor units of what does not ship to be given back, got: {detail}; refund them, POST /orders/{order_id}/refunds, or pay them back \
             by other means",
            rest.amount
        );
        self.effects.dead_letter(order_id, "refund_failed", what);
        Reply::Recorded(state)
    }
}

/// Whether an attempt still takes an answer. One that waits because the provider failed on its own side does: that was no answer.
fn counts(attempt: &CallAttempt) -> bool {
    match attempt.phase {
        Phase::Open | Phase::Pending | Phase::Unanswered => true,
        Phase::Waiting | Phase::Failed => attempt.errored,
        Phase::Done | Phase::Disputed => false,
    }
}
