//! `quadrille release-hold ORDER`: ships what is held because its payment is disputed, through fulfillment's own door.

use std::process::ExitCode;

use clap::Args;
use events::OrderId;
use reqwest::Client;
use serde_json::json;

use crate::{consumer, output};

#[derive(Args)]
pub struct Arguments {
    /// The order.
    order: OrderId,
    /// Why, for the record.
    #[arg(long)]
    why: String,
    /// The address of fulfillment, such as http://127.0.0.1:8084; default: from the settings.
    #[arg(long)]
    fulfillment: Option<String>,
}

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let Arguments { order, why, fulfillment } = arguments;
    let (path, body) = (format!("/orders/{order}/release-hold"), json!({ "why": why }));
    let request = |client: Client, url: String| client.post(url).json(&body);
    let answer = consumer::ask("fulfillment", fulfillment.as_deref(), &path, request, "then ask again").await?;
    output::said(json, &answer, || {
        format!("order {order} is {} and held no more", answer["state"].as_str().unwrap_or_default())
    });
    Ok(ExitCode::SUCCESS)
}
