//! What waits for a retry.

use std::collections::BTreeMap;

use events::OrderId;
use runtime::Failure;
use runtime::sql::{Timestamptz, clean};
use sqlx::PgConnection;

use crate::parked::Parking;

/// Merges what consumers said; of two words the later stays. They are few: one statement for each.
pub(super) async fn save(db: &mut PgConnection, parked: &BTreeMap<(OrderId, String), Parking>) -> Result<(), Failure> {
    for ((order_id, consumer), parking) in parked {
        if let Some((seq, at, event)) = &parking.parked {
            sqlx::query(
                "insert into saga_tracker.delayed as kept
                   (order_id, consumer, parked_seq, parked_at, event_id, event_type, topic, \"partition\", \"offset\", attempts, next_at, error)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                 on conflict (order_id, consumer) do update set
                   parked_seq = excluded.parked_seq, parked_at = excluded.parked_at, event_id = excluded.event_id,
                   event_type = excluded.event_type, topic = excluded.topic, \"partition\" = excluded.\"partition\",
                   \"offset\" = excluded.\"offset\", attempts = excluded.attempts, next_at = excluded.next_at, error = excluded.error
                 where kept.parked_seq < excluded.parked_seq",
            )
            .bind(order_id.as_uuid())
            .bind(clean(consumer))
            .bind(seq)
            .bind(Timestamptz(event.parked_at.map_or(*at, runtime::sql::in_range)))
            .bind(event.event_id.as_uuid())
            .bind(clean(&event.event_type))
            .bind(clean(&event.topic))
            .bind(event.partition)
            .bind(event.offset)
            .bind(event.attempts)
            .bind(Timestamptz(runtime::sql::in_range(event.next_at)))
            .bind(clean(&event.error))
            .execute(&mut *db)
            .await?;
        }
        if let Some((seq, at, outcome)) = &parking.unparked {
            sqlx::query(
                "insert into saga_tracker.delayed as kept (order_id, consumer, unparked_seq, unparked_at, outcome) values ($1, $2, $3, $4, $5)
                 on conflict (order_id, consumer) do update set
                   unparked_seq = excluded.unparked_seq, unparked_at = excluded.unparked_at, outcome = excluded.outcome
                 where kept.unparked_seq < excluded.unparked_seq",
            )
            .bind(order_id.as_uuid())
            .bind(clean(consumer))
            .bind(seq)
            .bind(Timestamptz(*at))
            .bind(clean(outcome))
            .execute(&mut *db)
            .await?;
        }
    }
    Ok(())
}
