//! Webhook endpoints and deliveries.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Json, Path, State};
use serde_json::{Map, Value, json};

use super::answer::{ControlError, ControlResult, read_body};
use crate::id;
use crate::simulator::Simulator;
use crate::store::BookTransaction;
use crate::webhook::WebhookEndpoint;

/// Stripe's limit.
const MAX_ENDPOINTS: usize = 16;

pub(super) async fn list(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let endpoints: Vec<Value> =
        book.endpoints().await?.iter().map(|(endpoint_id, endpoint)| endpoint.to_json(endpoint_id)).collect();
    Ok(Json(json!({"webhook_endpoints": endpoints})))
}

pub(super) async fn add(State(simulator): State<Arc<Simulator>>, body: Bytes) -> ControlResult {
    let endpoint: WebhookEndpoint = read_body(&body)?;
    endpoint.check().map_err(ControlError::refused)?;
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    if book.endpoints().await?.len() >= MAX_ENDPOINTS {
        return Err(ControlError::refused(format!("there are {MAX_ENDPOINTS} webhook endpoints already: remove one")));
    }
    let endpoint_id = id::new("we_");
    sqlx::query("insert into webhook_endpoints (id, body) values ($1, $2)")
        .bind(&endpoint_id)
        .bind(json!(endpoint))
        .execute(&mut *book.sql)
        .await?;
    book.commit().await?;
    Ok(Json(endpoint.to_json(&endpoint_id)))
}

/// Changes what is given; `secrets` replaces all of them.
pub(super) async fn change(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
    body: Bytes,
) -> ControlResult {
    let changes: Map<String, Value> = read_body(&body)?;
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let found = book.endpoints().await?.into_iter().find(|(known, _)| *known == endpoint_id);
    let Some(Value::Object(mut all)) = found.map(|(_, endpoint)| json!(endpoint)) else {
        return Err(ControlError::not_found("webhook endpoint", endpoint_id));
    };
    all.extend(changes);
    let endpoint: WebhookEndpoint =
        serde_json::from_value(Value::Object(all)).map_err(|error| ControlError::refused(error.to_string()))?;
    endpoint.check().map_err(ControlError::refused)?;
    sqlx::query("update webhook_endpoints set body = $2 where id = $1")
        .bind(&endpoint_id)
        .bind(json!(endpoint))
        .execute(&mut *book.sql)
        .await?;
    book.commit().await?;
    Ok(Json(endpoint.to_json(&endpoint_id)))
}

pub(super) async fn remove(State(simulator): State<Arc<Simulator>>, Path(endpoint_id): Path<String>) -> ControlResult {
    let removed = sqlx::query("delete from webhook_endpoints where id = $1")
        .bind(&endpoint_id)
        .execute(&simulator.pool)
        .await?
        .rows_affected();
    if removed == 0 {
        Err(ControlError::not_found("webhook endpoint", endpoint_id))
    } else {
        Ok(Json(json!({"removed": removed})))
    }
}

pub(super) async fn deliveries(State(simulator): State<Arc<Simulator>>) -> ControlResult {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("select state, count(*) from deliveries group by state").fetch_all(&simulator.pool).await?;
    let mut all = json!({"pending": 0, "succeeded": 0, "failed": 0, "dropped": 0});
    for (state, count) in counts {
        all[state] = json!(count);
    }
    let last: Vec<(String, String, i32, Option<String>)> =
        sqlx::query_as("select event_id, state, attempts, last_answer from deliveries order by id desc limit 20")
            .fetch_all(&simulator.pool)
            .await?;
    let shown = |(event, state, attempts, answer): &(String, String, i32, Option<String>)| json!({"event": event, "state": state, "attempts": attempts, "last_answer": answer});
    all["latest"] = last.iter().map(shown).collect();
    Ok(Json(all))
}

/// Sends an event again, to each endpoint that takes it.
pub(super) async fn resend(State(simulator): State<Arc<Simulator>>, Path(event_id): Path<String>) -> ControlResult {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let event: Option<(Value,)> = sqlx::query_as("select body from objects where id = $1 and object = 'event'")
        .bind(&event_id)
        .fetch_optional(&mut *book.sql)
        .await?;
    let Some((event,)) = event else { return Err(ControlError::not_found("event", event_id)) };
    let (kind, connected) = (event["type"].as_str().unwrap_or_default(), event.get("account").is_some());
    let mut sent = 0;
    for (endpoint_id, _) in book.endpoints().await?.iter().filter(|(_, endpoint)| endpoint.takes(kind, connected)) {
        sqlx::query("insert into deliveries (event_id, endpoint_id, due_ms) values ($1, $2, $3)")
            .bind(&event_id)
            .bind(endpoint_id)
            .bind(book.now)
            .execute(&mut *book.sql)
            .await?;
        sent += 1;
    }
    book.commit().await?;
    simulator.wake.notify_waiters();
    Ok(Json(json!({"deliveries": sent})))
}
