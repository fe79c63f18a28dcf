//! The routes: look at a payment, have what is stuck tried again; and the way in for what gateways tell.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use events::OrderId;
use gateway::{Dispute, NoticeEffect, Notices};
use runtime::http::query::order_in_path;
use runtime::http::{Access, Caller, Json, JsonResult, Problem, Role, Routes, texts};
use runtime::{Cause, Clock, Consumer as _, RequestQueue, Work};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::attempt::{Phase, key};
use crate::gateways::Gateways;
use crate::input::{Input, Reply};
use crate::payment::{Payment, Settlement, State};
use crate::row;
use crate::settings::Payments;

#[derive(Clone)]
pub(crate) struct PaymentRoutes {
    pub requests: RequestQueue<Payments>,
    pub pool: PgPool,
    pub gateways: Gateways,
    pub clock: Clock,
}

pub(crate) fn routes() -> Routes<PaymentRoutes> {
    Routes::new().route(Access::to(&[Role::Viewer]), routes!(show)).route(Access::to(&[Role::Operator]), routes!(retry))
}

/// Where the gateways' routes hand in what the providers tell: decided like any request.
pub(crate) fn notices(requests: RequestQueue<Payments>) -> Notices {
    Notices::new(move |key, notice| {
        let requests = requests.clone();
        async move {
            let work = Work { cause: Cause::request(Payments::NAME, &key), input: Input::Notice(notice) };
            Ok(match requests.submit(work).await?.reply {
                Reply::Recorded(state) => NoticeEffect::Recorded(state.as_str()),
                Reply::Kept => NoticeEffect::Kept,
                Reply::Nothing(state) | Reply::NotStuck(state) | Reply::Retried { state, .. } => {
                    NoticeEffect::Nothing(Some(state.as_str()))
                }
                Reply::Nobody | Reply::Refund(_) | Reply::Unknown => NoticeEffect::Nothing(None),
            })
        }
    })
}

/// One order's payment. Amounts are in minor units of the currency.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Where it stands.
    state: State,
    /// Which gateway was asked; `none` if there was nothing to pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    /// The gateway's id of the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
    /// Where the money was before anything shipped.
    settlement: Settlement,
    /// ISO 4217; absent for an order that was stopped before it came here.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// What is to be paid.
    amount: i64,
    /// What was held.
    authorized: i64,
    /// What was taken.
    captured: i64,
    /// What the gateway released when the rest was taken.
    released_remainder: i64,
    /// What was let go.
    voided: i64,
    /// What was given back because it did not ship.
    refunded: i64,
    /// Refunds to the customer that are under way: `GET /orders/{order_id}/refunds` has each.
    refunds_open: i64,
    /// What refunds to the customer gave back.
    refunds_done: i64,
    /// What disputes have withdrawn, and not reinstated.
    disputed: i64,
    /// What did not ship and was not given back, as disputes, or refunds made at the provider, had taken it first.
    refund_shortfall: i64,
    /// What was taken at the provider, and not by this pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_outside: Option<i64>,
    /// Disputes, in the order in which they were heard of.
    disputes: Vec<DisputeView>,
    /// When the hold lapses, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture_before: Option<String>,
    /// Whether it waits for a person.
    stuck: bool,
    /// The last call to the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptView>,
    /// What the customer must do; only while it is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<CustomerActionView>,
    /// Why the money is let go or given back: the reason's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One attempt at one operation of the gateway.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    /// Its idempotency key.
    key: String,
    /// How it stands.
    phase: Phase,
    /// What it asks for, in minor units.
    amount: i64,
    /// How often the gateway was asked.
    tries: u32,
    /// Since when, RFC 3339.
    since: String,
    /// The gateway's id of the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    /// The account of the person who had it tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_by: Option<String>,
}

/// A dispute of the payment.
#[derive(Debug, Serialize, ToSchema)]
struct DisputeView {
    /// The gateway's id of it.
    dispute_id: String,
    /// `inquiry`, `needs_response`, `under_review`, `won`, `lost` or `closed`.
    status: &'static str,
    /// What is claimed.
    amount: i64,
    /// Where that money is: `untouched`, `withdrawn` or `reinstated`.
    funds: &'static str,
    /// The bank's reason.
    reason: String,
    /// Until when evidence is taken, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_due_by: Option<String>,
}

impl DisputeView {
    fn of(dispute: Dispute) -> Self {
        let Dispute { dispute_id, status, money, funds, reason, evidence_due_by } = dispute;
        let evidence_due_by = evidence_due_by.map(|at| at.to_string());
        Self {
            dispute_id,
            status: status.as_str(),
            amount: money.amount,
            funds: funds.as_str(),
            reason,
            evidence_due_by,
        }
    }
}

/// What the customer must do.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerActionView {
    /// What, such as `three_d_secure`.
    action: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Until when, RFC 3339.
    expires_at: String,
}

/// Why it is tried again. Who asks is whose key comes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"why": "the bank answers again"}))]
struct Retry {
    /// For the record; up to 500 characters.
    #[serde(default)]
    why: String,
}

/// It is tried again.
#[derive(Debug, Serialize, ToSchema)]
struct Retried {
    /// The order.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Where the payment stands.
    state: State,
    /// The idempotency key of the attempt.
    attempt: String,
}

impl PaymentView {
    fn new(payment: Payment) -> Self {
        let stuck = payment.is_stuck();
        let Payment { order_id, state, case, .. } = payment;
        let settlement = case.settlement;
        let attempt = case.attempt.map(|attempt| AttemptView {
            key: key(order_id, attempt.operation, attempt.number),
            phase: attempt.phase,
            amount: attempt.amount,
            tries: attempt.tries,
            since: attempt.since.to_string(),
            refund_id: attempt.refund_id,
            retried_by: attempt.retried_by,
        });
        let action = case.asked.filter(|_| state == State::ActionRequired).map(|asked| CustomerActionView {
            action: asked.action.to_string(),
            url: asked.url,
            expires_at: asked.expires_at.to_string(),
        });
        Self {
            order_id,
            state,
            gateway: payment.gateway,
            payment_id: payment.payment_id,
            settlement,
            currency: payment.currency.map(|currency| currency.to_string()),
            amount: payment.amount,
            authorized: payment.authorized,
            captured: payment.captured,
            released_remainder: payment.released_remainder,
            voided: payment.voided,
            refunded: payment.refunded,
            refunds_open: payment.refunds_open,
            refunds_done: payment.refunds_done,
            disputed: payment.disputed,
            refund_shortfall: payment.refund_shortfall,
            captured_outside: case.captured_outside,
            disputes: case.disputes.into_iter().map(DisputeView::of).collect(),
            capture_before: payment.capture_before.map(|at| at.to_string()),
            stuck,
            attempt,
            action,
            reason: case.undoing.map(|undoing| undoing.reason.code.to_string()),
        }
    }
}

/// One order's payment.
#[utoipa::path(get, path = "/payments/{order_id}", tag = "payments", params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "Where it stands, and what it moved", body = PaymentView),
    (status = 404, description = "No payment of this order is known, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn show(Shared(routes): Shared<PaymentRoutes>, Path(order_id): Path<String>) -> JsonResult<PaymentView> {
    let order_id = order_in_path(&order_id)?;
    let payment = row::payment(&routes.pool, order_id).await?;
    payment.map(|payment| Json(PaymentView::new(payment))).ok_or_else(|| unknown(order_id))
}

/// Has a stuck attempt tried again: what failed by a new attempt, what is not known by a look-up.
#[utoipa::path(post, path = "/payments/{order_id}/retry", tag = "payments", request_body = Retry,
    params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 202, description = "It is tried again", body = Retried),
    (status = 404, description = "No payment of this order is known, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Nothing is stuck; `state` says where it stands", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Nothing was written, or the answer was lost: look, then ask again", body = Problem, content_type = "application/problem+json"),
))]
async fn retry(
    Shared(routes): Shared<PaymentRoutes>,
    caller: Caller,
    Path(order_id): Path<String>,
    Json(body): Json<Retry>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    texts::remark("why", &body.why)?;
    caller.says_why(&body.why);
    let by = caller.name().to_owned();
    let cause = Cause::request(Payments::NAME, &format!("{order_id}/retry"));
    let done = routes.requests.submit(Work { cause, input: Input::Retry { order_id, by } }).await?;
    match done.reply {
        Reply::Retried { state, attempt } => {
            tracing::info!(consumer = Payments::NAME, %order_id, attempt, "tried again by a person");
            Ok((StatusCode::ACCEPTED, Json(Retried { order_id, state, attempt })).into_response())
        }
        Reply::NotStuck(state) | Reply::Recorded(state) | Reply::Nothing(state) => {
            let detail = format!(
                "expected a stuck attempt; the payment is {} and nothing of it waits for a person",
                state.as_str()
            );
            Err(Problem::new(StatusCode::CONFLICT, "Nothing is stuck").detail(detail).with("state", state.as_str()))
        }
        Reply::Unknown | Reply::Kept | Reply::Refund(_) | Reply::Nobody => Err(unknown(order_id)),
    }
}

pub(crate) fn unknown(order_id: OrderId) -> Problem {
    let detail =
        format!("no payment of order {order_id} is known: its stock is not reserved yet, or there is no such order");
    Problem::new(StatusCode::NOT_FOUND, "Unknown order").detail(detail)
}
