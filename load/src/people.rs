//! Plays the people of a shop: customers who pass 3-D Secure or fail it, cancel what they ordered, and staff who review.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::addresses::PipelineAddresses;
use crate::mix::{Mix, ReviewRuling, Twist};
use crate::stripe;
use crate::watch::{Asks, Call};

/// How long a consumer that answers 503, or not at all, is asked again, and how often.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

enum Reaction {
    /// Consumer, path of its route, and what is posted there.
    Post(&'static str, String, Value),
    /// What the customer of an order chooses on the provider's page of 3-D Secure.
    Page(String, &'static str),
}

/// Answers calls until nothing is watched any more.
pub fn answer(pipeline: PipelineAddresses, mix: Mix, calls: Receiver<Call>, tokio: &tokio::runtime::Handle) {
    for call in calls {
        let Some(reaction) = reaction(&mix, &call) else { continue };
        let pipeline = pipeline.clone();
        // Each in its own time: people do not wait for each other.
        drop(tokio.spawn(async move {
            match reaction {
                Reaction::Post(consumer, path, body) => post(&pipeline, consumer, &path, &body).await,
                Reaction::Page(order_id, choice) => choose(&pipeline, &order_id, choice).await,
            }
        }));
    }
}

fn reaction(mix: &Mix, Call { asks, order_id, reference }: &Call) -> Option<Reaction> {
    let kind = mix.kind(*reference);
    let cancel =
        || Reaction::Post("orders", format!("/orders/{order_id}/cancel"), json!({"reason": "changed my mind"}));
    let confirm = |outcome| {
        Reaction::Post("payments", format!("/payments/{order_id}/three-d-secure"), json!({"outcome": outcome}))
    };
    let rule = |verdict| {
        let body = json!({"verdict": verdict, "note": "looked at it"});
        Reaction::Post("fraud", format!("/reviews/{order_id}/verdict"), body)
    };
    match asks {
        Asks::Nothing => (kind.twist == Twist::Cancel).then(cancel),
        Asks::Parcel => (kind.twist == Twist::Recall).then(cancel),
        Asks::Customer => match kind.token {
            "tok_3ds_passes" => Some(confirm("passed")),
            "tok_3ds_fails" => Some(confirm("failed")),
            token => stripe::choice(token).map(|choice| Reaction::Page(order_id.clone(), choice)),
        },
        Asks::Staff => match kind.verdict {
            ReviewRuling::Clear => Some(rule("clear")),
            ReviewRuling::Reject => Some(rule("reject")),
            ReviewRuling::Nobody => None,
        },
    }
}

/// A refusal is an answer too: the order may have ended, or moved on, meanwhile. A 503, or no answer at all, is asked again, as people do: the consumer
/// may start, or wait for its database.
async fn post(pipeline: &PipelineAddresses, consumer: &str, path: &str, body: &Value) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answered = pipeline.http.post(pipeline.door(consumer, path)).json(body).send().await;
        let again = answered.as_ref().map_or(true, |response| response.status() == StatusCode::SERVICE_UNAVAILABLE);
        if again && Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        match answered {
            Ok(response) if response.status().is_success() || response.status() == StatusCode::CONFLICT => {}
            Ok(response) => {
                let (status, body) = (response.status(), response.text().await.unwrap_or_default());
                tracing::warn!(consumer, path, %status, body, "refused");
            }
            Err(error) => tracing::warn!(consumer, path, %error, "not answered"),
        }
        return;
    }
}

/// Goes to the page that the payment names, and chooses there; again where nobody answers.
async fn choose(pipeline: &PipelineAddresses, order_id: &str, choice: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let chosen = async {
            let payment = pipeline.http.get(pipeline.door("payments", &format!("/payments/{order_id}"))).send().await?;
            let payment: Value = payment.error_for_status()?.json().await?;
            let url = payment["action"]["url"].as_str().unwrap_or_default();
            let page = pipeline.http.post(url).header("content-type", "application/x-www-form-urlencoded");
            page.body(format!("outcome={choice}")).send().await
        };
        match chosen.await {
            // A redirect leads back to the shop; a page that is not there any more, to nothing.
            Ok(answer) if !answer.status().is_server_error() => {}
            Err(error) if (error.is_request() || error.is_status()) && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok(answer) => tracing::warn!(order_id, status = %answer.status(), "the page of 3-D Secure"),
            Err(error) => tracing::warn!(order_id, %error, "the page of 3-D Secure is not there"),
        }
        return;
    }
}
