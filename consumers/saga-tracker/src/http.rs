//! The doors of the tracker: orders and their history, stock levels, shipments, dead letters, figures, deadlines, alerts. All but one only read.

mod alerts;
mod audit;
mod deadlines;
mod fulfillment;
mod inventory;
mod letters;
mod orders;
mod page;
mod stats;
mod written;

use axum::http::StatusCode;
use events::OrderId;
use runtime::http::{OpenApiRouter, Problem};
use runtime::{Clock, Consumer as _, Failure, Verdict};
use sqlx::PgPool;
use utoipa_axum::routes;

use crate::SagaTracker;

pub(crate) use orders::{EventView, OrderDetail};
pub(crate) use written::ReadSettings;

/// What the doors read.
#[derive(Clone)]
pub(crate) struct Doors {
    pub pool: PgPool,
    pub clock: Clock,
    pub reads: ReadSettings,
}

/// The routes, with their documents.
pub(crate) fn doors(doors: Doors) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(orders::history))
        .routes(routes!(inventory::list))
        .routes(routes!(fulfillment::list))
        .routes(routes!(letters::list))
        .routes(routes!(letters::show))
        .routes(routes!(stats::show))
        .routes(routes!(deadlines::list))
        .routes(routes!(deadlines::shift))
        .routes(routes!(alerts::list))
        .routes(routes!(audit::show))
        .with_state(doors)
}

/// A read that failed: the database is away, or what it holds is not ours.
fn failed(failure: Failure) -> Problem {
    tracing::warn!(consumer = SagaTracker::NAME, %failure, "a read failed");
    match failure.verdict() {
        Verdict::Park if failure.is_wait() => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
            .detail("the database does not answer in time: ask again, for less"),
        Verdict::Again | Verdict::Retry => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
            .detail("the database does not answer, or not in time: ask again, for less"),
        Verdict::Park | Verdict::DeadLetter | Verdict::Stop => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Unreadable data")
                .detail("the read model can't be read by this version: the log says why")
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
