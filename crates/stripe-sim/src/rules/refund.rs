//! Giving money back, and refunds that don't arrive.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::create::new_metadata;
use crate::card::RefundPath;
use crate::currency;
use crate::effects::{DueTask, LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::id;
use crate::parameters::check_metadata;
use crate::record::{PaymentRecord, RefundRecord, SimulatedRefundState};

/// Parameters of `refunds.create`.
#[derive(Debug, Default, Deserialize)]
pub struct RefundParameters {
    /// `pi_…`.
    pub payment_intent: Option<String>,
    /// `ch_…`.
    pub charge: Option<String>,
    amount: Option<i64>,
    reason: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

impl RefundParameters {
    /// A refund of a part, or of all that is left.
    #[must_use]
    pub fn of_amount(amount: Option<i64>) -> Self {
        Self { amount, ..Self::default() }
    }
}

impl PaymentRecord {
    /// Gives money back; gives the refund's id.
    ///
    /// # Errors
    /// 400 when nothing was captured, nothing is left, less is left, or the charge is disputed.
    pub fn refund(
        &mut self,
        parameters: &RefundParameters,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<String, ApiError> {
        check_metadata(parameters.metadata.as_ref().unwrap_or(&BTreeMap::new()))?;
        if let Some(amount) = parameters.amount {
            currency::check_unit(&self.currency, amount, "amount")?;
        }
        let Some((charge, method)) = self
            .successful_charge()
            .map(|charge| (charge.id.clone(), charge.method.clone()))
            .filter(|_| self.captured() > 0)
        else {
            let message = format!("This PaymentIntent ({}) does not have a successful charge to refund.", self.id);
            return Err(ApiError::state("charge_not_refundable", message));
        };
        if self
            .disputes
            .iter()
            .any(|dispute| !dispute.status.is_inquiry() && dispute.status != crate::record::DisputeState::Won)
        {
            let message = format!("Charge {charge} has been charged back; cannot issue a refund.");
            return Err(ApiError::state("charge_disputed", message).with("charge", charge.into()));
        }
        let left = self.unrefunded();
        if left == 0 {
            let message = format!("Charge {charge} has already been refunded.");
            return Err(ApiError::state("charge_already_refunded", message).with("charge", charge.into()));
        }
        let amount = parameters.amount.unwrap_or(left);
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(ApiError { param: Some("amount".into()), ..ApiError::state("amount_too_large", message) });
        }
        let path = method.test_card().refund;
        let status = if path == RefundPath::PendingFirst {
            SimulatedRefundState::Pending
        } else {
            SimulatedRefundState::Succeeded
        };
        let id = id::new("re_");
        let moved = self.book(("refund", "refund"), &id, (-amount, 0), context, effects);
        self.refunds.push(RefundRecord {
            id: id.clone(),
            created: context.seconds(),
            amount,
            charge: charge.clone(),
            status,
            reason: parameters.reason.clone(),
            metadata: new_metadata(parameters.metadata.as_ref()),
            failure_reason: None,
            balance_transaction: Some(moved),
            failure_balance_transaction: None,
        });
        effects.created("refund", &id, Some(&charge));
        effects.ledger.push((LedgerEntry::Refund, id.clone(), amount));
        let (payment, refund) = (self.id.clone(), id.clone());
        match path {
            RefundPath::Succeeds => {}
            RefundPath::PendingFirst => {
                effects.tasks.push((
                    context.after(context.settings.refund_settles_after),
                    DueTask::SettleRefund { payment, refund },
                ));
            }
            RefundPath::FailsLater => {
                let reason = "expired_or_canceled_card".to_owned();
                effects.tasks.push((
                    context.after(context.settings.refund_fails_after),
                    DueTask::FailRefund { payment, refund, reason },
                ));
            }
        }
        effects.object_event("refund.created", self, &id, context);
        effects.object_event("charge.refunded", self, &charge, context);
        Ok(id)
    }

    /// A pending refund arrives. Nothing happens to any other.
    pub fn settle_refund(&mut self, refund: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        if let Some(found) =
            self.refunds.iter_mut().find(|found| found.id == refund && found.status == SimulatedRefundState::Pending)
        {
            found.status = SimulatedRefundState::Succeeded;
            effects.object_event("refund.updated", self, refund, context);
            effects.object_event("charge.refund.updated", self, refund, context);
        }
    }

    /// A refund does not arrive: the money is the account's again. Nothing happens to one that failed before.
    pub fn fail_refund(
        &mut self,
        refund: &str,
        (status, reason): (SimulatedRefundState, &str),
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) {
        let open = |found: &&mut RefundRecord| {
            found.id == refund
                && matches!(found.status, SimulatedRefundState::Pending | SimulatedRefundState::Succeeded)
        };
        let Some(found) = self.refunds.iter_mut().find(open) else { return };
        found.status = status;
        found.failure_reason = Some(reason.to_owned());
        let amount = found.amount;
        let moved = self.book(("refund_failure", "refund_failure"), refund, (amount, 0), context, effects);
        if let Some(found) = self.refunds.iter_mut().find(|found| found.id == refund) {
            found.failure_balance_transaction = Some(moved);
        }
        effects.ledger.push((LedgerEntry::RefundFailed, refund.to_owned(), amount));
        effects.object_event("refund.updated", self, refund, context);
        if status == SimulatedRefundState::Failed {
            effects.object_event("refund.failed", self, refund, context);
        }
        effects.object_event("charge.refund.updated", self, refund, context);
    }
}
