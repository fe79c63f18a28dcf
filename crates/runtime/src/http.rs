//! HTTP: errors as problem details, the probes and metrics that every binary has, and its doors with their OpenAPI document and a page to read it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
pub use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::door::Refused;
use crate::health::Health;
use crate::telemetry;

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
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Conflict(detail) => Self::new(StatusCode::CONFLICT, "Conflict").detail(detail),
            Refused::Broken(detail) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Not decided").detail(detail),
            Refused::Unavailable(detail) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(detail),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(%error, "a read failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail("the database does not answer: ask again")
    }
}

/// A JSON body, whose refusal is a problem.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(rejection.status(), "Unreadable body").detail(rejection.body_text())),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The routes of one consumer: its doors, their documents, its probes.
pub(crate) fn routes(name: &'static str, doors: OpenApiRouter, health: Arc<Health>) -> Router {
    let (router, api) = doors.split_for_parts();
    let info = InfoBuilder::new()
        .title(format!("Quadrille: {name}"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The doors of one consumer of the order pipeline. Errors are problem details (RFC 9457)."))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let api = OpenApiBuilder::from(api).info(info).build();
    let ready = move || async move {
        match health.not_ready() {
            None => (StatusCode::OK, format!("{}\n", health.ready())),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    };
    router
        .merge(SwaggerUi::new("/docs").url("/openapi.json", api))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { telemetry::metrics().map(|metrics| metrics.render()).unwrap_or_default() }))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "Not found")
                .detail("there is no such path here: /docs lists what there is")
        })
}

/// Serves until told to stop, then lets open requests finish.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await?;
    Ok(())
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
