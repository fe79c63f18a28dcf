//! The routes of refunds to customers: ask for one, look at them, have one that is stuck tried again.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::{OrderId, RefundId, RefundedLine};
use gateway::{ProviderNotice, RefundStatus};
use runtime::http::query::{idempotency_key, order_in_path};
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes, texts};
use runtime::{Cause, Consumer as _, Work};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::attempt::Phase;
use crate::http::PaymentRoutes;
use crate::input::{Input, Reply};
use crate::refunds::{
    Asked, CustomerRefund, RefundInput, RefundReply, RefundRequest, RefundState, Refusal, RefusalKind, key,
};
use crate::row;
use crate::settings::Payments;

pub(crate) fn routes() -> Routes<PaymentRoutes> {
    Routes::new()
        .route(Access::to(&[Role::Operator]), routes!(ask))
        .route(Access::to(&[Role::Viewer]), routes!(list))
        .route(Access::to(&[Role::Operator]), routes!(retry))
        .route(Access::to(&[Role::Operator]), routes!(settle))
}

/// What is to go back: exactly one of `all`, `amount` and `lines`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "SKU-0001", "quantity": 1}], "reason": "damaged on arrival"}))]
struct RefundBody {
    /// `true`: all that is left.
    #[serde(default)]
    all: bool,
    /// So much, in minor units of the order's currency, tax and shipping included.
    amount: Option<i64>,
    /// What these units cost: their all-inclusive part of what was paid.
    lines: Option<Vec<UnitsBody>>,
    /// ISO 4217; refused if the order was paid in another.
    currency: Option<String>,
    /// Why; 1 to 500 characters, no personal data. It is told in events.
    reason: String,
}

/// Units of a SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnitsBody {
    /// What.
    sku: String,
    /// How many.
    quantity: i64,
}

/// A refund is under way. The same request under the same key gets the same answer.
#[derive(Debug, Serialize, ToSchema)]
struct RefundTaken {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// The refund.
    #[schema(value_type = Uuid)]
    refund_id: RefundId,
    /// What goes back, in minor units.
    amount: i64,
    /// The units that it is for; empty unless it was asked for by lines.
    lines: Vec<RefundedLine>,
}

/// An order's refunds. Amounts are in minor units of the currency.
#[derive(Debug, Serialize, ToSchema)]
struct RefundsView {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// What was taken.
    captured: i64,
    /// What the order's own way gave back, because it did not ship.
    refunded: i64,
    /// Refunds that are under way.
    refunds_open: i64,
    /// What refunds gave back.
    refunds_done: i64,
    /// What disputes have withdrawn, and not reinstated.
    disputed: i64,
    /// What can still be refunded: of what has shipped so far.
    left: i64,
    /// The oldest first.
    refunds: Vec<RefundView>,
}

/// One refund.
#[derive(Debug, Serialize, ToSchema)]
struct RefundView {
    /// The refund.
    #[schema(value_type = Uuid)]
    refund_id: RefundId,
    /// Where it stands.
    state: RefundState,
    /// Whether it waits for a person.
    stuck: bool,
    /// What goes back.
    amount: i64,
    /// `all`, `amount`, `lines`, or `outside`: it was made at the gateway.
    asked: &'static str,
    /// The units that it is for.
    lines: Vec<RefundedLine>,
    /// Why.
    reason: String,
    /// Whose key came, or the gateway at which it was made.
    requested_by: String,
    /// When, RFC 3339.
    requested_at: String,
    /// What the gateway said where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The idempotency key of its attempt.
    attempt: String,
    /// How the attempt stands.
    phase: Phase,
    /// How often the gateway was asked.
    tries: u32,
    /// The gateway's id of the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    /// The account of the person who had it tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_by: Option<String>,
}

impl RefundView {
    fn new(refund_id: RefundId, refund: CustomerRefund) -> Self {
        let (state, stuck) = (refund.state(), refund.is_stuck());
        let CustomerRefund { order_id, amount, data } = refund;
        Self {
            refund_id,
            state,
            stuck,
            amount,
            asked: data.asked.as_str(),
            lines: data.lines,
            reason: data.reason,
            requested_by: data.requested_by,
            requested_at: data.requested_at.to_string(),
            detail: data.detail,
            attempt: key(order_id, refund_id, data.attempt.number),
            phase: data.attempt.phase,
            tries: data.attempt.tries,
            provider_id: data.attempt.provider_id,
            retried_by: data.attempt.retried_by,
        }
    }
}

/// Give money of an order back to its customer.
///
/// Only what was captured and has shipped, and is not refunded yet, or about to be. What does not ship is given back by itself. An order may have several
/// refunds, also long after its end (`payments.refundable_for`).
#[utoipa::path(post, path = "/orders/{order_id}/refunds", tag = "refunds", request_body = RefundBody,
    params(("order_id" = Uuid, Path, description = "The order"),
        ("Idempotency-Key" = String, Header, description = "What the refund is known by: the same key of the order is the same refund. 1 to 255 visible ASCII characters.")),
    responses(
    (status = 202, description = "It is under way. With `Idempotency-Replayed: true` it was before.", body = RefundTaken),
    (status = 400, description = "The key is missing or unreadable, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No payment of this order is known, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "More than is left (`left`), or another refund was asked for under this key", body = Problem, content_type = "application/problem+json"),
    (status = 410, description = "The order is too old to be refunded", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit, or not the order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: ask again under the same key", body = Problem, content_type = "application/problem+json"),
))]
async fn ask(
    Shared(routes): Shared<PaymentRoutes>,
    caller: Caller,
    Path(order_id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<RefundBody>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let idempotency_key = idempotency_key(&headers, "a second refund")?;
    let (reason, currency) = (body.reason.clone(), body.currency.clone());
    texts::reason("reason", &reason)?;
    let asked = asked(body)?;
    caller.says_why(&reason);
    let refund_id = RefundId(events::derive_id(order_id, Payments::NAME, "refund", idempotency_key));
    let requested_by = caller.name().to_owned();
    let request = RefundRequest { order_id, refund_id, asked, currency, reason, requested_by };
    let input = Input::Refund(RefundInput::Asked(Box::new(request)));
    let cause = Cause::request(Payments::NAME, &format!("{order_id}/refunds/{refund_id}"));
    let Reply::Refund(reply) = routes.requests.submit(Work { cause, input }).await?.reply else {
        return Err(unknown(order_id));
    };
    match reply {
        RefundReply::Taken { refund, replayed } => {
            let (amount, lines) = (refund.amount, refund.data.lines);
            let location = [(header::LOCATION, format!("/orders/{order_id}/refunds"))];
            let taken = Json(RefundTaken { order_id, refund_id, amount, lines });
            let mut response = (StatusCode::ACCEPTED, location, taken).into_response();
            if replayed {
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            }
            Ok(response)
        }
        RefundReply::Differs => Err(Problem::new(StatusCode::CONFLICT, "Another refund under this key")
            .detail("expected the same refund again, or a key of its own for another one; got another body under a key that was used")
            .with("refund_id", refund_id.to_string())),
        reply @ (RefundReply::Refused(_)
        | RefundReply::Retried { .. }
        | RefundReply::NotStuck(_)
        | RefundReply::Unknown) => Err(refused(order_id, reply)),
    }
}

/// An order's refunds, and what is left to refund.
#[utoipa::path(get, path = "/orders/{order_id}/refunds", tag = "refunds", params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "Each with where it stands", body = RefundsView),
    (status = 404, description = "No payment of this order is known, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn list(Shared(routes): Shared<PaymentRoutes>, Path(order_id): Path<String>) -> JsonResult<RefundsView> {
    let order_id = order_in_path(&order_id)?;
    let (payment, refunds, room) = row::refunds(&routes.pool, order_id).await?.ok_or_else(|| unknown(order_id))?;
    Ok(Json(RefundsView {
        order_id,
        currency: payment.currency.map(|currency| currency.to_string()),
        captured: payment.captured,
        refunded: payment.refunded,
        refunds_open: payment.refunds_open,
        refunds_done: payment.refunds_done,
        disputed: payment.disputed,
        left: room.left(),
        refunds: refunds.into_iter().map(|(refund_id, refund)| RefundView::new(refund_id, refund)).collect(),
    }))
}

/// Why it is tried again. Who asks is whose key comes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"why": "the customer's new account is on file"}))]
struct RetryRefund {
    /// For the record; up to 500 characters.
    #[serde(default)]
    why: String,
}

/// Has a refund that is stuck tried again: what failed by a new attempt, what is not known by a look-up.
#[utoipa::path(post, path = "/orders/{order_id}/refunds/{refund_id}/retry", tag = "refunds", request_body = RetryRefund,
    params(("order_id" = Uuid, Path, description = "The order"), ("refund_id" = Uuid, Path, description = "The refund")), responses(
    (status = 202, description = "It is tried again", body = RefundView),
    (status = 404, description = "There is no such refund", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is not stuck (`state`), or less is left by now (`left`)", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: look, then ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn retry(
    Shared(routes): Shared<PaymentRoutes>,
    caller: Caller,
    Path((order_id, refund_id)): Path<(String, String)>,
    Json(RetryRefund { why }): Json<RetryRefund>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let refund_id: RefundId = refund_id.parse().map_err(|_| unknown(order_id))?;
    texts::remark("why", &why)?;
    caller.says_why(&why);
    let input = Input::Refund(RefundInput::Retry { order_id, refund_id, by: caller.name().to_owned() });
    let cause = Cause::request(Payments::NAME, &format!("{order_id}/refunds/{refund_id}/retry"));
    let Reply::Refund(reply) = routes.requests.submit(Work { cause, input }).await?.reply else {
        return Err(unknown(order_id));
    };
    if let RefundReply::Retried { refund } = reply {
        return Ok((StatusCode::ACCEPTED, Json(RefundView::new(refund_id, *refund))).into_response());
    }
    Err(refused(order_id, reply))
}

fn asked(body: RefundBody) -> Result<Asked, Problem> {
    match (body.all, body.amount, body.lines) {
        (true, None, None) => Ok(Asked::All),
        (false, Some(amount), None) => Ok(Asked::Amount(amount)),
        (false, None, Some(lines)) if !lines.is_empty() => {
            let mut units: BTreeMap<String, i64> = BTreeMap::new();
            for UnitsBody { sku, quantity } in lines {
                if quantity <= 0 {
                    return Err(invalid(format!("`lines`: expected 1 or more units of {sku:?}, got {quantity}")));
                }
                let sum = units.entry(sku).or_default();
                *sum = sum.saturating_add(quantity);
            }
            Ok(Asked::Lines(units.into_iter().collect()))
        }
        _ => Err(invalid(
            "expected exactly one of `all: true`, `amount` and `lines` (not empty), got none or several".to_owned(),
        )),
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid refund").detail(detail)
}

fn refused(order_id: OrderId, reply: RefundReply) -> Problem {
    match reply {
        RefundReply::Refused(Refusal { kind, detail, left }) => {
            let (status, title) = match kind {
                RefusalKind::Unknown => (StatusCode::NOT_FOUND, "Unknown order"),
                RefusalKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid refund"),
                RefusalKind::TooMuch => (StatusCode::CONFLICT, "More than is left"),
                RefusalKind::TooOld => (StatusCode::GONE, "Too old"),
            };
            let problem = Problem::new(status, title).detail(detail);
            left.into_iter().fold(problem, |problem, left| problem.with("left", left))
        }
        RefundReply::NotStuck(state) => Problem::new(StatusCode::CONFLICT, "Nothing is stuck")
            .detail(format!("expected a refund that waits for a person, got one that is {}", state.as_str()))
            .with("state", state.as_str()),
        RefundReply::Taken { .. } | RefundReply::Differs | RefundReply::Retried { .. } | RefundReply::Unknown => {
            unknown(order_id)
        }
    }
}

fn unknown(order_id: OrderId) -> Problem {
    let detail = format!(
        "expected an order whose payment is known, and one of its refunds, got {order_id}: it is not authorized yet, there is no \
         such order or refund, or it is so old that payments has forgotten it"
    );
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}

/// How a refund ended that others were to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"outcome": "refunded"}))]
struct SettleRefund {
    /// `refunded` or `failed`.
    outcome: RefundOutcome,
    /// Why it failed; up to 500 characters, no personal data. It is told in events.
    #[serde(default)]
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RefundOutcome {
    Refunded,
    Failed,
}

/// It is on record.
#[derive(Debug, Serialize, ToSchema)]
struct RefundSettled {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// The refund.
    #[schema(value_type = Uuid)]
    refund_id: RefundId,
    /// Where the payment stands.
    payment: &'static str,
}

/// How a refund ended that no gateway of payments could make, as `RefundRequested` with a `provider` asked for: told by who holds the money.
#[utoipa::path(post, path = "/orders/{order_id}/refunds/{refund_id}/settle", tag = "refunds", request_body = SettleRefund,
    params(("order_id" = Uuid, Path, description = "The order"), ("refund_id" = Uuid, Path, description = "The refund")), responses(
    (status = 200, description = "It is on record", body = RefundSettled),
    (status = 404, description = "No such refund is known, or the path names none", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is settled already, or a gateway makes it and says itself how it ends", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: look, then ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn settle(
    Shared(routes): Shared<PaymentRoutes>,
    caller: Caller,
    Path((order_id, refund_id)): Path<(String, String)>,
    Json(body): Json<SettleRefund>,
) -> JsonResult<RefundSettled> {
    let order_id = order_in_path(&order_id)?;
    let refund_id: RefundId = refund_id.parse().map_err(|_| unknown(order_id))?;
    texts::remark("detail", &body.detail)?;
    let conflict = |detail: String| Problem::new(StatusCode::CONFLICT, "Not settled").detail(detail);
    let known = row::refund_under_way(&routes.pool, order_id, refund_id).await?;
    let Some((payment, provider_id)) = known else { return Err(unknown(order_id)) };
    if !payment.case.settlement.is_elsewhere() {
        return Err(conflict(format!(
            "expected a refund that others make, got one of the gateway {}, which says itself how it ends",
            payment.gateway.unwrap_or_default()
        )));
    }
    caller.says_why(&body.detail);
    let status = match body.outcome {
        RefundOutcome::Refunded => RefundStatus::Succeeded,
        RefundOutcome::Failed => RefundStatus::Failed { detail: body.detail },
    };
    let message_id = format!("{provider_id}/{:?}", body.outcome);
    let notice = ProviderNotice::Refund { message_id: message_id.clone(), refund_id: provider_id, status };
    let work = Work { cause: Cause::request(Payments::NAME, &message_id), input: Input::Notice(notice) };
    match routes.requests.submit(work).await?.reply {
        Reply::Recorded(state) => Ok(Json(RefundSettled { order_id, refund_id, payment: state.as_str() })),
        Reply::Nothing(_) | Reply::NotStuck(_) | Reply::Retried { .. } => Err(conflict(
            "expected a refund that is under way, got one that has ended: look at the order's refunds".to_owned(),
        )),
        Reply::Kept | Reply::Unknown | Reply::Nobody | Reply::Refund(_) => Err(unknown(order_id)),
    }
}
