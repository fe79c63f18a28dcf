//! The ledger, checked at one moment of the book.

use std::sync::Arc;

use axum::extract::{Json, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::types::Json as SqlJson;

use super::answer::ControlResult;
use crate::audit::{LedgerRow, audit};
use crate::record::PaymentRecord;
use crate::simulator::Simulator;
use crate::store::BookError;

/// How it is checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerQuery {
    /// A key of metadata, at most one payment of each value of which has money at a time.
    metadata: Option<String>,
}

pub(super) async fn check(State(simulator): State<Arc<Simulator>>, Query(query): Query<LedgerQuery>) -> ControlResult {
    let mut sql = simulator.pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *sql).await?;
    let bodies: Vec<SqlJson<PaymentRecord>> =
        sqlx::query_scalar("select body from objects where object = 'payment_intent'").fetch_all(&mut *sql).await?;
    let entries: Vec<(String, String, i64)> =
        sqlx::query_as("select payment_id, entry, amount from ledger order by seq").fetch_all(&mut *sql).await?;
    let payments: Vec<PaymentRecord> = bodies.into_iter().map(|body| body.0).collect();
    let mut rows = Vec::with_capacity(entries.len());
    for (payment_id, entry, amount) in entries {
        let entry = serde_json::from_value(Value::String(entry)).map_err(BookError::from)?;
        rows.push(LedgerRow { payment_id, entry, amount });
    }
    Ok(Json(json!(audit(&payments, &rows, query.metadata.as_deref()))))
}
