//! Undoing what was answered 500: Stripe rolls back what it can, and leaves what was built upon.

use crate::effects::{LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::record::{IntentStatus, PaymentRecord, SimulatedRefundState};

impl PaymentRecord {
    /// Undoes an operation that made `object`. A cancellation, an automatic capture, and what was followed by another operation stay.
    pub fn roll_back(&mut self, operation: &str, object: &str, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let holds = self.status == IntentStatus::RequiresCapture;
        let waits = matches!(self.status, IntentStatus::RequiresAction | IntentStatus::RequiresPaymentMethod);
        match operation {
            "payment_intents.create" if holds || waits => self.end_canceled("automatic", context, effects),
            "payment_intents.confirm" if holds || self.status == IntentStatus::RequiresAction => {
                self.undo_confirmation(context, effects)
            }
            "payment_intents.capture"
                if self.status == IntentStatus::Succeeded && self.refunds.is_empty() && self.disputes.is_empty() =>
            {
                self.undo_capture(context, effects);
            }
            "refunds.create" => self.fail_refund(object, (SimulatedRefundState::Failed, "unknown"), context, effects),
            _ => {}
        }
    }

    fn undo_confirmation(&mut self, context: RuleContext<'_>, effects: &mut RuleEffects) {
        self.release(effects);
        self.status = IntentStatus::RequiresPaymentMethod;
        self.action = None;
        let message = "An error occurred while processing your card. Try again in a little bit.";
        self.last_payment_error = Some(ApiError::card("processing_error", Some("processing_error"), message).to_json());
        effects.intent_event("payment_intent.payment_failed", self, context);
    }

    fn undo_capture(&mut self, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let Some(charge) = self.charges.iter_mut().find(|charge| charge.captured.is_some()) else { return };
        if charge.capture_before.is_some_and(|end| context.now >= end) {
            return;
        }
        let (id, held, taken) = (charge.id.clone(), charge.amount, charge.captured.take().unwrap_or_default());
        charge.balance_transaction = None;
        let fee = self
            .transactions
            .iter()
            .find(|moved| moved.source == id && moved.kind == "charge")
            .map_or(0, |moved| moved.fee);
        self.status = IntentStatus::RequiresCapture;
        self.book(("adjustment", "charge_failure"), &id, (-taken, -fee), context, effects);
        effects.ledger.push((LedgerEntry::CaptureUndone, id.clone(), taken));
        if held > taken {
            effects.ledger.push((LedgerEntry::ReleaseUndone, id.clone(), held - taken));
        }
        effects.object_event("charge.updated", self, &id, context);
        effects.intent_event("payment_intent.amount_capturable_updated", self, context);
    }
}
