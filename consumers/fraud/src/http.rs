//! The routes for people who review orders: the queue, one order, and their ruling.

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use events::{Currency, CustomerId, Line, OrderId, RuleHit, Timestamp};
use runtime::http::query::{QueryResult, order_in_path};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes};
use runtime::{Cause, Consumer as _, RequestQueue, Work};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;
use uuid::Uuid;

use crate::input::{Input, Reply, Ruling};
use crate::row::{self, Assessment, State};
use crate::settings::Fraud;

const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;
/// Characters at most.
const LONGEST_NOTE: usize = 2_000;

#[derive(Clone)]
pub(crate) struct RouteState {
    pub door: RequestQueue<Fraud>,
    pub pool: PgPool,
}

pub(crate) fn routes() -> Routes<RouteState> {
    Routes::new()
        .route(Access::to(&[Role::Viewer]), routes!(list))
        .route(Access::to(&[Role::Viewer]), routes!(show))
        .route(Access::to(&[Role::Operator]), routes!(rule))
}

/// Which page of the queue.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Reviews on the page, at most 200; 50 unless set.
    limit: Option<u32>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// Open reviews.
#[derive(Debug, Serialize, ToSchema)]
struct Queue {
    /// The oldest deadline first.
    reviews: Vec<Review>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An order that was looked at. Names and addresses are not shown here: the rules say what does not match.
#[derive(Debug, Serialize, ToSchema)]
struct Review {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Where it stands.
    state: State,
    /// The rules' points together.
    score: i64,
    /// The rules that counted.
    rules: Vec<RuleHit>,
    /// What is authorized, in minor units of `currency`.
    amount: i64,
    /// ISO 4217; absent for an order that was over before it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    currency: Option<Currency>,
    /// Since when it is known here, RFC 3339.
    opened_at: String,
    /// Until when it can be decided, RFC 3339; absent if it was not reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// The shop's id of the customer; only while it is reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    /// What was ordered; only while it is reviewed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Line>,
    /// `rules`, `deadline`, or the account of the person who decided; absent while nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    /// When it was decided, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<String>,
    /// What the person said.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What a person decides. Who that is, is whose key comes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"verdict": "clear", "note": "called the customer"}))]
struct ReviewVerdict {
    /// `clear`: the order may go on; `reject`: it ends.
    verdict: Ruling,
    /// Why, at most 2,000 characters; it stays here.
    note: Option<String>,
}

/// The review is decided.
#[derive(Debug, Serialize, ToSchema)]
struct Decided {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Where it stands now.
    state: State,
    /// Position in the outbox: a read model that has seen it has seen the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl Review {
    fn of(order_id: OrderId, row: Assessment) -> Self {
        let (customer_id, lines) = row.carried.map(|carried| (carried.customer_id, carried.lines)).unzip();
        Self {
            order_id,
            state: row.state,
            score: row.score,
            rules: row.rules,
            amount: row.amount,
            currency: row.currency,
            opened_at: row.opened_at.to_string(),
            deadline: row.deadline.map(|at| at.to_string()),
            customer_id,
            lines: lines.unwrap_or_default(),
            decided_by: row.decided_by,
            decided_at: row.decided_at.map(|at| at.to_string()),
            note: row.note,
        }
    }
}

/// The open reviews, the oldest deadline first.
#[utoipa::path(get, path = "/reviews", tag = "reviews", params(Page), responses(
    (status = 200, description = "One page of the queue", body = Queue),
    (status = 400, description = "`limit` or `after` can't be read", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn list(Shared(doors): Shared<RouteState>, page: QueryResult<Page>) -> JsonResult<Queue> {
    let Query(page) = page.map_err(|rejection| unreadable("Unreadable query").detail(rejection.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let after = page.after.as_deref().map_or(Ok((Timestamp::from_millis(0), OrderId(Uuid::nil()))), cursor)?;
    let mut rows = row::open_reviews(&doors.pool, after, i64::from(limit) + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    let next =
        last.and_then(|(order_id, row)| row.deadline.map(|deadline| format!("{}_{order_id}", deadline.as_millis())));
    let reviews = rows.into_iter().map(|(order_id, row)| Review::of(order_id, row)).collect();
    Ok(Json(Queue { reviews, next }))
}

/// One order that was looked at: its score, the rules that counted, and how it was decided.
#[utoipa::path(get, path = "/reviews/{order_id}", tag = "reviews", params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "What is known of it", body = Review),
    (status = 404, description = "It was not looked at, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn show(Shared(doors): Shared<RouteState>, Path(order_id): Path<String>) -> JsonResult<Review> {
    let order_id = order_in_path(&order_id)?;
    let row = row::assessment(&doors.pool, order_id).await?;
    row.map(|row| Json(Review::of(order_id, row))).ok_or_else(|| unknown(order_id))
}

/// Decides an open review.
#[utoipa::path(post, path = "/reviews/{order_id}/verdict", tag = "reviews", request_body = ReviewVerdict,
    params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "Decided", body = Decided),
    (status = 404, description = "It was not looked at, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is not open any more; `state` and `decided_by` say how it ended", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was decided, or the answer was lost: ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn rule(
    Shared(doors): Shared<RouteState>,
    caller: Caller,
    Path(order_id): Path<String>,
    Json(verdict): Json<ReviewVerdict>,
) -> JsonResult<Decided> {
    let order_id = order_in_path(&order_id)?;
    let ReviewVerdict { verdict: ruling, note } = checked(verdict)?;
    caller.says_why(note.as_deref().unwrap_or_default());
    let by = caller.name().to_owned();
    let cause = Cause::request(Fraud::NAME, &format!("{order_id}/verdict"));
    let done = doors.door.submit(Work { cause, input: Input::Ruled { order_id, ruling, by, note } }).await?;
    match done.reply {
        Reply::Done(state) => {
            let position = done.position.map(|position| format!("{position:020}"));
            Ok(Json(Decided { order_id, state, position }))
        }
        Reply::Already(state, decided_by) => Err(over(state, decided_by)),
        Reply::Unknown | Reply::Nobody => Err(unknown(order_id)),
    }
}

fn checked(verdict: ReviewVerdict) -> Result<ReviewVerdict, Problem> {
    let note = verdict.note.as_deref().unwrap_or_default();
    let length = note.chars().count();
    if length > LONGEST_NOTE || note.contains('\0') {
        let detail = format!("`note`: expected at most {LONGEST_NOTE} characters of text, got {length}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid verdict").detail(detail));
    }
    Ok(verdict)
}

fn cursor(after: &str) -> Result<(Timestamp, OrderId), Problem> {
    let parts =
        after.split_once('_').and_then(|(millis, id)| Some((in_range(millis.parse().ok()?)?, id.parse().ok()?)));
    let wrong =
        || unreadable("Unreadable cursor").detail(format!("`after`: expected `next` of another page, got {after:?}"));
    parts.map(|(millis, order_id)| (Timestamp::from_millis(millis), order_id)).ok_or_else(wrong)
}

/// A moment that PostgreSQL can hold too: what is typed into a cursor must not overflow.
fn in_range(millis: i64) -> Option<i64> {
    (0..=253_402_300_799_999).contains(&millis).then_some(millis)
}

fn unknown(order_id: OrderId) -> Problem {
    let detail =
        format!("order {order_id} has not been looked at: it is not authorized yet, or there is no such order");
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}

fn over(state: State, decided_by: Option<String>) -> Problem {
    let by = decided_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    Problem::new(StatusCode::CONFLICT, "Review is over")
        .detail(format!("expected an open review; the order is {}{by}", state.as_str()))
        .with("state", state.as_str())
        .with("decided_by", decided_by)
}

fn unreadable(title: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, title)
}
