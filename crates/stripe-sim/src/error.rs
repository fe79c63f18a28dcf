//! Errors as Stripe's API answers them.

use serde_json::{Map, Value, json};

/// Why the endpoint's rate is exceeded, as the header `Stripe-Rate-Limited-Reason` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimited {
    /// Too many requests to one endpoint.
    Endpoint,
    /// Too many requests in all.
    Global,
}

impl RateLimited {
    /// The header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint-rate",
            Self::Global => "global-rate",
        }
    }
}

/// An error answer: its status, the body's `error`, and whether an idempotency key keeps it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {kind} {code:?}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: Option<&'static str>,
    /// `error.message`: what was expected and what came.
    pub message: String,
    /// `error.param`: the parameter at fault, with brackets.
    pub param: Option<String>,
    /// Further fields: `decline_code`, `charge`, `payment_intent`, `payment_method`.
    pub more: Map<String, Value>,
    /// Whether execution had begun, so that the same key gets the same answer.
    pub stored: bool,
    /// Which limit was exceeded, for a 429 of a rate.
    pub limited: Option<RateLimited>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, kind, code, message, param: None, more: Map::new(), stored: false, limited: None }
    }

    /// 400 for a parameter that can't be right whatever the object's state: not kept under a key.
    pub fn parameter(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// 400 without a code, about the request as a whole.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// 400 for what the object's state does not allow: kept under the key, since execution had begun.
    pub fn state(code: &'static str, message: impl Into<String>) -> Self {
        Self { stored: true, ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// 404, or 400 where the object is named by a parameter.
    pub fn missing(object: &str, id: &str, param: &str) -> Self {
        let status = if matches!(param, "id" | "intent") { 404 } else { 400 };
        let message = format!("No such {object}: '{id}'");
        Self {
            param: Some(param.to_owned()),
            ..Self::new(status, "invalid_request_error", Some("resource_missing"), message)
        }
    }

    /// 404 for a path that the simulator has not.
    pub fn no_such_path(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash. \
             docs/stripe-sim.md lists what the simulator offers."
        );
        Self::new(404, "invalid_request_error", None, message)
    }

    /// 402: the issuer or Radar declined.
    pub fn card(code: &'static str, decline_code: Option<&str>, message: impl Into<String>) -> Self {
        let mut more = Map::new();
        if let Some(decline_code) = decline_code {
            more.insert("decline_code".into(), json!(decline_code));
        }
        Self { more, stored: true, ..Self::new(402, "card_error", Some(code), message) }
    }

    /// 401: no key, an unknown one, or one that expired.
    pub fn unauthorized(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", code, message)
    }

    /// 403: the key may not do this.
    pub fn forbidden(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self::new(403, "invalid_request_error", code, message)
    }

    /// 400: the key was used with other parameters.
    pub fn idempotency(key: &str, message: &str) -> Self {
        Self::new(
            400,
            "idempotency_error",
            None,
            format!(
                "Keys for idempotent requests {message} Try using a key other than '{key}' if you meant to execute a different request."
            ),
        )
    }

    /// 409: a request with the same key is being executed.
    pub fn key_in_use(key: &str) -> Self {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key ('{key}'). Try again later: that request's answer will be replayed."
        );
        Self::new(409, "idempotency_error", Some("idempotency_key_in_use"), message)
    }

    /// 429: too many requests.
    pub fn rate_limited(limited: RateLimited) -> Self {
        let message =
            "ApiRequest rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.";
        Self { limited: Some(limited), ..Self::new(429, "invalid_request_error", Some("rate_limit"), message) }
    }

    /// 429: another request holds the object.
    pub fn lock_timeout() -> Self {
        let message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. \
                       If you see this error intermittently, retry the request.";
        Self::new(429, "invalid_request_error", Some("lock_timeout"), message)
    }

    /// 500: kept under the key.
    pub fn server(message: impl Into<String>) -> Self {
        Self { stored: true, ..Self::new(500, "api_error", None, message) }
    }

    /// The same with a further field.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.more.insert(field.to_owned(), value);
        self
    }

    /// `error` as the body has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error = self.more.clone();
        error.insert("type".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message));
        if let Some(code) = self.code {
            error.insert("code".into(), json!(code));
            error.insert(
                "doc_url".into(),
                json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))),
            );
        }
        if let Some(param) = &self.param {
            error.insert("param".into(), json!(param));
        }
        Value::Object(error)
    }
}
