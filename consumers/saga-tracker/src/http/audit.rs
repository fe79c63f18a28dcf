//! The books: what the audit found.

use axum::extract::State;
use runtime::http::query::{QueryResult, asked, limit};
use runtime::http::{Json, Problem};
use runtime::sql::Timestamptz;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed};
use crate::store::{self, BreachView};

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
    #[schema(value_type = Option<String>)]
    ran_at: Option<Timestamptz>,
    /// Breaches, open ones first, the newest first.
    breaches: Vec<BreachView>,
}

/// Shows which invariants are broken, and when the books were last looked at.
#[utoipa::path(get, path = "/audit", tag = "figures", params(AuditAsked), responses(
    (status = 200, description = "The breaches.", body = Audit),
    (status = 400, description = "A filter can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(api): State<TrackerApi>, query: QueryResult<AuditAsked>) -> JsonResult<Audit> {
    let asked = asked(query)?;
    let (ran_at, breaches) = store::breaches(&api.pool, !asked.healed, limit(asked.limit)?).await.map_err(failed)?;
    Ok(Json(Audit { ran_at, breaches }))
}
