//! Stock levels, as inventory told of them.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, behind, limit, page, text};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{TrackerApi, failed};
use super::written;
use crate::store::{self, LevelFilter, LevelRow};

/// Which levels.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelsAsked {
    /// This SKU alone.
    sku: Option<String>,
    /// This warehouse alone.
    warehouse: Option<String>,
    /// Levels on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
    /// The `position` that a change of this one level answered with: the read waits until the change is seen here. With `sku` and `warehouse`.
    position: Option<String>,
}

/// A page of levels.
#[derive(Serialize, ToSchema)]
pub(super) struct Levels {
    /// By SKU and warehouse.
    levels: Vec<LevelView>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The stock of one SKU in one warehouse.
#[derive(Serialize, ToSchema)]
pub(super) struct LevelView {
    /// What.
    sku: String,
    /// Where.
    warehouse: String,
    /// Counts its changes.
    version: i64,
    /// Units in the building, reserved ones included, missing ones not.
    on_hand: i64,
    /// Units held for orders.
    reserved: i64,
    /// Units that should be there and were not found.
    missing: i64,
    /// Units that can be reserved.
    available: i64,
    /// When it changed, RFC 3339.
    changed_at: String,
}

impl From<LevelRow> for LevelView {
    fn from(row: LevelRow) -> Self {
        let LevelRow { sku, warehouse, version, on_hand, reserved, missing, available, changed_at } = row;
        Self { sku, warehouse, version, on_hand, reserved, missing, available, changed_at: changed_at.0.to_string() }
    }
}

/// Lists stock levels by SKU and warehouse.
#[utoipa::path(get, path = "/inventory", tag = "inventory", params(LevelsAsked), responses(
    (status = 200, description = "A page of levels.", body = Levels),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<TrackerApi>,
    query: QueryResult<LevelsAsked>,
) -> Result<Json<Levels>, Problem> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let filter = LevelFilter {
        sku: text("sku", asked.sku)?,
        warehouse: text("warehouse", asked.warehouse)?,
        behind: behind(asked.after.as_deref(), |parts| match parts {
            [sku, warehouse] => Some(((*sku).to_owned(), (*warehouse).to_owned())),
            _ => None,
        })?,
        limit: limit + 1,
    };
    written::of_level(&api, filter.sku.as_deref(), filter.warehouse.as_deref(), asked.position.as_deref()).await?;
    let rows = store::levels(&api.pool, &filter).await.map_err(failed)?;
    let (rows, next) = page(rows, limit, |last| vec![last.sku.clone(), last.warehouse.clone()]);
    Ok(Json(Levels { levels: rows.into_iter().map(LevelView::from).collect(), next }))
}
