//! The webhook: each alert is posted until it is taken; the receiver tells repetitions by its id, and who sends by the signature.

use std::sync::Arc;
use std::time::Duration;

use events::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use runtime::settings::Secret;
use runtime::{Clock, Failure};
use serde_json::json;
use sha2::Sha256;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::settings::TrackerSettings;
use crate::store::alerts::{self as store, AlertView};
use runtime::http::hex;

const AT_ONCE: i64 = 20;
const PATIENCE: Duration = Duration::from_secs(10);
/// While one is being delivered nobody else takes it.
const LEASE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Delivers alerts until told to stop. Without an address they stay, and are delivered once there is one.
pub(crate) async fn deliver(
    pool: PgPool,
    clock: Clock,
    settings: Arc<TrackerSettings>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(url) = settings.alert_url.as_ref().map(Secret::expose) else { return Ok(()) };
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let hook = Hook { client, url, secret: settings.alert_secret.as_ref() };
    while !shutdown.is_cancelled() {
        match round(&pool, &clock, &hook).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(failure) => {
                tracing::warn!(consumer = "saga-tracker", %failure, "alerts can't be read, will be tried again")
            }
        }
        shutdown.run_until_cancelled(tokio::time::sleep(settings.look_every.0)).await;
    }
    Ok(())
}

struct Hook<'s> {
    client: reqwest::Client,
    url: &'s str,
    secret: Option<&'s Secret>,
}

/// Delivers what is due; returns how many were taken by the receiver.
async fn round(pool: &PgPool, clock: &Clock, hook: &Hook<'_>) -> Result<usize, Failure> {
    let mut taken = 0;
    for alert in store::take_due(pool, clock.now(), LEASE, AT_ONCE).await? {
        match hook.post(&alert, clock.now()).await {
            Ok(()) => {
                taken += 1;
                store::delivered(pool, alert.alert_id, clock.now()).await?;
            }
            Err(error) => {
                tracing::warn!(consumer = "saga-tracker", alert_id = %alert.alert_id, attempt = alert.attempts, error, "alert not delivered, will be tried again");
                store::refused(pool, alert.alert_id, &error, clock.now().plus(pause(alert.attempts))).await?;
            }
        }
    }
    Ok(taken)
}

/// One second after the first try, doubled with each.
fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
}

impl Hook<'_> {
    /// # Errors
    /// Why the receiver did not take it, for people.
    async fn post(&self, alert: &AlertView, now: Timestamp) -> Result<(), String> {
        let body = json!({
            "id": alert.alert_id,
            "kind": alert.kind,
            "key": alert.key,
            "text": alert.text,
            "order_id": alert.order_id,
            "raised_at": alert.raised_at,
            "resolved_at": alert.resolved_at,
            "attempt": alert.attempts,
        })
        .to_string();
        let mut request = self
            .client
            .post(self.url)
            .header("Content-Type", "application/json")
            .header("Quadrille-Alert-Id", alert.alert_id.to_string());
        if let Some(secret) = self.secret {
            request = request.header("Quadrille-Signature", signature(secret.expose(), now, &body));
        }
        let answer = request.body(body).send().await.map_err(|error| format!("no answer: {}", error.without_url()))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("expected 2xx, got {}", answer.status())) }
    }
}

/// `t=<seconds since 1970>,v1=<HMAC-SHA256 in hexadecimal of "<t>.<body>">`: the time keeps an old one from being sent again by others.
pub(crate) fn signature(secret: &str, now: Timestamp, body: &str) -> String {
    let time = now.as_millis().div_euclid(1_000);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() }; // any length is taken
    mac.update(format!("{time}.{body}").as_bytes());
    format!("t={time},v1={}", hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 99].map(|attempts| pause(attempts).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // openssl: printf '1790000000.{}' | openssl dgst -sha256 -hmac secret
        let signed = signature("secret", Timestamp::from_millis(1_790_000_000_999), "{}");
        assert_eq!(signed, "t=1790000000,v1=d0cadd434460d4af55e7ab90d79c1802591d7001a77c9e06471d0e3ec8cc85ae");
    }
}
