//! A consumer's own routes, as commands ask them.

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder};
use runtime::Settings;
use runtime::settings::ConsumerSettings;
use serde_json::Value;

/// The address of a consumer: as it was given, or from the settings.
///
/// # Errors
/// When a setting can't be read, or the consumer has no address.
pub fn url(settings: &Settings, consumer: &str, given: Option<&str>) -> anyhow::Result<String> {
    if let Some(url) = given {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let own: ConsumerSettings = settings.section(consumer)?;
    let address = own.http.or_else(|| runtime::default_address(consumer));
    Ok(runtime::http::url(settings.common(), address.with_context(|| format!("{consumer} has no address"))?))
}

/// What a consumer answers to a request at this path; `again` says how to ask again where it does not.
///
/// # Errors
/// When it does not answer, or with no success; the message says what to do.
pub async fn ask(
    consumer: &str,
    given: Option<&str>,
    path: &str,
    request: impl FnOnce(Client, String) -> RequestBuilder,
    again: &str,
) -> anyhow::Result<Value> {
    let settings = Settings::from_env()?;
    let url = url(&settings, consumer, given)?;
    let client = runtime::http::client(settings.common())?.build()?;
    let lost = || format!("{consumer} does not answer at {url}: start it, or say --{consumer}; {again}");
    let response = request(client, format!("{url}{path}")).send().await.with_context(lost)?;
    let status = response.status();
    let answer: Value = response.json().await.with_context(lost)?;
    if !status.is_success() {
        bail!("not done: {status}: {}", answer["detail"].as_str().unwrap_or_default());
    }
    Ok(answer)
}

/// Units of a SKU, as arguments have them: SKU=N.
///
/// # Errors
/// What was expected.
pub fn units(text: &str) -> Result<(String, i64), String> {
    let misfit = || format!("expected SKU=N, such as SKU-0001=2, got {text:?}");
    let (sku, quantity) = text.rsplit_once('=').ok_or_else(misfit)?;
    Ok((sku.to_owned(), quantity.parse().map_err(|_| misfit())?))
}
