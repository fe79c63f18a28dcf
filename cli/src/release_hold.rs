//! `quadrille release-hold ORDER`: ships what is held because its payment is disputed, through fulfillment's own door.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use events::OrderId;
use runtime::Settings;
use runtime::settings::ConsumerSettings;
use serde_json::{Value, json};

use crate::output;

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
    let settings = Settings::from_env()?;
    let url = match fulfillment {
        Some(url) => url,
        None => {
            let own: ConsumerSettings = settings.section("fulfillment")?;
            let address =
                own.http.or_else(|| runtime::default_address("fulfillment")).context("fulfillment has no address")?;
            runtime::http::url(settings.common(), address)
        }
    };
    let request = runtime::http::client(settings.common())?
        .build()?
        .post(format!("{}/orders/{order}/release-hold", url.trim_end_matches('/')))
        .json(&json!({ "why": why }));
    let lost = || format!("fulfillment does not answer at {url}: start it, or say --fulfillment");
    let response = request.send().await.with_context(lost)?;
    let status = response.status();
    let answer: Value = response.json().await.with_context(lost)?;
    if !status.is_success() {
        bail!("not released: {status}: {}", answer["detail"].as_str().unwrap_or_default());
    }
    output::said(json, &answer, || {
        format!("order {order} is {} and held no more", answer["state"].as_str().unwrap_or_default())
    });
    Ok(ExitCode::SUCCESS)
}
