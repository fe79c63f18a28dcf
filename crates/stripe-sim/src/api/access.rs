//! Who asks: API key, account, version.

use axum::http::{HeaderMap, header};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::error::ApiError;
use crate::id;
use crate::settings::SimSettings;
use crate::store::ApiCaller;

/// A request's headers, as far as they say who asks. It has no API key, but its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAccess {
    fingerprint: String,
    shown: String,
    livemode: bool,
    restricted: bool,
    account: Option<String>,
    version: Option<String>,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

impl ApiAccess {
    /// Reads the headers.
    ///
    /// # Errors
    /// 401 without a secret key, 400 for a key of idempotency that is too long.
    pub fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let authorization = text(header::AUTHORIZATION.as_str()).unwrap_or_default();
        let Some(key) = bearer(&authorization) else {
            return Err(ApiError::unauthorized(
                None,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: \
                 Bearer YOUR_SECRET_KEY').",
            ));
        };
        let shown = masked(&key);
        let kind = ["sk_test_", "rk_test_", "sk_live_", "rk_live_", "pk_test_", "pk_live_"]
            .into_iter()
            .find(|prefix| key.starts_with(prefix) && key.len() > prefix.len());
        let Some(kind) = kind else {
            return Err(ApiError::unauthorized(None, format!("Invalid API Key provided: {shown}")));
        };
        if kind.starts_with("pk_") {
            let message = "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at \
                           https://dashboard.stripe.com/account/apikeys.";
            return Err(ApiError::unauthorized(Some("secret_key_required"), message));
        }
        let idempotency_key = text("idempotency-key");
        if let Some(given) = idempotency_key.as_ref().filter(|given| given.len() > 255 || given.is_empty()) {
            let message = format!("Keys for idempotent requests can only be 1 to 255 characters, got {}", given.len());
            return Err(ApiError { param: None, ..ApiError::bad_request(message) });
        }
        Ok(Self {
            fingerprint: id::fingerprint(&key),
            shown,
            livemode: kind.contains("live"),
            restricted: kind.starts_with("rk_"),
            account: text("stripe-account"),
            version: text("stripe-version"),
            idempotency_key,
        })
    }

    /// The SHA-256 of the API key.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whose objects the request sees.
    ///
    /// # Errors
    /// 401 for a key that expired or is of a mode that is refused, 403 for an account or an operation that it has no right to, 400 for a version.
    pub fn caller(
        &self,
        operation: &str,
        expired: bool,
        settings: &SimSettings,
        request_id: &str,
    ) -> Result<ApiCaller, ApiError> {
        if expired {
            return Err(self.expired());
        }
        if self.livemode && !settings.live_keys {
            let message = format!(
                "Invalid API Key provided: {}. The simulator takes keys of live mode only with the setting live_keys.",
                self.shown
            );
            return Err(ApiError::unauthorized(None, message));
        }
        if let Some(version) = self.version.as_ref().filter(|version| !settings.api_versions.contains(version)) {
            let message = format!(
                "Invalid Stripe API version: {version}. The simulator speaks {}.",
                settings.api_versions.join(", ")
            );
            return Err(ApiError::bad_request(message));
        }
        if self.restricted && !settings.restricted_key_may(operation) {
            let message =
                format!("The provided key '{}' does not have the required permissions for {operation}.", self.shown);
            return Err(ApiError::forbidden(Some("more_permissions_required"), message));
        }
        let account = self.account.clone().unwrap_or_else(|| settings.account.clone());
        let connected = account != settings.account;
        if connected && !settings.connected_accounts.contains(&account) {
            let message = format!(
                "The provided key '{}' does not have access to account '{account}' (or that account does not exist). Application access may have been revoked.",
                self.shown
            );
            return Err(ApiError::forbidden(Some("account_invalid"), message));
        }
        Ok(ApiCaller {
            account,
            connected,
            livemode: self.livemode,
            request_id: Some(request_id.to_owned()),
            idempotency_key: self.idempotency_key.clone(),
        })
    }

    /// 401: the key was rolled.
    #[must_use]
    pub fn expired(&self) -> ApiError {
        ApiError::unauthorized(Some("api_key_expired"), format!("Expired API Key provided: {}", self.shown))
    }
}

fn bearer(authorization: &str) -> Option<String> {
    if let Some(key) = authorization.strip_prefix("Bearer ") {
        return Some(key.trim().to_owned()).filter(|key| !key.is_empty());
    }
    // curl -u sk_test_…: the key is the user's name.
    let decoded = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split(':').next().filter(|key| !key.is_empty()).map(str::to_owned)
}

/// The prefix and the last four characters.
fn masked(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    if letters.len() <= 12 {
        return "*".repeat(letters.len());
    }
    let (prefix, last) =
        (letters[..8].iter().collect::<String>(), letters[letters.len() - 4..].iter().collect::<String>());
    format!("{prefix}{}{last}", "*".repeat(letters.len() - 12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const KEY: &str = "sk_test_51TopSecretKeyOfTests";

    fn read(headers: &[(&'static str, &str)]) -> Result<ApiAccess, ApiError> {
        ApiAccess::read(
            &headers
                .iter()
                .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap()))
                .collect(),
        )
    }

    fn caller(key: &str, more: &[(&'static str, &str)], settings: &SimSettings) -> Result<ApiCaller, u16> {
        let bearer = format!("Bearer {key}");
        let headers: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(more.iter().copied()).collect();
        let access = read(&headers).map_err(|error| error.status)?;
        access.caller("refunds.create", false, settings, "req_1").map_err(|error| error.status)
    }

    #[test]
    fn keys_are_secret_keys_of_the_right_mode() {
        let settings = SimSettings::default();
        assert_eq!(caller(KEY, &[], &settings).map(|caller| caller.scope()), Ok(format!("{}/test", settings.account)));
        assert_eq!(read(&[]).map_err(|error| error.status), Err(401));
        for key in ["", "sk_test_", "nonsense", "pk_test_1234567890", "sk_live_1234567890"] {
            assert_eq!(caller(key, &[], &settings), Err(401), "{key}");
        }
        let live = SimSettings { live_keys: true, ..settings };
        assert_eq!(caller("rk_live_1234567890", &[], &live).map(|caller| caller.livemode), Ok(true));
    }

    #[test]
    fn a_key_may_be_the_user_of_basic_authorization() {
        // printf 'sk_test_51TopSecretKeyOfTests:' | base64
        let basic = read(&[("authorization", "Basic c2tfdGVzdF81MVRvcFNlY3JldEtleU9mVGVzdHM6")]).unwrap();
        assert_eq!(basic.fingerprint(), id::fingerprint(KEY));
    }

    #[test]
    fn accounts_versions_and_rights_are_checked() {
        let settings = SimSettings {
            connected_accounts: vec!["acct_2".into()],
            restricted_key_operations: vec!["charges.*".into()],
            ..SimSettings::default()
        };
        assert_eq!(caller(KEY, &[("stripe-account", "acct_2")], &settings).map(|caller| caller.connected), Ok(true));
        assert_eq!(caller(KEY, &[("stripe-account", "acct_3")], &settings), Err(403));
        assert_eq!(caller("rk_test_1234567890", &[], &settings), Err(403));
        assert_eq!(caller(KEY, &[("stripe-version", "2020-08-27")], &settings), Err(400));
        assert!(caller(KEY, &[("stripe-version", crate::settings::API_VERSION)], &settings).is_ok());
    }

    #[test]
    fn no_error_and_no_debug_has_the_key() {
        let access = read(&[("authorization", &format!("Bearer {KEY}"))]).unwrap();
        let texts = format!("{access:?} {}", access.expired());
        assert!(!texts.contains(KEY) && texts.contains("sk_test_*"), "{texts}");
        let wrong = read(&[("authorization", "Bearer sk_wrong_TopSecretKeyOfTests")]).unwrap_err();
        assert!(!wrong.to_string().contains("TopSecret"), "{wrong}");
    }
}
