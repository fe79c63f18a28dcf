//! Webhook endpoints: which events go where, what goes wrong on the way, and how they are signed.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::id;
use crate::settings::{API_VERSION, matches};

/// A signing secret (`whsec_…`). Its Debug says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningSecret(String);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// By which clock deliveries are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureClock {
    /// The machine's: what a receiver with a real clock compares with.
    #[default]
    Real,
    /// The simulator's.
    Virtual,
}

/// An endpoint that takes events. Times are of the virtual clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// `http://…`.
    pub url: String,
    /// Each signs; two while one is rolled.
    pub secrets: Vec<SigningSecret>,
    /// Types, or their beginnings with a `*`.
    #[serde(default = "all_events")]
    pub enabled_events: Vec<String>,
    /// The version that its events name.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// Whether it takes events of connected accounts, instead of the own.
    #[serde(default)]
    pub connect: bool,
    /// Events that are sent twice.
    #[serde(default)]
    pub duplicate_share: f64,
    /// Events that are never sent; `delivery_success=false` lists them.
    #[serde(default)]
    pub drop_share: f64,
    /// Events that are sent later, so that they come after younger ones.
    #[serde(default)]
    pub delay_share: f64,
    /// The most they are late, in milliseconds.
    #[serde(default)]
    pub delay_ms: i64,
    /// Whether the youngest of the events that are due goes first.
    #[serde(default)]
    pub reversed: bool,
    /// Deliveries at once.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// Seconds from one try to the next. After the last the event counts as not delivered.
    #[serde(default = "retry_after")]
    pub retry_after: Vec<i64>,
    /// How long an answer may take, in milliseconds of the real clock.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// By which clock it is signed.
    #[serde(default)]
    pub signature_clock: SignatureClock,
}

fn all_events() -> Vec<String> {
    vec!["*".into()]
}

fn api_version() -> String {
    API_VERSION.into()
}

fn concurrency() -> usize {
    4
}

/// As often, and about as late, as Stripe in its first hours.
fn retry_after() -> Vec<i64> {
    vec![5, 60, 300, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400]
}

fn timeout_ms() -> u64 {
    10_000
}

impl WebhookEndpoint {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// A text that names the field, what was expected and what came.
    pub fn check(&self) -> Result<(), String> {
        if reqwest::Url::parse(&self.url).is_err() {
            return Err(format!("url: expected http://host:port/path, got '{}'", self.url));
        }
        if self.secrets.is_empty() || self.secrets.iter().any(|secret| secret.0.trim().is_empty()) {
            return Err("secrets: expected one or more texts, none of them empty: with an empty secret anybody can forge an event".into());
        }
        let shares = [
            ("duplicate_share", self.duplicate_share),
            ("drop_share", self.drop_share),
            ("delay_share", self.delay_share),
        ];
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(format!("{name}: expected 0 to 1, got {share}"));
        }
        if self.delay_ms < 0
            || self.retry_after.iter().any(|seconds| *seconds < 0)
            || self.concurrency == 0
            || self.timeout_ms == 0
        {
            return Err(
                "delay_ms, retry_after: expected no negative number; concurrency, timeout_ms: at least 1".into()
            );
        }
        Ok(())
    }

    /// Whether it takes events of this type, of a connected account or the own.
    #[must_use]
    pub fn takes(&self, kind: &str, connected: bool) -> bool {
        self.connect == connected && self.enabled_events.iter().any(|pattern| matches(pattern, kind))
    }

    /// When an event is sent (milliseconds after now; none: never), drawn: once, twice, late, or not.
    #[must_use]
    pub fn plan(&self) -> Vec<Option<i64>> {
        let hits = |share: f64| share > 0.0 && id::draw() < share;
        if hits(self.drop_share) {
            return vec![None];
        }
        let copies = if hits(self.duplicate_share) { 2 } else { 1 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "milliseconds of a delay")]
        let late = || if hits(self.delay_share) { (self.delay_ms as f64 * (0.5 + id::draw() / 2.0)) as i64 } else { 0 };
        (0..copies).map(|_| Some(late())).collect()
    }

    /// The header `Stripe-Signature` of a body at a time (seconds): one `v1` for each secret.
    #[must_use]
    pub fn sign(&self, seconds: i64, body: &[u8]) -> String {
        let signatures = self.secrets.iter().map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes keys of any length");
            mac.update(format!("{seconds}.").as_bytes());
            mac.update(body);
            format!(",v1={}", id::hex(&mac.finalize().into_bytes()))
        });
        format!("t={seconds}{}", signatures.collect::<String>())
    }

    /// As it is shown: without its secrets.
    #[must_use]
    pub fn to_json(&self, endpoint_id: &str) -> Value {
        let mut shown = json!(self);
        shown["id"] = json!(endpoint_id);
        shown["secrets"] = json!(self.secrets.len());
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(more: Value) -> WebhookEndpoint {
        let mut fields = json!({"url": "http://127.0.0.1:1/hook", "secrets": ["secret"]});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn each_secret_signs_time_and_body() {
        // printf '1790000000.{}' | openssl dgst -sha256 -hmac secret
        let one = "d0cadd434460d4af55e7ab90d79c1802591d7001a77c9e06471d0e3ec8cc85ae";
        let signed = endpoint(json!({"secrets": ["secret", "other"]})).sign(1_790_000_000, b"{}");
        assert!(signed.starts_with(&format!("t=1790000000,v1={one},v1=")), "{signed}");
        assert_eq!(signed.matches("v1=").count(), 2);
    }

    #[test]
    fn events_are_sent_once_twice_late_or_never() {
        assert_eq!(endpoint(json!({})).plan(), [Some(0)]);
        assert_eq!(endpoint(json!({"duplicate_share": 1})).plan(), [Some(0), Some(0)]);
        assert_eq!(endpoint(json!({"drop_share": 1, "duplicate_share": 1})).plan(), [None]);
        let late = endpoint(json!({"delay_share": 1, "delay_ms": 1000})).plan();
        assert!(matches!(late[..], [Some(500..=1000)]), "{late:?}");
    }

    #[test]
    fn an_empty_secret_is_refused_and_none_is_shown() {
        assert!(endpoint(json!({"secrets": [" "]})).check().is_err_and(|error| error.starts_with("secrets")));
        assert!(endpoint(json!({"secrets": []})).check().is_err());
        assert!(endpoint(json!({"url": "nowhere"})).check().is_err());
        assert!(endpoint(json!({"drop_share": 1.5})).check().is_err());
        let shown = endpoint(json!({"secrets": ["whsec_hidden"]}));
        assert!(!format!("{shown:?} {}", shown.to_json("we_1")).contains("whsec_hidden"));
    }

    #[test]
    fn types_are_chosen_by_pattern_and_by_account() {
        let refunds = endpoint(json!({"enabled_events": ["refund.*", "charge.refunded"]}));
        assert!(refunds.takes("refund.failed", false) && refunds.takes("charge.refunded", false));
        assert!(!refunds.takes("charge.captured", false) && !refunds.takes("refund.failed", true));
    }
}
