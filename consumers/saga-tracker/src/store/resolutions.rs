//! What became of dead letters, as their consumers say.

use std::collections::BTreeMap;

use runtime::Failure;
use runtime::sql::At;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::world::Resolution;
use runtime::sql::clean;

/// Writes what became of dead letters; of two the later stays, as in [`Resolution`]'s order.
pub(super) async fn save(db: &mut PgConnection, resolutions: &BTreeMap<Uuid, Resolution>) -> Result<(), Failure> {
    if resolutions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into saga_tracker.resolution as kept (letter_id, at, resolution, consumer, said_by)
         select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
         on conflict (letter_id) do update set at = excluded.at, resolution = excluded.resolution, consumer = excluded.consumer,
           said_by = excluded.said_by
         where (kept.at, kept.resolution collate \"C\", kept.consumer collate \"C\", kept.said_by collate \"C\")
             < (excluded.at, excluded.resolution collate \"C\", excluded.consumer collate \"C\", excluded.said_by collate \"C\")",
    )
    .bind(resolutions.keys().copied().collect::<Vec<_>>())
    .bind(resolutions.values().map(|of| At(of.at)).collect::<Vec<_>>())
    .bind(resolutions.values().map(|of| clean(&of.resolution)).collect::<Vec<_>>())
    .bind(resolutions.values().map(|of| clean(&of.consumer)).collect::<Vec<_>>())
    .bind(resolutions.values().map(|of| clean(&of.said_by)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}
