//! Cancelling a payment, and the end of a hold that nobody captured.

use crate::effects::{LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::record::{IntentStatus, PaymentRecord};

impl PaymentRecord {
    /// Cancels; what is held is released.
    ///
    /// # Errors
    /// 400 once it is captured, or over.
    pub fn cancel(
        &mut self,
        reason: Option<&str>,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        match self.status {
            IntentStatus::Succeeded | IntentStatus::Canceled => {
                let message = format!(
                    "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be \
                     canceled: requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.",
                    self.status.as_str()
                );
                Err(self.unexpected(&message, context))
            }
            IntentStatus::RequiresPaymentMethod
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresAction
            | IntentStatus::RequiresCapture => {
                self.end_canceled(reason.unwrap_or_default(), context, effects);
                Ok(())
            }
        }
    }

    /// The issuer lets the hold go. Nothing happens to a charge that holds nothing any more.
    pub fn expire_hold(&mut self, charge: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let holds = self.successful_charge().is_some_and(|held| held.id == charge);
        if self.status == IntentStatus::RequiresCapture && holds {
            self.release(effects);
            effects.object_event("charge.expired", self, charge, context);
            self.end_canceled("expired", context, effects);
        }
    }

    /// Lets what is held go.
    pub(super) fn release(&mut self, effects: &mut RuleEffects) {
        if let Some(charge) =
            self.charges.iter_mut().find(|charge| charge.succeeded && !charge.released && charge.captured.is_none())
        {
            charge.released = true;
            effects.ledger.push((LedgerEntry::Release, charge.id.clone(), charge.amount));
        }
    }

    pub(super) fn end_canceled(&mut self, reason: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        self.release(effects);
        self.status = IntentStatus::Canceled;
        self.action = None;
        self.canceled_at = Some(context.seconds());
        self.cancellation_reason = (!reason.is_empty()).then(|| reason.to_owned());
        effects.intent_event("payment_intent.canceled", self, context);
    }
}
