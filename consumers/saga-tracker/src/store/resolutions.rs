//! What became of dead letters, as their consumers say.

use std::collections::BTreeMap;

use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::world::Resolution;

/// Writes what became of dead letters; of two the later stays, as in [`Resolution`]'s order.
pub(super) async fn save(db: &mut PgConnection, resolutions: &BTreeMap<Uuid, Resolution>) -> Result<(), Failure> {
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
    query.execute(db).await?;
    Ok(())
}
