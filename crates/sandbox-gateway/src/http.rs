//! The routes by which the sandbox is played: the customer's bank, and the provider's webhooks.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use events::OrderId;
use gateway::{NoticeEffect, Notices, ProviderNotice, RefundStatus};
use runtime::http::query::order_in_path;
use runtime::http::{Access, Json, Problem, Role, Routes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::entry::{EntryState, not_given_back};
use crate::sandbox::{Sandbox, Unavailable};

/// Characters at most of the ids of a webhook.
const LONGEST_ID: usize = 200;

#[derive(Clone, Debug)]
pub struct SandboxRoutes {
    pub sandbox: Sandbox,
    pub notices: Notices,
}

pub fn routes() -> Routes<SandboxRoutes> {
    Routes::new()
        .route(Access::to(&[Role::Operator]), routes!(three_d_secure))
        .route(Access::to(&[Role::Operator]), routes!(webhook))
        .route(Access::to(&[Role::Admin]), routes!(outage))
}

/// The customer's answer to their bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChallengeOutcome {
    /// They confirmed. With `tok_3ds_fails` the bank refuses all the same.
    Passed,
    /// They did not.
    Failed,
}

/// A 3-D Secure result.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"outcome": "passed"}))]
struct ThreeDSecure {
    /// What the customer answered.
    outcome: ChallengeOutcome,
}

/// A message of the sandbox about a refund.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"id": "message-1", "refund_id": "re_1", "status": "succeeded"}))]
struct Webhook {
    /// Id of the message, chosen by who posts it, at most 200 characters: posted again it counts once.
    id: String,
    /// The sandbox's id of the refund (`attempt.refund_id` of the payment), at most 200 characters.
    refund_id: String,
    /// How the refund ends. One that has ended stays as it is.
    status: Settled,
}

/// How a refund ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Settled {
    /// Given back.
    Succeeded,
    /// Not given back.
    Failed,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
struct ChallengeTaken {
    /// `recorded`: the payment went on; `kept`: it came before our own commit and counts when that is here; `nothing`: the payment stands there
    /// already, or went another way.
    effect: &'static str,
    /// Where the payment stands, as `state` of `GET /payments/{order_id}`; absent if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

/// Whether the sandbox is down.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({"down": false}))]
struct SandboxOutage {
    /// Whether it does and answers nothing.
    down: bool,
}

/// Has the sandbox do and answer nothing, as a provider that is down, or everything again. It holds for the calls of this process.
#[utoipa::path(put, path = "/sandbox/outage", tag = "sandbox", request_body = SandboxOutage, responses(
    (status = 200, description = "It is so", body = SandboxOutage),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
))]
async fn outage(State(routes): State<SandboxRoutes>, Json(body): Json<SandboxOutage>) -> Json<SandboxOutage> {
    routes.sandbox.set_down(body.down);
    tracing::info!(consumer = "payments", down = body.down, "the sandbox gateway was told to be down, or up");
    Json(body)
}

/// The result of 3-D Secure, as the customer's bank would tell it. One that comes before the payment asked for it is kept.
#[utoipa::path(post, path = "/payments/{order_id}/three-d-secure", tag = "sandbox", request_body = ThreeDSecure,
    params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 202, description = "Taken; `effect` says what came of it", body = ChallengeTaken),
    (status = 404, description = "The path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The payment waits for no result: it is over, or held already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Not done, or the answer was lost: post it again", body = Problem, content_type = "application/problem+json"),
))]
async fn three_d_secure(
    State(routes): State<SandboxRoutes>,
    Path(order_id): Path<String>,
    Json(body): Json<ThreeDSecure>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let passed = body.outcome == ChallengeOutcome::Passed;
    let result = routes.sandbox.act(order_id, passed).await?.map_err(|state| over(order_id, state))?;
    let key = format!("{order_id}/three-d-secure/{}", if passed { "passed" } else { "failed" });
    Ok(taken(routes.notices.record(key, ProviderNotice::Action { order_id, result }).await?))
}

/// A message of the sandbox about a refund, as a provider's webhook would bring it. One whose refund is not known yet is kept.
#[utoipa::path(post, path = "/webhooks/sandbox", tag = "sandbox", request_body = Webhook, responses(
    (status = 202, description = "Taken; `effect` says what came of it", body = ChallengeTaken),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Not done, or the answer was lost: post it again", body = Problem, content_type = "application/problem+json"),
))]
async fn webhook(State(routes): State<SandboxRoutes>, Json(body): Json<Webhook>) -> Result<Response, Problem> {
    let Webhook { id: message_id, refund_id, status } = body;
    for (name, text) in [("id", &message_id), ("refund_id", &refund_id)] {
        let length = text.chars().count();
        if length == 0 || length > LONGEST_ID {
            let detail = format!("`{name}`: expected 1 to {LONGEST_ID} characters, got {length}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid webhook").detail(detail));
        }
    }
    let posted = match status {
        Settled::Succeeded => RefundStatus::Succeeded,
        Settled::Failed => not_given_back(),
    };
    // What the book says counts, where it knows the refund: messages may come twice, late, and in any order.
    let status = routes.sandbox.settle(&refund_id, status == Settled::Succeeded).await?.unwrap_or(posted);
    let key = format!("webhook/sandbox/{message_id}");
    Ok(taken(routes.notices.record(key, ProviderNotice::Refund { message_id, refund_id, status }).await?))
}

fn taken(effect: NoticeEffect) -> Response {
    let (effect, state) = match effect {
        NoticeEffect::Recorded(state) => ("recorded", Some(state)),
        NoticeEffect::Kept => ("kept", None),
        NoticeEffect::Nothing(state) => ("nothing", state),
    };
    (StatusCode::ACCEPTED, Json(ChallengeTaken { effect, state })).into_response()
}

fn over(order_id: OrderId, state: EntryState) -> Problem {
    let state = state.as_str();
    let detail =
        format!("expected a payment that waits for 3-D Secure; the sandbox's payment of order {order_id} is {state}");
    Problem::new(StatusCode::CONFLICT, "No result awaited").detail(detail).with("state", state)
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(unavailable.to_string())
    }
}
