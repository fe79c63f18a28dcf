//! `quadrille refund ORDER`: money back to a customer, through payments' own door.

use std::process::ExitCode;

use clap::Args;
use events::{OrderId, RefundId};
use reqwest::Client;
use serde_json::json;

use crate::consumer::{self, units};
use crate::output;

#[derive(Args)]
#[group(id = "what", required = true, multiple = false, args = ["all", "amount", "lines", "settle"])]
pub struct Arguments {
    /// The order.
    order: OrderId,
    /// All that is left of it.
    #[arg(long)]
    all: bool,
    /// So much, in minor units of its currency.
    #[arg(long)]
    amount: Option<i64>,
    /// What these units cost: SKU=N, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = units)]
    lines: Vec<(String, i64)>,
    /// This refund, which others were asked to make, is made; with --failed it is not.
    #[arg(long)]
    settle: Option<RefundId>,
    /// Why others did not make it; it is told in events, so no personal data.
    #[arg(long, requires = "settle")]
    failed: Option<String>,
    /// Why; it is told in events, so no personal data.
    #[arg(long, required_unless_present = "settle")]
    reason: Option<String>,
    /// What the refund is known by: again under the same key it is the same refund. A new one unless given.
    #[arg(long)]
    key: Option<String>,
    /// The address of payments, such as http://127.0.0.1:8082; default: from the settings.
    #[arg(long)]
    payments: Option<String>,
}

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let Arguments { order, all, amount, lines, settle, failed, reason, key, payments } = arguments;
    let at = payments.as_deref();
    if let Some(refund_id) = settle {
        let body = match failed {
            Some(detail) => json!({"outcome": "failed", "detail": detail}),
            None => json!({"outcome": "refunded"}),
        };
        let path = format!("/orders/{order}/refunds/{refund_id}/settle");
        let request = |client: Client, url: String| client.post(url).json(&body);
        let answer = consumer::ask("payments", at, &path, request, "then ask again").await?;
        output::said(json, &answer, || {
            format!("refund {refund_id} of order {order} is on record as {}", body["outcome"])
        });
        return Ok(ExitCode::SUCCESS);
    }
    let mut body = json!({ "reason": reason });
    if all {
        body["all"] = true.into();
    }
    if let Some(amount) = amount {
        body["amount"] = amount.into();
    }
    if !lines.is_empty() {
        body["lines"] = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    }
    let key = key.unwrap_or_else(|| runtime::Clock::default().mint().to_string());
    let again = format!("ask again with --key {key}");
    let request = |client: Client, url: String| client.post(url).header("Idempotency-Key", &key).json(&body);
    let answer = consumer::ask("payments", at, &format!("/orders/{order}/refunds"), request, &again).await?;
    output::said(json, &answer, || {
        format!(
            "{} minor units go back, refund {}; GET /orders/{order}/refunds at payments says how it stands",
            answer["amount"],
            answer["refund_id"].as_str().unwrap_or_default()
        )
    });
    Ok(ExitCode::SUCCESS)
}
