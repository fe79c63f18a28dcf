//! Alerts: what people were told of, and whether it is still so.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, limit};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed};
use crate::store::alerts::{self as store, AlertView};

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertsAsked {
    /// `false`: those that are resolved too. Only open ones unless set.
    open: Option<bool>,
    /// At most so many, up to 500; 50 unless set.
    limit: Option<i64>,
}

/// Alerts.
#[derive(Serialize, ToSchema)]
pub(super) struct Alerts {
    /// The newest first.
    alerts: Vec<AlertView>,
}

/// Lists alerts, the newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertsAsked), responses(
    (status = 200, description = "Alerts.", body = Alerts),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<AlertsAsked>) -> JsonResult<Alerts> {
    let asked = asked(query)?;
    let alerts = store::alerts(&api.pool, asked.open.unwrap_or(true), limit(asked.limit)?).await.map_err(failed)?;
    Ok(Json(Alerts { alerts }))
}
