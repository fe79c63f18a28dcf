//! Alerts: what people were told of, and whether it is still so.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, limit};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{TrackerApi, failed};
use crate::store::alerts as store;

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

/// An alert.
#[derive(Serialize, ToSchema)]
struct AlertView {
    /// Its id, as the webhook has it.
    id: String,
    /// What is wrong: `order_stuck`, `money_at_risk`, `dead_letter_rate`, `relay_lag`, `parked_age`, `invariant_breach`, `review_expiring`,
    /// `refund_failed`, `capture_failed`, `hold_expiring`, `hand_over_overdue`, `set_aside`, `circuit_open`, `dead_letter`.
    kind: String,
    /// Which of its kind: an order, a currency, a database, a consumer, an invariant, a cause of dead letters (`fingerprint`).
    key: String,
    /// What was expected, what came, what to do.
    text: String,
    /// The order, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    /// When it was raised, RFC 3339.
    raised_at: String,
    /// When it was no longer so; absent while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    /// When the webhook took it; absent if it has not, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<String>,
    /// How often it was posted.
    attempts: i32,
    /// Why it was not taken the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// Lists alerts, the newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertsAsked), responses(
    (status = 200, description = "Alerts.", body = Alerts),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<TrackerApi>,
    query: QueryResult<AlertsAsked>,
) -> Result<Json<Alerts>, Problem> {
    let asked = asked(query)?;
    let rows = store::alerts(&api.pool, asked.open.unwrap_or(true), limit(asked.limit)?).await.map_err(failed)?;
    let view = |row: store::AlertRow| AlertView {
        id: row.alert_id.to_string(),
        kind: row.kind,
        key: row.key,
        text: row.text,
        order_id: row.order_id.map(|id| id.to_string()),
        raised_at: row.raised_at.0.to_string(),
        resolved_at: row.resolved_at.map(|at| at.0.to_string()),
        delivered_at: row.delivered_at.map(|at| at.0.to_string()),
        attempts: row.attempts,
        last_error: row.last_error,
    };
    Ok(Json(Alerts { alerts: rows.into_iter().map(view).collect() }))
}
