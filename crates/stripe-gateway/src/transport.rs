//! The way to Stripe: one pooled client, our idempotency keys, the account, the rate limits; and of each answer what Stripe's support asks for.

use std::error::Error as _;
use std::fmt::Display;
use std::sync::{PoisonError, RwLock};

use anyhow::Context as _;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Method};
use runtime::settings::Secret;
use serde::de::DeserializeOwned;
use stripe_client_core::{
    CustomizedStripeRequest, RequestBuilder, RequestStrategy, StripeClient, StripeClientErr, StripeMethod, VERSION,
};

use crate::failure::{ApiRefusal, CallFailure};
use crate::limits::RateLimits;
use crate::objects::ErrorBody;
use crate::requests::StripeCall;
use crate::settings::StripeSettings;

/// The way to Stripe. As a [`StripeClient`] it sends any request of async-stripe's.
#[derive(Debug)]
pub struct StripeTransport {
    client: reqwest::Client,
    base_url: String,
    account: Option<String>,
    api_key: RwLock<Secret>,
    limits: RateLimits,
}

/// An answer of Stripe's, and what its headers say.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Bytes,
    request_id: Option<String>,
    replayed: bool,
    rate_limited: Option<String>,
}

impl StripeTransport {
    /// A transport that calls as these settings say, by a client that is built as it is but for its limits.
    pub(crate) fn new(settings: &StripeSettings, client: ClientBuilder) -> anyhow::Result<Self> {
        // A redirect would show the key to whomever it names.
        let client = client.redirect(Policy::none()).timeout(settings.timeout.0).user_agent("Quadrille");
        Ok(Self {
            client: client.build().context("the client for Stripe")?,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            account: settings.account.clone(),
            api_key: RwLock::new(settings.api_key.clone()),
            limits: RateLimits::new(settings.endpoint_rate, settings.account_rate()),
        })
    }

    /// Calls from now on are made with this key.
    pub(crate) fn set_api_key(&self, key: Secret) {
        *self.api_key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Makes a call, and reads what is answered.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: StripeCall) -> Result<T, CallFailure> {
        let StripeCall { endpoint, request, idempotency_key } = call;
        if !self.limits.admit(endpoint).await {
            return Err(CallFailure::Throttled { endpoint: endpoint.as_str() });
        }
        let key = idempotency_key.as_deref();
        let Answer { status, body, request_id, replayed, rate_limited } =
            self.execute_request(endpoint.as_str(), request, key).await?;
        let name = endpoint.as_str();
        tracing::debug!(endpoint = name, status, request_id, replayed, key, "Stripe answered");
        if (200..300).contains(&status) {
            let unreadable = |error: serde_json::Error| {
                let why =
                    format!("a {status} whose body is not as expected: {error} ({})", request_id.unwrap_or_default());
                CallFailure::NoAnswer { endpoint: name, why }
            };
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        if status == 429 {
            self.limits.rest(endpoint);
        }
        // A proxy's page is no error of Stripe's: its status says all.
        let error = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error).unwrap_or_default();
        let refusal = ApiRefusal { endpoint: name, status, error, request_id, replayed, rate_limited };
        tracing::info!(
            endpoint = name,
            status,
            code = refusal.error.code(),
            request_id = refusal.request_id,
            replayed,
            rate_limited = refusal.rate_limited,
            key,
            "Stripe refused a call"
        );
        Err((endpoint, refusal).into())
    }

    async fn execute_request(
        &self,
        endpoint: &'static str,
        request: RequestBuilder,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, CallFailure> {
        let RequestBuilder { query, body, path, method } = request;
        let query = query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
        let method = match method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let key = self.api_key.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = self
            .client
            .request(method, format!("{}/v1{path}{query}", self.base_url))
            .bearer_auth(key.expose())
            .header("Stripe-Version", VERSION.as_str())
            .header(ACCEPT, "application/json");
        if let Some(account) = &self.account {
            request = request.header("Stripe-Account", account);
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request = request.header(CONTENT_TYPE, form).body(body);
        }
        let answer = request.send().await.map_err(|error| failed(endpoint, error))?;
        let status = answer.status().as_u16();
        let header = |name| header(answer.headers(), name);
        let (request_id, rate_limited) = (header("request-id"), header("stripe-rate-limited-reason"));
        let replayed = header("idempotent-replayed").is_some_and(|value| value == "true");
        let body = match answer.bytes().await {
            Ok(body) => body,
            // An error's status says enough.
            Err(_) if status >= 400 => Bytes::new(),
            Err(error) => return Err(failed(endpoint, error)),
        };
        Ok(Answer { status, body, request_id, replayed, rate_limited })
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn failed(endpoint: &'static str, error: reqwest::Error) -> CallFailure {
    let (is_sent, error) = (!error.is_connect() && !error.is_builder(), error.without_url());
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    if is_sent { CallFailure::NoAnswer { endpoint, why } } else { CallFailure::NotSent { endpoint, why } }
}

impl StripeClientErr for CallFailure {
    fn deserialize_err(message: impl Display) -> Self {
        Self::NoAnswer { endpoint: "async-stripe", why: message.to_string() }
    }
}

impl StripeClient for StripeTransport {
    type Err = CallFailure;

    /// Sends what the crate built, once: of its strategies only a key of the caller's own is known, as any other retries by itself.
    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, CallFailure> {
        let (request, with) = request.into_pieces();
        let key = with.request_strategy.as_ref().and_then(RequestStrategy::get_key);
        let endpoint = "async-stripe";
        let Answer { status, body, request_id, replayed, rate_limited } =
            self.execute_request(endpoint, request, key.as_ref().map(|key| key.as_str())).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let error = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error).unwrap_or_default();
        Err(CallFailure::Refused(Box::new(ApiRefusal { endpoint, status, error, request_id, replayed, rate_limited })))
    }
}
