//! `quadrille return`: goods that come back, through fulfillment's own routes.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use events::{OrderId, ReturnId};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::consumer::{self, units};
use crate::output;

#[derive(Subcommand)]
pub enum Command {
    /// Announce that units of an order come back.
    Announce {
        /// The order.
        order: OrderId,
        /// Which units: SKU=N, separated by commas.
        #[arg(long, value_delimiter = ',', value_parser = units, required = true)]
        lines: Vec<(String, i64)>,
        /// Why; it is told in events, so no personal data.
        #[arg(long)]
        reason: String,
        /// What comes back is not refunded: it is exchanged, or paid back by other means.
        #[arg(long)]
        no_refund: bool,
        /// What the return is known by: again under the same key it is the same return. A new one unless given.
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        at: FulfillmentAddress,
    },
    /// Say that a return arrived: what is not named did not come.
    Receive {
        /// The order.
        order: OrderId,
        /// The return.
        return_id: ReturnId,
        /// Units that can be sold again: SKU=N, separated by commas.
        #[arg(long, value_delimiter = ',', value_parser = units)]
        intact: Vec<(String, i64)>,
        /// Units that can't.
        #[arg(long, value_delimiter = ',', value_parser = units)]
        damaged: Vec<(String, i64)>,
        /// Where they are now; default: where each unit shipped from.
        #[arg(long)]
        warehouse: Option<String>,
        #[command(flatten)]
        at: FulfillmentAddress,
    },
    /// Say that a return is not taken back.
    Refuse {
        /// The order.
        order: OrderId,
        /// The return.
        return_id: ReturnId,
        /// Why; the customer is told.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        at: FulfillmentAddress,
    },
    /// An order's returns.
    List {
        /// The order.
        order: OrderId,
        #[command(flatten)]
        at: FulfillmentAddress,
    },
}

#[derive(Args)]
pub struct FulfillmentAddress {
    /// The address of fulfillment, such as http://127.0.0.1:8084; default: from the settings.
    #[arg(long)]
    fulfillment: Option<String>,
}

pub async fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Announce { order, lines, reason, no_refund, key, at } => {
            let lines: Vec<Value> =
                lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
            let body = json!({"lines": lines, "reason": reason, "refund": !no_refund});
            let key = key.unwrap_or_else(|| runtime::Clock::default().mint().to_string());
            let again = format!("ask again with --key {key}");
            let request = |client: Client, url: String| client.post(url).header("Idempotency-Key", &key).json(&body);
            let answer = answer(&at, &format!("/orders/{order}/returns"), request, &again).await?;
            said(json, &answer);
        }
        Command::Receive { order, return_id, intact, damaged, warehouse, at } => {
            let of = |state: &str, units: Vec<(String, i64)>| -> Vec<Value> {
                units.iter().map(|(sku, quantity)| json!({"sku": sku, state: quantity})).collect()
            };
            let lines = [of("intact", intact), of("damaged", damaged)].concat();
            let body = json!({"lines": lines, "warehouse": warehouse});
            let path = format!("/orders/{order}/returns/{return_id}/received");
            let answer = answer(&at, &path, |client, url| client.post(url).json(&body), "ask again").await?;
            said(json, &answer);
        }
        Command::Refuse { order, return_id, reason, at } => {
            let path = format!("/orders/{order}/returns/{return_id}/refused");
            let body = json!({"reason": reason});
            let answer = answer(&at, &path, |client, url| client.post(url).json(&body), "ask again").await?;
            said(json, &answer);
        }
        Command::List { order, at } => {
            let path = format!("/orders/{order}/returns");
            let answer = answer(&at, &path, |client, url| client.get(url), "ask again").await?;
            output::said(json, &answer, || {
                let lines: Vec<String> = answer["returns"].as_array().into_iter().flatten().map(shown).collect();
                if lines.is_empty() { "no returns".to_owned() } else { lines.join("\n") }
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn said(json: bool, answer: &Value) {
    output::said(json, answer, || shown(answer));
}

/// A return in one line.
fn shown(answer: &Value) -> String {
    let line = |line: &Value| {
        let came = [("intact", &line["intact"]), ("damaged", &line["damaged"])];
        let came =
            came.iter().filter(|(_, units)| units.as_i64() != Some(0)).map(|(name, units)| format!(", {units} {name}"));
        format!("{} {}{}", line["quantity"], line["sku"].as_str().unwrap_or_default(), came.collect::<String>())
    };
    let lines: Vec<String> = answer["lines"].as_array().into_iter().flatten().map(line).collect();
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    format!("return {} is {}: {}", text("return_id"), text("state"), lines.join("; "))
}

async fn answer(
    at: &FulfillmentAddress,
    path: &str,
    request: impl FnOnce(Client, String) -> RequestBuilder,
    again: &str,
) -> anyhow::Result<Value> {
    consumer::ask("fulfillment", at.fulfillment.as_deref(), path, request, again).await
}
