//! Stock levels, as inventory told of them.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, behind, limit, page, text};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed, two};
use super::written;
use crate::store::{self, LevelView};

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

/// Lists stock levels by SKU and warehouse.
#[utoipa::path(get, path = "/inventory", tag = "inventory", params(LevelsAsked), responses(
    (status = 200, description = "A page of levels.", body = Levels),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<LevelsAsked>) -> JsonResult<Levels> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let (sku, warehouse) = (text("sku", asked.sku)?, text("warehouse", asked.warehouse)?);
    let behind = behind(asked.after.as_deref(), two)?;
    written::of_level(&api, sku.as_deref(), warehouse.as_deref(), asked.position.as_deref()).await?;
    let levels = store::levels(&api.pool, sku, warehouse, behind, limit + 1).await.map_err(failed)?;
    let (levels, next) = page(levels, limit, |last| vec![last.sku.clone(), last.warehouse.clone()]);
    Ok(Json(Levels { levels, next }))
}
