//! Capturing what is held.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::create::update_metadata;
use crate::currency;
use crate::effects::{LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::parameters::check_metadata;
use crate::record::{IntentStatus, PaymentRecord};

/// Parameters of `payment_intents.capture`.
#[derive(Debug, Default, Deserialize)]
pub struct CaptureParameters {
    amount_to_capture: Option<i64>,
    final_capture: Option<bool>,
    metadata: Option<BTreeMap<String, String>>,
}

impl PaymentRecord {
    /// Takes what is held, or a part of it; the rest is released.
    ///
    /// # Errors
    /// 400 when nothing is held any more, for 0, and for more than is held.
    pub fn capture(
        &mut self,
        parameters: &CaptureParameters,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        if self.status != IntentStatus::RequiresCapture {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with one of the following statuses may be \
                 captured: requires_capture.",
                self.status.as_str()
            );
            return Err(self.unexpected(&message, context));
        }
        let charge = self.successful_charge().map(|charge| (charge.id.clone(), charge.capture_before));
        if charge.as_ref().is_some_and(|(_, end)| end.is_some_and(|end| context.now >= end)) {
            let message = "The charge's authorization has expired: it can't be captured any more.";
            let charge = charge.map(|(id, _)| id).unwrap_or_default();
            return Err(ApiError::state("charge_expired_for_capture", message).with("charge", charge.into()));
        }
        let amount = parameters.amount_to_capture.unwrap_or(self.amount);
        currency::check_unit(&self.currency, amount, "amount_to_capture")?;
        if amount > self.amount {
            let message = format!(
                "The amount to capture, {amount}, is greater than the amount that can be captured, {}.",
                self.amount
            );
            return Err(ApiError {
                param: Some("amount_to_capture".into()),
                ..ApiError::state("amount_too_large", message)
            });
        }
        if parameters.final_capture == Some(false) {
            let message = "final_capture=false: multicapture is not available for this account.";
            return Err(ApiError { param: Some("final_capture".into()), ..ApiError::bad_request(message) });
        }
        check_metadata(parameters.metadata.as_ref().unwrap_or(&BTreeMap::new()))?;
        update_metadata(&mut self.metadata, parameters.metadata.as_ref());
        self.take(amount, context, effects);
        let charge = self.charges.last().map(|charge| charge.id.clone()).unwrap_or_default();
        effects.object_event("charge.captured", self, &charge, context);
        effects.intent_event("payment_intent.succeeded", self, context);
        Ok(())
    }

    /// The money moves.
    pub(super) fn take(&mut self, amount: i64, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let Some(charge) = self.charges.iter().position(|charge| charge.succeeded && !charge.released) else { return };
        let (id, rest) = (self.charges[charge].id.clone(), self.charges[charge].amount - amount);
        let fee = (amount * context.settings.fee_basis_points + 5_000) / 10_000 + context.settings.fee_fixed;
        let moved = self.book(("charge", "charge"), &id, (amount, fee), context, effects);
        let charge = &mut self.charges[charge];
        charge.captured = Some(amount);
        charge.balance_transaction = Some(moved);
        let card = charge.method.test_card();
        self.status = IntentStatus::Succeeded;
        effects.ledger.push((LedgerEntry::Capture, id.clone(), amount));
        if rest > 0 {
            effects.ledger.push((LedgerEntry::Release, id, rest));
        }
        self.schedule_aftermath(card, context, effects);
    }
}
