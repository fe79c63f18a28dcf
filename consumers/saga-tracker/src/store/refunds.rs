//! The refunds' read model.

use std::collections::BTreeMap;

use events::{OrderId, RefundId, Timestamp};
use runtime::sql::{Timestamptz, clean_option};
use runtime::{Failure, bind_columns};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::columns::{Tables, run};
use crate::facts::{Facts, RefundFacts};

/// Merges what a batch tells into the refunds' rows, as [`Facts::merge`] does.
pub(super) async fn save(
    db: &mut PgConnection,
    tables: Tables,
    orders: &BTreeMap<OrderId, Facts>,
) -> Result<(), Failure> {
    let told: Vec<(OrderId, RefundId, &RefundFacts)> = orders
        .iter()
        .flat_map(|(order_id, facts)| facts.refunds.iter().map(|(id, refund)| (*order_id, *id, refund)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(tables.of(
        "insert into saga_tracker.refund as kept (order_id, refund_id, amount, request, requested_at, completed_at, failed_at, detail)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::text[])
         on conflict (order_id, refund_id) do update set
           amount = greatest(kept.amount, excluded.amount), request = greatest(kept.request, excluded.request),
           requested_at = least(kept.requested_at, excluded.requested_at), completed_at = greatest(kept.completed_at, excluded.completed_at),
           failed_at = greatest(kept.failed_at, excluded.failed_at), detail = greatest(kept.detail, excluded.detail)",
    ));
    let query = bind_columns!(query; for (order_id, refund_id, of) in told =>
        order_id.as_uuid(), refund_id.as_uuid(), of.amount, clean_option(&of.request), of.requested_at, of.completed_at, of.failed_at,
        clean_option(&of.detail),
    );
    run(query, db).await.map(drop)
}

#[derive(FromRow)]
struct RefundRow {
    refund_id: Uuid,
    #[sqlx(flatten)]
    facts: RefundFacts,
}

pub(crate) async fn refunds_of(pool: &PgPool, order_id: OrderId) -> Result<BTreeMap<RefundId, RefundFacts>, Failure> {
    let rows: Vec<RefundRow> = sqlx::query_as(
        "select refund_id, amount, request, requested_at, completed_at, failed_at, detail from saga_tracker.refund where order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (RefundId(row.refund_id), row.facts)).collect())
}

/// Refunds that failed, or are neither done nor refused and were asked for before this moment: the refund, its order, and what the gateway said.
pub(crate) async fn unsettled(
    pool: &PgPool,
    before: Timestamp,
) -> Result<Vec<(Uuid, Uuid, Option<Timestamptz>, Option<String>)>, Failure> {
    let rows = sqlx::query_as(
        "select refund_id, order_id, requested_at, case when failed_at is not null then coalesce(detail, '') end
         from saga_tracker.refund where (completed_at is null or failed_at >= completed_at) and (failed_at is not null or requested_at < $1)
         order by requested_at limit 100",
    );
    Ok(rows.bind(Timestamptz(before)).fetch_all(pool).await?)
}
