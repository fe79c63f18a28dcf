//! The disputes' read model.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use runtime::sql::{Timestamptz, clean};
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::columns::{Tables, run};
use crate::facts::{DisputeFacts, Facts};

/// Merges what a batch tells into the disputes' rows, as [`Facts::merge`] does.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    orders: &BTreeMap<OrderId, Facts>,
) -> Result<(), Failure> {
    let told: Vec<(OrderId, &String, &DisputeFacts)> = orders
        .iter()
        .flat_map(|(order_id, facts)| facts.disputes.iter().map(|(id, dispute)| (*order_id, id, dispute)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.dispute as kept (order_id, dispute_id, opened_at, changed_at, closed, told)
         select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::boolean[], $6::text[])
         on conflict (order_id, dispute_id) do update set
           opened_at = least(kept.opened_at, excluded.opened_at),
           changed_at = greatest(kept.changed_at, excluded.changed_at),
           closed = case when (excluded.changed_at, excluded.closed, excluded.told) > (kept.changed_at, kept.closed, kept.told)
                         then excluded.closed else kept.closed end,
           told = case when (excluded.changed_at, excluded.closed, excluded.told) > (kept.changed_at, kept.closed, kept.told)
                       then excluded.told else kept.told end",
    ));
    let query = bind_columns!(query; for (order_id, dispute_id, of) in told =>
        order_id.as_uuid(), clean(dispute_id), of.opened_at, of.changed_at, of.closed, clean(&of.told),
    );
    run(query, db).await.map(drop)
}

#[derive(FromRow)]
struct DisputeRow {
    dispute_id: String,
    #[sqlx(flatten)]
    facts: DisputeFacts,
}

pub(crate) async fn disputes_of(pool: &PgPool, order_id: OrderId) -> Result<BTreeMap<String, DisputeFacts>, Failure> {
    let rows: Vec<DisputeRow> = sqlx::query_as(
        "select dispute_id, opened_at, changed_at, closed, told from saga_tracker.dispute where order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.dispute_id, row.facts)).collect())
}

/// Disputes that are open, or were closed since this moment: the order, the dispute, whether it was closed, and its latest event as JSON.
pub(crate) async fn recent(
    pool: &PgPool,
    closed_since: Timestamp,
) -> Result<Vec<(Uuid, String, bool, String)>, Failure> {
    let rows = sqlx::query_as(
        "select order_id, dispute_id, closed, told from saga_tracker.dispute where not closed or closed and changed_at > $1
         order by changed_at limit 1000",
    );
    Ok(rows.bind(Timestamptz(closed_since)).fetch_all(pool).await?)
}
