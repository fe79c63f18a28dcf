//! The books: what the audit found.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, limit};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{TrackerApi, failed};
use crate::store::{self, BreachRow};

/// Which breaches.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditAsked {
    /// Also those that are healed.
    #[serde(default)]
    healed: bool,
    /// Breaches that are shown, at most 500; 50 unless set.
    limit: Option<i64>,
}

/// What the audit found.
#[derive(Serialize, ToSchema)]
pub(super) struct Audit {
    /// When the books were last looked at, RFC 3339; absent: not yet.
    ran_at: Option<String>,
    /// Breaches, open ones first, the newest first.
    breaches: Vec<BreachView>,
}

/// A breach of an invariant.
#[derive(Serialize, ToSchema)]
pub(super) struct BreachView {
    /// Which invariant.
    check: String,
    /// What is wrong: an order's id, `SKU/warehouse`, an event's id.
    subject: String,
    /// What was expected, and what was there when it was last seen.
    detail: String,
    /// When it was first seen, RFC 3339.
    first_seen: String,
    /// When it was last seen.
    last_seen: String,
    /// When it was looked for and not found any more; absent: it is open.
    healed_at: Option<String>,
}

impl From<BreachRow> for BreachView {
    fn from(row: BreachRow) -> Self {
        let BreachRow { check, subject, detail, first_seen, last_seen, healed_at } = row;
        let (first_seen, last_seen) = (first_seen.0.to_string(), last_seen.0.to_string());
        Self { check, subject, detail, first_seen, last_seen, healed_at: healed_at.map(|at| at.0.to_string()) }
    }
}

/// Shows which invariants are broken, and when the books were last looked at.
#[utoipa::path(get, path = "/audit", tag = "figures", params(AuditAsked), responses(
    (status = 200, description = "The breaches.", body = Audit),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(api): State<TrackerApi>,
    query: QueryResult<AuditAsked>,
) -> Result<Json<Audit>, Problem> {
    let asked = asked(query)?;
    let (ran_at, rows) = store::breaches(&api.pool, !asked.healed, limit(asked.limit)?).await.map_err(failed)?;
    let ran_at = ran_at.map(|at| at.0.to_string());
    Ok(Json(Audit { ran_at, breaches: rows.into_iter().map(BreachView::from).collect() }))
}
