//! What the routes share: their state, and how what failed is answered.

use std::sync::Arc;

use axum::http::StatusCode;
use events::OrderId;
use operator::{EditError, Operator, OperatorError};
use runtime::http::Problem;
use runtime::{Clock, Failure, Span, Verdict};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::name::NAME;

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

/// What the routes read, and the operator by which they do anything.
#[derive(Clone)]
pub(crate) struct TrackerApi {
    pub pool: PgPool,
    pub clock: Clock,
    pub reads: ReadSettings,
    pub operator: Operator,
    /// Wakes who works on jobs.
    pub wake: Arc<Notify>,
}

/// A read that failed: the database is away, or what it holds is not ours.
pub(super) fn failed(failure: Failure) -> Problem {
    tracing::warn!(consumer = NAME, %failure, "a read failed");
    let stored = matches!(failure, Failure::Stored { .. });
    match failure.verdict() {
        Verdict::Again | Verdict::Retry | Verdict::Park if !stored => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
                .detail("the database does not answer, or not in time: ask again, for less")
                .retry_after(1)
        }
        Verdict::Again | Verdict::Retry | Verdict::Park | Verdict::DeadLetter | Verdict::Stop => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Unreadable data")
                .detail("the read model can't be read by this version: the log says why")
        }
    }
}

/// Something that was not done.
pub(super) fn refused(error: OperatorError) -> Problem {
    match error {
        OperatorError::Refused(why) => Problem::new(StatusCode::CONFLICT, "Refused").detail(why),
        OperatorError::Lost => Problem::new(StatusCode::CONFLICT, "Refused").detail(OperatorError::Lost.to_string()),
        OperatorError::Unavailable(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(why),
        OperatorError::Failed(failure) => failed(failure),
        OperatorError::Edit(EditError::Codec(error)) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Not applied").detail(error.to_string())
        }
        OperatorError::Edit(error) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Data does not fit").detail(error.to_string());
            match error {
                EditError::Misfits { misfits, .. } => {
                    problem.with("misfits", serde_json::to_value(misfits).unwrap_or_default())
                }
                EditError::UnknownType(_)
                | EditError::Unfit { .. }
                | EditError::OtherKey { .. }
                | EditError::Codec(_) => problem,
            }
        }
    }
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("expected an order's id, a UUID, in the path, got {text:?}");
        Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
    })
}

pub(super) fn unknown_order(order_id: OrderId) -> Problem {
    let detail = format!("nothing was heard of order {order_id} yet; GET /stats says how far this read model is");
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}
