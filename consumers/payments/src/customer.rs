//! The way in for an order's own customer, who has no key: the shop fetches a token and gives it to the customer's browser, which gets the payment's client
//! secret for it, once. The secret is fetched from the gateway each time; neither it nor the token is kept or logged.

use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use runtime::http::query::order_in_path;
use runtime::http::{Access, Json, Problem, Role, Routes, digest, random_secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::http::{PaymentRoutes, unknown};
use crate::payment::{Payment, State};
use crate::row;

/// How long a token can be used.
const TOKEN_LASTS: Duration = Duration::from_secs(900);

pub(crate) fn routes() -> Routes<PaymentRoutes> {
    Routes::new()
        .route(Access::to(&[Role::Shop, Role::Operator]), routes!(token))
        .route(Access::keyless("a customer's token, good once, as Authorization: Bearer"), routes!(client_secret))
}

/// Whose browser it is for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"customer_id": "c-1"}))]
struct TokenRequest {
    /// The shop's id of the order's customer.
    customer_id: String,
}

/// A token, which is shown once.
#[derive(Serialize, ToSchema)]
struct CustomerToken {
    /// For the customer's browser: `Authorization: Bearer …`.
    token: String,
    /// When it can't be used any more, RFC 3339.
    expires_at: String,
}

/// What the browser goes on with.
#[derive(Serialize, ToSchema)]
struct BrowserSecret {
    /// The gateway that it is for.
    gateway: String,
    /// The gateway's id of the payment.
    payment_id: String,
    /// For the gateway's own code in the browser, such as Stripe's Elements. It is for this customer alone.
    client_secret: String,
}

/// A token for the order's customer, while the payment waits for them.
#[utoipa::path(post, path = "/payments/{order_id}/customer-token", tag = "payments", request_body = TokenRequest,
    params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 201, description = "Good once, for a quarter of an hour", body = CustomerToken),
    (status = 404, description = "No payment of this order and customer is known, or the path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The payment waits for no customer; `state` says where it stands", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not fit", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn token(
    Shared(routes): Shared<PaymentRoutes>,
    Path(order_id): Path<String>,
    Json(body): Json<TokenRequest>,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let payment = row::payment(&routes.pool, order_id).await?.ok_or_else(|| unknown(order_id))?;
    // Once the money is held the customer is forgotten, and whoever asks hears no more than that.
    let is_theirs = |payment: &Payment| {
        payment.case.purchase.as_ref().is_none_or(|purchase| purchase.buyer.customer_id.0 == body.customer_id)
    };
    if !is_theirs(&payment) {
        return Err(unknown(order_id));
    }
    awaited(&payment)?;
    let token = random_secret("qct_").map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No random numbers").detail(error.to_string())
    })?;
    let now = routes.clock.now();
    let expires_at = now.plus(TOKEN_LASTS);
    row::keep_token(&routes.pool, order_id, digest(&token), expires_at, now).await?;
    let body = Json(CustomerToken { token, expires_at: expires_at.to_string() });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], body).into_response())
}

/// The secret by which the customer's browser goes on with the payment.
#[utoipa::path(post, path = "/payments/{order_id}/client-secret", tag = "payments", params(("order_id" = Uuid, Path, description = "The order"),
    ("Authorization" = String, Header, description = "`Bearer` and a token of `POST /payments/{order_id}/customer-token`")), responses(
    (status = 200, description = "Asked of the gateway just now; the token is used up", body = BrowserSecret),
    (status = 401, description = "No token, or one that is not known, of another order, used or over", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "The path names no order", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The payment waits for no customer, or its gateway has no client secrets", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The gateway or the database does not answer: the shop fetches another token", body = Problem, content_type = "application/problem+json"),
))]
async fn client_secret(
    Shared(routes): Shared<PaymentRoutes>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = order_in_path(&order_id)?;
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let is_good = match shown {
        Some(token) => row::use_token(&routes.pool, order_id, digest(token), routes.clock.now()).await?,
        None => false,
    };
    if !is_good {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "No token")
            .detail("expected a token of this order that was not used yet, as Authorization: Bearer, got none: the shop fetches another one"));
    }
    let payment = row::payment(&routes.pool, order_id).await?.ok_or_else(|| unknown(order_id))?;
    awaited(&payment)?;
    let none = || {
        Problem::new(StatusCode::CONFLICT, "No client secret").detail("expected a payment at a gateway whose browser code wants a client secret, got another one: send the customer to the action's URL")
    };
    let (Some(gateway), Some(payment_id)) = (payment.gateway, payment.payment_id) else { return Err(none()) };
    let route = routes.gateways.find(&gateway).ok_or_else(none)?;
    let given = route.gateway.client_secret(&payment_id).await.map_err(|why| {
        tracing::warn!(consumer = "payments", %order_id, why, "the gateway gave no client secret");
        let detail = "the gateway did not answer: the shop fetches another token";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable").detail(detail)
    })?;
    let client_secret = given.ok_or_else(none)?.expose().to_owned();
    Ok(([(CACHE_CONTROL, "no-store")], Json(BrowserSecret { gateway, payment_id, client_secret })).into_response())
}

fn awaited(payment: &Payment) -> Result<(), Problem> {
    if payment.state == State::ActionRequired {
        return Ok(());
    }
    let state = payment.state.as_str();
    let detail = format!("expected a payment that waits for its customer; it is {state}");
    Err(Problem::new(StatusCode::CONFLICT, "No customer awaited").detail(detail).with("state", state))
}
