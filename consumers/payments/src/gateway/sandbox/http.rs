//! The doors by which the sandbox is played: the customer's bank, and the provider's webhooks.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use events::OrderId;
use runtime::http::{Access, Json, Problem, Role, Routes};
use runtime::{Cause, Consumer as _, RequestQueue, Work};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Sandbox, Silent};
use crate::Payments;
use crate::gateway::sandbox::Acted;
use crate::handlers::{Input, RefundTold, Reply};
use crate::http::in_path;
use crate::payment::State;
use crate::world::RefundStatus;

/// Characters at most of the ids of a webhook.
const LONGEST_ID: usize = 200;

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct RouteState {
    door: RequestQueue<Payments>,
    sandbox: Sandbox,
}

impl RouteState {
    pub(crate) fn new(door: RequestQueue<Payments>, sandbox: Sandbox) -> Self {
        Self { door, sandbox }
    }
}

/// The routes by which the sandbox is played.
pub(crate) fn routes() -> Routes<RouteState> {
    Routes::new()
        .route(Access::to(&[Role::Operator]), routes!(three_d_secure))
        .route(Access::to(&[Role::Operator]), routes!(webhook))
        .route(Access::to(&[Role::Admin]), routes!(outage))
}

/// The customer's answer to their bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
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
    outcome: Outcome,
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
struct Taken {
    /// `recorded`: the payment went on; `kept`: it came before our own commit and counts when that is here; `nothing`: the payment stands there
    /// already, or went another way.
    effect: &'static str,
    /// Where the payment stands; absent if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// Whether the sandbox is down.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({"down": false}))]
struct Outage {
    /// Whether it does and answers nothing.
    down: bool,
}

/// Has the sandbox do and answer nothing, as a provider that is down, or everything again. It holds for the calls of this process.
#[utoipa::path(put, path = "/sandbox/outage", tag = "sandbox", request_body = Outage, responses(
    (status = 200, description = "It is so", body = Outage),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
))]
async fn outage(Shared(doors): Shared<RouteState>, Json(body): Json<Outage>) -> Json<Outage> {
    doors.sandbox.be_silent(body.down);
    tracing::info!(consumer = Payments::NAME, down = body.down, "the sandbox gateway was told to be down, or up");
    Json(body)
}

/// The result of 3-D Secure, as the customer's bank would tell it. One that comes before the payment asked for it is kept.
#[utoipa::path(post, path = "/payments/{order_id}/three-d-secure", tag = "sandbox", request_body = ThreeDSecure,
    params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 202, description = "Taken; `effect` says what came of it", body = Taken),
    (status = 404, description = "The path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The payment waits for no result: it is over, or held already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Not done, or the answer was lost: post it again", body = Problem, content_type = "application/problem+json"),
))]
async fn three_d_secure(
    Shared(doors): Shared<RouteState>,
    Path(order_id): Path<String>,
    Json(body): Json<ThreeDSecure>,
) -> Result<Response, Problem> {
    let order_id = in_path(&order_id)?;
    let acted = doors.sandbox.act(order_id, body.outcome == Outcome::Passed).await?;
    let Some(verdict) = acted.verdict() else { return Err(over(order_id, &acted)) };
    let key = match body.outcome {
        Outcome::Passed => format!("{order_id}/three-d-secure/passed"),
        Outcome::Failed => format!("{order_id}/three-d-secure/failed"),
    };
    let work = Work { cause: Cause::request(Payments::NAME, &key), input: Input::Verdict { order_id, verdict } };
    Ok(taken(doors.door.submit(work).await?.reply))
}

/// A message of the sandbox about a refund, as a provider's webhook would bring it. One whose refund is not known yet is kept.
#[utoipa::path(post, path = "/webhooks/sandbox", tag = "sandbox", request_body = Webhook, responses(
    (status = 202, description = "Taken; `effect` says what came of it", body = Taken),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Not done, or the answer was lost: post it again", body = Problem, content_type = "application/problem+json"),
))]
async fn webhook(Shared(doors): Shared<RouteState>, Json(body): Json<Webhook>) -> Result<Response, Problem> {
    let Webhook { id: message_id, refund_id, status } = body;
    for (name, text) in [("id", &message_id), ("refund_id", &refund_id)] {
        let length = text.chars().count();
        if length == 0 || length > LONGEST_ID {
            let detail = format!("`{name}`: expected 1 to {LONGEST_ID} characters, got {length}");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid webhook").detail(detail));
        }
    }
    let as_told = match status {
        Settled::Succeeded => RefundStatus::Succeeded,
        Settled::Failed => super::entry::not_given_back(),
    };
    // What the book says counts, where it knows the refund: messages may come twice, late, and in any order.
    let status = doors.sandbox.settle(&refund_id, status == Settled::Succeeded).await?.unwrap_or(as_told);
    let cause = Cause::request(Payments::NAME, &format!("webhook/sandbox/{message_id}"));
    let input = Input::RefundTold(RefundTold { message_id, refund_id, status });
    Ok(taken(doors.door.submit(Work { cause, input }).await?.reply))
}

fn taken(reply: Reply) -> Response {
    let (effect, state) = match reply {
        Reply::Recorded(state) => ("recorded", Some(state)),
        Reply::Kept => ("kept", None),
        Reply::Nothing(state) | Reply::NotStuck(state) | Reply::Retried { state, .. } => ("nothing", Some(state)),
        Reply::Nobody | Reply::Unknown => ("nothing", None),
    };
    (StatusCode::ACCEPTED, Json(Taken { effect, state })).into_response()
}

fn over(order_id: OrderId, acted: &Acted) -> Problem {
    let state = match acted {
        Acted::Over(state) => state.as_str(),
        Acted::Told(_) | Acted::Early { .. } => "open",
    };
    let detail =
        format!("expected a payment that waits for 3-D Secure; the sandbox's payment of order {order_id} is {state}");
    Problem::new(StatusCode::CONFLICT, "No result awaited").detail(detail).with("state", state)
}

impl From<Silent> for Problem {
    fn from(silent: Silent) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(silent.to_string())
    }
}
