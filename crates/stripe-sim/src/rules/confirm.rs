//! Confirming a payment: 3-D Secure, the issuer's answer, the hold.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::card::{Aftermath, Authentication, Authorization, PaymentMethodRecord, TestCard};
use crate::effects::{DueTask, LedgerEntry, RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::id;
use crate::record::{ChargeRecord, ClientSecret, IntentStatus, PaymentRecord, PendingAction};
use crate::render;

/// Parameters of `payment_intents.confirm`, and of a creation that confirms.
#[derive(Debug, Default, Deserialize)]
pub struct ConfirmParameters {
    /// `pm_…`.
    pub payment_method: Option<String>,
    /// `ctoken_…`.
    pub confirmation_token: Option<String>,
    off_session: Option<Value>,
    return_url: Option<String>,
    #[serde(default)]
    error_on_requires_action: bool,
    capture_method: Option<String>,
    amount_to_confirm: Option<i64>,
    allowed_payment_method_types: Option<Vec<String>>,
}

/// What the customer did on the page of 3-D Secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// Passed.
    Pass,
    /// Failed, or cancelled.
    Fail,
    /// Left: nothing changes.
    Abandon,
}

impl PaymentRecord {
    /// Confirms. A decline changes the payment and is given as `Some`: it is answered 402.
    ///
    /// # Errors
    /// 400 for what Stripe refuses; the payment is as it was.
    pub fn confirm(
        &mut self,
        parameters: &ConfirmParameters,
        method: Option<PaymentMethodRecord>,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<Option<ApiError>, ApiError> {
        self.may_be_confirmed(context)?;
        let Some(method) =
            method.or_else(|| self.method.clone().filter(|_| self.status != IntentStatus::RequiresPaymentMethod))
        else {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a \
                           payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";
            return Err(self.unexpected(message, context));
        };
        if parameters.amount_to_confirm.is_some_and(|amount| amount != self.amount) {
            let message = format!("amount_to_confirm must be the payment's amount, {}", self.amount);
            return Err(ApiError { param: Some("amount_to_confirm".into()), ..ApiError::bad_request(message) });
        }
        if let Some(types) = &parameters.allowed_payment_method_types {
            self.allowed_payment_method_types = Some(types.clone());
            self.automatic_payment_methods = None;
        }
        let redirects =
            self.automatic_payment_methods.as_ref().is_some_and(|methods| methods["allow_redirects"] == "always");
        if redirects && parameters.return_url.is_none() {
            let message = "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment methods \
                           might redirect your customer off of your page, you must provide a `return_url`. If you don't want to accept redirect-based \
                           payment methods, set `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to `never` \
                           when creating Setup Intents and Payment Intents.";
            return Err(ApiError { param: Some("return_url".into()), ..ApiError::bad_request(message) });
        }
        if let Some(url) = parameters.return_url.as_ref().filter(|url| reqwest::Url::parse(url).is_err()) {
            return Err(ApiError::parameter(
                "url_invalid",
                "return_url",
                format!("Not a valid URL: expected https://…, got '{url}'"),
            ));
        }
        if let Some(capture_method) = &parameters.capture_method {
            self.manual_capture = capture_method == "manual";
        }
        self.confirmations += 1;
        if self.confirmations > context.settings.confirmation_limit {
            self.end_canceled("automatic", context, effects);
            return Ok(None);
        }
        let off_session = parameters
            .off_session
            .as_ref()
            .is_some_and(|off_session| *off_session != json!(false) && *off_session != json!("false"));
        let card = method.test_card();
        self.method = Some(method);
        self.last_payment_error = None;
        self.action = None;
        let asks = match card.authentication {
            Authentication::NotRequired => false,
            Authentication::UnlessSetUp => !self.method.as_ref().is_some_and(|method| method.set_up),
            Authentication::Always => true,
        };
        if !asks || card.authorization == Authorization::Blocked {
            return Ok(self.authorize(None, off_session, context, effects));
        }
        if off_session || parameters.error_on_requires_action {
            let failure = (
                "authentication_required",
                "authentication_required",
                "Your card was declined. This transaction requires authentication.",
            );
            return Ok(Some(self.decline(failure, None, context, effects)));
        }
        self.status = IntentStatus::RequiresAction;
        self.action = Some(PendingAction {
            token: ClientSecret(id::new("payatt_")),
            return_url: parameters.return_url.clone(),
            off_session,
        });
        effects.intent_event("payment_intent.requires_action", self, context);
        Ok(None)
    }

    fn may_be_confirmed(&self, context: RuleContext<'_>) -> Result<(), ApiError> {
        match self.status {
            IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation | IntentStatus::RequiresAction => {
                Ok(())
            }
            IntentStatus::Succeeded => {
                let message = "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.";
                Err(self.unexpected(message, context))
            }
            status @ (IntentStatus::RequiresCapture | IntentStatus::Canceled) => {
                let message =
                    format!("You cannot confirm this PaymentIntent because it has a status of {}.", status.as_str());
                Err(self.unexpected(&message, context))
            }
        }
    }

    /// 400: the status does not allow it.
    pub(super) fn unexpected(&self, message: &str, context: RuleContext<'_>) -> ApiError {
        ApiError::state("payment_intent_unexpected_state", message)
            .with("payment_intent", self.to_json(context.public_url))
    }

    /// Asks the issuer.
    fn authorize(
        &mut self,
        three_d_secure: Option<&str>,
        off_session: bool,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Option<ApiError> {
        let method = self.method.clone()?;
        match method.test_card().authorization {
            Authorization::Approved => {
                self.hold(method, three_d_secure, off_session, context, effects);
                None
            }
            Authorization::Declined(code, decline_code) => Some(self.decline(
                (code, decline_code, decline_message(code, decline_code)),
                three_d_secure,
                context,
                effects,
            )),
            Authorization::Blocked => Some(self.decline(
                ("card_declined", "fraudulent", "Your card was declined."),
                three_d_secure,
                context,
                effects,
            )),
        }
    }

    fn hold(
        &mut self,
        method: PaymentMethodRecord,
        three_d_secure: Option<&str>,
        off_session: bool,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) {
        let settings = context.settings;
        let held_for = if off_session { settings.off_session_hold_expires_after } else { settings.hold_expires_after };
        let (charge_id, end) = (id::new("ch_"), context.after(held_for));
        self.charges.push(ChargeRecord {
            id: charge_id.clone(),
            created: context.seconds(),
            succeeded: true,
            amount: self.amount,
            captured: None,
            capture_before: Some(end),
            released: false,
            method,
            three_d_secure: three_d_secure.map(str::to_owned),
            failure: None,
            balance_transaction: None,
        });
        self.status = IntentStatus::RequiresCapture;
        effects.created("charge", &charge_id, None);
        effects.ledger.push((LedgerEntry::Hold, charge_id.clone(), self.amount));
        if self.manual_capture {
            effects.tasks.push((end, DueTask::ExpireHold { payment: self.id.clone(), charge: charge_id.clone() }));
            effects.object_event("charge.succeeded", self, &charge_id, context);
            effects.intent_event("payment_intent.amount_capturable_updated", self, context);
        } else {
            self.take(self.amount, context, effects);
            effects.object_event("charge.succeeded", self, &charge_id, context);
            effects.intent_event("payment_intent.succeeded", self, context);
        }
    }

    fn decline(
        &mut self,
        (code, decline_code, message): (&'static str, &'static str, &'static str),
        three_d_secure: Option<&str>,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> ApiError {
        let charge_id = id::new("ch_");
        let method = self.method.clone().map(|method| render::payment_method(&method)).unwrap_or_default();
        if let Some(method) = self.method.clone() {
            self.charges.push(ChargeRecord {
                id: charge_id.clone(),
                created: context.seconds(),
                succeeded: false,
                amount: self.amount,
                captured: None,
                capture_before: None,
                released: false,
                method,
                three_d_secure: three_d_secure.map(str::to_owned),
                failure: Some((code.to_owned(), decline_code.to_owned(), message.to_owned())),
                balance_transaction: None,
            });
            effects.created("charge", &charge_id, None);
            effects.object_event("charge.failed", self, &charge_id, context);
        }
        let error = ApiError::card(code, Some(decline_code), message)
            .with("charge", json!(charge_id))
            .with("payment_method", method);
        self.status = IntentStatus::RequiresPaymentMethod;
        self.last_payment_error = Some(error.to_json());
        effects.intent_event("payment_intent.payment_failed", self, context);
        error.with("payment_intent", self.to_json(context.public_url))
    }

    /// The customer has done, or not done, 3-D Secure.
    ///
    /// # Errors
    /// 400 when nothing waits for it.
    pub fn act(
        &mut self,
        outcome: ActionOutcome,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<(), ApiError> {
        let Some(action) = self.action.clone().filter(|_| self.status == IntentStatus::RequiresAction) else {
            let message =
                format!("Nothing waits for 3-D Secure: the PaymentIntent has a status of {}.", self.status.as_str());
            return Err(self.unexpected(&message, context));
        };
        match outcome {
            ActionOutcome::Abandon => {}
            ActionOutcome::Pass => {
                self.action = None;
                let _ = self.authorize(Some("authenticated"), action.off_session, context, effects);
            }
            ActionOutcome::Fail => {
                self.action = None;
                self.status = IntentStatus::RequiresPaymentMethod;
                let message = "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to \
                               attempt to fulfill this PaymentIntent again.";
                let error = ApiError::state("payment_intent_authentication_failure", message);
                let method = self.method.as_ref().map(render::payment_method).unwrap_or_default();
                self.last_payment_error = Some(error.with("payment_method", method).to_json());
                effects.intent_event("payment_intent.payment_failed", self, context);
            }
        }
        Ok(())
    }

    /// What follows a capture with this card.
    pub(super) fn schedule_aftermath(&self, card: &TestCard, context: RuleContext<'_>, effects: &mut RuleEffects) {
        let (due, payment) = (context.after(context.settings.dispute_opens_after), self.id.clone());
        match card.aftermath {
            Aftermath::Nothing => {}
            Aftermath::Dispute(reason) => {
                effects.tasks.push((due, DueTask::OpenDispute { payment, reason: reason.into(), inquiry: false }))
            }
            Aftermath::Inquiry => {
                effects.tasks.push((due, DueTask::OpenDispute { payment, reason: "fraudulent".into(), inquiry: true }))
            }
            Aftermath::EarlyFraudWarning => effects.tasks.push((due, DueTask::WarnOfFraud { payment })),
        }
    }
}

fn decline_message(code: &str, decline_code: &str) -> &'static str {
    match (code, decline_code) {
        ("expired_card", _) => "Your card has expired.",
        ("incorrect_cvc", _) => "Your card's security code is incorrect.",
        ("processing_error", _) => "An error occurred while processing your card. Try again in a little bit.",
        (_, "insufficient_funds") => "Your card has insufficient funds.",
        _ => "Your card was declined.",
    }
}
