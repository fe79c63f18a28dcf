//! The topics and the tables: an order that the newest records of `orders` tell of is known there. A database that was restored from a dump does not.

use kafka_admin::replay::newest_keys;
use runtime::Settings;
use sqlx::PgPool;
use uuid::Uuid;

use crate::AuditError;
use crate::books::{AuditScope, BreachLine, CheckOutcome, Finding};

pub const KNOWN: &str = "known";
const PUBLICATIONS: &str = "orders: each that the topics tell of is known";
/// Records of each partition, the newest.
const RECORDS: i64 = 1_000;

/// Looks up the orders of the newest records of the topic `orders` in the database of that consumer: it knew each before it was published.
pub async fn known(settings: &Settings, pool: &PgPool, scope: &AuditScope) -> Result<Finding, AuditError> {
    let mut told: Vec<Uuid> = newest_keys(settings, "orders", RECORDS).await?.into_iter().collect();
    told.retain(|order_id| *order_id >= scope.first);
    let unknown: Vec<Uuid> = sqlx::query_scalar(
        "select order_id from unnest($1::uuid[]) as told (order_id) where not exists (select from orders.\"order\" o where o.order_id = told.order_id)
          order by order_id",
    )
    .bind(&told)
    .fetch_all(pool)
    .await?;
    let detail = "the topic orders tells of it, and its database does not know it: if that was restored from a dump, see `quadrille restore check`";
    let line = |order_id: &Uuid| BreachLine { subject: order_id.to_string(), detail: detail.to_owned() };
    let (breaches, lines) = (unknown.len() as i64, unknown.iter().take(200).map(line).collect());
    let figures = format!("{} orders told of, {} of them known", told.len(), told.len() - unknown.len());
    Ok(Finding { name: KNOWN, publishes: PUBLICATIONS, asked: CheckOutcome::Answered { breaches, figures, lines } })
}
