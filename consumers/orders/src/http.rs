//! The routes of orders: place an order, look at it, ask for its cancellation.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::{Fault, OrderId, OrderPlaced};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes};
use runtime::{Cause, Committed, RequestQueue, Work};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa_axum::routes;

use crate::decode;
use crate::input::{Cancel, Input, Reply};
use crate::intake::{self, Letter};
use crate::placed::{Arrival, Placed};
use crate::row::{self, Order};
use crate::settings::{NAME, Orders};

use views::{CancelBody, OrderView, Taken};

mod views;

/// The longest reason of a cancellation, in characters.
const LONGEST_REASON: usize = 500;

#[derive(Clone)]
pub(crate) struct RouteState {
    pub door: RequestQueue<Orders>,
    pub pool: PgPool,
    pub orders: Arc<Orders>,
    pub api_client: Arc<str>,
}

pub(crate) fn routes() -> Routes<RouteState> {
    Routes::new()
        // The order itself says whose it is.
        .route(Access::to(&[Role::Shop]).unrecorded(), routes!(place))
        .route(Access::to(&[Role::Shop, Role::Viewer]), routes!(show))
        .route(Access::to(&[Role::Shop, Role::Operator]), routes!(cancel))
}

/// Place an order.
///
/// It is validated, stored and answered at once; what becomes of it is told by events, and shown by `GET /orders/{id}`.
/// The same order under the same `Idempotency-Key` gets the stored answer, whatever has become of it since.
/// `null` and an empty text are as if left out. `subtotal` and `total` may say what the order comes to: it is refused if they differ. Other fields
/// that are not known are ignored, unless they look like a misspelt one.
#[utoipa::path(
    post, path = "/orders", tag = "orders",
    request_body(content = OrderPlaced, example = json!({
        "customer": {"id": "c-1", "name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [{"sku": "SKU-0001", "quantity": 2, "unit_price": 1250}], "currency": "EUR", "shipping": 490,
        "payment_method": "tok_approved",
        "ship_to": {"name": "Ada Lovelace", "line1": "1 Main St", "city": "London", "postal_code": "N1 1AA", "country": "GB"}
    })),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The order's reference: the same key and client is the same order. \
            Up to 255 characters; default: `reference` of the body, else the id of a CloudEvent (`ce-id`, or `id` around the order), else the \
            order's id: then each request is an order of its own."),
        ("X-Api-Client" = Option<String>, Header, description = "The order's source: keys of different clients do not meet. \
            Up to 255 characters; default: `source` of the body, else that of a CloudEvent, else `http`. \
            A shop's key has a source: no other may be named."),
        ("X-Correlation-Id" = Option<String>, Header, description = "What the order is found again by in logs and events. \
            Up to 128 visible ASCII characters; anything else is replaced by the order's id."),
        ("traceparent" = Option<String>, Header, description = "W3C trace context to carry on."),
    ),
    responses(
        (status = 202, description = "Accepted. With `Idempotency-Replayed: true` it is the stored answer to the same order.", body = Taken),
        (status = 400, description = "The body is no JSON, or a header is not readable.", body = Problem),
        (status = 409, description = "Another order was placed under this key: `differences` names what differs, `order_id` the earlier one.", body = Problem),
        (status = 415, description = "The body is not sent as JSON.", body = Problem),
        (status = 422, description = "Invalid: `faults` lists everything that is wrong. Nothing is stored, and the key stays free.", body = Problem),
        (status = 503, description = "Not done, or the answer was lost: ask again under the same key.", body = Problem),
    )
)]
async fn place(
    Shared(doors): Shared<RouteState>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let text = |name| text(&headers, name);
    let (key, mut client) = (text("idempotency-key")?, text("x-api-client")?);
    let owned = |name| text(name).map(|value| value.map(ToOwned::to_owned));
    let event = Letter { id: owned("ce-id")?, source: owned("ce-source")?, ..Letter::default() };
    let Letter { order, id, source, .. } = intake::placed(body, event).map_err(|why| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unreadable body").detail(format!("the body is no order: {why}"))
    })?;
    if let Some(own) = caller.shop() {
        let named = [client, order.order.source.as_deref()].into_iter().flatten();
        if named.into_iter().any(|named| !named.is_empty() && named != own) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "Another source")
                .detail(format!("expected orders of the source {own}, whose key came, or none named; got another")));
        }
        client = Some(own);
    }
    let faults: Vec<Fault> = [
        mismatch("reference", order.order.reference.as_deref(), "Idempotency-Key", key),
        mismatch("source", order.order.source.as_deref(), "X-Api-Client", client),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !faults.is_empty() {
        return Err(invalid(&faults));
    }
    let candidate = doors.orders.mint();
    let plain = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (correlation, traceparent) = (plain("x-correlation-id"), plain("traceparent"));
    let thread = decode::thread(correlation, traceparent, candidate, doors.orders.trace_share);
    let arrival = Arrival {
        candidate,
        source: client.map(ToOwned::to_owned).or(source).unwrap_or_else(|| doors.api_client.to_string()),
        reference: key.filter(|key| !key.is_empty()).map(ToOwned::to_owned).or(id),
        former: None,
        record: None,
        thread: thread.clone(),
    };
    let placed = Placed::new(order, arrival);
    let cause = Cause { thread: Some(thread), ..decode::request(placed.placement) };
    let done = doors.door.submit(Work { cause, input: Input::Placed(Box::new(placed)) }).await?;
    answer(done)
}

fn answer(Committed { reply, position }: Committed<Reply>) -> Result<Response, Problem> {
    match reply {
        Reply::Placed { order_id, correlation_id, replayed } => {
            let taken = Taken::of(order_id, &correlation_id, position);
            let location = [(header::LOCATION, format!("/orders/{order_id}"))];
            let mut response = (StatusCode::ACCEPTED, location, Json(taken)).into_response();
            if replayed {
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            }
            Ok(response)
        }
        Reply::Asked { order_id, correlation_id } => {
            Ok((StatusCode::ACCEPTED, Json(Taken::of(order_id, &correlation_id, position))).into_response())
        }
        Reply::Invalid(faults) => Err(invalid(&faults)),
        Reply::Rejected { order_id, faults } => Err(invalid(&faults).with("order_id", order_id.to_string())),
        Reply::Differs { order_id, differences } => {
            Err(Problem::new(StatusCode::CONFLICT, "Another order under this key")
                .detail(format!(
                    "expected the same order again, or a key of its own for another order; {}",
                    crate::difference::listed(&differences)
                ))
                .with("order_id", order_id.to_string())
                .with("differences", json(&differences)))
        }
        Reply::Ended(state) => Err(Problem::new(StatusCode::CONFLICT, "Order has ended")
            .detail(format!(
                "expected an order that is under way, got one that is {}: it can't be cancelled any more",
                state.as_str()
            ))
            .with("state", state.as_str())),
        Reply::Unknown => Err(unknown()),
        Reply::Nothing => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No answer")
            .detail("the request was decided as an event: report this")),
    }
}

/// Ask for the cancellation of an order.
///
/// It is asked for, not granted: only fulfillment knows whether the goods have left. The answer is the order's end. Who asks is whose key comes; a
/// shop asks for its own orders only.
#[utoipa::path(
    post, path = "/orders/{id}/cancel", tag = "orders", request_body = CancelBody,
    params(("id" = String, Path, description = "The order's id.")),
    responses(
        (status = 202, description = "Asked for, now or before.", body = Taken),
        (status = 404, description = "There is no such order.", body = Problem),
        (status = 409, description = "The order has ended: `state` names how.", body = Problem),
        (status = 422, description = "`reason` is not as expected: `faults` says why.", body = Problem),
        (status = 503, description = "Not done, or the answer was lost: ask again.", body = Problem),
    )
)]
async fn cancel(
    Shared(doors): Shared<RouteState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(CancelBody { reason }): Json<CancelBody>,
) -> Result<Response, Problem> {
    let order_id: OrderId = id.parse().map_err(|_| unknown())?;
    if let Some(fault) = fault("/reason", &reason, LONGEST_REASON) {
        return Err(invalid(&[fault]));
    }
    if caller.shop().is_some() {
        read(&doors, &caller, order_id).await?;
    }
    caller.says_why(&reason);
    let requested_by = caller.name().to_owned();
    let input = Input::Cancel(Cancel { order_id, requested_by, reason });
    let done = doors.door.submit(Work { cause: Cause::request(NAME, &format!("{order_id}/cancel")), input }).await?;
    answer(done)
}

/// Show an order.
#[utoipa::path(
    get, path = "/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "The order's id.")),
    responses(
        (status = 200, description = "The order, as far as it has come.", body = OrderView),
        (status = 404, description = "There is no such order.", body = Problem),
        (status = 503, description = "The database does not answer: ask again.", body = Problem),
    )
)]
async fn show(Shared(doors): Shared<RouteState>, caller: Caller, Path(id): Path<String>) -> JsonResult<OrderView> {
    let order_id: OrderId = id.parse().map_err(|_| unknown())?;
    Ok(Json(read(&doors, &caller, order_id).await?.into()))
}

/// The order, if the caller may know of it: a shop knows its own.
async fn read(doors: &RouteState, caller: &Caller, order_id: OrderId) -> Result<Order, Problem> {
    let order = row::find(&doors.pool, order_id).await?;
    order.filter(|order| caller.shop().is_none_or(|own| own == order.source)).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Unknown order")
        .detail("expected the id of an order that was accepted or rejected here, as POST /orders answered it")
}

fn invalid(faults: &[Fault]) -> Problem {
    let mut list: Vec<String> =
        faults.iter().take(5).map(|fault| format!("{}: {}", fault.field, fault.detail)).collect();
    if faults.len() > list.len() {
        list.push(format!("and {} more", faults.len() - list.len()));
    }
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid request")
        .detail(list.join("; "))
        .with("faults", json(&faults))
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A header that has to be readable, and there once: of several nobody could tell which is meant.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let refused = |why: String| Problem::new(StatusCode::BAD_REQUEST, "Unreadable header").detail(why);
    let mut given = headers.get_all(name).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(refused(format!("expected the header {name} once, got it several times: send one of them")));
    }
    value.to_str().map(Some).map_err(|_| refused(format!("expected visible ASCII characters in {name}, got others")))
}

/// Body and header must not disagree: nobody could tell which of them the caller will repeat.
fn mismatch(field: &str, in_body: Option<&str>, header: &str, in_header: Option<&str>) -> Option<Fault> {
    let (in_body, in_header) = (in_body?, in_header?);
    let detail = format!("expected the same as in the header {header}, or only one of the two, got another: drop one");
    (in_body != in_header).then(|| Fault { field: format!("/{field}"), code: "mismatch".into(), detail })
}

fn fault(field: &str, text: &str, most: usize) -> Option<Fault> {
    let length = text.chars().count();
    let (code, detail) = if length > most {
        ("too_long", format!("expected at most {most} characters, got {length}"))
    } else if text.contains(char::is_control) {
        ("control_character", "expected printable characters only, got a control character: remove it".to_owned())
    } else {
        return None;
    };
    Some(Fault { field: field.to_owned(), code: code.into(), detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_comes_several_times_is_no_key() {
        let mut headers = HeaderMap::new();
        assert_eq!(text(&headers, "idempotency-key").ok(), Some(None));
        headers.append("idempotency-key", HeaderValue::from_static("k-1"));
        assert_eq!(text(&headers, "idempotency-key").ok(), Some(Some("k-1")));
        headers.append("idempotency-key", HeaderValue::from_static("k-1"));
        let refused = text(&headers, "idempotency-key").err().map(IntoResponse::into_response);
        assert_eq!(refused.map(|response| response.status()), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn what_contradicts_a_header_repeats_neither() {
        let fault = mismatch("reference", Some("k-secret-1"), "Idempotency-Key", Some("k-secret-2")).unwrap();
        assert!(!fault.detail.contains("secret"), "{}", fault.detail);
    }
}
