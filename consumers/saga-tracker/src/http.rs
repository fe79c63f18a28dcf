//! The doors of the tracker: orders and their history, stock levels, shipments, dead letters, figures, deadlines, alerts. They only read, but for
//! deadlines that people move, and what they have done about dead letters.

mod alerts;
mod audit;
mod deadlines;
mod fulfillment;
mod hand;
mod inventory;
mod jobs;
mod letters;
mod orders;
mod page;
mod stats;
mod written;

use std::sync::Arc;

use axum::http::StatusCode;
use events::OrderId;
use runtime::http::{Access, Problem, Role, Routes};
use runtime::{Clock, Consumer as _, Failure, Verdict};
use sqlx::PgPool;
use tokio::sync::Notify;
use utoipa_axum::routes;

use crate::SagaTracker;
use crate::hand::{EditError, Hand, HandError};

pub(crate) use orders::{EventView, OrderDetail};
pub(crate) use written::ReadSettings;

/// What the doors read, and the hand by which they do anything.
#[derive(Clone)]
pub(crate) struct RouteState {
    pub pool: PgPool,
    pub clock: Clock,
    pub reads: ReadSettings,
    pub hand: Hand,
    /// Wakes who works on jobs.
    pub wake: Arc<Notify>,
}

/// The routes, with their documents.
pub(crate) fn routes() -> Routes<RouteState> {
    let (look, act) = (Access::to(&[Role::Viewer]), Access::to(&[Role::Operator]));
    Routes::new()
        .route(look, routes!(orders::list))
        .route(look, routes!(orders::show))
        .route(look, routes!(orders::history))
        .route(look, routes!(inventory::list))
        .route(look, routes!(fulfillment::list))
        .route(look, routes!(letters::list))
        .route(look, routes!(letters::groups))
        .route(look, routes!(letters::show))
        .route(act, routes!(hand::retry))
        .route(act, routes!(hand::skip))
        .route(act, routes!(hand::edit))
        .route(act, routes!(hand::compensate))
        .route(look, routes!(hand::actions))
        .route(look, routes!(jobs::list))
        .route(act, routes!(jobs::begin))
        .route(look, routes!(jobs::show))
        .route(act, routes!(jobs::stop))
        .route(act, routes!(jobs::resume))
        .route(look, routes!(stats::show))
        .route(look, routes!(deadlines::list))
        .route(act, routes!(deadlines::shift))
        .route(look, routes!(alerts::list))
        .route(look, routes!(audit::show))
}

/// A read that failed: the database is away, or what it holds is not ours.
fn failed(failure: Failure) -> Problem {
    tracing::warn!(consumer = SagaTracker::NAME, %failure, "a read failed");
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
fn refused(error: HandError) -> Problem {
    match error {
        HandError::Refused(why) => Problem::new(StatusCode::CONFLICT, "Refused").detail(why),
        HandError::Lost => Problem::new(StatusCode::CONFLICT, "Refused").detail(HandError::Lost.to_string()),
        HandError::Unavailable(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(why),
        HandError::Failed(failure) => failed(failure),
        HandError::Edit(EditError::Codec(error)) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Not applied").detail(error.to_string())
        }
        HandError::Edit(error) => {
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

fn order_id(text: &str) -> Result<OrderId, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("expected an order's id, a UUID, in the path, got {text:?}");
        Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
    })
}

fn unknown_order(order_id: OrderId) -> Problem {
    let detail = format!("nothing was heard of order {order_id} yet; GET /stats says how far this read model is");
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}
