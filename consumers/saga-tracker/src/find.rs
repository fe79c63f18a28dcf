//! Orders by the reference that whoever placed them gave.

use runtime::Failure;
use serde::Serialize;
use sqlx::PgPool;

use crate::store::{OrderFilter, orders};

const MOST: i64 = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundOrder {
    pub order_id: String,
    pub status: String,
    pub placed_at: String,
    pub source: Option<String>,
    pub reference: Option<String>,
    pub currency: Option<String>,
    /// What it costs, in minor units.
    pub total: Option<i64>,
}

/// The orders with this reference, the newest first; several shops may have given the same.
pub async fn find_orders(pool: &PgPool, reference: &str) -> Result<Vec<FoundOrder>, Failure> {
    if reference.contains('\0') {
        return Ok(Vec::new()); // no text that the database can hold
    }
    let filter = OrderFilter { reference: Some(reference.to_owned()), limit: MOST, ..OrderFilter::default() };
    let found = orders(pool, &filter).await?.into_iter().map(|row| FoundOrder {
        order_id: row.order_id.to_string(),
        status: row.facts.status.as_str().to_owned(),
        placed_at: row.facts.placed_at.map(|at| at.to_string()).unwrap_or_default(),
        source: row.facts.source,
        reference: row.facts.reference,
        currency: row.facts.currency,
        total: row.facts.total,
    });
    Ok(found.collect())
}
