//! The tracker's settings: how often it looks, whom it alerts, and from when on.

use std::collections::BTreeMap;

use anyhow::ensure;
use operator::OperatorSettings;
use runtime::settings::{Secret, Section};
use runtime::{Consumer as _, Settings, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::AuditSettings;
use crate::http::ReadSettings;
use crate::tracker::{NAME, SagaTracker};

use crate::alerts::AlertKind;

/// The settings, section `saga_tracker`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TrackerSettings {
    /// How often overdue orders and undelivered alerts are looked for.
    pub look_every: Span,
    /// How often it is seen how far consumers are, while an order is about to be overdue.
    pub sample_every: Span,
    /// How often the figures of alerts and metrics are taken.
    pub watch_every: Span,
    /// Where alerts are posted to, as JSON; none: nowhere, `GET /alerts` lists them.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(inline, default)]
    pub alert_url: Option<Secret>,
    /// What alerts are signed with; none: they are not.
    #[serde(serialize_with = "runtime::settings::hidden")]
    #[schema(inline, default)]
    pub alert_secret: Option<Secret>,
    /// More money than this, in minor units, held or taken for orders that are stuck or have dead letters is an alert.
    pub money_at_risk: i64,
    /// The same for one currency, by its code.
    pub money_at_risk_in: BTreeMap<String, i64>,
    /// More dead letters than this within five minutes are an alert.
    pub dead_letters: i64,
    /// An outbox that was not published for longer than this is an alert.
    pub relay_lag: Span,
    /// An event that waits for a retry for longer than this is an alert.
    pub parked_age: Span,
    /// A review that times out within this is an alert.
    pub review_margin: Span,
    /// A paid shipment that has not left for longer than this is an alert; none: for as long as fulfillment's `hand_over_deadline`.
    #[schema(inline)]
    pub hand_over: Option<Span>,
    /// A refund to a customer that is not done for longer than this is an alert.
    pub refund_late: Span,
    /// A consumer that has not been ready for longer than this is an alert.
    pub circuit_open: Span,
    /// Kinds of alerts that are turned off, such as `["dead_letter"]`; their figures are exported all the same.
    pub alerts_off: Vec<AlertKind>,
    /// Where consumers listen whose `/readyz` is asked, such as `{payments = "http://payments:8082"}`; default: as their own settings say.
    pub probes: BTreeMap<String, String>,
}

pub fn section() -> Section {
    Section::consumer(NAME, &SagaTracker::defaults())
        .with(&TrackerSettings::default())
        .with(&OperatorSettings::default())
        .with(&ReadSettings::default())
        .with(&AuditSettings::default())
        .checked(|all| {
            all.section::<ReadSettings>(NAME)?;
            all.section::<AuditSettings>(NAME)?;
            all.section::<OperatorSettings>(NAME)?;
            all.keep(NAME, &SagaTracker::defaults())?;
            read(all).map(drop)
        })
}

pub(crate) fn read(all: &Settings) -> anyhow::Result<TrackerSettings> {
    all.refuse_unknown(&section())?;
    let settings: TrackerSettings = all.section(NAME)?;
    settings.check()?;
    Ok(settings)
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self {
            look_every: Span::secs(1),
            sample_every: Span::secs(5),
            watch_every: Span::secs(10),
            alert_url: None,
            alert_secret: None,
            money_at_risk: 100_000,
            money_at_risk_in: BTreeMap::new(),
            dead_letters: 20,
            relay_lag: Span::secs(60),
            parked_age: Span::secs(900),
            review_margin: Span::secs(3_600),
            hand_over: None,
            refund_late: Span::secs(10 * 24 * 3_600),
            circuit_open: Span::secs(60),
            alerts_off: Vec::new(),
            probes: BTreeMap::new(),
        }
    }
}

impl TrackerSettings {
    pub(crate) fn money_limit(&self, currency: &str) -> i64 {
        self.money_at_risk_in.get(currency).copied().unwrap_or(self.money_at_risk)
    }

    pub(crate) fn alerts(&self, kind: AlertKind) -> bool {
        !self.alerts_off.contains(&kind)
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, span) in [("look_every", self.look_every), ("watch_every", self.watch_every)] {
            ensure!(
                !span.0.is_zero(),
                "settings of saga_tracker: expected {name} to be longer than nothing, such as \"1s\""
            );
        }
        if let Some(url) = &self.alert_url {
            let parsed = reqwest::Url::parse(url.expose());
            ensure!(
                parsed.as_ref().is_ok_and(|url| ["http", "https"].contains(&url.scheme())),
                "settings of saga_tracker: expected alert_url to be an http or https address, such as \"https://alerts.example/hook\""
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_would_stop_everything_is_refused_by_name() {
        assert!(TrackerSettings::default().check().is_ok());
        let of = |alert_url: &str| TrackerSettings { alert_url: Some(alert_url.into()), ..TrackerSettings::default() };
        assert!(of("https://alerts.example/hook").check().is_ok());
        assert!(of("alerts.example").check().unwrap_err().to_string().contains("alert_url"));
        let token = "s3cr3t-of-the-hook";
        let shown = format!("{:?}", of(&format!("https://alerts.example/{token}")));
        assert!(!shown.contains(token) && !of(token).check().unwrap_err().to_string().contains(token), "{shown}");
        let never = TrackerSettings { look_every: Span::secs(0), ..TrackerSettings::default() };
        assert!(never.check().unwrap_err().to_string().contains("look_every"));
    }

    #[test]
    fn a_currency_may_have_a_limit_of_its_own() {
        let settings = TrackerSettings { money_at_risk_in: [("JPY".into(), 5)].into(), ..TrackerSettings::default() };
        assert_eq!((settings.money_limit("JPY"), settings.money_limit("EUR")), (5, 100_000));
    }
}
