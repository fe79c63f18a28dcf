//! The routes: what a real warehouse reads and answers, and what anyone may see of an order's shipments. Nothing is written here but
//! through the same load, decide and save as events.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use events::{OrderId, ShipmentId, Timestamp};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes, texts};
use runtime::{Cause, Clock, RequestQueue, Work};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;
use uuid::Uuid;

use crate::bodies::{AnswerTaken, Delivered, HandedOver, Picked, WillNotShip};
use crate::input::{Answer, Answered, Input, Reply};
use crate::row;
use crate::settings::{Fulfillment, NAME};
use crate::views::{OrderShipments, WorkItem, WorkList};
use crate::work::{self, List};

const PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 1_000;
#[derive(Clone)]
pub(crate) struct RouteState {
    pub door: RequestQueue<Fulfillment>,
    pub pool: PgPool,
    pub clock: Clock,
}

pub(crate) fn routes() -> Routes<RouteState> {
    let (look, work) = (&[Role::Viewer, Role::Warehouse], &[Role::Warehouse, Role::Operator]);
    Routes::new()
        .route(Access::to(look), routes!(order_shipments))
        .route(Access::to(look), routes!(picking_lists))
        .route(Access::to(work), routes!(parcels))
        .route(Access::to(work), routes!(picked))
        .route(Access::to(work), routes!(handed_over))
        .route(Access::to(work), routes!(will_not_ship))
        .route(Access::to(work), routes!(delivered))
        .route(Access::to(work), routes!(put_back))
        .route(Access::to(&[Role::Operator]), routes!(release_hold))
}

type WorkResult = JsonResult<WorkList>;
type AnswerResult = JsonResult<AnswerTaken>;
/// The order and the shipment that a path names.
type Ids = Path<(String, String)>;

/// The shipments of an order, with what was picked, what left and what will not. A warehouse sees its own.
#[utoipa::path(get, path = "/orders/{order_id}/shipments", tag = "fulfillment", params(("order_id" = Uuid, Path, description = "The order.")),
    responses((status = 200, body = OrderShipments), (status = 404, body = Problem, description = "The order has not come here (yet).")))]
async fn order_shipments(
    State(doors): State<RouteState>,
    caller: Caller,
    Path(order_id): Path<String>,
) -> JsonResult<OrderShipments> {
    let order_id: OrderId = id("order", &order_id)?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "Not found").detail(unknown_order(order_id));
    let order = row::read(&doors.pool, order_id).await?.ok_or_else(unknown)?;
    let mut shown = OrderShipments::of(order_id, &order);
    if let Some(own) = caller.warehouse() {
        shown.shipments.retain(|shipment| shipment.warehouse.as_str() == own);
        if shown.shipments.is_empty() {
            return Err(unknown());
        }
    }
    Ok(Json(shown))
}

/// Which page of a work list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Where to read on: the `next` of the page before.
    after: Option<String>,
    /// How many entries, 1 to 1000; default 100.
    limit: Option<i64>,
    /// Of parcels: names and addresses in full, for labels. That they were shown is put on record.
    reveal: Option<bool>,
}

/// The picking lists of a real warehouse, what must be picked first first, each in walking order. (The built-in warehouse needs none.)
#[utoipa::path(get, path = "/warehouse/{warehouse}/picking-lists", tag = "fulfillment", params(("warehouse" = String, Path, description = "The shop's own code of the warehouse."), Page),
    responses((status = 200, body = WorkList), (status = 400, body = Problem)))]
async fn picking_lists(
    doors: State<RouteState>,
    caller: Caller,
    warehouse: Path<String>,
    page: Query<Page>,
) -> WorkResult {
    work_list(&doors, &caller, &warehouse, List::Picking, &page).await
}

/// The parcels that a real warehouse should hand over, hold back (recall) or put back. The address for the label is masked, unless `reveal=true`.
#[utoipa::path(get, path = "/warehouse/{warehouse}/parcels", tag = "fulfillment", params(("warehouse" = String, Path, description = "The shop's own code of the warehouse."), Page),
    responses((status = 200, body = WorkList), (status = 400, body = Problem)))]
async fn parcels(doors: State<RouteState>, caller: Caller, warehouse: Path<String>, page: Query<Page>) -> WorkResult {
    work_list(&doors, &caller, &warehouse, List::Parcels, &page).await
}

async fn work_list(doors: &RouteState, caller: &Caller, warehouse: &str, list: List, page: &Page) -> WorkResult {
    caller.may_act_for(warehouse)?;
    let reveal = list == List::Parcels && page.reveal == Some(true);
    if reveal {
        caller.reveals("names and addresses of parcels").await?;
    }
    let after = page.after.as_deref().map_or(Ok((Timestamp::from_millis(0), Uuid::nil())), cursor)?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let tasks = work::tasks(&doors.pool, warehouse, list, after, limit).await?;
    let full = i64::try_from(tasks.len()).is_ok_and(|entries| entries == limit);
    let last = tasks.last().map(|task| format!("{}.{}", task.due_at.as_millis(), task.shipment_id));
    let now = doors.clock.now();
    let shipments = tasks.iter().filter_map(|task| WorkItem::of(task, now, reveal)).collect();
    Ok(Json(WorkList { shipments, next: last.filter(|_| full) }))
}

fn cursor(after: &str) -> Result<(Timestamp, Uuid), Problem> {
    let parts = after.split_once('.');
    let read = parts.and_then(|(due, id)| Some((in_range(due.parse().ok()?)?, id.parse().ok()?)));
    read.ok_or_else(|| {
        let detail =
            format!("expected `after` as the `next` of the page before, got `{after}`: leave it out to begin anew");
        Problem::new(StatusCode::BAD_REQUEST, "Unreadable cursor").detail(detail)
    })
}

/// A moment that PostgreSQL can hold too: what is typed into a cursor must not overflow.
fn in_range(millis: i64) -> Option<Timestamp> {
    (0..=253_402_300_799_999).contains(&millis).then(|| Timestamp::from_millis(millis))
}

/// The warehouse picked and packed a shipment: all, some or none of it. The first answer counts; one that comes too late gets
/// `next: put_back`.
#[utoipa::path(post, path = "/orders/{order_id}/shipments/{shipment_id}/picked", tag = "fulfillment", request_body = Picked,
    params(("order_id" = Uuid, Path, description = "The order."), ("shipment_id" = Uuid, Path, description = "The shipment.")),
    responses((status = 200, body = AnswerTaken), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn picked(doors: State<RouteState>, caller: Caller, ids: Ids, Json(body): Json<Picked>) -> AnswerResult {
    answer(&doors, &caller, &ids, "picked", body.into()).await
}

/// The carrier has a shipment: no way back. Only a released order's shipments may leave.
#[utoipa::path(post, path = "/orders/{order_id}/shipments/{shipment_id}/handed-over", tag = "fulfillment", request_body = HandedOver,
    params(("order_id" = Uuid, Path, description = "The order."), ("shipment_id" = Uuid, Path, description = "The shipment.")),
    responses((status = 200, body = AnswerTaken), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn handed_over(doors: State<RouteState>, caller: Caller, ids: Ids, Json(body): Json<HandedOver>) -> AnswerResult {
    if body.carrier.trim().is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid answer")
            .detail("expected the carrier's name, got none"));
    }
    let at = moment(body.at.as_deref())?;
    let left = Answer::HandedOver { carrier: body.carrier, tracking: body.tracking, at };
    answer(&doors, &caller, &ids, "handed-over", left).await
}

/// A shipment stays: recalled, damaged, lost or refused. While it is being picked, another warehouse is asked; before the release it
/// is kept until then.
#[utoipa::path(post, path = "/orders/{order_id}/shipments/{shipment_id}/will-not-ship", tag = "fulfillment", request_body = WillNotShip,
    params(("order_id" = Uuid, Path, description = "The order."), ("shipment_id" = Uuid, Path, description = "The shipment.")),
    responses((status = 200, body = AnswerTaken), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn will_not_ship(
    doors: State<RouteState>,
    caller: Caller,
    ids: Ids,
    Json(body): Json<WillNotShip>,
) -> AnswerResult {
    answer(&doors, &caller, &ids, "will-not-ship", body.into()).await
}

/// A shipment arrived, after the end of the order.
#[utoipa::path(post, path = "/orders/{order_id}/shipments/{shipment_id}/delivered", tag = "fulfillment", request_body = Delivered,
    params(("order_id" = Uuid, Path, description = "The order."), ("shipment_id" = Uuid, Path, description = "The shipment.")),
    responses((status = 200, body = AnswerTaken), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn delivered(doors: State<RouteState>, caller: Caller, ids: Ids, Json(body): Json<Delivered>) -> AnswerResult {
    let at = moment(body.at.as_deref())?;
    answer(&doors, &caller, &ids, "delivered", Answer::Delivered { at }).await
}

/// The goods of a shipment that was given up are back on their shelves.
#[utoipa::path(post, path = "/orders/{order_id}/shipments/{shipment_id}/put-back",
    params(("order_id" = Uuid, Path, description = "The order."), ("shipment_id" = Uuid, Path, description = "The shipment.")),
    responses((status = 200, body = AnswerTaken), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn put_back(doors: State<RouteState>, caller: Caller, ids: Ids) -> AnswerResult {
    answer(&doors, &caller, &ids, "put-back", Answer::PutBack).await
}

/// Why it ships although its payment is disputed. Who asks is whose key comes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"why": "the customer withdrew the claim"}))]
struct ReleaseHold {
    /// For the record; up to 500 characters.
    #[serde(default)]
    why: String,
}

/// Has what a dispute holds shipped all the same, as if the dispute had been closed.
#[utoipa::path(post, path = "/orders/{order_id}/release-hold", tag = "fulfillment", request_body = ReleaseHold,
    params(("order_id" = Uuid, Path, description = "The order.")),
    responses((status = 200, body = OrderShipments), (status = 404, body = Problem), (status = 409, body = Problem, description = "Nothing is held"), (status = 422, body = Problem)))]
async fn release_hold(
    State(doors): State<RouteState>,
    caller: Caller,
    Path(order_id): Path<String>,
    Json(ReleaseHold { why }): Json<ReleaseHold>,
) -> JsonResult<OrderShipments> {
    let order_id: OrderId = id("order", &order_id)?;
    texts::remark("why", &why)?;
    caller.says_why(&why);
    let order = async || {
        let unknown = || Problem::new(StatusCode::NOT_FOUND, "Not found").detail(unknown_order(order_id));
        row::read(&doors.pool, order_id).await?.ok_or_else(unknown)
    };
    order().await?;
    let cause = Cause::request(NAME, &format!("{order_id}/release-hold"));
    doors.door.submit(Work { cause, input: Input::HoldReleased(order_id) }).await?;
    Ok(Json(OrderShipments::of(order_id, &order().await?)))
}

/// Has a warehouse's answer decided. The same answer about the same shipment is the same request, however often it is sent.
async fn answer(doors: &RouteState, caller: &Caller, ids: &Ids, door: &str, answer: Answer) -> AnswerResult {
    let (order_id, shipment_id): (OrderId, ShipmentId) = (id("order", &ids.0.0)?, id("shipment", &ids.0.1)?);
    let unknown = || {
        let detail = format!("order {order_id} has no shipment {shipment_id}: expected both ids as on the work list");
        Problem::new(StatusCode::NOT_FOUND, "Not found").detail(detail)
    };
    if let Some(own) = caller.warehouse() {
        let order = row::read(&doors.pool, order_id).await?;
        let parcel = order.as_ref().and_then(|order| order.parcel(shipment_id));
        if parcel.is_none_or(|parcel| parcel.warehouse.as_str() != own) {
            return Err(unknown());
        }
    }
    let answered = Answered { order_id, shipment_id, answer };
    let cause = Cause::request(NAME, &format!("{order_id}/{shipment_id}/{door}"));
    let done = doors.door.submit(Work { cause, input: Input::Answered(answered) }).await.map_err(|refused| {
        tracing::warn!(consumer = NAME, %order_id, %shipment_id, door, "a warehouse's answer is refused: {refused}");
        Problem::from(refused)
    })?;
    let Reply::Shipment(state, next) = done.reply else { return Err(unknown()) };
    Ok(Json(AnswerTaken { shipment_id, state, next, position: done.position }))
}

fn unknown_order(order_id: OrderId) -> String {
    format!("order {order_id} has not come to fulfillment: it is known here once fraud has cleared it")
}

pub(crate) fn id<T: From<Uuid>>(what: &str, text: &str) -> Result<T, Problem> {
    Uuid::parse_str(text).map(T::from).map_err(|_| {
        let detail = format!("expected the {what}'s id as a UUID, got `{text}`");
        Problem::new(StatusCode::BAD_REQUEST, "Unreadable id").detail(detail)
    })
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = text.map(str::parse).transpose();
    read.map_err(|error: events::TimestampError| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid answer").detail(format!("`at`: {error}"))
    })
}
