//! What a call to Stripe that did not succeed means: one table.

use gateway::{Obstacle, Operation, Outcome};

use crate::objects::ErrorObject;
use crate::requests::Endpoint;

/// Why a call to Stripe did not succeed. No variant repeats a key, a secret or a body.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallFailure {
    /// More calls to this endpoint wait than its rate lets through in a second.
    #[error("{endpoint}: not made, more calls wait than payments.stripe.endpoint_rate or account_rate lets through")]
    Throttled {
        /// What was to be called.
        endpoint: &'static str,
    },
    /// There was no connection: nothing was sent.
    #[error("{endpoint}: not sent: {why}")]
    NotSent {
        /// What was called.
        endpoint: &'static str,
        /// What happened.
        why: String,
    },
    /// It was sent, and the answer is late, cut off, or can't be read: it may have been done, or not.
    #[error("{endpoint}: no answer that can be read: {why}")]
    NoAnswer {
        /// What was called.
        endpoint: &'static str,
        /// What happened.
        why: String,
    },
    /// Stripe answered, with no success.
    #[error("{0}")]
    Refused(Box<ApiRefusal>),
}

/// Stripe's answer that is no success.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{endpoint}: {status} {}: {}{}", error.code(), error.detail(), request_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default())]
pub struct ApiRefusal {
    pub(crate) endpoint: &'static str,
    /// The HTTP status.
    pub status: u16,
    pub(crate) error: ErrorObject,
    /// Stripe's id of the call, which its support asks for.
    pub request_id: Option<String>,
    /// Whether it is what was answered the first time under this key.
    pub replayed: bool,
    /// Which limit was passed, where one was.
    pub rate_limited: Option<String>,
}

/// What a failure means for the call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No, for a reason of this order's: final.
    Refused { code: String, detail: String },
    /// The payment is not where the call expects it: its own state says what was done.
    UnexpectedState,
    /// The key was used for something else: what was done under it must be found out.
    KeyReused,
    /// Nothing was done.
    NotExecuted(Obstacle),
    /// Stripe failed on its own side, and repeats that under this key.
    Errored,
    /// It may have been done, or not.
    Unknown,
}

/// The payment went on without this call.
const UNEXPECTED_STATE: [&str; 2] = ["payment_intent_unexpected_state", "charge_already_captured"];

/// Parameters that come from the order: what is wrong with them is wrong with it alone.
const OF_THE_ORDER: [&str; 5] = ["payment_method", "confirmation_token", "customer", "amount", "currency"];

/// Codes by which this order's payment is refused, and no other's.
const REFUSALS: [&str; 22] = [
    "amount_too_large",
    "amount_too_small",
    "balance_insufficient",
    "capture_charge_authorization_expired",
    "charge_already_refunded",
    "charge_disputed",
    "charge_expired_for_capture",
    "charge_not_refundable",
    "invalid_charge_amount",
    "payment_intent_authentication_failure",
    "payment_intent_incompatible_payment_method",
    "payment_intent_payment_attempt_expired",
    "payment_intent_payment_attempt_failed",
    "payment_method_currency_mismatch",
    "payment_method_customer_decline",
    "payment_method_invalid_parameter",
    "payment_method_not_available",
    "payment_method_provider_decline",
    "payment_method_unexpected_state",
    "payment_method_unsupported_type",
    "refund_disputed_payment",
    "token_already_used",
];

/// Codes that no order can be blamed for, whatever parameter they name.
const MISCONFIGURATIONS: [&str; 5] =
    ["parameter_unknown", "parameter_missing", "livemode_mismatch", "api_key_expired", "payment_method_unactivated"];

/// The table. An account or a request that is wrong for everybody refuses no order, and what was not executed is no try.
pub(crate) fn meaning(failure: &CallFailure) -> Meaning {
    let refusal = match failure {
        CallFailure::Throttled { .. } => return Meaning::NotExecuted(Obstacle::Busy),
        CallFailure::NotSent { .. } => return Meaning::NotExecuted(Obstacle::Unreachable),
        CallFailure::NoAnswer { .. } => return Meaning::Unknown,
        CallFailure::Refused(refusal) => refusal,
    };
    let error = &refusal.error;
    let (kind, code) = (error.kind.as_deref().unwrap_or_default(), error.code.as_deref().unwrap_or_default());
    let refused = || Meaning::Refused { code: error.code().to_owned(), detail: error.detail() };
    match refusal.status {
        402 => refused(),
        409 | 429 => Meaning::NotExecuted(Obstacle::Busy),
        400 if kind == "card_error" => refused(),
        400 if kind == "idempotency_error" => Meaning::KeyReused,
        400 if UNEXPECTED_STATE.contains(&code) => Meaning::UnexpectedState,
        400 if MISCONFIGURATIONS.contains(&code) => Meaning::NotExecuted(Obstacle::Misconfigured),
        400 if REFUSALS.contains(&code) => refused(),
        400 if error.param.as_deref().is_some_and(|param| OF_THE_ORDER.contains(&param)) => refused(),
        // 401 and 403: the key. 404: the payment is not in this account, or the key's mode is the other one. Else a request that no order makes wrong.
        400..=423 | 425..=499 => Meaning::NotExecuted(Obstacle::Misconfigured),
        424 | 500..=599 => Meaning::Errored,
        // What is no answer of Stripe's, such as a proxy's redirect.
        _ => Meaning::Unknown,
    }
}

/// A refusal as the operation's own kind of no.
pub(crate) fn refused(operation: Operation, code: &str, detail: &str) -> Outcome {
    let (code, detail) = (code.to_owned(), detail.to_owned());
    match operation {
        Operation::Authorize => Outcome::Declined { code, detail },
        Operation::Capture => Outcome::CaptureFailed { code, detail },
        Operation::Void => Outcome::VoidFailed { detail: format!("{code}: {detail}") },
        Operation::Refund => Outcome::RefundFailed { refund_id: None, detail: format!("{code}: {detail}") },
    }
}

impl CallFailure {
    /// Where a payment's own state, or what was done under its key, would tell more and was not asked for, the outcome is not known.
    pub(crate) fn outcome(&self, operation: Operation) -> Outcome {
        let detail = self.to_string();
        match meaning(self) {
            Meaning::Refused { code, detail } => refused(operation, &code, &detail),
            Meaning::NotExecuted(obstacle) => Outcome::NotExecuted { obstacle, detail },
            Meaning::Errored => Outcome::Errored { detail },
            Meaning::UnexpectedState | Meaning::KeyReused | Meaning::Unknown => Outcome::Unknown { detail },
        }
    }

    /// The same for a call that only reads: it does nothing, so nothing of it needs to be looked up, only asked again.
    pub(crate) fn unread(&self, operation: Operation) -> Outcome {
        match meaning(self) {
            Meaning::NotExecuted(_) => self.outcome(operation),
            Meaning::Refused { .. }
            | Meaning::UnexpectedState
            | Meaning::KeyReused
            | Meaning::Errored
            | Meaning::Unknown => Outcome::Unknown { detail: self.to_string() },
        }
    }
}

impl From<(Endpoint, ApiRefusal)> for CallFailure {
    fn from((endpoint, refusal): (Endpoint, ApiRefusal)) -> Self {
        Self::Refused(Box::new(ApiRefusal { endpoint: endpoint.as_str(), ..refusal }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, error: &str) -> CallFailure {
        let error = serde_json::from_str(error).unwrap();
        (Endpoint::Confirm, ApiRefusal { status, error, request_id: Some("req_1".into()), ..ApiRefusal::default() })
            .into()
    }

    #[test]
    fn every_row_of_the_table() {
        let no = |code: &str| Meaning::Refused { code: code.into(), detail: "no message".into() };
        let busy = Meaning::NotExecuted(Obstacle::Busy);
        let misconfigured = Meaning::NotExecuted(Obstacle::Misconfigured);
        let rows = [
            // The issuer, by what says most.
            (
                402,
                r#"{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds"}"#,
                no("insufficient_funds"),
            ),
            (402, r#"{"type":"card_error","code":"expired_card"}"#, no("expired_card")),
            (402, "{}", no("unknown")),
            (400, r#"{"type":"card_error","code":"incorrect_number"}"#, no("incorrect_number")),
            // What the order brought.
            (
                400,
                r#"{"type":"invalid_request_error","code":"resource_missing","param":"payment_method"}"#,
                no("resource_missing"),
            ),
            (400, r#"{"type":"invalid_request_error","param":"payment_method"}"#, no("invalid_request_error")),
            (
                400,
                r#"{"type":"invalid_request_error","code":"resource_missing","param":"customer"}"#,
                no("resource_missing"),
            ),
            (400, r#"{"code":"amount_too_small","param":"amount"}"#, no("amount_too_small")),
            (400, r#"{"code":"amount_too_large"}"#, no("amount_too_large")),
            (400, r#"{"code":"parameter_invalid_integer","param":"amount"}"#, no("parameter_invalid_integer")),
            (400, r#"{"type":"invalid_request_error","param":"currency"}"#, no("invalid_request_error")),
            (400, r#"{"code":"payment_intent_authentication_failure"}"#, no("payment_intent_authentication_failure")),
            (400, r#"{"code":"token_already_used"}"#, no("token_already_used")),
            // A capture or a refund that is too late.
            (400, r#"{"code":"capture_charge_authorization_expired"}"#, no("capture_charge_authorization_expired")),
            (400, r#"{"code":"charge_already_refunded"}"#, no("charge_already_refunded")),
            (400, r#"{"code":"charge_disputed"}"#, no("charge_disputed")),
            // Somebody was faster.
            (400, r#"{"code":"payment_intent_unexpected_state"}"#, Meaning::UnexpectedState),
            (400, r#"{"code":"charge_already_captured"}"#, Meaning::UnexpectedState),
            (400, r#"{"type":"idempotency_error"}"#, Meaning::KeyReused),
            // Wrong for everybody.
            (400, r#"{"code":"parameter_unknown","param":"payment_method_types"}"#, misconfigured.clone()),
            (400, r#"{"code":"payment_method_types_no_longer_supported"}"#, misconfigured.clone()),
            (400, r#"{"code":"parameter_missing","param":"payment_method"}"#, misconfigured.clone()),
            (400, r#"{"code":"livemode_mismatch","param":"payment_method"}"#, misconfigured.clone()),
            (400, r#"{"type":"invalid_request_error"}"#, misconfigured.clone()),
            (401, r#"{"type":"invalid_request_error","code":"api_key_expired"}"#, misconfigured.clone()),
            (403, "{}", misconfigured.clone()),
            (404, r#"{"code":"resource_missing","param":"intent"}"#, misconfigured),
            // Not executed.
            (409, r#"{"type":"idempotency_error","code":"idempotency_key_in_use"}"#, busy.clone()),
            (429, r#"{"code":"rate_limit"}"#, busy.clone()),
            (429, r#"{"code":"lock_timeout"}"#, busy.clone()),
            (429, r#"{"type":"brand_new_error"}"#, busy),
            // Stripe's own trouble, and what is between us.
            (500, r#"{"type":"api_error"}"#, Meaning::Errored),
            (502, "{}", Meaning::Errored),
            (424, "{}", Meaning::Errored),
            (302, "{}", Meaning::Unknown),
        ];
        for (status, error, expected) in rows {
            assert_eq!(meaning(&answer(status, error)), expected, "{status} {error}");
        }
        let why = || "no".to_owned();
        let endpoint = "POST /v1/refunds";
        let failures = [
            (CallFailure::Throttled { endpoint }, Meaning::NotExecuted(Obstacle::Busy)),
            (CallFailure::NotSent { endpoint, why: why() }, Meaning::NotExecuted(Obstacle::Unreachable)),
            (CallFailure::NoAnswer { endpoint, why: why() }, Meaning::Unknown),
        ];
        for (failure, expected) in failures {
            assert_eq!(meaning(&failure), expected, "{failure}");
        }
    }

    #[test]
    fn each_operation_has_its_own_no_and_says_which_call_it_was() {
        let declined = answer(402, r#"{"code":"card_declined","message":"Your card was declined."}"#);
        let code = "card_declined".to_owned();
        let detail = "Your card was declined.".to_owned();
        assert_eq!(
            declined.outcome(Operation::Authorize),
            Outcome::Declined { code: code.clone(), detail: detail.clone() }
        );
        assert_eq!(declined.outcome(Operation::Capture), Outcome::CaptureFailed { code, detail });
        let detail = "card_declined: Your card was declined.".to_owned();
        assert_eq!(declined.outcome(Operation::Void), Outcome::VoidFailed { detail: detail.clone() });
        assert_eq!(declined.outcome(Operation::Refund), Outcome::RefundFailed { refund_id: None, detail });
        let Outcome::Errored { detail } = answer(500, r#"{"type":"api_error"}"#).outcome(Operation::Refund) else {
            panic!("a 500 is an error of Stripe's")
        };
        assert!(detail.contains("req_1") && detail.contains("/confirm") && detail.contains("500"), "{detail}");
        assert!(matches!(answer(500, "{}").unread(Operation::Refund), Outcome::Unknown { .. }), "nothing to look up");
        let throttled = answer(429, "{}").unread(Operation::Refund);
        assert!(matches!(throttled, Outcome::NotExecuted { obstacle: Obstacle::Busy, .. }), "{throttled:?}");
    }
}
