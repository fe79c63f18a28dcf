//! Orders: the list, one of them, and its history.

use axum::extract::{Path, State};
use runtime::http::query::{QueryResult, asked, behind, limit, one_of, page, text, time};
use runtime::http::{Json, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::state::{JsonResult, TrackerApi, failed, one, order_id, unknown_order};
use super::views::{BesideSaga, EventView, OrderDetail, OrderView};
use super::written;
use crate::case::Case;
use crate::status::Status;
use crate::store::{self, OrderFilter};

const LONGEST_HISTORY: i64 = 10_000;

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersAsked {
    /// Where they stand, such as `COMPLETED`, `FAILED` or `IN_REVIEW`.
    #[param(inline, value_type = Option<Status>)]
    status: Option<String>,
    /// The shop's id of their customer.
    customer_id: Option<String>,
    /// The reference that whoever placed them gave, whole.
    reference: Option<String>,
    /// Placed at this time or later, RFC 3339.
    placed_after: Option<String>,
    /// Placed before this time, RFC 3339.
    placed_before: Option<String>,
    /// Orders on the page, at most 500; 50 unless set.
    limit: Option<i64>,
    /// `next` of the page before; absent for the first.
    after: Option<String>,
}

/// A page of orders.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderPage {
    /// The newest first.
    orders: Vec<OrderView>,
    /// What `after` must be for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists orders, the newest first.
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrdersAsked), responses(
    (status = 200, description = "A page of orders.", body = OrderPage),
    (status = 400, description = "A filter or the cursor can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(State(api): State<TrackerApi>, query: QueryResult<OrdersAsked>) -> JsonResult<OrderPage> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let filter = OrderFilter {
        status: one_of(
            "status",
            asked.status.as_deref(),
            Status::ALL.into_iter().map(|(status, name)| (name, status)),
        )?,
        customer_id: text("customer_id", asked.customer_id)?,
        reference: text("reference", asked.reference)?,
        placed_after: time("placed_after", asked.placed_after.as_deref())?,
        placed_before: time("placed_before", asked.placed_before.as_deref())?,
        behind: behind(asked.after.as_deref(), one)?,
        limit: limit + 1,
    };
    let rows = store::orders(&api.pool, &filter).await.map_err(failed)?;
    let (rows, next) = page(rows, limit, |last| vec![last.order_id.to_string()]);
    Ok(Json(OrderPage { orders: rows.iter().map(OrderView::of).collect(), next }))
}

/// Which order, when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderAsked {
    /// As it was at this moment, RFC 3339, folded from its stored events; as it is now unless set.
    at: Option<String>,
    /// The `position` that a write of this order answered with: the read waits until that write is seen here.
    position: Option<String>,
}

/// Shows one order, as far as its events were heard.
#[utoipa::path(get, path = "/orders/{order_id}", tag = "orders", params(
    ("order_id" = uuid::Uuid, Path, description = "The order."), OrderAsked,
), responses(
    (status = 200, description = "The order.", body = OrderDetail),
    (status = 400, description = "The moment or the position can't be read.", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Nothing was heard of it (by that moment), or the path names no order.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer, or the position is not reached yet: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(api): State<TrackerApi>,
    Path(id): Path<String>,
    query: QueryResult<OrderAsked>,
) -> JsonResult<OrderDetail> {
    let (order_id, asked) = (order_id(&id)?, asked(query)?);
    let at = time("at", asked.at.as_deref())?;
    written::of_order(&api, order_id, asked.position.as_deref()).await?;
    if at.is_some() {
        let case = Case::read(&api.pool, order_id, at).await.map_err(failed)?;
        return case.ok_or_else(|| unknown_order(order_id))?.detail().map(Json).map_err(failed);
    }
    let row = store::order(&api.pool, order_id).await.map_err(failed)?.ok_or_else(|| unknown_order(order_id))?;
    let shipments = store::shipments_of(&api.pool, order_id).await.map_err(failed)?;
    let refunds = store::refunds_of(&api.pool, order_id).await.map_err(failed)?;
    let returns = store::returns_of(&api.pool, order_id).await.map_err(failed)?;
    let disputes = store::disputes_of(&api.pool, order_id).await.map_err(failed)?;
    let exchanges = store::exchanges_for(&api.pool, order_id).await.map_err(failed)?;
    let beside = BesideSaga { refunds: &refunds, returns: &returns, disputes: &disputes, exchanges: &exchanges };
    OrderDetail::of(&row, shipments, beside).map(Json).map_err(failed)
}

/// Which history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryAsked {
    /// The `position` that a write of this order answered with: the read waits until that write is seen here.
    position: Option<String>,
}

/// What happened to an order.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    /// The order.
    order_id: String,
    /// Its events, in the order in which they happened.
    events: Vec<EventView>,
}

/// Shows every event of an order, with how long after the one before it happened.
#[utoipa::path(get, path = "/orders/{order_id}/events", tag = "orders", params(
    ("order_id" = uuid::Uuid, Path, description = "The order."), HistoryAsked,
), responses(
    (status = 200, description = "Its history. Personal data is not shown.", body = History),
    (status = 404, description = "Nothing was heard of it yet, or the path names no order.", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer: ask again.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn history(
    State(api): State<TrackerApi>,
    Path(id): Path<String>,
    query: QueryResult<HistoryAsked>,
) -> JsonResult<History> {
    let (order_id, asked) = (order_id(&id)?, asked(query)?);
    written::of_order(&api, order_id, asked.position.as_deref()).await?;
    let kept = store::history(&api.pool, order_id, LONGEST_HISTORY).await.map_err(failed)?;
    if kept.is_empty() {
        return Err(unknown_order(order_id));
    }
    let mut before = None;
    let shown = kept.into_iter().map(|event| {
        let at = event.at.0;
        EventView::of(event, before.replace(at))
    });
    let events = shown.collect::<Result<_, _>>().map_err(failed)?;
    Ok(Json(History { order_id: order_id.to_string(), events }))
}
