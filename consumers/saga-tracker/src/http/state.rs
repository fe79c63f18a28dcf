//! What the routes share: their state, and how what failed is answered.

use std::str::FromStr;
use std::sync::Arc;

use axum::http::StatusCode;
use events::OrderId;
use operator::{EditError, Operator, OperatorError};
pub(super) use runtime::http::JsonResult;
use runtime::http::Problem;
use runtime::{Clock, Failure, Span, Verdict};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::tracker::NAME;

/// What can be set of reads.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct ReadSettings {
    /// How long a read waits at most for the write whose position it names.
    pub position_timeout: Span,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self { position_timeout: Span::secs(5) }
    }
}

#[derive(Clone)]
pub(crate) struct TrackerApi {
    pub pool: PgPool,
    pub clock: Clock,
    pub reads: ReadSettings,
    pub operator: Operator,
    pub wake: Arc<Notify>,
}

/// A read that failed: the database is away, or what it holds is not ours.
pub(super) fn failed(failure: Failure) -> Problem {
    tracing::warn!(consumer = NAME, %failure, "a read failed");
    let passes = matches!(failure.verdict(), Verdict::Again | Verdict::Retry | Verdict::Park);
    if passes && !matches!(failure, Failure::Stored { .. }) {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
            .detail("the database does not answer, or not in time: ask again, for less")
            .retry_after(1);
    }
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Unreadable data")
        .detail("the read model can't be read by this version: the log says why")
}

pub(super) fn refused(error: OperatorError) -> Problem {
    let (status, title) = match error {
        OperatorError::Failed(failure) => return failed(failure),
        OperatorError::Refused(_) | OperatorError::Lost => (StatusCode::CONFLICT, "Refused"),
        OperatorError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
        OperatorError::Edit(EditError::Codec(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "Not applied"),
        OperatorError::Edit(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Data does not fit"),
    };
    let problem = Problem::new(status, title).detail(error.to_string());
    let OperatorError::Edit(EditError::Misfits { misfits, .. }) = error else { return problem };
    problem.with("misfits", serde_json::to_value(misfits).unwrap_or_default())
}

/// The two parts of a cursor; each reads as what its place asks for.
pub(super) fn two<A: FromStr, B: FromStr>(parts: &[&str]) -> Option<(A, B)> {
    let [first, second] = parts else { return None };
    first.parse().ok().zip(second.parse().ok())
}

pub(super) fn one<T: FromStr>(parts: &[&str]) -> Option<T> {
    let [part] = parts else { return None };
    part.parse().ok()
}

/// What a path names, if that is an id at all.
pub(super) fn known<T: FromStr>(id: &str, unknown: fn(&str) -> Problem) -> Result<T, Problem> {
    id.parse().map_err(|_| unknown(id))
}

pub(super) fn order_id(id: &str) -> Result<OrderId, Problem> {
    known(id, |id| {
        let detail = format!("expected an order's id, a UUID, in the path, got {id:?}");
        Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
    })
}

pub(super) fn unknown_order(order_id: OrderId) -> Problem {
    let detail = format!("nothing was heard of order {order_id} yet; GET /stats says how far this read model is");
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}
