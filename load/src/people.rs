//! Plays the people of a shop: customers who pass 3-D Secure or fail it, cancel what they ordered, and staff who review.

use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use crate::addresses::Pipeline;
use crate::mix::{Mix, Twist};
use crate::watch::Call;

/// Answers calls until nothing is watched any more.
pub fn answer(pipeline: Pipeline, mix: Mix, calls: Receiver<Call>, tokio: &tokio::runtime::Handle) {
    for call in calls {
        let Some((consumer, path, body)) = reaction(&mix, &call) else { continue };
        let pipeline = pipeline.clone();
        // Each in its own time: people do not wait for each other.
        drop(tokio.spawn(async move { post(&pipeline, consumer, &path, body).await }));
    }
}

fn reaction(mix: &Mix, call: &Call) -> Option<(&'static str, String, Value)> {
    match call {
        Call::Accepted { order_id, reference } => (mix.kind(*reference).twist == Twist::Cancel)
            .then(|| ("orders", format!("/orders/{order_id}/cancel"), json!({"requested_by": "customer", "reason": "changed my mind"}))),
        Call::Action { order_id, reference } => match mix.kind(*reference).token {
            "tok_3ds_passes" => Some(("payments", format!("/payments/{order_id}/three-d-secure"), json!({"outcome": "passed"}))),
            "tok_3ds_fails" => Some(("payments", format!("/payments/{order_id}/three-d-secure"), json!({"outcome": "failed"}))),
            _ => None,
        },
        Call::Review { order_id, reference } => {
            let verdict = if reference % 3 == 0 { "reject" } else { "clear" };
            Some(("fraud", format!("/reviews/{order_id}/verdict"), json!({"verdict": verdict, "by": "demo", "note": "looked at it"})))
        }
    }
}

/// A refusal is an answer too: the order may have ended, or moved on, meanwhile.
async fn post(pipeline: &Pipeline, consumer: &str, path: &str, body: Value) {
    let Ok(url) = pipeline.door(consumer, path) else { return };
    match pipeline.http.post(url).json(&body).send().await {
        Ok(response) if response.status().is_success() || response.status().as_u16() == 409 => {}
        Ok(response) => {
            let (status, body) = (response.status(), response.text().await.unwrap_or_default());
            tracing::warn!(consumer, path, %status, body, "refused");
        }
        Err(error) => tracing::warn!(consumer, path, %error, "not answered"),
    }
}
