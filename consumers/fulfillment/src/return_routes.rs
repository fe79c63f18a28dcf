//! The routes of returns: announce one, look at them, say that one arrived, or that it is not taken back.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use events::{OrderId, ReturnId, WarehouseId};
use runtime::http::query::{idempotency_key, order_in_path};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes, texts};
use runtime::{Cause, Work};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::http::RouteState;
use crate::input::{Input, Reply};
use crate::returns::{CustomerReturn, ReceivedUnits, ReturnInput, ReturnReply, ReturnState, ReturnUnits};
use crate::row;
use crate::settings::NAME;

const LONGEST_WAREHOUSE: usize = 100;

pub(crate) fn routes() -> Routes<RouteState> {
    let work = &[Role::Warehouse, Role::Operator];
    Routes::new()
        .route(Access::to(&[Role::Operator]), routes!(announce))
        .route(Access::to(&[Role::Viewer, Role::Warehouse]), routes!(list))
        .route(Access::to(work), routes!(received))
        .route(Access::to(&[Role::Operator]), routes!(refused))
}

/// What is to come back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "SKU-0001", "quantity": 1}], "reason": "too small"}))]
struct ReturnBody {
    /// Units that shipped, and are in no other return.
    lines: Vec<ReturnUnitsBody>,
    /// Why; 1 to 500 characters, no personal data. It is told in events.
    reason: String,
    /// Whether what comes back is refunded, when it is received; default: yes.
    #[serde(default = "yes")]
    refund: bool,
}

const fn yes() -> bool {
    true
}

/// Units of a SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReturnUnitsBody {
    /// What.
    sku: String,
    /// How many.
    #[schema(minimum = 1)]
    quantity: i64,
}

/// What came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "SKU-0001", "intact": 1, "damaged": 0}]}))]
struct ReceivedBody {
    /// At most what was announced. What is not named did not come: it is not refunded.
    lines: Vec<ReceivedUnitsBody>,
    /// Where the units are now; default: the warehouse whose key comes, else where each unit shipped from.
    warehouse: Option<String>,
}

/// Units of a SKU that came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceivedUnitsBody {
    /// What.
    sku: String,
    /// How many can be sold again.
    #[serde(default)]
    #[schema(minimum = 0)]
    intact: i64,
    /// How many can't: they are missing until someone counts.
    #[serde(default)]
    #[schema(minimum = 0)]
    damaged: i64,
}

/// Why a return is not taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "worn"}))]
struct RefusedBody {
    /// 1 to 500 characters; the customer is told. No personal data.
    reason: String,
}

/// An order's returns.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnsView {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// The oldest first.
    returns: Vec<ReturnView>,
}

/// A return.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnView {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// The return.
    #[schema(value_type = Uuid)]
    return_id: ReturnId,
    /// Where it stands.
    state: ReturnState,
    /// Its units, by line and the warehouse that shipped them.
    lines: Vec<ReturnLineView>,
    /// Whether what comes back is refunded.
    refund: bool,
    /// Why.
    reason: String,
    /// Whose key announced it.
    requested_by: String,
    /// When, RFC 3339.
    requested_at: String,
    /// Where it was received, if not where it shipped from.
    #[serde(skip_serializing_if = "Option::is_none")]
    warehouse: Option<WarehouseId>,
    /// Why it is not taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Whose key received or refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<String>,
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

/// Units of a return.
#[derive(Debug, Serialize, ToSchema)]
struct ReturnLineView {
    /// The order line.
    line_id: String,
    /// What.
    sku: String,
    /// The warehouse that shipped them.
    shipped_from: WarehouseId,
    /// How many were announced.
    quantity: i64,
    /// How many came and can be sold again.
    intact: i64,
    /// How many came and can't.
    damaged: i64,
}

impl ReturnView {
    fn new(return_id: ReturnId, returned: CustomerReturn) -> Self {
        let state = returned.state();
        let CustomerReturn { order_id, units, refund, reason, requested_by, requested_at, end } = returned;
        let line = |ReturnUnits { line, intact, damaged }: ReturnUnits| ReturnLineView {
            line_id: line.line_id.to_string(),
            sku: line.sku.to_string(),
            shipped_from: line.warehouse,
            quantity: line.quantity,
            intact,
            damaged,
        };
        Self {
            order_id,
            return_id,
            state,
            lines: units.into_iter().map(line).collect(),
            refund,
            reason,
            requested_by,
            requested_at: requested_at.to_string(),
            warehouse: end.as_ref().and_then(|end| end.warehouse.clone()),
            refused: end.as_ref().and_then(|end| end.refused.clone()),
            ended_by: end.as_ref().map(|end| end.by.clone()),
            ended_at: end.map(|end| end.at.to_string()),
        }
    }
}

/// Announce that units of an order come back.
///
/// Only what shipped and is in no other return. An order may have several returns, also long after its end (`fulfillment.returnable_for`). Nothing moves
/// before it is received.
#[utoipa::path(post, path = "/orders/{order_id}/returns", tag = "returns", request_body = ReturnBody,
    params(("order_id" = Uuid, Path, description = "The order"),
        ("Idempotency-Key" = String, Header, description = "What the return is known by: the same key of the order is the same return. 1 to 255 visible ASCII characters.")),
    responses(
    (status = 202, description = "It is announced. With `Idempotency-Replayed: true` it was before.", body = ReturnView),
    (status = 400, description = "The key is missing or unreadable, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Fulfillment does not know this order, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "More than shipped and is in no other return, or another return was announced under this key", body = Problem, content_type = "application/problem+json"),
    (status = 410, description = "The order is too old to be returned", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit, or not the order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: ask again under the same key", body = Problem, content_type = "application/problem+json"),
))]
async fn announce(
    Shared(routes): Shared<RouteState>,
    caller: Caller,
    Path(order_id): Path<String>,
    headers: HeaderMap,
    Json(ReturnBody { lines, reason, refund }): Json<ReturnBody>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let key = idempotency_key(&headers, "a second return")?;
    let reason = reason_of(&caller, reason)?;
    let mut units: BTreeMap<String, i64> = BTreeMap::new();
    for ReturnUnitsBody { sku, quantity } in lines {
        if quantity <= 0 {
            return Err(invalid(format!("`lines`: expected 1 or more units of {sku:?}, got {quantity}")));
        }
        let sum = units.entry(sku).or_default();
        *sum = sum.saturating_add(quantity);
    }
    let return_id = ReturnId(events::derive_id(order_id, NAME, "return", key));
    let (units, requested_by) = (units.into_iter().collect(), caller.name().to_owned());
    let input = ReturnInput::Announce { order_id, return_id, units, refund, reason, requested_by };
    submit(&routes, "announced", StatusCode::ACCEPTED, input).await
}

/// An order's returns. Every warehouse sees them: a return may come to any.
#[utoipa::path(get, path = "/orders/{order_id}/returns", tag = "returns", params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "Each with where it stands", body = ReturnsView),
    (status = 404, description = "Fulfillment does not know this order, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn list(Shared(routes): Shared<RouteState>, Path(order_id): Path<String>) -> JsonResult<ReturnsView> {
    let order_id = order_in_path(&order_id)?;
    let returns = row::returns(&routes.pool, order_id).await?.ok_or_else(|| unknown(order_id))?;
    let returns = returns.into_iter().map(|(return_id, returned)| ReturnView::new(return_id, returned)).collect();
    Ok(Json(ReturnsView { order_id, returns }))
}

/// A return arrived, in full or in part: intact units go on sale again, damaged ones are missing until counted, and what came is refunded if it was
/// announced so. A return arrives once: what comes later is another return.
#[utoipa::path(post, path = "/orders/{order_id}/returns/{return_id}/received", tag = "returns", request_body = ReceivedBody,
    params(("order_id" = Uuid, Path, description = "The order"), ("return_id" = Uuid, Path, description = "The return")), responses(
    (status = 200, description = "It is received. With `Idempotency-Replayed: true` it was before, with the same units.", body = ReturnView),
    (status = 403, description = "The warehouse is not the one whose key came", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such return", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "More than was announced, or it was refused, or received with other units (`state`)", body = Problem, content_type = "application/problem+json"),
    (status = 410, description = "The order is too old", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn received(
    Shared(routes): Shared<RouteState>,
    caller: Caller,
    Path(ids): Path<(String, String)>,
    Json(ReceivedBody { lines, warehouse }): Json<ReceivedBody>,
) -> Result<Response, Problem> {
    let (order_id, return_id) = in_path(&ids)?;
    let warehouse = warehouse.or_else(|| caller.warehouse().map(ToOwned::to_owned));
    if let Some(warehouse) = &warehouse {
        caller.may_act_for(warehouse)?;
        let length = warehouse.chars().count();
        let is_name = length > 0 && length <= LONGEST_WAREHOUSE && !warehouse.contains(['/', '\0']);
        if !is_name || warehouse.trim() != warehouse || warehouse.contains(char::is_control) {
            return Err(invalid(format!("`warehouse`: expected a warehouse of inventory, got {warehouse:?}")));
        }
    }
    let mut came: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for ReceivedUnitsBody { sku, intact, damaged } in lines {
        if intact < 0 || damaged < 0 {
            return Err(invalid(format!("`lines`: expected 0 or more units of {sku:?}, got {intact} and {damaged}")));
        }
        let sum = came.entry(sku).or_default();
        *sum = (sum.0.saturating_add(intact), sum.1.saturating_add(damaged));
    }
    let units = came.into_iter().map(|(sku, (intact, damaged))| ReceivedUnits { sku, intact, damaged }).collect();
    let (warehouse, received_by) = (warehouse.map(WarehouseId), caller.name().to_owned());
    let input = ReturnInput::Receive { order_id, return_id, units, warehouse, received_by };
    submit(&routes, "received", StatusCode::OK, input).await
}

/// A return is not taken back. Its units may be announced again.
#[utoipa::path(post, path = "/orders/{order_id}/returns/{return_id}/refused", tag = "returns", request_body = RefusedBody,
    params(("order_id" = Uuid, Path, description = "The order"), ("return_id" = Uuid, Path, description = "The return")), responses(
    (status = 200, description = "It is refused. With `Idempotency-Replayed: true` it was before.", body = ReturnView),
    (status = 404, description = "There is no such return", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It was received, or refused with another reason (`state`)", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn refused(
    Shared(routes): Shared<RouteState>,
    caller: Caller,
    Path(ids): Path<(String, String)>,
    Json(RefusedBody { reason }): Json<RefusedBody>,
) -> Result<Response, Problem> {
    let (order_id, return_id) = in_path(&ids)?;
    let reason = reason_of(&caller, reason)?;
    let input = ReturnInput::Refuse { order_id, return_id, reason, refused_by: caller.name().to_owned() };
    submit(&routes, "refused", StatusCode::OK, input).await
}

fn in_path((order_id, return_id): &(String, String)) -> Result<(OrderId, ReturnId), Problem> {
    let order_id = order_in_path(order_id)?;
    Ok((order_id, return_id.parse().map_err(|_| unknown(order_id))?))
}

/// Why, for events and for the record of acts.
fn reason_of(caller: &Caller, reason: String) -> Result<String, Problem> {
    texts::reason("reason", &reason)?;
    caller.says_why(&reason);
    Ok(reason)
}

async fn submit(routes: &RouteState, what: &str, status: StatusCode, input: ReturnInput) -> Result<Response, Problem> {
    let (order_id, return_id) = (input.order_id(), input.return_id());
    let cause = Cause::request(NAME, &format!("{order_id}/returns/{return_id}/{what}"));
    let Reply::Return(reply) = routes.door.submit(Work { cause, input: Input::Return(input) }).await?.reply else {
        return Err(unknown(order_id));
    };
    let problem = |status, title: &str, detail: String| Err(Problem::new(status, title).detail(detail));
    match reply {
        ReturnReply::Done { returned, replayed } => {
            let mut response = (status, Json(ReturnView::new(return_id, *returned))).into_response();
            if replayed {
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            }
            Ok(response)
        }
        ReturnReply::Differs(state) => Err(Problem::new(StatusCode::CONFLICT, "Another body")
            .detail(format!("expected the same body as before, got another one: return {return_id} was {what} already"))
            .with("state", state.as_str())
            .with("return_id", return_id.to_string())),
        ReturnReply::Ended(state) => Err(Problem::new(StatusCode::CONFLICT, "The return has ended")
            .detail(format!("expected a return that is announced, got one that is {}", state.as_str()))
            .with("state", state.as_str())),
        ReturnReply::TooMuch(detail) => problem(StatusCode::CONFLICT, "More than can come back", detail),
        ReturnReply::Invalid(detail) => Err(invalid(detail)),
        ReturnReply::TooOld(detail) => problem(StatusCode::GONE, "Too old", detail),
        ReturnReply::Unknown => Err(unknown(order_id)),
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid return").detail(detail)
}

fn unknown(order_id: OrderId) -> Problem {
    let detail = format!(
        "expected an order that fulfillment knows, and one of its returns, got {order_id}: it has not come here yet, there is no such order \
         or return, or it is so old that fulfillment has forgotten it"
    );
    Problem::new(StatusCode::NOT_FOUND, "Unknown order or return").detail(detail)
}
