//! What can be set while the simulator runs: `GET` and `PUT /_sim/settings`. It is kept in the book.

use serde::{Deserialize, Serialize};

/// The version of the API that the simulator speaks.
pub const API_VERSION: &str = "2026-09-30.endive";

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The settings. Times are seconds of the virtual clock, amounts are minor units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimSettings {
    /// The account that API keys belong to.
    pub account: String,
    /// Accounts that requests may name by the header `Stripe-Account`.
    pub connected_accounts: Vec<String>,
    /// Whether keys of live mode (`sk_live_…`) are accepted, for rehearsals. Their objects are apart from those of test mode.
    pub live_keys: bool,
    /// Versions that the header `Stripe-Version` may name. Answers have the shape of [`API_VERSION`] in any case.
    pub api_versions: Vec<String>,
    /// Operations that restricted keys (`rk_…`) may do: `refunds.create`, `refunds.*`, `*`.
    pub restricted_key_operations: Vec<String>,
    /// Requests a second to one endpoint, and a burst of as many; none: no limit. By the real clock.
    pub endpoint_rate: Option<u32>,
    /// Requests a second in all; none: no limit. Stripe has 25 in a sandbox, 100 in live mode. By the real clock.
    pub global_rate: Option<u32>,
    /// How long an idempotency key keeps its answer.
    pub idempotency_keys_expire_after: i64,
    /// How long events can be listed.
    pub events_expire_after: i64,
    /// How long a payment on session is held.
    pub hold_expires_after: i64,
    /// How long a payment off session is held.
    pub off_session_hold_expires_after: i64,
    /// Confirmations of one payment until a further one cancels it.
    pub confirmation_limit: u32,
    /// When a pending refund succeeds.
    pub refund_settles_after: i64,
    /// When a refund to a card that takes none fails.
    pub refund_fails_after: i64,
    /// When a captured payment with such a card is disputed, or warned of.
    pub dispute_opens_after: i64,
    /// How long evidence can be submitted.
    pub dispute_evidence_within: i64,
    /// When a dispute with evidence is decided. It is won if its `uncategorized_text` is `winning_evidence`, else lost.
    pub dispute_decided_after: i64,
    /// When an inquiry that nobody escalates is closed.
    pub inquiry_closes_after: i64,
    /// Fee of a captured payment, in hundredths of a percent.
    pub fee_basis_points: i64,
    /// Fee of a captured payment besides.
    pub fee_fixed: i64,
    /// Fee of a dispute; given back when it is won.
    pub dispute_fee: i64,
    /// When the money of a transaction is available.
    pub available_after: i64,
    /// How long a request waits for a payment that another one changes, in milliseconds of the real clock; then 429 `lock_timeout`.
    pub lock_timeout_ms: u32,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            account: "acct_1SimulatorOfStripe".into(),
            connected_accounts: Vec::new(),
            live_keys: false,
            api_versions: vec![API_VERSION.into()],
            restricted_key_operations: vec!["*".into()],
            endpoint_rate: Some(25),
            global_rate: None,
            idempotency_keys_expire_after: DAY,
            events_expire_after: 30 * DAY,
            hold_expires_after: 7 * DAY,
            off_session_hold_expires_after: 4 * DAY + 18 * HOUR,
            confirmation_limit: 10,
            refund_settles_after: DAY,
            refund_fails_after: 3 * DAY,
            dispute_opens_after: 0,
            dispute_evidence_within: 9 * DAY,
            dispute_decided_after: 60 * DAY,
            inquiry_closes_after: 120 * DAY,
            fee_basis_points: 150,
            fee_fixed: 25,
            dispute_fee: 2_000,
            available_after: 2 * DAY,
            lock_timeout_ms: 2_000,
        }
    }
}

impl SimSettings {
    /// What is wrong with them, if anything is.
    ///
    /// # Errors
    /// A text that names the setting, what was expected and what came.
    pub fn check(&self) -> Result<(), String> {
        let spans = [
            ("idempotency_keys_expire_after", self.idempotency_keys_expire_after),
            ("events_expire_after", self.events_expire_after),
            ("hold_expires_after", self.hold_expires_after),
            ("off_session_hold_expires_after", self.off_session_hold_expires_after),
            ("refund_settles_after", self.refund_settles_after),
            ("refund_fails_after", self.refund_fails_after),
            ("dispute_opens_after", self.dispute_opens_after),
            ("dispute_evidence_within", self.dispute_evidence_within),
            ("dispute_decided_after", self.dispute_decided_after),
            ("inquiry_closes_after", self.inquiry_closes_after),
            ("fee_basis_points", self.fee_basis_points),
            ("fee_fixed", self.fee_fixed),
            ("dispute_fee", self.dispute_fee),
            ("available_after", self.available_after),
        ];
        if let Some((name, value)) = spans.iter().find(|(_, value)| !(0..=10 * 365 * DAY).contains(value)) {
            return Err(format!("{name}: expected 0 to {}, got {value}", 10 * 365 * DAY));
        }
        if self.endpoint_rate == Some(0) || self.global_rate == Some(0) {
            return Err("endpoint_rate, global_rate: expected at least 1, or null for no limit".into());
        }
        if let Some(account) =
            self.connected_accounts.iter().chain([&self.account]).find(|account| !account.starts_with("acct_"))
        {
            return Err(format!("account, connected_accounts: expected ids that begin with acct_, got '{account}'"));
        }
        Ok(())
    }

    /// Whether a restricted key may do the operation.
    #[must_use]
    pub fn restricted_key_may(&self, operation: &str) -> bool {
        self.restricted_key_operations.iter().any(|allowed| matches(allowed, operation))
    }
}

/// Whether a name is the pattern, or begins as the pattern does up to its `*`.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_name() {
        assert_eq!(SimSettings::default().check(), Ok(()));
        let negative = SimSettings { hold_expires_after: -1, ..SimSettings::default() };
        assert!(negative.check().is_err_and(|error| error.starts_with("hold_expires_after")));
        assert!(SimSettings { endpoint_rate: Some(0), ..SimSettings::default() }.check().is_err());
        assert!(serde_json::from_str::<SimSettings>(r#"{"unknown": 1}"#).is_err());
    }

    #[test]
    fn a_pattern_ends_with_a_star() {
        assert!(matches("*", "a") && matches("refunds.*", "refunds.create") && matches("a", "a"));
        assert!(!matches("refunds.*", "charges.list") && !matches("a", "ab"));
    }
}
