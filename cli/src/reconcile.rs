//! `quadrille reconcile`: our payments against the provider's own books, asked now.

use std::process::ExitCode;

use clap::Args;
use events::Timestamp;
use payments::GatewayName;
use payments::reconcile::{Reconciliation, reconcile_all};
use runtime::{Clock, Settings, Span};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde_json::json;

use crate::output;

/// The provider, or our database, could not be asked.
const COULD_NOT_ASK: u8 = 2;

/// Compare our payments with the provider's own books: what is missing on either side, what differs, refunds, fees.
///
/// Only reads, with the settings of payments. What has changed in the last ten minutes, or has a call under way, is counted and not compared; so are
/// payments of other systems in the same account. Exits with 0 if the books are equal, with 1 if they differ, and with 2 if they could not be read.
#[derive(Args)]
pub struct Arguments {
    /// Orders since then: an age such as 7d, a day (2026-11-23), or a moment in RFC 3339; `payments.reconcile_window` unless given.
    #[arg(long, value_parser = since)]
    since: Option<Timestamp>,
    /// Of this gateway alone: `stripe` or `sandbox`; all that payments has settings for unless given.
    #[arg(long, value_parser = gateway)]
    gateway: Option<GatewayName>,
}

fn since(text: &str) -> Result<Timestamp, String> {
    let age = read::<Span>(text).ok().map(|age| Clock::default().now().minus(age.0));
    let moment = age.or_else(|| text.parse().ok()).or_else(|| format!("{text}T00:00:00Z").parse().ok());
    moment.ok_or_else(|| "expected an age such as 7d, a day such as 2026-11-23, or a moment in RFC 3339".to_owned())
}

fn gateway(text: &str) -> Result<GatewayName, Error> {
    read(text)
}

/// As a setting is read.
fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Error> {
    T::deserialize(StrDeserializer::new(text))
}

pub async fn run(arguments: Arguments, json: bool) -> anyhow::Result<ExitCode> {
    match compared(arguments).await {
        Ok(compared) => {
            let differences: usize = compared.iter().map(|one| one.differences.len()).sum();
            match json {
                true => println!("{:#}", json!({"differences": differences, "gateways": compared})),
                false => compared.iter().for_each(|one| print!("{}", shown(one))),
            }
            Ok(output::code(differences == 0))
        }
        Err(error) => {
            eprintln!("quadrille: {}", runtime::told(&error));
            Ok(ExitCode::from(COULD_NOT_ASK))
        }
    }
}

async fn compared(Arguments { since, gateway }: Arguments) -> anyhow::Result<Vec<Reconciliation>> {
    reconcile_all(&Settings::from_env()?, since, gateway, &Clock::default()).await
}

fn shown(one: &Reconciliation) -> String {
    let Reconciliation { gateway, since, equal, moving, foreign, differences, totals } = one;
    let mut text = format!(
        "{gateway} since {since}: orders: {equal} equal, {moving} moving; foreign payments: {foreign}; differences: {}\n",
        differences.len()
    );
    if !totals.is_empty() {
        let table = output::table(
            totals,
            &[
                ("currency", |sum| sum.currency.to_string()),
                ("held here#", |sum| sum.currency.format(sum.here.held)),
                ("there#", |sum| sum.currency.format(sum.there.held)),
                ("taken here#", |sum| sum.currency.format(sum.here.captured)),
                ("there#", |sum| sum.currency.format(sum.there.captured)),
                ("given back here#", |sum| sum.currency.format(sum.here.refunded)),
                ("there#", |sum| sum.currency.format(sum.there.refunded)),
                ("fees#", |sum| sum.currency.format(sum.fees)),
            ],
        );
        text.push_str(&format!("{table}\n"));
    }
    for difference in differences {
        let (kind, order_id, payment_id) = (difference.kind.as_str(), difference.order_id, &difference.payment_id);
        text.push_str(&format!(
            "DIFFERS  {kind}  order {order_id}, payment {payment_id}: here {}; there {}\n",
            difference.here, difference.there
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_a_day_or_a_moment() {
        let day: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        assert_eq!((since("2026-11-23"), since("2026-11-23T00:00:00Z")), (Ok(day), Ok(day)));
        let week = Clock::default().now().as_millis() - since("7d").unwrap().as_millis() - 7 * 86_400_000;
        assert!((0..60_000).contains(&week), "{week}");
        assert!(since("yesterday").unwrap_err().contains("7d"));
        assert!(gateway("paypal").unwrap_err().to_string().contains("stripe"));
    }
}
