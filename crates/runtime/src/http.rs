//! HTTP: errors as problem details, the probes and metrics that every binary has, and its routes with their OpenAPI document and a page to read it.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa_swagger_ui::SwaggerUi;

mod access;
mod body;
mod client;
mod keys;
mod openapi;
mod problem;
pub mod query;
mod record;
mod routes;
mod server;
pub mod texts;
mod tries;

pub(crate) use access::Gate;
pub use access::{Access, Caller, KEY_HEADER};
pub use body::{Json, JsonResult};
pub use client::{anonymous, client, url};
pub use keys::{Key, Keys, Role, digest, random_secret};
pub use openapi::merge;
pub use problem::Problem;
pub use query::hex;
pub use routes::Routes;
pub(crate) use server::{Serving, bind, serve};

use crate::health::{Circuit, Health};
use crate::telemetry;
use crate::vocabulary::RequestError;

/// PostgreSQL has no text with a NUL in it: what asks for one asks for nothing that there is.
async fn without_nul(uri: Uri, request: Request, next: Next) -> Response {
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        let detail = "expected a path and a query without the character NUL (%00), got one: leave it out";
        return Problem::new(StatusCode::BAD_REQUEST, "Unreadable path").detail(detail).into_response();
    }
    next.run(request).await
}

/// All programs' routes, as `quadrille openapi` writes them; a test compares.
const ALL: &str = include_str!("../../../docs/openapi.json");

/// The routes of one consumer, with its document and its probes.
pub(crate) fn routes(name: &'static str, doors: Routes, health: Arc<Health>, gate: Gate) -> Router {
    let document = doors.document(name);
    let probe = |ill: fn(&Health) -> Option<String>, well: fn(&Health) -> String| {
        let health = Arc::clone(&health);
        get(move || async move {
            match ill(&health) {
                None => (StatusCode::OK, format!("{}\n", well(&health))),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }
        })
    };
    // Without the database no route can answer: at once is better than after its time-outs.
    let database = Arc::clone(&health);
    let refuse = move |request: Request, next: Next| {
        let refused = database.refuses().filter(|_| database.is_broken(Circuit::Database));
        async move {
            match refused {
                Some(why) => Problem::from(RequestError::Unavailable(why)).into_response(),
                None => next.run(request).await,
            }
        }
    };
    doors
        .into_router()
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
                .detail("this path has no such method: /docs lists what there is")
        })
        .layer(middleware::from_fn(refuse))
        .layer(DefaultBodyLimit::disable()) // the guard bounds it
        .layer(Extension(Arc::new(gate)))
        .layer(map_response(as_problem))
        .merge(SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document))
        .route("/openapi/all.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], ALL) }))
        .route("/livez", probe(Health::dead, |_| "alive".to_owned()))
        .route("/readyz", probe(Health::not_ready, Health::ready))
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
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || content_type.is_some_and(|kind| kind.contains("json")) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), LONGEST_DETAIL).await.unwrap_or_default();
    let detail = String::from_utf8(text.into()).ok().filter(|text| !text.is_empty());
    Problem { detail, ..Problem::new(status, status.canonical_reason().unwrap_or("Refused")) }.into_response()
}

const LONGEST_DETAIL: usize = 2_000;
