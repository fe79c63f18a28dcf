//! Figures: how many orders stand where and why, how long their steps took, and how far the tracker is.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use runtime::http::query::{QueryResult, asked, time};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{TrackerApi, failed};
use crate::store;

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

/// Orders of one status and reason.
#[derive(Serialize, ToSchema)]
struct CountView {
    /// Where they stand.
    status: String,
    /// The code of why; absent if nothing was given up.
    reason: Option<String>,
    /// How many.
    orders: i64,
}

/// How long a step took, in milliseconds.
#[derive(Serialize, ToSchema)]
struct StepTimesView {
    /// Its name; `complete` is from placed to completed, `whole` from placed to any end.
    step: String,
    /// Of how many orders.
    orders: i64,
    /// Half of them took no longer.
    p50_ms: i64,
    /// 95 of 100 took no longer.
    p95_ms: i64,
    /// 99 of 100 took no longer.
    p99_ms: i64,
    /// The longest.
    max_ms: i64,
}

/// How far a partition was read.
#[derive(Serialize, ToSchema)]
struct PositionView {
    /// The topic.
    topic: String,
    /// The partition.
    partition: i32,
    /// The last record's offset.
    offset: i64,
    /// The highest position of the outbox among them.
    position: String,
    /// When the latest of them happened, RFC 3339.
    at: String,
}

/// How far the outbox of a database is published.
#[derive(Serialize, ToSchema)]
struct PublishedView {
    /// The database.
    database: String,
    /// Everything committed before is in Kafka, RFC 3339.
    until: String,
    /// Rows that waited when this was said.
    backlog: i64,
}

/// Shows figures of the orders of a span of time.
#[utoipa::path(get, path = "/stats", tag = "figures", params(StatsAsked), responses(
    (status = 200, description = "The figures.", body = Stats),
    (status = 400, description = "A time can't be read, or the span is empty.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(api): State<TrackerApi>,
    query: QueryResult<StatsAsked>,
) -> Result<Json<Stats>, Problem> {
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
    let counts = store::counts(&api.pool, counted).await.map_err(failed)?;
    let mut steps = store::step_times(&api.pool, counted).await.map_err(failed)?;
    steps.sort_by_key(|row| crate::steps::place_of(&row.step));
    let positions = store::positions(&api.pool).await.map_err(failed)?;
    let published = store::watermarks(&api.pool).await.map_err(failed)?;
    Ok(Json(Stats {
        placed_after: counted.cut_at.unwrap_or(from).to_string(),
        placed_before: until.to_string(),
        complete: counted.cut_at.is_none(),
        orders: counts
            .into_iter()
            .map(|row| CountView { status: row.status, reason: row.reason, orders: row.orders })
            .collect(),
        steps: steps.into_iter().map(StepTimesView::from).collect(),
        positions: positions.into_iter().map(PositionView::from).collect(),
        published: published
            .into_iter()
            .map(|row| PublishedView {
                database: row.database,
                until: row.published_until.0.to_string(),
                backlog: row.backlog,
            })
            .collect(),
    }))
}

impl From<store::StepRow> for StepTimesView {
    fn from(row: store::StepRow) -> Self {
        let quantile = |at: usize| row.quantiles.get(at).copied().unwrap_or(row.longest);
        let (p50_ms, p95_ms, p99_ms) = (quantile(0), quantile(1), quantile(2));
        Self { step: row.step, orders: row.orders, p50_ms, p95_ms, p99_ms, max_ms: row.longest }
    }
}

impl From<store::PositionRow> for PositionView {
    fn from(row: store::PositionRow) -> Self {
        let store::PositionRow { topic, partition, offset, seq, at } = row;
        Self { topic, partition, offset, position: format!("{seq:020}"), at: at.0.to_string() }
    }
}
