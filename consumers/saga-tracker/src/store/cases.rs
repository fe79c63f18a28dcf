//! The whole case of orders that may be stuck. They are few: a handful of statements for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::events::{CaseEntry, EventId, OpenDeadLetter, OrderId, ParkedEvent};
use runtime::sql::Timestamptz;
use runtime::{Failure, TraceContext};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{deadlines, events, orders};
use crate::stuck::CaseFile;

const LONGEST_HISTORY: i64 = 10_000;
const MOST_LETTERS: i64 = 50;

/// Locks these orders and reads what is known of those that have not ended.
pub(crate) async fn load(db: &mut PgConnection, order_ids: &[Uuid]) -> Result<BTreeMap<OrderId, CaseFile>, Failure> {
    deadlines::lock(db, order_ids).await?;
    let mut cases = BTreeMap::new();
    for order in deadlines::open_orders(db, order_ids).await? {
        let order_id = order.order_id;
        let Some(row) = orders::order(&mut *db, order_id).await? else { continue };
        let kept = events::history(&mut *db, order_id, LONGEST_HISTORY).await?;
        let thread = kept.last().map(|event| TraceContext {
            correlation_id: Arc::from(event.correlation.as_str()),
            traceparent: event.traceparent.as_deref().map(Arc::from),
            event: None,
        });
        let case = CaseFile {
            order,
            facts: row.facts,
            history: kept.into_iter().map(entry).collect(),
            parked: parked(db, order_id).await?,
            dead_letters: dead_letters(db, order_id).await?,
            thread: thread.unwrap_or_default(),
        };
        cases.insert(order_id, case);
    }
    Ok(cases)
}

fn entry(event: events::StoredEvent) -> CaseEntry {
    CaseEntry {
        event_id: EventId(event.event_id),
        event_type: event.event_type,
        topic: event.topic,
        partition: event.partition,
        offset: event.offset,
        time: event.at.0,
        data: event.data,
        since_previous_ms: 0, // the case counts it
    }
}

async fn parked(db: &mut PgConnection, order_id: OrderId) -> Result<Vec<ParkedEvent>, Failure> {
    let rows: Vec<(String, String, i64, Timestamptz, String)> = sqlx::query_as(
        "select consumer, event_type, attempts, next_at, left(error, 1000) from saga_tracker.delayed where order_id = $1 and waits order by consumer",
    )
    .bind(order_id.as_uuid())
    .fetch_all(db)
    .await?;
    let parked = |(consumer, event_type, attempts, Timestamptz(next_at), error)| ParkedEvent {
        consumer,
        event_type,
        attempts,
        next_at,
        error,
    };
    Ok(rows.into_iter().map(parked).collect())
}

/// Its id, who could not decide it, the type of its event, the class of the error, its message, and when it died.
type LetterColumns = (Uuid, Vec<String>, Option<String>, String, String, Timestamptz);

async fn dead_letters(db: &mut PgConnection, order_id: OrderId) -> Result<Vec<OpenDeadLetter>, Failure> {
    let rows: Vec<LetterColumns> = sqlx::query_as(
        "select letter_id, consumers, event_type, error_class, left(error_message, 1000), died_at
         from saga_tracker.letter l
         where order_id = $1 and kind = 'event'
           and not exists (select from saga_tracker.resolution r
                           where r.letter_id = l.letter_id and r.resolution in ('recovered', 'skipped'))
         order by died_at, letter_id limit $2",
    )
    .bind(order_id.as_uuid())
    .bind(MOST_LETTERS)
    .fetch_all(db)
    .await?;
    let letter =
        |(letter_id, consumers, event_type, error_class, error_message, Timestamptz(died_at)): LetterColumns| {
            OpenDeadLetter {
                letter_id: EventId(letter_id),
                consumer: consumers.join(", "),
                event_type: event_type.unwrap_or_default(),
                error_class,
                error_message,
                died_at,
            }
        };
    Ok(rows.into_iter().map(letter).collect())
}
