//! Control of the simulator: `/_sim/…`, its own JSON. docs/stripe-sim.md lists the endpoints. No key is asked for: it listens on loopback.

mod acts;
mod ledger;
mod rules;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::settings::SimSettings;
use crate::simulator::Simulator;
use crate::store::{BookError, BookTransaction};

/// A century: the clock goes no further in one step.
const MAX_STEP_SECONDS: i64 = 100 * 366 * 86_400;

/// Why a control request was refused.
#[derive(Debug)]
pub(crate) struct ControlError {
    status: StatusCode,
    message: String,
}

impl ControlError {
    pub fn refused(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("no {what} '{id}' in the book") }
    }
}

impl From<BookError> for ControlError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Api(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
                Self { status, message: error.message }
            }
            BookError::Database(_) | BookError::Unreadable(_) => {
                tracing::error!(%error, "a control request failed");
                Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    message: "the simulator's database failed: see its log".into(),
                }
            }
        }
    }
}

impl From<sqlx::Error> for ControlError {
    fn from(error: sqlx::Error) -> Self {
        BookError::from(error).into()
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.message}))).into_response()
    }
}

/// What a control request is answered.
pub(crate) type ControlResult = Result<Json<Value>, ControlError>;

/// The routes.
pub fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/_sim/health", get(health))
        .route("/_sim/clock", get(read_clock).put(move_clock))
        .route("/_sim/settings", get(read_settings).put(change_settings))
        .route("/_sim/reset", post(reset))
        .route("/_sim/faults", get(rules::list).post(rules::add).delete(rules::clear))
        .route("/_sim/faults/{id}", delete(rules::remove))
        .route("/_sim/expired_keys", post(rules::expire_key).delete(rules::renew_keys))
        .route("/_sim/webhook_endpoints", get(webhooks::list).post(webhooks::add))
        .route("/_sim/webhook_endpoints/{id}", put(webhooks::change).delete(webhooks::remove))
        .route("/_sim/deliveries", get(webhooks::deliveries))
        .route("/_sim/events/{id}/resend", post(webhooks::resend))
        .route("/_sim/payment_methods", post(acts::new_payment_method))
        .route("/_sim/confirmation_tokens", post(acts::new_confirmation_token))
        .route("/_sim/payment_intents/{id}/{act}", post(acts::on_payment))
        .route("/_sim/refunds/{id}", post(acts::on_refund))
        .route("/_sim/disputes/{id}", post(acts::on_dispute))
        .route("/_sim/ledger", get(ledger::check))
}

/// Reads a body; the message names the field.
pub(crate) fn read_body<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| ControlError::refused(format!("the body is not what was expected: {error}")))
}

async fn health(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    sqlx::query("select 1 from book").execute(&simulator.pool).await?;
    Ok(Json(json!({"ok": true, "version": env!("CARGO_PKG_VERSION"), "api_version": crate::settings::API_VERSION})))
}

async fn read_clock(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let (next, offset): (Option<i64>, i64) =
        sqlx::query_as("select (select min(due_ms) from tasks), clock_offset_ms from book")
            .fetch_one(&mut *book.sql)
            .await?;
    Ok(Json(
        json!({"now": book.context().seconds(), "ahead_seconds": offset / 1_000, "next_due": next.map(|next| next / 1_000)}),
    ))
}

/// Where the clock is moved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    advance_seconds: Option<i64>,
    now: Option<i64>,
}

async fn move_clock(State(simulator): State<Arc<Simulator>>, body: axum::body::Bytes) -> ControlResult {
    let step: ClockMove = read_body(&body)?;
    let seconds = match (step.advance_seconds, step.now) {
        (Some(seconds), None) => seconds,
        (None, Some(now)) => {
            now - BookTransaction::begin(&simulator.pool, &simulator.public_url).await?.context().seconds()
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(ControlError::refused("expected one of advance_seconds and now (seconds)"));
        }
    };
    if !(0..=MAX_STEP_SECONDS).contains(&seconds) {
        return Err(ControlError::refused(format!(
            "the clock moves forward, by 0 to {MAX_STEP_SECONDS} seconds; got {seconds}"
        )));
    }
    let (now, done) = clock::advance(&simulator, seconds * 1_000).await?;
    Ok(Json(json!({"now": now / 1_000, "done": done})))
}

async fn read_settings(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    Ok(Json(json!(book.settings)))
}

async fn change_settings(State(simulator): State<Arc<Simulator>>, body: axum::body::Bytes) -> ControlResult {
    let changes: Map<String, Value> = read_body(&body)?;
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let Value::Object(mut all) = json!(book.settings) else {
        return Err(ControlError::refused("settings are an object"));
    };
    all.extend(changes);
    let settings: SimSettings =
        serde_json::from_value(Value::Object(all)).map_err(|error| ControlError::refused(error.to_string()))?;
    settings.check().map_err(ControlError::refused)?;
    sqlx::query("update book set settings = $1").bind(json!(settings)).execute(&mut *book.sql).await?;
    book.commit().await?;
    Ok(Json(json!(settings)))
}

/// An empty book, the clock at the present, the settings those of the beginning.
async fn reset(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    sqlx::query(
        "truncate objects, idempotency_keys, ledger, tasks, webhook_endpoints, deliveries, fault_rules, expired_keys",
    )
    .execute(&mut *book.sql)
    .await?;
    sqlx::query("update book set clock_offset_ms = 0, settings = '{}'").execute(&mut *book.sql).await?;
    book.commit().await?;
    Ok(Json(json!({"ok": true})))
}
