//! The page of 3-D Secure: the customer passes, fails, or leaves, and is led back to the shop.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::effects::RuleEffects;
use crate::record::{IntentStatus, PaymentRecord};
use crate::rules::ActionOutcome;
use crate::simulator::Simulator;
use crate::store::{ApiCaller, BookError, BookTransaction};

/// The routes.
pub fn routes() -> Router<Arc<Simulator>> {
    Router::new().route("/hooks/redirect/authenticate/{payment}/{token}", get(show).post(act))
}

/// What the customer chose.
#[derive(Debug, Deserialize)]
struct Choice {
    outcome: ActionOutcome,
}

async fn find(
    simulator: &Simulator,
    payment_id: &str,
    token: &str,
) -> Result<Option<(BookTransaction, ApiCaller, PaymentRecord)>, BookError> {
    let mut book = BookTransaction::begin(&simulator.pool, &simulator.public_url).await?;
    let scope: Option<String> =
        sqlx::query_scalar("select scope from objects where id = $1 and object = 'payment_intent'")
            .bind(payment_id)
            .fetch_optional(&mut *book.sql)
            .await?;
    let Some(scope) = scope else { return Ok(None) };
    let Some(payment) = book.lock_payment(&scope, "payment_intent", payment_id).await? else { return Ok(None) };
    let caller = ApiCaller::of_scope(&scope, &book.settings);
    let waits = payment.status == IntentStatus::RequiresAction
        && payment.action.as_ref().is_some_and(|action| action.token.0 == token);
    Ok(waits.then_some((book, caller, payment)))
}

async fn show(State(simulator): State<Arc<Simulator>>, Path((payment_id, token)): Path<(String, String)>) -> Response {
    match find(&simulator, &payment_id, &token).await {
        Ok(Some((_, _, payment))) => {
            let amount = format!("{} {}", payment.amount, payment.currency.to_uppercase());
            page(
                StatusCode::OK,
                &format!(
                    "<h1>3-D Secure test page</h1><p>A payment of {amount} (minor units) waits for the cardholder.</p><form method=\"post\">\
                     <button name=\"outcome\" value=\"pass\">Complete</button> <button name=\"outcome\" value=\"fail\">Fail</button> \
                     <button name=\"outcome\" value=\"abandon\">Leave without an answer</button></form>"
                ),
            )
        }
        Ok(None) => over(),
        Err(error) => broken(&error),
    }
}

async fn act(
    State(simulator): State<Arc<Simulator>>,
    Path((payment_id, token)): Path<(String, String)>,
    Form(choice): Form<Choice>,
) -> Response {
    match done(&simulator, &payment_id, &token, choice.outcome).await {
        Ok(Some(url)) => {
            simulator.wake.notify_waiters();
            match url.and_then(|url| HeaderValue::from_str(url.as_str()).ok()) {
                Some(url) => (StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response(),
                None => page(StatusCode::OK, "<h1>Done</h1><p>You may close this page.</p>"),
            }
        }
        Ok(None) => over(),
        Err(error) => broken(&error),
    }
}

/// Does it; gives where the customer goes, if anywhere. None: nothing waits.
async fn done(
    simulator: &Simulator,
    payment_id: &str,
    token: &str,
    outcome: ActionOutcome,
) -> Result<Option<Option<reqwest::Url>>, BookError> {
    let Some((mut book, caller, mut payment)) = find(simulator, payment_id, token).await? else { return Ok(None) };
    let return_url = payment.action.as_ref().and_then(|action| action.return_url.clone());
    let mut effects = RuleEffects::default();
    payment.act(outcome, book.context(), &mut effects)?;
    book.save(&caller, &payment, effects).await?;
    book.commit().await?;
    let status = match payment.status {
        IntentStatus::RequiresCapture | IntentStatus::Succeeded => "succeeded",
        IntentStatus::RequiresAction | IntentStatus::RequiresConfirmation => "pending",
        IntentStatus::RequiresPaymentMethod | IntentStatus::Canceled => "failed",
    };
    let mut url = return_url.and_then(|url| reqwest::Url::parse(&url).ok());
    if let Some(url) = &mut url {
        url.query_pairs_mut()
            .append_pair("payment_intent", &payment.id)
            .append_pair("payment_intent_client_secret", &payment.client_secret.0)
            .append_pair("redirect_status", status);
    }
    Ok(Some(url))
}

fn over() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "<h1>Nothing waits here</h1><p>The payment was confirmed, cancelled, or confirmed anew: go back to the shop.</p>",
    )
}

fn broken(error: &BookError) -> Response {
    tracing::error!(%error, "the page of 3-D Secure failed");
    page(StatusCode::INTERNAL_SERVER_ERROR, "<h1>The simulator failed</h1><p>See its log.</p>")
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>3-D Secure (simulated)</title></head><body>{body}</body></html>"
    );
    (status, Html(html)).into_response()
}
