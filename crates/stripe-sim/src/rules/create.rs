//! Creating a payment, and changing it before its confirmation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::currency;
use crate::effects::{RuleContext, RuleEffects};
use crate::error::ApiError;
use crate::id;
use crate::parameters::check_metadata;
use crate::record::{ClientSecret, IntentStatus, PaymentRecord};

/// What is given back as it came.
const ECHOED: &[&str] = &[
    "amount_details",
    "application_fee_amount",
    "excluded_payment_method_types",
    "on_behalf_of",
    "payment_details",
    "payment_method_options",
    "radar_options",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
];

/// Parameters of `payment_intents.create`; those of a confirmation are [`ConfirmParameters`](super::ConfirmParameters).
#[derive(Debug, Deserialize)]
pub struct CreateParameters {
    amount: i64,
    currency: String,
    #[serde(default)]
    confirm: bool,
    capture_method: Option<String>,
    confirmation_method: Option<String>,
    customer: Option<String>,
    description: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    allowed_payment_method_types: Option<Vec<String>>,
    automatic_payment_methods: Option<Value>,
    statement_descriptor: Option<String>,
    statement_descriptor_suffix: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl CreateParameters {
    /// Whether the payment is confirmed at once.
    #[must_use]
    pub fn confirm(&self) -> bool {
        self.confirm
    }

    /// The customer.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }

    fn check(&self) -> Result<(), ApiError> {
        let given = |name: &str| self.more.get(name).is_some_and(|value| !value.is_null());
        if !self.confirm
            && let Some(name) = ["error_on_requires_action", "mandate", "mandate_data", "off_session", "return_url"]
                .into_iter()
                .find(|name| given(name))
        {
            let message = format!("You cannot provide {name} unless confirm=true: send it with the confirmation");
            return Err(ApiError { param: Some(name.into()), ..ApiError::bad_request(message) });
        }
        if self.allowed_payment_method_types.is_some() {
            let excludes =
                ["excluded_payment_method_types", "payment_method_configuration"].into_iter().find(|name| given(name));
            let excludes = excludes.or(self.automatic_payment_methods.as_ref().map(|_| "automatic_payment_methods"));
            if let Some(name) = excludes {
                let message =
                    format!("You may only specify one of these parameters: allowed_payment_method_types, {name}.");
                return Err(ApiError {
                    param: Some("allowed_payment_method_types".into()),
                    ..ApiError::bad_request(message)
                });
            }
        }
        if self.allowed_payment_method_types.as_ref().is_some_and(|types| types.iter().all(|kind| kind != "card")) {
            let message = "The simulator knows cards alone: allowed_payment_method_types must contain card";
            return Err(ApiError {
                param: Some("allowed_payment_method_types".into()),
                ..ApiError::bad_request(message)
            });
        }
        check_descriptors(self.statement_descriptor.as_deref(), self.statement_descriptor_suffix.as_deref())?;
        check_metadata(self.metadata.as_ref().unwrap_or(&BTreeMap::new()))
    }
}

fn check_descriptors(descriptor: Option<&str>, suffix: Option<&str>) -> Result<(), ApiError> {
    if descriptor.is_some() {
        let message = "The statement_descriptor parameter is not supported for the payment method type card. Use statement_descriptor_suffix instead.";
        return Err(ApiError { param: Some("statement_descriptor".into()), ..ApiError::bad_request(message) });
    }
    match suffix {
        Some(suffix) if suffix.chars().count() > 22 || suffix.contains(['<', '>', '\\', '\'', '"', '*']) => {
            let message = format!(
                "Invalid statement_descriptor_suffix: expected up to 22 characters without < > \\ ' \" *, got '{suffix}'"
            );
            Err(ApiError { param: Some("statement_descriptor_suffix".into()), ..ApiError::bad_request(message) })
        }
        Some(_) | None => Ok(()),
    }
}

/// Parameters of `payment_intents.update`.
#[derive(Debug, Deserialize)]
pub struct UpdateParameters {
    amount: Option<i64>,
    currency: Option<String>,
    customer: Option<String>,
    description: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    statement_descriptor: Option<String>,
    statement_descriptor_suffix: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl PaymentRecord {
    /// A new payment, not confirmed.
    ///
    /// # Errors
    /// 400 for what Stripe refuses.
    pub fn create(
        parameters: &CreateParameters,
        livemode: bool,
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> Result<Self, ApiError> {
        let currency = currency::check(&parameters.currency, parameters.amount)?;
        parameters.check()?;
        let id = id::new("pi_");
        let automatic = match (&parameters.allowed_payment_method_types, &parameters.automatic_payment_methods) {
            (Some(_), _) => None,
            (None, Some(given)) => {
                let redirects = given.get("allow_redirects").cloned().unwrap_or_else(|| json!("always"));
                Some(json!({"allow_redirects": redirects, "enabled": true}))
            }
            (None, None) => Some(json!({"allow_redirects": "always", "enabled": true})),
        };
        let payment = Self {
            client_secret: ClientSecret(format!("{id}_secret_{}", id::random(25))),
            id,
            livemode,
            created: context.seconds(),
            status: IntentStatus::RequiresPaymentMethod,
            amount: parameters.amount,
            currency,
            manual_capture: parameters.capture_method.as_deref() == Some("manual"),
            confirmation_method: parameters.confirmation_method.clone().unwrap_or_else(|| "automatic".into()),
            customer: parameters.customer.clone(),
            description: parameters.description.clone().filter(|text| !text.is_empty()),
            metadata: new_metadata(parameters.metadata.as_ref()),
            allowed_payment_method_types: parameters.allowed_payment_method_types.clone(),
            automatic_payment_methods: automatic,
            echoed: echoed(&parameters.more),
            method: None,
            action: None,
            confirmations: 0,
            last_payment_error: None,
            canceled_at: None,
            cancellation_reason: None,
            charges: Vec::new(),
            refunds: Vec::new(),
            disputes: Vec::new(),
            warnings: Vec::new(),
            transactions: Vec::new(),
        };
        effects.intent_event("payment_intent.created", &payment, context);
        Ok(payment)
    }

    /// Changes what may still change: the amount before the confirmation, metadata and the like at any time.
    ///
    /// # Errors
    /// 400 for what Stripe refuses.
    pub fn update(&mut self, parameters: &UpdateParameters) -> Result<(), ApiError> {
        check_descriptors(
            parameters.statement_descriptor.as_deref(),
            parameters.statement_descriptor_suffix.as_deref(),
        )?;
        check_metadata(parameters.metadata.as_ref().unwrap_or(&BTreeMap::new()))?;
        let open = matches!(
            self.status,
            IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation | IntentStatus::RequiresAction
        );
        if !open && (parameters.amount.is_some() || parameters.currency.is_some() || parameters.customer.is_some()) {
            let message = format!(
                "This PaymentIntent's amount, currency or customer could not be updated because it has a status of {}. You may only update those of \
                 a PaymentIntent with one of the following statuses: requires_payment_method, requires_confirmation, requires_action.",
                self.status.as_str()
            );
            return Err(ApiError::state("payment_intent_unexpected_state", message));
        }
        if parameters.amount.is_some() || parameters.currency.is_some() {
            let amount = parameters.amount.unwrap_or(self.amount);
            self.currency = currency::check(parameters.currency.as_deref().unwrap_or(&self.currency), amount)?;
            self.amount = amount;
        }
        if let Some(customer) = &parameters.customer {
            self.customer = Some(customer.clone());
        }
        if let Some(description) = &parameters.description {
            self.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        update_metadata(&mut self.metadata, parameters.metadata.as_ref());
        self.echoed.extend(echoed(&parameters.more));
        Ok(())
    }
}

/// Metadata of a new object: an empty value is none.
pub(super) fn new_metadata(given: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    update_metadata(&mut metadata, given);
    metadata
}

/// Adds and replaces keys; an empty value removes one.
pub(super) fn update_metadata(metadata: &mut BTreeMap<String, String>, changes: Option<&BTreeMap<String, String>>) {
    for (key, value) in changes.into_iter().flatten() {
        if value.is_empty() {
            metadata.remove(key);
        } else {
            metadata.insert(key.clone(), value.clone());
        }
    }
}

fn echoed(more: &Map<String, Value>) -> Map<String, Value> {
    more.iter()
        .filter(|(name, _)| ECHOED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl PaymentRecord {
    /// Gives a payment its card, without confirming it.
    pub fn attach_method(&mut self, method: crate::card::PaymentMethodRecord) {
        self.method = Some(method);
        self.status = IntentStatus::RequiresConfirmation;
    }
}
