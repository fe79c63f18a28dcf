//! Stripe's objects, as far as they are read: everything but an object's id and status may be absent or new, so that no hold is lost to an answer that
//! says more, or less, than this API version knows.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// What can't be read is as if it were not there: only for what an outcome can do without.
fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok())
}

/// A code of Stripe's: one of those that are known here, or another.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(from = "String")]
        pub(crate) enum $name {
            $($variant,)*
            Other(String),
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                })
            }
        }
    };
}

codes! {
    /// Where a PaymentIntent stands.
    IntentStatus {
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        Processing = "processing",
        RequiresCapture = "requires_capture",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

codes! {
    /// How a refund stands.
    RefundState {
        Pending = "pending",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
}

codes! {
    /// How a dispute stands.
    DisputeState {
        WarningNeedsResponse = "warning_needs_response",
        WarningUnderReview = "warning_under_review",
        WarningClosed = "warning_closed",
        NeedsResponse = "needs_response",
        UnderReview = "under_review",
        Won = "won",
        Lost = "lost",
        Prevented = "prevented",
    }
}

/// An object, or its id where it is not expanded.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expandable<T> {
    Id(String),
    Object(Box<T>),
}

impl<T> Expandable<T> {
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

/// An object of which only the id is wanted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Identified {
    pub id: String,
}

impl Expandable<Identified> {
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => &object.id,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    pub id: String,
    pub status: IntentStatus,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub amount_capturable: Option<i64>,
    #[serde(default)]
    pub amount_received: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub cancellation_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub last_payment_error: Option<ErrorObject>,
    #[serde(default, deserialize_with = "lenient")]
    pub latest_charge: Option<Expandable<Charge>>,
    #[serde(default, deserialize_with = "lenient")]
    pub next_action: Option<NextAction>,
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Option<BTreeMap<String, String>>,
}

impl PaymentIntent {
    pub fn charge(&self) -> Option<&Charge> {
        self.latest_charge.as_ref().and_then(Expandable::object)
    }
}

/// A PaymentIntent's secret, by which a browser confirms it: read for the one who is shown it, and kept nowhere.
#[derive(Deserialize)]
pub(crate) struct ClientSecretAnswer {
    pub client_secret: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NextAction {
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub redirect_to_url: Option<RedirectToUrl>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RedirectToUrl {
    #[serde(default)]
    pub url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Charge {
    pub id: String,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub amount: Option<i64>,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub failure_code: Option<String>,
    #[serde(default)]
    pub failure_message: Option<String>,
    #[serde(default)]
    pub amount_refunded: Option<i64>,
    #[serde(default)]
    pub disputed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub payment_method_details: Option<PaymentMethodDetails>,
}

impl Charge {
    pub fn card(&self) -> Option<&CardDetails> {
        self.payment_method_details.as_ref()?.card.as_ref()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PaymentMethodDetails {
    #[serde(default)]
    pub card: Option<CardDetails>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CardDetails {
    pub brand: Option<String>,
    pub last4: Option<String>,
    pub country: Option<String>,
    pub fingerprint: Option<String>,
    /// Until when it can be captured, in seconds since 1970.
    pub capture_before: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub checks: Option<CardChecks>,
    #[serde(deserialize_with = "lenient")]
    pub three_d_secure: Option<ThreeDSecureDetails>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CardChecks {
    pub cvc_check: Option<String>,
    pub address_line1_check: Option<String>,
    pub address_postal_code_check: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ThreeDSecureDetails {
    pub result: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "P: DeserializeOwned")]
pub(crate) struct RefundObject<P = Identified> {
    pub id: String,
    pub status: RefundState,
    #[serde(default)]
    pub amount: Option<i64>,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub failure_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub payment_intent: Option<Expandable<P>>,
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A refund with its payment.
pub(crate) type ListedRefund = RefundObject<PaymentIntent>;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DisputeObject {
    pub id: String,
    pub status: DisputeState,
    #[serde(default)]
    pub amount: Option<i64>,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub payment_intent: Option<Expandable<Identified>>,
    #[serde(default, deserialize_with = "lenient")]
    pub evidence_details: Option<EvidenceDetails>,
    /// What was withdrawn and reinstated, in the currency of the account.
    #[serde(default)]
    pub balance_transactions: Vec<BalanceTransaction>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EvidenceDetails {
    #[serde(default)]
    pub due_by: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BalanceTransaction {
    #[serde(default)]
    pub amount: i64,
}

/// A movement of the account's balance, as it is listed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ListedTransaction {
    pub id: String,
    #[serde(default)]
    pub amount: i64,
    #[serde(default)]
    pub fee: i64,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EarlyFraudWarning {
    pub id: String,
    #[serde(default)]
    pub fraud_type: Option<String>,
    #[serde(default)]
    pub actionable: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub payment_intent: Option<Expandable<Identified>>,
}

/// Only that it was answered is of interest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Balance {}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ObjectList<T> {
    pub data: Vec<T>,
    #[serde(default)]
    pub has_more: bool,
}

/// What Stripe says of a call that it did not do; also why the last attempt at a payment failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorObject {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub message: Option<String>,
    pub param: Option<String>,
}

impl ErrorObject {
    /// The code that says most.
    pub fn code(&self) -> &str {
        let codes = [&self.decline_code, &self.code, &self.kind];
        codes.into_iter().flatten().next().map_or("unknown", String::as_str)
    }

    /// What it says, for people. A word that may be a key or a secret is left out.
    pub fn detail(&self) -> String {
        let message = self.message.as_deref().unwrap_or("no message");
        let is_secret = |word: &str| ["sk_", "rk_", "whsec_", "_secret_"].iter().any(|part| word.contains(part));
        message.split(' ').map(|word| if is_secret(word) { "***" } else { word }).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub error: ErrorObject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_read_whatever_else_is_missing_new_or_of_another_shape() {
        let answers = [
            r#"{"id":"pi_1","status":"requires_capture"}"#,
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":7,"last_payment_error":"x","metadata":[],"next_action":[]}"#,
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":{"amount":5},"brand_new":{"a":[1]}}"#,
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":{"id":"ch_1","payment_method_details":{"card":{"checks":"?","three_d_secure":[]}}}}"#,
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":null,"amount_capturable":null}"#,
        ];
        for answer in answers {
            let intent: PaymentIntent = serde_json::from_str(answer).unwrap();
            assert_eq!((intent.id.as_str(), &intent.status), ("pi_1", &IntentStatus::RequiresCapture), "{answer}");
        }
        let newer: PaymentIntent = serde_json::from_str(r#"{"id":"pi_1","status":"requires_magic"}"#).unwrap();
        assert_eq!(newer.status, IntentStatus::Other("requires_magic".into()));
        assert!(
            serde_json::from_str::<PaymentIntent>(r#"{"id":"pi_1"}"#).is_err(),
            "without a status nothing is known"
        );
    }

    #[test]
    fn no_key_or_secret_leaves_an_error_message() {
        let message = Some("Invalid key: sk_test_hunter2, for pi_1_secret_hunter2 or rk_live_hunter2.".to_owned());
        let detail = ErrorObject { message, ..ErrorObject::default() }.detail();
        assert_eq!(detail, "Invalid key: *** for *** or ***");
    }
}
