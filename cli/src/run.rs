//! `quadrille run a,b`: several consumers in one process; and what all of them hear and say.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use runtime::{Consumer, Host};

/// All consumers, the relay last.
const ALL: [&str; 8] =
    ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications", "saga-tracker", "outbox-relay"];

/// Hosts these consumers until told to stop.
pub fn run(consumers: Vec<String>) -> ExitCode {
    runtime::main("quadrille", |host| async move {
        for name in chosen(&consumers)? {
            start(&host, name).await?;
        }
        Ok(())
    })
}

fn chosen(consumers: &[String]) -> anyhow::Result<Vec<&str>> {
    if consumers.iter().any(|name| name == "all") {
        return Ok(ALL.to_vec());
    }
    if let Some(unknown) = consumers.iter().find(|name| !ALL.contains(&name.as_str())) {
        bail!("there is no consumer `{unknown}`: expected `all` or some of {}", ALL.join(","));
    }
    Ok(consumers.iter().map(String::as_str).collect())
}

async fn start(host: &Arc<Host>, name: &str) -> anyhow::Result<()> {
    match name {
        "orders" => orders::start(host).await,
        "inventory" => inventory::start(host).await,
        "payments" => payments::start(host).await,
        "fraud" => fraud::start(host).await,
        "fulfillment" => fulfillment::start(host).await,
        "notifications" => notifications::start(host).await,
        "saga-tracker" => saga_tracker::start(host).await,
        _ => outbox_relay::start(host).await,
    }
}

/// What each consumer hears, by its code.
pub fn subscribes_to() -> Vec<(&'static str, Vec<&'static str>)> {
    fn of<C: Consumer>() -> (&'static str, Vec<&'static str>) {
        (C::NAME, C::subscribes_to())
    }
    vec![
        of::<orders::Orders>(),
        of::<inventory::Inventory>(),
        of::<payments::Payments>(),
        of::<fraud::Fraud>(),
        of::<fulfillment::Fulfillment>(),
        of::<notifications::Notifications>(),
        of::<saga_tracker::SagaTracker>(),
    ]
}

/// What each consumer says, by its code.
pub fn publishes() -> Vec<(&'static str, Vec<&'static str>)> {
    fn of<C: Consumer>() -> (&'static str, Vec<&'static str>) {
        (C::NAME, C::publishes())
    }
    vec![
        of::<orders::Orders>(),
        of::<inventory::Inventory>(),
        of::<payments::Payments>(),
        of::<fraud::Fraud>(),
        of::<fulfillment::Fulfillment>(),
        of::<notifications::Notifications>(),
        of::<saga_tracker::SagaTracker>(),
    ]
}
