//! The returns' read model, and which orders are exchanges for which.

use std::collections::BTreeMap;

use events::{OrderId, ReturnId};
use runtime::sql::clean_option;
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::columns::{Tables, run};
use crate::facts::{Facts, ReturnFacts};

/// Merges what a batch tells into the returns' rows, as [`Facts::merge`] does.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    orders: &BTreeMap<OrderId, Facts>,
) -> Result<(), Failure> {
    let told: Vec<(OrderId, ReturnId, &ReturnFacts)> = orders
        .iter()
        .flat_map(|(order_id, facts)| facts.returns.iter().map(|(id, returned)| (*order_id, *id, returned)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.customer_return as kept
           (order_id, return_id, announced, announced_at, received, received_at, refused, refused_at, stocked_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[], $7::text[], $8::timestamptz[],
                              $9::timestamptz[])
         on conflict (order_id, return_id) do update set
           announced = greatest(kept.announced, excluded.announced), announced_at = least(kept.announced_at, excluded.announced_at),
           received = greatest(kept.received, excluded.received), received_at = least(kept.received_at, excluded.received_at),
           refused = greatest(kept.refused, excluded.refused), refused_at = least(kept.refused_at, excluded.refused_at),
           stocked_at = least(kept.stocked_at, excluded.stocked_at)",
    ));
    let query = bind_columns!(query; for (order_id, return_id, of) in told =>
        order_id.as_uuid(), return_id.as_uuid(), clean_option(&of.announced), of.announced_at, clean_option(&of.received), of.received_at,
        clean_option(&of.refused), of.refused_at, of.stocked_at,
    );
    run(query, db).await.map(drop)
}

#[derive(FromRow)]
struct ReturnRow {
    return_id: Uuid,
    #[sqlx(flatten)]
    facts: ReturnFacts,
}

pub(crate) async fn returns_of(pool: &PgPool, order_id: OrderId) -> Result<BTreeMap<ReturnId, ReturnFacts>, Failure> {
    let rows: Vec<ReturnRow> = sqlx::query_as(
        "select return_id, announced, announced_at, received, received_at, refused, refused_at, stocked_at
         from saga_tracker.customer_return where order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (ReturnId(row.return_id), row.facts)).collect())
}

/// The orders that are exchanges for this one, the oldest first.
pub(crate) async fn exchanges_for(pool: &PgPool, order_id: OrderId) -> Result<Vec<Uuid>, Failure> {
    let asked = "select order_id from saga_tracker.\"order\" where exchange_for = $1 order by order_id limit 100";
    Ok(sqlx::query_scalar(asked).bind(order_id.as_uuid()).fetch_all(pool).await?)
}
