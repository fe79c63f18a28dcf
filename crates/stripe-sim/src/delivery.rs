//! Sending events to webhook endpoints: at least once, each try signed anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::with_pending_webhooks;
use crate::simulator::Simulator;
use crate::store::{BookError, BookTransaction};
use crate::webhook::{SignatureClock, WebhookEndpoint};

/// How often it looks what is due, besides when it is told.
const TICK: Duration = Duration::from_millis(250);
/// Deliveries that are looked at, at once.
const BATCH: i64 = 500;
/// Deliveries on their way, to all endpoints.
const IN_FLIGHT: usize = 64;

/// A delivery that is due.
struct DueDelivery {
    id: i64,
    attempts: i32,
    endpoint_id: String,
    endpoint: WebhookEndpoint,
    event: Value,
}

/// Sends what is due, until told to stop.
pub async fn deliver(simulator: Arc<Simulator>, shutdown: CancellationToken) {
    let client = match reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no event is delivered: there is no HTTP client");
            return;
        }
    };
    let (mut sending, mut in_flight) = (JoinSet::new(), HashMap::<i64, String>::new());
    while !shutdown.is_cancelled() {
        let woken = simulator.wake.notified();
        match due(&simulator, &in_flight).await {
            Ok(deliveries) => {
                for delivery in deliveries {
                    in_flight.insert(delivery.id, delivery.endpoint_id.clone());
                    let (simulator, client) = (Arc::clone(&simulator), client.clone());
                    sending.spawn(async move {
                        let id = delivery.id;
                        if let Err(error) = attempt(&simulator, &client, delivery).await {
                            tracing::warn!(%error, delivery = id, "a delivery is not written down: it is sent again");
                        }
                        id
                    });
                }
            }
            Err(error) => tracing::warn!(%error, "deliveries wait"),
        }
        tokio::select! {
            Some(sent) = sending.join_next() => {
                if let Ok(id) = sent {
                    in_flight.remove(&id);
                }
            }
            () = woken => {}
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => {}
        }
        while let Some(sent) = sending.try_join_next() {
            if let Ok(id) = sent {
                in_flight.remove(&id);
            }
        }
    }
}

/// What is due and has room at its endpoint.
async fn due(simulator: &Simulator, in_flight: &HashMap<i64, String>) -> Result<Vec<DueDelivery>, BookError> {
    if in_flight.len() >= IN_FLIGHT {
        return Ok(Vec::new());
    }
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let busy: Vec<i64> = in_flight.keys().copied().collect();
    let mut rows: Vec<(i64, i32, String, String)> = sqlx::query_as(
        "select id, attempts, endpoint_id, event_id from deliveries \
         where state = 'pending' and due_ms <= $1 and id <> all($2) order by due_ms, id limit $3",
    )
    .bind(book.now)
    .bind(&busy)
    .bind(BATCH)
    .fetch_all(&mut *book.sql)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let endpoints: HashMap<String, WebhookEndpoint> = book.endpoints().await?.into_iter().collect();
    if endpoints.values().any(|endpoint| endpoint.reversed) {
        rows.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
    }
    let mut room: HashMap<&str, usize> = HashMap::new();
    for endpoint_id in in_flight.values() {
        *room.entry(endpoint_id).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for (id, attempts, endpoint_id, event_id) in &rows {
        let (Some(endpoint), used) = (endpoints.get(endpoint_id), room.entry(endpoint_id).or_default()) else {
            continue;
        };
        if *used < endpoint.concurrency && in_flight.len() + chosen.len() < IN_FLIGHT {
            *used += 1;
            chosen.push((*id, *attempts, endpoint_id, endpoint, event_id));
        }
    }
    let event_ids: Vec<&str> = chosen.iter().map(|(.., event_id)| event_id.as_str()).collect();
    let (ids, mut events): (Vec<String>, Vec<Value>) =
        sqlx::query_as::<_, (String, Value)>("select id, body from objects where id = any($1)")
            .bind(&event_ids)
            .fetch_all(&mut *book.sql)
            .await?
            .into_iter()
            .unzip();
    with_pending_webhooks(&mut book, &mut events).await?;
    let bodies: HashMap<String, Value> = ids.into_iter().zip(events).collect();
    let deliveries = chosen.into_iter().filter_map(|(id, attempts, endpoint_id, endpoint, event_id)| {
        let mut event = bodies.get(event_id)?.clone();
        event["api_version"] = json!(endpoint.api_version);
        Some(DueDelivery { id, attempts, endpoint_id: endpoint_id.clone(), endpoint: endpoint.clone(), event })
    });
    Ok(deliveries.collect())
}

/// Sends one, and writes down what was answered.
async fn attempt(simulator: &Simulator, client: &reqwest::Client, delivery: DueDelivery) -> Result<(), BookError> {
    let DueDelivery { id, attempts, endpoint, event, .. } = delivery;
    let clock = match endpoint.signature_clock {
        SignatureClock::Real => "select extract(epoch from clock_timestamp())::bigint",
        SignatureClock::Virtual => {
            "select extract(epoch from clock_timestamp())::bigint + clock_offset_ms / 1000 from book"
        }
    };
    let seconds: i64 = sqlx::query_scalar(clock).fetch_one(&simulator.pool).await?;
    let body = serde_json::to_vec_pretty(&event)?;
    let sent = client
        .post(&endpoint.url)
        .timeout(Duration::from_millis(endpoint.timeout_ms))
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", endpoint.sign(seconds, &body))
        .body(body)
        .send()
        .await;
    let (delivered, answer) = match sent {
        Ok(response) => (response.status().is_success(), response.status().as_u16().to_string()),
        Err(error) => (false, error.without_url().to_string()),
    };
    let again = usize::try_from(attempts).ok().and_then(|attempts| endpoint.retry_after.get(attempts));
    let state = match (delivered, again) {
        (true, _) => "succeeded",
        (false, Some(_)) => "pending",
        (false, None) => "failed",
    };
    sqlx::query(
        "update deliveries set state = $2, attempts = attempts + 1, last_answer = $3, \
                due_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint + clock_offset_ms + $4 from book where id = $1",
    )
    .bind(id)
    .bind(state)
    .bind(answer)
    .bind(again.copied().unwrap_or_default() * 1_000)
    .execute(&simulator.pool)
    .await?;
    Ok(())
}
