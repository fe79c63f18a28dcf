//! FaultKind rules, and API keys that expire.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Json, Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::types::Json as SqlJson;

use super::answer::{ControlError, ControlResult, read_body};
use crate::fault::{FaultRule, rule_json};
use crate::id;
use crate::simulator::Simulator;
use crate::store::BookTransaction;

pub(super) async fn list(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let rows: Vec<(i64, SqlJson<FaultRule>, Option<i64>, i64)> =
        sqlx::query_as("select id, rule, remaining, hits from fault_rules order by id")
            .fetch_all(&simulator.pool)
            .await?;
    let rules: Vec<Value> =
        rows.iter().map(|(rule_id, rule, remaining, hits)| rule_json(*rule_id, rule, *remaining, *hits)).collect();
    Ok(Json(json!({"rules": rules})))
}

pub(super) async fn add(State(simulator): State<Arc<Simulator>>, body: Bytes) -> ControlResult {
    let given: Map<String, Value> = read_body(&body)?;
    let rule: FaultRule = read_body(&body)?;
    rule.check().map_err(ControlError::refused)?;
    let known = json!(rule);
    if let Some(unknown) = given.keys().find(|name| known.get(name.as_str()).is_none()) {
        return Err(ControlError::refused(format!(
            "unknown field '{unknown}': a rule of this fault has {}",
            names(&known)
        )));
    }
    let (rule_id, hits): (i64, i64) =
        sqlx::query_as("insert into fault_rules (rule, remaining) values ($1, $2) returning id, hits")
            .bind(&known)
            .bind(rule.times)
            .fetch_one(&simulator.pool)
            .await?;
    Ok(Json(rule_json(rule_id, &rule, rule.times, hits)))
}

fn names(known: &Value) -> String {
    known.as_object().map(|known| known.keys().cloned().collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

pub(super) async fn clear(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let removed = sqlx::query("delete from fault_rules").execute(&simulator.pool).await?.rows_affected();
    Ok(Json(json!({"removed": removed})))
}

pub(super) async fn remove(State(simulator): State<Arc<Simulator>>, Path(rule_id): Path<i64>) -> ControlResult {
    let removed = sqlx::query("delete from fault_rules where id = $1")
        .bind(rule_id)
        .execute(&simulator.pool)
        .await?
        .rows_affected();
    if removed == 0 {
        Err(ControlError::not_found("fault rule", rule_id))
    } else {
        Ok(Json(json!({"removed": removed})))
    }
}

/// Which key expires when. It has no Debug: it has an API key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyExpiry {
    api_key: String,
    /// Seconds of the virtual clock; none: now.
    at: Option<i64>,
}

pub(super) async fn expire_key(State(simulator): State<Arc<Simulator>>, body: Bytes) -> ControlResult {
    let expiry: KeyExpiry = read_body(&body)?;
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let at_ms = expiry.at.map_or(book.now, |at| at * 1_000);
    sqlx::query("insert into expired_keys (fingerprint, at_ms) values ($1, $2) on conflict (fingerprint) do update set at_ms = excluded.at_ms")
        .bind(id::fingerprint(&expiry.api_key))
        .bind(at_ms)
        .execute(&mut *book.sql)
        .await?;
    book.commit().await?;
    Ok(Json(json!({"expires_at": at_ms / 1_000})))
}

pub(super) async fn renew_keys(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let removed = sqlx::query("delete from expired_keys").execute(&simulator.pool).await?.rows_affected();
    Ok(Json(json!({"removed": removed})))
}
