//! What happens to a payment at its provider without us. Duplicates, and notices that overtake each other, change nothing; what is told names the payment of
//! the order's row, or counts for nothing.
//!
//! | the provider tells | |
//! |---|---|
//! | a hold is gone | `Authorized`: as one that ran out; `ActionRequired`: void; else our own call finds it |
//! | money was taken | `Authorized`, `Lapsed`: **PaymentChangedOutside**, once; what confirms finds it taken, what undoes gives it back. While a call is open it finds it. Else, where it is not what we took: a person's case |
//! | a refund was made | counted as a refund to the customer, by the provider's id: **RefundRequested**, then as any refund |
//! | a dispute | **PaymentDisputed** as often as its status or its money's place changes, **DisputeClosed**; no state changes |
//! | a fraud warning | **FraudWarningReceived**, once |
//!
//! A refund, the saga's too, gives back at most captured − refunded − disputed: the rest of the saga's is its shortfall, and a person's case where the dispute's
//! money comes back.

use events::{
    DisputeClosed, DisputeOutcome, FraudWarningReceived, OrderId, PaymentChangedOutside, PaymentDisputed, RefundId,
};
use gateway::{Dispute, DisputeStatus, DisputedFunds, Money, PaymentChange, RefundStatus};
use runtime::{Conflict, Consumer as _, Effects};

use super::{DecisionContext, PaymentStep};
use crate::attempt::Phase;
use crate::batch::BatchState;
use crate::call::Call;
use crate::input::{AUTHORIZATION, Reply};
use crate::payment::Settlement;
use crate::payment::State::*;
use crate::refunds::{Asked, CustomerRefund, RefundAttempt, RefundData};
use crate::settings::Payments;

impl DecisionContext<'_> {
    pub(super) fn payment_notice(
        self,
        world: &mut BatchState,
        (order_id, payment_id): (OrderId, &str),
        change: &PaymentChange,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let mut step = self.step(world, order_id, effects);
        if step.payment.payment_id.as_deref() != Some(payment_id) {
            return Ok(Reply::Unknown);
        }
        match change {
            PaymentChange::Refunded { refund_id, money, status } => {
                let fits = step.payment.currency == Some(money.currency) && money.amount > 0;
                if !fits {
                    return Ok(
                        step.outside("refunded_outside", &format!("refund {refund_id} of {money} is {status:?}"))
                    );
                }
                self.refunded_outside(world, order_id, (refund_id, *money), status, effects)
            }
            PaymentChange::HoldGone { .. }
            | PaymentChange::Captured { .. }
            | PaymentChange::Disputed(_)
            | PaymentChange::FraudWarning { .. } => step.payment_changed(payment_id, change),
        }
    }

    /// A refund that was made at the provider: a refund to the customer, whose id is derived from the provider's.
    fn refunded_outside(
        self,
        world: &mut BatchState,
        order_id: OrderId,
        (provider_id, money): (&str, Money),
        status: &RefundStatus,
        effects: &mut Effects<'_, Call>,
    ) -> Result<Reply, Conflict> {
        let (payment, _) = world.payment_mut(order_id);
        let (state, gateway) = (payment.state, payment.gateway.clone().unwrap_or_default());
        let refund_id = RefundId(events::derive_id(order_id, Payments::NAME, "refund-outside", provider_id));
        let known = world.refunds.get(&refund_id).is_some();
        if !known {
            if matches!(status, RefundStatus::Failed { .. }) {
                return Ok(Reply::Nothing(state));
            }
            let attempt = RefundAttempt { provider_id: Some(provider_id.to_owned()), ..RefundAttempt::new(self.now) };
            let data = RefundData {
                asked: Asked::Outside,
                lines: Vec::new(),
                reason: "made at the gateway, and not asked for here".to_owned(),
                requested_by: gateway,
                requested_at: self.now,
                attempt,
                detail: None,
            };
            self.refund_opened(world, refund_id, CustomerRefund { order_id, amount: money.amount, data }, effects)?;
            let reference = world.reference_mut(provider_id);
            (reference.order_id, reference.customer_refund) = (Some(order_id), Some(refund_id));
        }
        let reply = self.refund_notified(world, (order_id, refund_id), provider_id, status, effects)?;
        Ok(if known { reply } else { Reply::Recorded(state) })
    }
}

impl PaymentStep<'_, '_> {
    fn payment_changed(&mut self, payment_id: &str, change: &PaymentChange) -> Result<Reply, Conflict> {
        let state = self.payment.state;
        match (change, state) {
            (PaymentChange::HoldGone { detail, .. }, ActionRequired) => self.action_failed(detail)?,
            (PaymentChange::HoldGone { detail, .. }, Authorized) => self.hold_gone(detail)?,
            (PaymentChange::HoldGone { .. }, _) | (PaymentChange::Captured { .. }, Capturing | Voiding) => {
                return Ok(Reply::Nothing(state));
            }
            (PaymentChange::Captured { money }, Captured | Refunding | Refunded | Voided)
                if money.amount == self.payment.captured =>
            {
                return Ok(Reply::Nothing(state));
            }
            // Taken before the order was placed.
            (PaymentChange::Captured { money }, _)
                if self.payment.case.settlement == Settlement::Captured && money.amount == self.payment.amount =>
            {
                return Ok(Reply::Nothing(state));
            }
            (PaymentChange::Captured { money }, Authorized | Lapsed)
                if self.payment.currency == Some(money.currency) =>
            {
                return Ok(self.captured_outside(*money));
            }
            (PaymentChange::Captured { money }, _) => {
                return Ok(self.outside("captured_outside", &format!("{money} was taken")));
            }
            (PaymentChange::Disputed(dispute), _) => return Ok(self.disputed(payment_id, dispute)),
            (PaymentChange::FraudWarning { warning_id, reason, actionable }, _) => {
                let told = format!("fraud_warning: {warning_id}: {reason}");
                if !self.first_told(told) {
                    return Ok(Reply::Nothing(state));
                }
                let event = FraudWarningReceived {
                    order_id: self.payment.order_id,
                    payment_id: payment_id.to_owned(),
                    warning_id: warning_id.clone(),
                    reason: reason.clone(),
                    actionable: *actionable,
                };
                self.effects.emit(&event, warning_id);
            }
            // As a refund to the customer.
            (PaymentChange::Refunded { .. }, _) => return Ok(Reply::Nothing(state)),
        }
        Ok(Reply::Recorded(self.payment.state))
    }

    /// The hold was taken at the provider, so it can't run out any more. The saga goes on: a capture finds it taken, a void gives it back.
    pub(super) fn captured_outside(&mut self, money: Money) -> Reply {
        if self.payment.phase() == Some(Phase::Pending) {
            self.conclude();
        }
        self.effects.cancel_timer(AUTHORIZATION, self.payment.order_id, "");
        let detail = "it pays for what ships; where the order is undone it is given back";
        match self.say_captured_outside(money, detail) {
            true => Reply::Recorded(self.payment.state),
            false => Reply::Nothing(self.payment.state),
        }
    }

    /// Told once, whichever finds it: a notice, a look-up, or a void. Returns whether it is new.
    pub(super) fn say_captured_outside(&mut self, Money { amount, currency }: Money, detail: &str) -> bool {
        if self.payment.case.captured_outside.is_some() {
            return false;
        }
        let payment = self.change();
        payment.case.captured_outside = Some(amount);
        let event = PaymentChangedOutside {
            order_id: payment.order_id,
            payment_id: payment.payment_id.clone().unwrap_or_default(),
            change: "captured".to_owned(),
            amount,
            currency,
            detail: detail.to_owned(),
        };
        self.effects.emit(&event, "");
        true
    }

    /// A dispute as it stands now. What is withdrawn counts as given back, until it is reinstated.
    fn disputed(&mut self, payment_id: &str, told: &Dispute) -> Reply {
        let state = self.payment.state;
        if self.payment.currency != Some(told.money.currency) {
            return self.outside("payment_disputed", &format!("{told:?}, in another currency than the order's"));
        }
        let at = self.payment.case.disputes.iter().position(|known| known.dispute_id == told.dispute_id);
        let now = match at.map(|at| &self.payment.case.disputes[at]) {
            None => told.clone(),
            Some(known) => {
                let now = later(known, told);
                if (known.status, known.funds) == (now.status, now.funds) {
                    return Reply::Nothing(state);
                }
                now
            }
        };
        let payment = self.change();
        match at {
            Some(at) => payment.case.disputes[at] = now.clone(),
            None => payment.case.disputes.push(now.clone()),
        }
        payment.disputed = payment.withdrawn();
        self.say_disputed(payment_id, &now);
        let amount = self.payment.refund_shortfall + self.payment.case.owed_to_returns;
        if now.funds == DisputedFunds::Reinstated && amount > 0 {
            let (order_id, owed) = (self.payment.order_id, Money { amount, ..now.money });
            let what = format!(
                "the money of dispute {} is here again, and up to {owed} of what did not ship, or came back, was not given back while it was \
                 disputed: refund it, POST /orders/{order_id}/refunds, or settle it with the customer",
                now.dispute_id
            );
            self.outside("refund_owed", &what);
        }
        Reply::Recorded(state)
    }

    fn say_disputed(&mut self, payment_id: &str, dispute: &Dispute) {
        let (order_id, disputed, payment_id) = (self.payment.order_id, self.payment.disputed, payment_id.to_owned());
        let Dispute { dispute_id, status, money: Money { amount, currency }, funds, reason, evidence_due_by } =
            dispute.clone();
        let funds = funds.as_str().to_owned();
        let discriminator = format!("{dispute_id}:{}:{funds}", status.as_str());
        let outcome = match status {
            DisputeStatus::Inquiry | DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => {
                let status = status.as_str().to_owned();
                let event = PaymentDisputed {
                    order_id,
                    payment_id,
                    dispute_id,
                    status,
                    amount,
                    currency,
                    funds,
                    disputed,
                    reason,
                    evidence_due_by,
                };
                self.effects.emit(&event, &discriminator);
                return;
            }
            DisputeStatus::Won => DisputeOutcome::Won,
            DisputeStatus::Lost => DisputeOutcome::Lost,
            DisputeStatus::Closed => DisputeOutcome::Closed,
        };
        let event =
            DisputeClosed { order_id, payment_id, dispute_id, outcome, amount, currency, funds, disputed, reason };
        self.effects.emit(&event, &discriminator);
    }

    fn first_told(&mut self, told: String) -> bool {
        let is_first = !self.payment.case.outside.contains(&told);
        if is_first {
            self.change().case.outside.push(told);
        }
        is_first
    }

    /// A person's case, once: notices of the same state come again, and several tell of one.
    pub(super) fn outside(&mut self, class: &str, what: &str) -> Reply {
        let (order_id, state) = (self.payment.order_id, self.payment.state);
        if !self.first_told(format!("{class}: {what}")) {
            return Reply::Nothing(state);
        }
        let what = format!("the provider tells of what was not asked for here: {what}; look at the payment there");
        self.effects.dead_letter(order_id, class, what);
        Reply::Recorded(state)
    }
}

/// A dispute by two notices of it, of which the older may come last: its status and its money's place go forward alone. One that was closed is open again
/// only where its money was withdrawn since: an inquiry that became a dispute after all.
fn later(known: &Dispute, told: &Dispute) -> Dispute {
    let status = match (known.status.is_closed(), told.status.is_closed()) {
        (true, false) if told.funds <= known.funds => known.status,
        (false, false) => known.status.max(told.status),
        (true | false, _) => told.status,
    };
    Dispute { status, funds: known.funds.max(told.funds), ..told.clone() }
}
