//! What can be set of Stripe, and what is refused by name.

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;
use runtime::Span;
use runtime::settings::{Secret, hidden};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a live key may go.
const STRIPE: &str = "https://api.stripe.com";
/// What the return address has in the place of the order's id.
pub(crate) const ORDER_ID: &str = "{order_id}";

/// Which of the account's two worlds is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StripeMode {
    /// No money moves.
    #[default]
    Test,
    /// Customers pay.
    Live,
}

impl StripeMode {
    /// As keys and settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Stripe's settings, section `payments.stripe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StripeSettings {
    /// `test`, where no money moves, or `live`. The key must be of the same mode.
    pub mode: StripeMode,
    /// The account's secret key, better a restricted one (`rk_test_…`, `rk_live_…`) with the rights that docs/stripe.md lists.
    #[serde(serialize_with = "hidden")]
    #[schema(default)]
    pub api_key: Secret,
    /// The signing secrets of the webhook endpoint (`whsec_…`). While one is being replaced both are here. Without any, no webhook is taken.
    #[serde(serialize_with = "hidden")]
    #[schema(inline, default)]
    pub webhook_secrets: Vec<Secret>,
    /// The connected account (`acct_…`) for which calls are made; else the key's own.
    pub account: Option<String>,
    /// Where Stripe's API is. A live key goes to Stripe alone.
    pub base_url: String,
    /// Where the customer comes back from 3-D Secure; `{order_id}` in it becomes the order's id. Without it there is no hosted page, and the shop confirms
    /// with Stripe's Elements.
    pub return_url: Option<String>,
    /// What stands behind the account's name on the card's statement; up to 22 characters, a letter among them.
    pub statement_descriptor_suffix: Option<String>,
    /// Calls a second to one endpoint, of this process. Stripe takes 25 unless it raised that; a quarter is left for bursts.
    pub endpoint_rate: u32,
    /// Calls a second in all, of this process; else 80 in live mode, of the 100 that Stripe takes, and 20 in test mode, of 25.
    pub account_rate: Option<u32>,
    /// How long one call to Stripe may take. A later answer is looked up.
    pub timeout: Span,
    /// How old a webhook may be, and how far ahead its clock.
    pub webhook_tolerance: Span,
}

impl Default for StripeSettings {
    fn default() -> Self {
        Self {
            mode: StripeMode::Test,
            api_key: Secret::default(),
            webhook_secrets: Vec::new(),
            account: None,
            base_url: STRIPE.to_owned(),
            return_url: None,
            statement_descriptor_suffix: None,
            endpoint_rate: 20,
            account_rate: None,
            timeout: Span::secs(8),
            webhook_tolerance: Span::secs(300),
        }
    }
}

impl StripeSettings {
    /// Checks that Stripe can be called, and is called in the mode that is meant.
    ///
    /// # Errors
    /// When a setting does not fit; the message names it, what was expected, and what to do, and repeats no secret.
    pub fn check(&self) -> anyhow::Result<()> {
        self.check_key(&self.api_key)?;
        self.check_base_url().context("payments.stripe.base_url")?;
        check_webhook_secrets(&self.webhook_secrets)?;
        if let Some(account) = &self.account {
            let is_id = account.strip_prefix("acct_").is_some_and(|id| !id.is_empty());
            ensure!(is_id, "payments.stripe.account: expected an account's id such as \"acct_…\", got {account:?}");
        }
        self.check_return_url().context("payments.stripe.return_url")?;
        if let Some(suffix) = &self.statement_descriptor_suffix {
            let length = suffix.chars().count();
            let allowed = |c: char| c.is_ascii_graphic() && !"<>\\'\"*".contains(c) || c == ' ';
            ensure!(
                (1..=22).contains(&length)
                    && suffix.chars().all(allowed)
                    && suffix.chars().any(|c| c.is_ascii_alphabetic()),
                "payments.stripe.statement_descriptor_suffix: expected 1 to 22 Latin characters with a letter among them and none of < > \\ ' \" *, got {suffix:?}"
            );
        }
        ensure!(
            self.endpoint_rate > 0 && self.account_rate != Some(0),
            "payments.stripe: expected endpoint_rate and account_rate to be at least 1 call a second, got 0"
        );
        for (name, span) in [("timeout", self.timeout), ("webhook_tolerance", self.webhook_tolerance)] {
            ensure!(!span.0.is_zero(), "payments.stripe.{name}: expected more than nothing, such as \"8s\"");
        }
        Ok(())
    }

    /// Checks a key that these settings are used with: theirs, or the next one.
    pub(crate) fn check_key(&self, key: &Secret) -> anyhow::Result<()> {
        let (text, mode) = (key.expose(), self.mode.as_str());
        let what = format!(
            "payments.stripe.api_key (QUADRILLE_PAYMENTS__STRIPE__API_KEY, or …_API_KEY_FILE): expected a secret or restricted key of {mode} mode, \"sk_{mode}_…\" or \"rk_{mode}_…\""
        );
        ensure!(!text.is_empty(), "{what}, got none: create one in Stripe's dashboard, see docs/stripe.md");
        let Some(("sk" | "rk", rest)) = text.split_once('_') else {
            let publishable = if text.starts_with("pk_") { ": a publishable key is for browsers" } else { "" };
            bail!("{what}, got something else{publishable}");
        };
        match rest.split_once('_') {
            Some((of, secret)) if of == mode => {
                let visible = !secret.is_empty() && secret.chars().all(|c| c.is_ascii_graphic());
                ensure!(visible, "{what}, got one with a space or nothing in it: copy it again");
                Ok(())
            }
            Some((of @ ("test" | "live"), _)) => {
                bail!("{what}, got one of {of} mode: set payments.stripe.mode = \"{of}\" if that is meant")
            }
            Some(_) | None => bail!("{what}, got something else"),
        }
    }

    fn check_base_url(&self) -> anyhow::Result<()> {
        let url: Url =
            self.base_url.parse().with_context(|| format!("expected an address, got {:?}", self.base_url))?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.query().is_none(),
            "expected an address such as \"{STRIPE}\", without a user or a query, got {:?}",
            self.base_url
        );
        let is_stripe = self.base_url.trim_end_matches('/') == STRIPE;
        ensure!(
            self.mode == StripeMode::Test || is_stripe,
            "expected \"{STRIPE}\" in live mode, got {:?}: a live key is shown to nobody else",
            self.base_url
        );
        Ok(())
    }

    fn check_return_url(&self) -> anyhow::Result<()> {
        let Some(text) = &self.return_url else { return Ok(()) };
        let url: Url = text.parse().with_context(|| format!("expected an address, got {text:?}"))?;
        let schemes: &[&str] = if self.mode == StripeMode::Live { &["https"] } else { &["http", "https"] };
        ensure!(
            schemes.contains(&url.scheme()),
            "expected {} in {} mode, got {text:?}",
            schemes.join(" or "),
            self.mode.as_str()
        );
        Ok(())
    }

    /// Calls a second in all.
    pub(crate) fn account_rate(&self) -> u32 {
        self.account_rate.unwrap_or(match self.mode {
            StripeMode::Test => 20,
            StripeMode::Live => 80,
        })
    }
}

/// Checks that each is a secret of Stripe's.
pub(crate) fn check_webhook_secrets(secrets: &[Secret]) -> anyhow::Result<()> {
    for secret in secrets {
        let text = secret.expose();
        ensure!(
            text.len() > "whsec_".len() && text.starts_with("whsec_") && text.trim() == text,
            "payments.stripe.webhook_secrets: expected signing secrets such as \"whsec_…\", got one that is {}: whoever guesses it forges payments; copy it from the endpoint's page in Stripe's dashboard, or from `stripe listen`",
            if text.trim().is_empty() { "empty" } else { "none" }
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> StripeSettings {
        StripeSettings {
            api_key: "rk_test_abc".into(),
            webhook_secrets: vec!["whsec_one".into(), "whsec_two".into()],
            account: Some("acct_1".into()),
            return_url: Some("http://127.0.0.1/{order_id}".into()),
            statement_descriptor_suffix: Some("SHOES".into()),
            ..StripeSettings::default()
        }
    }

    fn live() -> StripeSettings {
        StripeSettings { mode: StripeMode::Live, api_key: "sk_live_abc".into(), return_url: None, ..fit() }
    }

    #[test]
    fn what_can_be_worked_with_is_taken() {
        for settings in [fit(), live(), StripeSettings { webhook_secrets: Vec::new(), ..fit() }] {
            settings.check().unwrap();
        }
    }

    #[test]
    fn what_can_t_be_meant_is_refused_by_its_name_and_no_secret_is_repeated() {
        let key = |api_key: &str| StripeSettings { api_key: api_key.into(), ..fit() };
        let secrets =
            |secret: &str| StripeSettings { webhook_secrets: vec!["whsec_one".into(), secret.into()], ..fit() };
        let refused = [
            (key(""), "payments.stripe.api_key", "got none"),
            (key("sk_live_hunter2"), "payments.stripe.api_key", "got one of live mode"),
            (
                StripeSettings { api_key: "rk_test_hunter2".into(), ..live() },
                "payments.stripe.api_key",
                "got one of test mode",
            ),
            (key("pk_test_hunter2"), "payments.stripe.api_key", "publishable"),
            (key("sk_test_hunter2 "), "payments.stripe.api_key", "space"),
            (key("hunter2"), "payments.stripe.api_key", "something else"),
            (
                StripeSettings { base_url: "http://127.0.0.1:1".into(), ..live() },
                "payments.stripe.base_url",
                "live key",
            ),
            (
                StripeSettings { base_url: "https://api.stripe.com.evil.example".into(), ..live() },
                "payments.stripe.base_url",
                "live key",
            ),
            (StripeSettings { base_url: "api.stripe.com".into(), ..fit() }, "payments.stripe.base_url", "address"),
            (secrets(""), "payments.stripe.webhook_secrets", "empty"),
            (secrets("   "), "payments.stripe.webhook_secrets", "empty"),
            (secrets("hunter2"), "payments.stripe.webhook_secrets", "whsec_"),
            (StripeSettings { account: Some("cus_1".into()), ..fit() }, "payments.stripe.account", "acct_"),
            (
                StripeSettings { return_url: Some("http://shop.example".into()), ..live() },
                "payments.stripe.return_url",
                "https",
            ),
            (StripeSettings { statement_descriptor_suffix: Some("12345".into()), ..fit() }, "suffix", "a letter"),
            (StripeSettings { statement_descriptor_suffix: Some("A".repeat(23)), ..fit() }, "suffix", "22"),
            (StripeSettings { endpoint_rate: 0, ..fit() }, "endpoint_rate", "at least 1"),
            (StripeSettings { timeout: Span::secs(0), ..fit() }, "payments.stripe.timeout", "more than nothing"),
        ];
        for (settings, name, what) in refused {
            let error = format!("{:#}", settings.check().unwrap_err());
            assert!(error.contains(name) && error.contains(what), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", fit()).contains("abc") && !format!("{:?}", fit()).contains("whsec"));
        assert!(!serde_json::to_string(&fit()).unwrap().contains("abc"), "settings are shown with their defaults");
    }
}
