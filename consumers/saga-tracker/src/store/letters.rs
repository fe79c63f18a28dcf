//! The dead letters, and what became of them.

use std::collections::BTreeMap;

use events::OrderId;
use runtime::sql::{Timestamptz, clean, clean_option};
use runtime::{Failure, bind_columns};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::columns::{Tables, run};
use crate::dead_letter::DeadLetter;
use crate::world::Resolution;

/// Keeps dead letters that are not kept yet. They are few: one statement for each.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    letters: &BTreeMap<Uuid, DeadLetter>,
) -> Result<(), Failure> {
    for letter in letters.values() {
        keep(db, tables, letter).await?;
    }
    Ok(())
}

async fn keep(db: &mut PgConnection, tables: Tables, letter: &DeadLetter) -> Result<(), Failure> {
    let (topic, partition, offset) = match &letter.original {
        Some((topic, partition, offset)) => (Some(clean(topic)), Some(*partition), Some(*offset)),
        None => (None, None, None),
    };
    sqlx::query(tables.of(
        "insert into saga_tracker.letter
           (letter_id, kind, died_at, consumers, stage, error_class, error_message, fingerprint, event_type, order_id,
            original_topic, original_partition, original_offset, code_version, key, value, headers, topic, \"partition\", \"offset\", loops)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
         on conflict (letter_id) do nothing",
    ))
    .bind(letter.letter_id)
    .bind(letter.kind.as_str())
    .bind(Timestamptz(letter.died_at))
    .bind(letter.consumers.iter().map(|consumer| clean(consumer)).collect::<Vec<_>>())
    .bind(clean_option(&letter.stage))
    .bind(clean(&letter.error_class))
    .bind(clean(&letter.error_message))
    .bind(clean(&letter.fingerprint))
    .bind(clean_option(&letter.event_type))
    .bind(letter.order_id.map(OrderId::as_uuid))
    .bind(topic)
    .bind(partition)
    .bind(offset)
    .bind(clean_option(&letter.code_version))
    .bind(&letter.key)
    .bind(&letter.value)
    .bind(Json(&letter.headers))
    .bind(letter.stands.0)
    .bind(letter.stands.1)
    .bind(letter.stands.2)
    .bind(letter.loops)
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what became of dead letters; of two the later stays, as in [`Resolution`]'s order.
pub(super) async fn resolve(db: &mut PgConnection, resolutions: &BTreeMap<Uuid, Resolution>) -> Result<(), Failure> {
    if resolutions.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "insert into saga_tracker.resolution as kept (letter_id, at, resolution, consumer, said_by)
         select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
         on conflict (letter_id) do update set at = excluded.at, resolution = excluded.resolution, consumer = excluded.consumer,
           said_by = excluded.said_by
         where (kept.at, kept.resolution collate \"C\", kept.consumer collate \"C\", kept.said_by collate \"C\")
             < (excluded.at, excluded.resolution collate \"C\", excluded.consumer collate \"C\", excluded.said_by collate \"C\")",
    );
    let query = bind_columns!(query; for (letter_id, of) in resolutions =>
        *letter_id, Timestamptz(of.at), clean(&of.resolution), clean(&of.consumer), clean(&of.said_by),
    );
    run(query, db).await.map(drop)
}
