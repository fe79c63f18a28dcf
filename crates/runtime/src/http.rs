//! HTTP: errors as problem details, the probes and metrics that every binary has, and its doors with their OpenAPI document and a page to read it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use events::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use utoipa::ToSchema;
use utoipa_swagger_ui::SwaggerUi;

mod access;
mod keys;
mod openapi;
mod record;
mod routes;
mod server;
mod tries;

pub(crate) use access::Gate;
pub use access::{Access, Caller, KEY_HEADER};
pub use keys::{Key, Keys, Role};
pub use openapi::merge;
pub use routes::Routes;
pub(crate) use server::{Serving, serve};

use crate::door::Refused;
use crate::failure::{DatabaseFault, Failure};
use crate::health::{Circuit, Health};
use crate::json::{self, JsonError};
use crate::settings::Common;
use crate::{sql, telemetry};

/// In how many seconds it is worth asking again what something is away for.
const ASK_AGAIN: u32 = 5;

/// An error as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was expected, what came, what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What else there is to say, by name.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
    /// In how many seconds it is worth asking again: the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem of this status; its type is made of the title.
    pub fn new(status: StatusCode, title: &str) -> Self {
        let kind = format!("/problems/{}", title.to_lowercase().replace(' ', "-"));
        let (title, status, more) = (title.to_owned(), status.as_u16(), serde_json::Map::new());
        Self { kind, title, status, detail: None, more, retry_after: None }
    }

    /// Adds what was expected, what came, what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds in how many seconds it is worth asking again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], axum::Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Conflict(detail) => Self::new(StatusCode::CONFLICT, "Conflict").detail(detail),
            Refused::Broken(detail) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Not decided").detail(detail),
            Refused::Unavailable(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(detail).retry_after(ASK_AGAIN)
            }
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(error = sql::cause(&error), "a read failed");
        match DatabaseFault::of(&error) {
            DatabaseFault::Stored => return Self::unreadable(),
            DatabaseFault::Connection => sql::renew_connections(),
            DatabaseFault::Parts | DatabaseFault::Wait | DatabaseFault::Data | DatabaseFault::Program => {}
        }
        Self::unavailable()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => error.into(),
            Failure::LostRace { .. } | Failure::Unsure | Failure::Silent(_) | Failure::CallerGone => {
                tracing::warn!(%failure, "a read failed");
                Self::unavailable()
            }
            Failure::Stored { .. } | Failure::Panicked(_) | Failure::Unsendable(_) => {
                tracing::warn!(%failure, "a read failed");
                Self::unreadable()
            }
        }
    }
}

impl Problem {
    /// For what passes by itself.
    fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
            .detail("the database does not answer: ask again")
            .retry_after(ASK_AGAIN)
    }

    /// For stored data: asked again it is as unreadable.
    fn unreadable() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Unreadable data")
            .detail("what is stored can't be read by this version: the log says why; asking again does not help")
    }
}

/// A JSON body, read as [`json::read`] does; its refusal is a problem.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
                .detail("expected a JSON body: send it with `Content-Type: application/json`"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), "Unreadable body").detail(rejection.body_text()))?;
        json::read(&body).map(Self).map_err(Problem::from)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// 400 for what is no JSON, 422 for JSON of another shape, with the field among its `faults`.
impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let status = if error.is_json { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let (detail, code) = (error.to_string(), if error.is_json { "invalid_type" } else { "unreadable" });
        let fault = Fault { field: error.field, code: code.into(), detail: error.detail };
        Self::new(status, "Unreadable body").detail(detail).with("faults", serde_json::json!([fault]))
    }
}

/// PostgreSQL has no text with a NUL in it: what asks for one asks for nothing that there is.
async fn without_nul(uri: Uri, request: Request, next: Next) -> Response {
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        let detail = "expected a path and a query without the character NUL (%00), got one: leave it out";
        return Problem::new(StatusCode::BAD_REQUEST, "Unreadable path").detail(detail).into_response();
    }
    next.run(request).await
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// All programs' routes, as `quadrille openapi` writes them; a test compares.
const ALL: &str = include_str!("../../../docs/openapi.json");

/// The routes of one consumer: its doors, their documents, its probes.
pub(crate) fn routes(name: &'static str, doors: Routes, health: Arc<Health>, gate: Gate) -> Router {
    let document = doors.document(name);
    let probe = |says: fn(&Health) -> Option<String>, well: fn(&Health) -> String| {
        let health = Arc::clone(&health);
        get(move || async move {
            match says(&health) {
                None => (StatusCode::OK, format!("{}\n", well(&health))),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }
        })
    };
    let (ready, live) = (probe(Health::not_ready, Health::ready), probe(Health::dead, |_| "alive".to_owned()));
    // Without the database no door can answer: at once is better than after its time-outs.
    let refuse = move |request: Request, next: Next| {
        let refused = health.refuses().filter(|_| health.is_broken(Circuit::Database));
        async move {
            match refused {
                Some(why) => Problem::from(Refused::Unavailable(why)).into_response(),
                None => next.run(request).await,
            }
        }
    };
    let guarded = doors
        .into_router()
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
                .detail("this path has no such method: /docs lists what there is")
        })
        .layer(middleware::from_fn(refuse))
        .layer(DefaultBodyLimit::disable()) // the guard bounds it
        .layer(Extension(Arc::new(gate)))
        .layer(map_response(as_problem));
    guarded
        .merge(SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document))
        .route("/openapi/all.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], ALL) }))
        .route("/livez", live)
        .route("/readyz", ready)
        .route("/metrics", get(|| async { telemetry::metrics().map(|metrics| metrics.render()).unwrap_or_default() }))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "Not found")
                .detail("there is no such path here: /docs lists what there is")
        })
        .layer(middleware::from_fn(without_nul))
}

/// An error that axum words itself, as of a path or a query that can't be read, is a problem too.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !(status.is_client_error() || status.is_server_error()) || content_type.is_some_and(|kind| kind.contains("json"))
    {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), LONGEST_DETAIL).await.unwrap_or_default();
    let problem = Problem::new(status, status.canonical_reason().unwrap_or("Refused"));
    match String::from_utf8(text.into()) {
        Ok(text) if !text.is_empty() => problem.detail(text).into_response(),
        Ok(_) | Err(_) => problem.into_response(),
    }
}

/// Bytes at most of a detail that axum wrote.
const LONGEST_DETAIL: usize = 2_000;

/// A client for the routes of other programs: it shows this program's key (`QUADRILLE_API_KEY`), and trusts the authority of their certificates
/// (`QUADRILLE_TLS_AUTHORITY`).
///
/// # Errors
/// When the key can't stand in a header, or the authority can't be read.
pub fn client(common: &Common) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = anonymous(common)?;
    if let Some(key) = &common.api_key {
        let mut shown =
            HeaderValue::from_str(key.expose()).ok().context("QUADRILLE_API_KEY: expected visible ASCII characters")?;
        shown.set_sensitive(true);
        client = client.default_headers([(header::HeaderName::from_static(KEY_HEADER), shown)].into_iter().collect());
    }
    Ok(client)
}

/// The same without a key, for what everybody may ask. A redirect is an answer, and not followed: it would have the key shown to whomever it names.
///
/// # Errors
/// When the authority can't be read.
pub fn anonymous(common: &Common) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &common.tls_authority {
        let pem = std::fs::read(path).with_context(|| format!("QUADRILLE_TLS_AUTHORITY: {}", path.display()))?;
        let authority =
            reqwest::Certificate::from_pem(&pem).context("QUADRILLE_TLS_AUTHORITY: expected a certificate in PEM")?;
        client = client.add_root_certificate(authority);
    }
    Ok(client)
}

/// Where a program at this address is reached, from this machine or by its settings.
pub fn url(common: &Common, address: SocketAddr) -> String {
    let scheme = if common.tls_certificate.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Opens the listening socket.
///
/// # Errors
/// When the address is taken: the message says by which setting another is chosen.
pub(crate) async fn bind(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let variable = format!("QUADRILLE_{}__HTTP", name.to_uppercase().replace('-', "_"));
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "{name} can't listen on {address}: {error}. Set {variable} to another address; port 0 takes any free one"
        )
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Count {
        on_hand: i64,
    }

    async fn read(content_type: &str, body: &str) -> Result<i64, u16> {
        let request = Request::builder().header(header::CONTENT_TYPE, content_type).body(Body::from(body.to_owned()));
        let read = Json::<Count>::from_request(request.unwrap(), &()).await;
        read.map(|Json(count)| count.on_hand).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_is_json_of_the_right_shape_or_a_problem_of_its_own_status() {
        for (content_type, body, expected) in [
            ("application/json", r#"{"on_hand": 3.0}"#, Ok(3)),
            ("Application/JSON; charset=utf-8", "\u{feff}{\"on_hand\": 3}", Ok(3)),
            ("application/cloudevents+json", r#"{"on_hand": 3}"#, Ok(3)),
            ("text/plain", r#"{"on_hand": 3}"#, Err(415)),
            ("application/json", "[3]", Err(422)),
            ("application/json", r#"{"on_hand": "3"}"#, Err(422)),
            ("application/json", "{", Err(400)),
        ] {
            assert_eq!(read(content_type, body).await, expected, "{content_type} {body}");
        }
    }

    /// What is stored and can't be read is as unreadable when it is asked for again: nobody is told to come back.
    #[test]
    fn what_passes_is_503_and_what_is_stored_unreadable_is_500() {
        let decode =
            |source: &'static str| sqlx::Error::ColumnDecode { index: "details".into(), source: source.into() };
        let json = || serde_json::from_str::<Count>("{}").map(drop).unwrap_err();
        let broken = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for (failure, status) in [
            (Failure::Stored { what: "orders.order, column details".into(), source: json() }, 500),
            (Failure::Database(decode("unexpected null")), 500),
            (Failure::Database(sqlx::Error::Decode("no time that there is".into())), 500),
            (Failure::Panicked("index out of bounds".into()), 500),
            (Failure::Database(broken()), 503),
            (Failure::Database(sqlx::Error::PoolTimedOut), 503),
            (Failure::LostRace { table: "orders", saved: 0, decided: 1 }, 503),
            (Failure::CallerGone, 503),
        ] {
            let said = format!("{failure:?}");
            let problem = Problem::from(failure);
            assert_eq!((problem.status, problem.retry_after.is_some()), (status, status == 503), "{said}");
        }
    }
}
