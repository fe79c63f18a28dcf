//! The event store.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::{EventId, OrderId};
use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::input::HeardEvent;

macro_rules! insert {
    ($rest:literal) => {
        concat!(
            "insert into saga_tracker.event
               (order_id, event_id, topic, \"partition\", \"offset\", event_type, at, seq, causation, correlation, traceparent, data,
                personal, personal_key)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::timestamptz[], $8::bigint[],
                $9::uuid[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::text[])",
            $rest
        )
    };
}

/// Keeps events; returns whether none of them was kept. One that was is a lost race unless they may be `repeating`: looking for each row before it is
/// inserted costs half as much again as inserting it.
pub(super) async fn save(
    db: &mut PgConnection,
    events: &BTreeMap<(OrderId, EventId), Arc<HeardEvent>>,
    repeating: bool,
) -> Result<bool, Failure> {
    if events.is_empty() {
        return Ok(true);
    }
    let statement = if repeating { insert!(" on conflict (order_id, event_id) do nothing") } else { insert!("") };
    let query = bind_columns!(sqlx::query(statement); for (_, of) in events =>
        of.order_id.as_uuid(), of.event_id.as_uuid(), of.place.topic, of.place.partition, of.place.offset, of.event_type, Timestamptz(of.place.at),
        of.place.seq, of.causation, clean(&of.correlation), of.traceparent.as_deref().map(clean), of.data.as_str(),
        of.personal.as_ref().map(|sealed| sealed.data.as_slice()), of.personal.as_ref().map(|sealed| clean(&sealed.key_id)),
    );
    let done = query.execute(db).await;
    let done = done.map_err(|error| Failure::of_insert(error, "saga_tracker.event", events.len()))?;
    Ok(done.rows_affected() == events.len() as u64)
}

#[derive(Clone, FromRow)]
pub(crate) struct StoredEvent {
    pub order_id: Uuid,
    pub event_id: Uuid,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub event_type: String,
    pub at: Timestamptz,
    pub seq: Option<i64>,
    pub causation: Option<Uuid>,
    pub correlation: String,
    pub traceparent: Option<String>,
    /// JSON, as text.
    pub data: String,
}

impl StoredEvent {
    pub fn unreadable(&self, source: serde_json::Error) -> Failure {
        Failure::Stored { what: format!("saga_tracker.event {} ({})", self.event_id, self.event_type), source }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select order_id, event_id, topic, \"partition\", \"offset\", event_type, at, seq, causation, correlation, traceparent, data
             from saga_tracker.event ",
            $rest
        )
    };
}

/// The events of an order as they happened: by time, and where several have the same, by their place in the outbox.
pub(crate) async fn history(
    db: impl PgExecutor<'_>,
    order_id: OrderId,
    limit: i64,
) -> Result<Vec<StoredEvent>, Failure> {
    let rows = sqlx::query_as(select!("where order_id = $1 order by at, seq, event_id limit $2"));
    Ok(rows.bind(order_id.as_uuid()).bind(limit).fetch_all(db).await?)
}

/// Events of the store behind this one, in the order of its key: order and event.
pub(crate) async fn stored_events(
    db: &mut PgConnection,
    (order_id, event_id): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<StoredEvent>, Failure> {
    let rows = sqlx::query_as(select!("where (order_id, event_id) > ($1, $2) order by order_id, event_id limit $3"));
    Ok(rows.bind(order_id).bind(event_id).bind(limit).fetch_all(db).await?)
}

/// Whether the event at this position of an order is kept, and the latest position that is.
pub(crate) async fn folded(pool: &PgPool, order_id: OrderId, position: i64) -> Result<(bool, Option<i64>), Failure> {
    let row = sqlx::query_as(
        "select coalesce(bool_or(seq = $2), false), max(seq) from saga_tracker.event where order_id = $1",
    );
    Ok(row.bind(order_id.as_uuid()).bind(position).fetch_one(pool).await?)
}
