//! Deadlines of open orders: listed, and moved by people.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use events::Timestamp;
use runtime::http::query::{QueryResult, asked, behind, limit, page};
use runtime::http::{Caller, Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed, order_id, two};
use crate::open_orders::{self, Deadline, NotMoved};
use runtime::sql::in_range;

/// Which deadlines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadlinesAsked {
    /// Orders on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// A page of open orders, by when they are looked at next.
#[derive(Serialize, ToSchema)]
pub(super) struct Deadlines {
    /// What is looked at first at the head.
    deadlines: Vec<Deadline>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists what open orders are owed, by when they are looked at next.
#[utoipa::path(get, path = "/deadlines", tag = "deadlines", params(DeadlinesAsked), responses(
    (status = 200, description = "A page of open orders.", body = Deadlines),
    (status = 400, description = "The limit or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<DeadlinesAsked>) -> JsonResult<Deadlines> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let behind = behind(asked.after.as_deref(), two)?.map(|(at, id)| (in_range(Timestamp::from_millis(at)), id));
    let mut db = api.pool.acquire().await?;
    let rows = open_orders::list(&mut db, behind, limit + 1).await.map_err(failed)?;
    let known_by = |last: &Deadline| vec![last.look_at.as_millis().to_string(), last.order_id.to_string()];
    let (deadlines, next) = page(rows, limit, known_by);
    Ok(Json(Deadlines { deadlines, next }))
}

/// Until when, and why. By whom is whose key comes.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"until": "2030-01-01T00:00:00Z", "why": "the warehouse is closed until then"}))]
pub(super) struct MoveDeadline {
    /// Nothing is owed before this moment, RFC 3339.
    #[schema(value_type = String)]
    until: String,
    /// Why.
    why: String,
}

/// A deadline that was moved.
#[derive(Serialize, ToSchema)]
pub(super) struct MovedDeadline {
    /// The order.
    order_id: String,
    /// Nothing is owed before this moment, RFC 3339.
    until: String,
}

/// Moves the deadline of an open order. Who and why are kept; if it is stuck then, that is told again.
#[utoipa::path(post, path = "/orders/{order_id}/deadline", tag = "deadlines", request_body = MoveDeadline, params(
    ("order_id" = uuid::Uuid, Path, description = "The order."),
), responses(
    (status = 200, description = "It is moved.", body = MovedDeadline),
    (status = 404, description = "The path names no order.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The order is not open.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The moment lies behind or can't be read, or who or why is missing.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn shift(
    State(api): State<TrackerApi>,
    caller: Caller,
    Path(id): Path<String>,
    Json(asked): Json<MoveDeadline>,
) -> JsonResult<MovedDeadline> {
    let order_id = order_id(&id)?;
    let invalid = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid deadline").detail(detail);
    let until: Timestamp = asked.until.parse().map_err(|error| invalid(format!("`until`: {error}")))?;
    let until = in_range(until);
    caller.says_why(&asked.why);
    let mut db = api.pool.acquire().await?;
    open_orders::move_deadline(&mut db, order_id, until, (caller.name(), &asked.why), api.clock.now()).await.map_err(
        |error| {
            let text = error.to_string();
            match error {
                NotMoved::Invalid(_) => invalid(text),
                NotMoved::NotOpen(_) => Problem::new(StatusCode::CONFLICT, "Not open").detail(text),
                NotMoved::Failed(failure) => failed(failure),
            }
        },
    )?;
    Ok(Json(MovedDeadline { order_id: order_id.to_string(), until: until.to_string() }))
}
