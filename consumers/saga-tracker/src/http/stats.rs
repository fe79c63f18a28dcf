//! Figures: how many orders stand where and why, how long their steps took, and how far the tracker is.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use runtime::http::query::{QueryResult, asked, time};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed};
use crate::store::{self, CountView, PositionView, PublishedView, StepTimesView};

/// Orders of this span are counted unless the caller says of which.
const SPAN: Duration = Duration::from_secs(24 * 3_600);

/// Orders that are counted at most: about a tenth of a second's reading.
const MOST: i64 = 5_000;

/// Of which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsAsked {
    /// Placed at this time or later, RFC 3339; a day before `placed_before` unless set.
    placed_after: Option<String>,
    /// Placed before this time, RFC 3339; now unless set.
    placed_before: Option<String>,
}

/// The figures, exact for the orders that are counted: all of the span, or its newest 5,000.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// Orders placed at this time or later are counted, RFC 3339; later than was asked for where `complete` is false.
    placed_after: String,
    /// Orders placed before this time are counted.
    placed_before: String,
    /// Whether all orders of the span are counted. If not, ask for those before `placed_after` too.
    complete: bool,
    /// How many orders stand where, and why.
    orders: Vec<CountView>,
    /// How long each step took.
    steps: Vec<StepTimesView>,
    /// How far the tracker has read.
    positions: Vec<PositionView>,
    /// How far relays have published.
    published: Vec<PublishedView>,
}

/// Shows figures of the orders of a span of time.
#[utoipa::path(get, path = "/stats", tag = "figures", params(StatsAsked), responses(
    (status = 200, description = "The figures.", body = Stats),
    (status = 400, description = "A time can't be read, or the span is empty.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(api): State<TrackerApi>, query: QueryResult<StatsAsked>) -> JsonResult<Stats> {
    let asked = asked(query)?;
    let until = time("placed_before", asked.placed_before.as_deref())?;
    // A millisecond on, so that an order that was placed just now counts.
    let until = until.unwrap_or_else(|| api.clock.now().plus(Duration::from_millis(1)));
    let from = time("placed_after", asked.placed_after.as_deref())?.unwrap_or_else(|| until.minus(SPAN));
    if from >= until {
        let detail = format!("expected `placed_after` before `placed_before`, got {from} and {until}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Unreadable filter").detail(detail));
    }
    let counted = store::newest(&api.pool, from, until, MOST).await.map_err(failed)?;
    let mut steps = store::step_times(&api.pool, counted).await.map_err(failed)?;
    steps.sort_by_key(|of| crate::steps::place_of(&of.step));
    Ok(Json(Stats {
        placed_after: counted.cut_at.unwrap_or(from).to_string(),
        placed_before: until.to_string(),
        complete: counted.cut_at.is_none(),
        orders: store::counts(&api.pool, counted).await.map_err(failed)?,
        steps,
        positions: store::positions(&api.pool).await.map_err(failed)?,
        published: store::watermarks(&api.pool).await.map_err(failed)?,
    }))
}
