//! The route that Stripe posts to.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use events::Timestamp;
use gateway::{NoticeEffect, Notices};
use runtime::Clock;
use runtime::http::{Access, Json, JsonResult, Problem, Routes};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::notices::WebhookNotice;
use crate::stripe::StripeGateway;
use crate::webhook::{LONGEST_BODY, SIGNATURE_HEADER, WebhookError, WebhookEvent};

/// How often events are looked for that no webhook brought.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// How far back the first look goes: Stripe sends an event again for so long.
const FIRST_LOOK: Duration = Duration::from_secs(3 * 24 * 3_600);
/// How far each later one goes back behind the one before: events appear in the list a little late.
const OVERLAP: Duration = Duration::from_secs(600);

/// What the route works with.
#[derive(Clone, Debug)]
pub struct StripeRoutes {
    /// Whose webhooks they are.
    pub stripe: Arc<StripeGateway>,
    /// Where they are recorded.
    pub notices: Notices,
}

/// The route, for which Stripe has no key of ours.
pub fn routes() -> Routes<StripeRoutes> {
    let signed = Access::keyless("the signature in the header Stripe-Signature");
    Routes::new().route(signed.largest_body(LONGEST_BODY), routes!(webhook))
}

/// What came of a webhook.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookTaken {
    /// `recorded`: the payment went on; `kept`: it came before our own commit and counts when that is here; `nothing`: it changed nothing; `foreign`: it is of
    /// a payment that was not made here.
    effect: &'static str,
}

impl StripeRoutes {
    async fn take_missed(&self, since: Timestamp) -> Result<(), String> {
        let events = self.stripe.undelivered(since).await.map_err(|failure| failure.to_string())?;
        for event in events {
            let effect = self
                .take(&event)
                .await
                .map_err(|problem| format!("{}: {}", event.id, problem.detail.unwrap_or(problem.title)))?;
            if effect == "recorded" {
                count("missed");
                tracing::info!(
                    consumer = "payments",
                    event = event.id,
                    event_type = event.event_type,
                    "no webhook brought it"
                );
            }
        }
        Ok(())
    }

    /// Has payments know what an event of Stripe's comes to; returns once that is committed.
    ///
    /// # Errors
    /// When Stripe does not give the object now, or it can't be recorded now, or contradicts the payment.
    pub async fn take(&self, event: &WebhookEvent) -> Result<&'static str, Problem> {
        let notice = self.stripe.notice(event).await.map_err(|failure| {
            let detail = format!("Stripe did not give the event's object: send the event again ({failure})");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not read").detail(detail)
        })?;
        match notice {
            WebhookNotice::Foreign => Ok("foreign"),
            WebhookNotice::Nothing => Ok("nothing"),
            WebhookNotice::Notice(notice) => {
                let effect = self.notices.record(format!("webhook/stripe/{}", event.id), notice).await?;
                Ok(match effect {
                    NoticeEffect::Recorded(_) => "recorded",
                    NoticeEffect::Kept => "kept",
                    NoticeEffect::Nothing(_) => "nothing",
                })
            }
        }
    }
}

/// Takes what no webhook brought, until told to stop: every few minutes the events since the last look that no endpoint took, at first those of three days.
///
/// # Errors
/// Never: what Stripe does not list now is listed later.
pub async fn take_missed_events(routes: StripeRoutes, clock: Clock, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut since = clock.now().minus(FIRST_LOOK);
    loop {
        let now = clock.now();
        match routes.take_missed(since).await {
            Ok(()) => since = now.minus(OVERLAP),
            Err(why) => {
                tracing::warn!(consumer = "payments", why, "events that no webhook brought are looked for again later");
            }
        }
        tokio::select! {
            () = clock.sleep_until(now.plus(LOOK_EVERY)) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("quadrille_gateway_webhooks_total", "gateway" => "stripe", "outcome" => outcome).increment(1);
}

/// An event of Stripe's. Its signature is checked, only its ids are believed, and its object is fetched again: so events may come twice, late, and in any order.
#[utoipa::path(post, path = "/webhooks/stripe", tag = "stripe",
    params(("Stripe-Signature" = String, Header, description = "Stripe's signature over the raw body, by one of payments.stripe.webhook_secrets")),
    request_body(content = Object, description = "The event, as Stripe sends it",
        example = json!({"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}})), responses(
    (status = 200, description = "Taken; `effect` says what came of it", body = WebhookTaken),
    (status = 400, description = "Not signed by Stripe for us, too old, or no event", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It contradicts the payment: a person must look", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "It can't be read or recorded now: send it again", body = Problem, content_type = "application/problem+json"),
))]
async fn webhook(State(routes): State<StripeRoutes>, headers: HeaderMap, body: Bytes) -> JsonResult<WebhookTaken> {
    let header = headers.get(SIGNATURE_HEADER).and_then(|header| header.to_str().ok());
    let event = routes.stripe.verified(header, &body).map_err(|error| {
        count("refused");
        tracing::warn!(consumer = "payments", %error, "a webhook was refused");
        refused(&error)
    })?;
    match routes.take(&event).await {
        Ok(effect) => {
            count(effect);
            tracing::debug!(
                consumer = "payments",
                event = event.id,
                event_type = event.event_type,
                effect,
                "a webhook was taken"
            );
            Ok(Json(WebhookTaken { effect }))
        }
        Err(problem) => {
            count("failed");
            let (status, detail) = (problem.status, problem.detail.as_deref());
            tracing::warn!(
                consumer = "payments",
                event = event.id,
                status,
                detail,
                "a webhook was not taken: Stripe sends it again"
            );
            Err(problem)
        }
    }
}

fn refused(error: &WebhookError) -> Problem {
    let (status, title) = match error {
        WebhookError::NoSecret => (StatusCode::SERVICE_UNAVAILABLE, "No signing secret"),
        WebhookError::TooLong(_) => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
        WebhookError::BadHeader(_) | WebhookError::OutOfTolerance { .. } | WebhookError::Forged { .. } => {
            (StatusCode::BAD_REQUEST, "Not signed")
        }
        WebhookError::Unreadable(_) => (StatusCode::BAD_REQUEST, "No event"),
    };
    Problem::new(status, title).detail(error.to_string())
}
