//! Clock, settings, and the book as a whole.

use std::sync::Arc;

use axum::extract::{Json, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{ControlError, ControlResult, read_body};
use crate::clock;
use crate::settings::SimSettings;
use crate::simulator::Simulator;
use crate::store::BookTransaction;

/// A century: the clock goes no further in one step.
const MAX_STEP_SECONDS: i64 = 100 * 366 * 86_400;

pub(super) async fn health(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    sqlx::query("select 1 from book").execute(&simulator.pool).await?;
    Ok(Json(json!({"ok": true, "version": env!("CARGO_PKG_VERSION"), "api_version": crate::settings::API_VERSION})))
}

pub(super) async fn read_clock(State(simulator): State<Arc<Simulator>>) -> ControlResult {
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

pub(super) async fn move_clock(State(simulator): State<Arc<Simulator>>, body: axum::body::Bytes) -> ControlResult {
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

pub(super) async fn read_settings(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    Ok(Json(json!(book.settings)))
}

pub(super) async fn change_settings(State(simulator): State<Arc<Simulator>>, body: axum::body::Bytes) -> ControlResult {
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
pub(super) async fn reset(State(simulator): State<Arc<Simulator>>) -> ControlResult {
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
