//! stripe-sim as the provider of a run: what it is told before, how its kinds of orders differ, and its ledger afterwards.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::addresses::PipelineAddresses;
use crate::invariants::InvariantResult;
use crate::mix::{COMPLETED, DEMO, OrderKind};

/// How long it is waited for, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// The demo's kinds, paid with Stripe's test cards. What no card brings about (slow and lost answers, server errors) comes by faults, for any order.
pub static STRIPE_DEMO: LazyLock<Vec<OrderKind>> = LazyLock::new(|| DEMO.iter().map(with_card).collect());

fn with_card(kind: &OrderKind) -> OrderKind {
    let (token, ends) = match kind.token {
        "tok_declined" => ("pm_card_visa_chargeDeclined", kind.ends),
        "tok_insufficient_funds" => ("pm_card_visa_chargeDeclinedInsufficientFunds", kind.ends),
        "tok_3ds_passes" => (PASSES, kind.ends),
        "tok_3ds_fails" => (FAILS, kind.ends),
        "tok_3ds_abandoned" => ("pm_card_authenticationRequiredOnSetup", kind.ends),
        "tok_checks_fail" => ("pm_card_cvcCheckFail", kind.ends),
        "tok_refund_pending" => ("pm_card_pendingRefund", kind.ends),
        "tok_capture_fails" => ("pm_card_visa", COMPLETED),
        "" => ("", kind.ends),
        _ => ("pm_card_visa", kind.ends),
    };
    OrderKind { token, ends, ..*kind }
}

const PASSES: &str = "pm_card_authenticationRequired";
const FAILS: &str = "pm_card_threeDSecureRequired";

/// What the customer chooses on the page of 3-D Secure; none for one who never comes there.
pub fn choice(token: &str) -> Option<&'static str> {
    match token {
        PASSES => Some("pass"),
        FAILS => Some("fail"),
        _ => None,
    }
}

/// Where stripe-sim listens, and the secret that it signs webhooks with.
#[derive(Clone, Debug)]
pub struct StripeSim {
    pub url: String,
    pub webhook_secret: String,
}

impl StripeSim {
    async fn ask(
        &self,
        pipeline: &PipelineAddresses,
        method: Method,
        path: &str,
        body: Value,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/_sim/{path}", self.url);
        let until = Instant::now() + PATIENCE;
        let answer = loop {
            match pipeline.http.request(method.clone(), &url).json(&body).send().await {
                // It may have been killed just now.
                Err(error) if error.is_connect() && Instant::now() < until => tokio::time::sleep(PAUSE).await,
                answer => break answer.context("stripe-sim")?,
            }
        };
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        if !status.is_success() {
            bail!("stripe-sim: {path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// No rate limits, refunds that settle soon, webhooks that come twice, late, out of order and not at all, and faults.
    pub async fn prepare(&self, pipeline: &PipelineAddresses) -> anyhow::Result<()> {
        let settings = json!({"endpoint_rate": null, "refund_settles_after": 4});
        self.ask(pipeline, Method::PUT, "settings", settings).await?;
        let known = self.ask(pipeline, Method::GET, "webhook_endpoints", json!({})).await?;
        for endpoint in known["webhook_endpoints"].as_array().into_iter().flatten() {
            let path = format!("webhook_endpoints/{}", endpoint["id"].as_str().unwrap_or_default());
            self.ask(pipeline, Method::DELETE, &path, json!({})).await?;
        }
        let endpoint = json!({"url": pipeline.door("payments", "/webhooks/stripe"), "secrets": [self.webhook_secret], "reversed": true,
            "duplicate_share": 0.1, "drop_share": 0.05, "delay_share": 0.1, "delay_ms": 1_000});
        self.ask(pipeline, Method::POST, "webhook_endpoints", endpoint).await?;
        self.ask(pipeline, Method::DELETE, "faults", json!({})).await?;
        let payments = ["payment_intents.create", "payment_intents.confirm", "payment_intents.capture"];
        for fault in [
            json!({"operations": ["*"], "share": 0.005, "fault": "answer_dropped"}),
            json!({"operations": ["*"], "share": 0.005, "fault": "connection_closed"}),
            json!({"operations": ["*"], "share": 0.005, "fault": "lock_timeout"}),
            json!({"operations": ["*"], "share": 0.005, "fault": "key_in_use"}),
            json!({"operations": payments, "share": 0.005, "fault": "server_error", "committed": true}),
            json!({"operations": payments, "share": 0.005, "fault": "server_error"}),
            json!({"operations": payments, "share": 0.01, "fault": "slow", "ms": 3_000, "when": "after"}),
        ] {
            self.ask(pipeline, Method::POST, "faults", fault).await?;
        }
        Ok(())
    }

    /// Its ledger: sound in itself, and the same as that of payments.
    pub async fn books(&self, pipeline: &PipelineAddresses) -> anyhow::Result<Vec<InvariantResult>> {
        let ledger = self.ask(pipeline, Method::GET, "ledger?metadata=order_id", json!({})).await?;
        let statement = "with ours as (
              select payment_id, order_id, captured, refunded from payments.payment where gateway = 'stripe' and payment_id is not null
          ), theirs as (
              select payment_id, coalesce(sum(amount) filter (where entry = 'capture'), 0)::bigint as captured,
                     coalesce(sum(case entry when 'refund' then amount when 'refund_failed' then -amount end), 0)::bigint as refunded
                from stripe_sim.ledger group by payment_id
          )
          select coalesce(sum(captured), 0)::bigint, coalesce(sum(refunded), 0)::bigint, count(*) filter (where differs), min(payment_id) filter (where differs)
            from (select payment_id, ours.captured, ours.refunded, (coalesce(ours.captured, 0), coalesce(ours.refunded, 0))
                         is distinct from (coalesce(theirs.captured, 0), coalesce(theirs.refunded, 0)) as differs
                    from ours full join theirs using (payment_id)) as both_books";
        let (captured, refunded, differ, first): (i64, i64, i64, Option<String>) = sqlx::query_as(statement)
            .fetch_one(&pipeline.pool)
            .await
            .context("the books of payments and stripe-sim")?;
        let first = first.map(|payment_id| format!(", the first is {payment_id}")).unwrap_or_default();
        Ok(vec![
            InvariantResult {
                name: "money: stripe-sim's ledger is sound, and no order has money twice",
                holds: ledger["ok"] == json!(true),
                figures: format!("{} payments, violations: {}", ledger["payments"], ledger["violations"]),
            },
            InvariantResult {
                name: "money: stripe-sim's ledger says the same as payments",
                holds: differ == 0,
                figures: format!("{captured} captured and {refunded} refunded; {differ} payments differ{first}"),
            },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_pays_pays_with_a_card_of_stripes() {
        for (kind, ours) in STRIPE_DEMO.iter().zip(DEMO) {
            assert_eq!(kind.token.starts_with("pm_card_"), !ours.token.is_empty(), "{}", kind.name);
        }
    }
}
