//! `quadrille refund ORDER`: money back to a customer, through payments' own door.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use events::{OrderId, RefundId};
use reqwest::RequestBuilder;
use runtime::Settings;
use runtime::settings::ConsumerSettings;
use serde_json::{Value, json};

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

fn units(text: &str) -> Result<(String, i64), String> {
    let misfit = || format!("expected SKU=N, such as SKU-0001=2, got {text:?}");
    let (sku, quantity) = text.rsplit_once('=').ok_or_else(misfit)?;
    Ok((sku.to_owned(), quantity.parse().map_err(|_| misfit())?))
}

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let Arguments { order, all, amount, lines, settle, failed, reason, key, payments } = arguments;
    let settings = Settings::from_env()?;
    let url = match payments {
        Some(url) => url,
        None => {
            let own: ConsumerSettings = settings.section("payments")?;
            let address =
                own.http.or_else(|| runtime::default_address("payments")).context("payments has no address")?;
            runtime::http::url(settings.common(), address)
        }
    };
    let url = url.trim_end_matches('/');
    if let Some(refund_id) = settle {
        let body = match failed {
            Some(detail) => json!({"outcome": "failed", "detail": detail}),
            None => json!({"outcome": "refunded"}),
        };
        let request = runtime::http::client(settings.common())?.build()?;
        let request = request.post(format!("{url}/orders/{order}/refunds/{refund_id}/settle")).json(&body);
        let lost = || format!("payments does not answer at {url}: start it, or say --payments; then ask again");
        let answer = answered(request, lost, "not settled").await?;
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
    let request = runtime::http::client(settings.common())?
        .build()?
        .post(format!("{url}/orders/{order}/refunds"))
        .header("Idempotency-Key", &key)
        .json(&body);
    let lost = || format!("payments does not answer at {url}: start it, or say --payments; ask again with --key {key}");
    let answer = answered(request, lost, "not refunded").await?;
    output::said(json, &answer, || {
        format!(
            "{} minor units go back, refund {}; GET /orders/{order}/refunds at payments says how it stands",
            answer["amount"],
            answer["refund_id"].as_str().unwrap_or_default()
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The answer of payments. Fails where there is none, or no success.
async fn answered(request: RequestBuilder, lost: impl Fn() -> String, refused: &str) -> anyhow::Result<Value> {
    let response = request.send().await.with_context(&lost)?;
    let status = response.status();
    let answer: Value = response.json().await.with_context(&lost)?;
    if !status.is_success() {
        bail!("{refused}: {status}: {}", answer["detail"].as_str().unwrap_or_default());
    }
    Ok(answer)
}
