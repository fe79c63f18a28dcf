//! The outbox relay as a consumer of its own: it hears no topic and publishes what the others committed to their outbox.
//!
//! Says `RelayAdvanced` on `operations`, the watermark by which the saga tracker tells late from stuck. All else is in [`runtime::relay`].

use std::collections::BTreeSet;
use std::sync::Arc;

use runtime::http::Routes;
use runtime::relay::{self, RelaySettings};
use runtime::settings::{ConsumerSettings, Section, SettingsError};
use runtime::{Health, Host, Settings};

/// The relay's name: of its section in the settings, its metrics and its binary.
pub const NAME: &str = "outbox-relay";

/// The consumers whose outboxes it publishes.
const CONSUMERS: [&str; 7] =
    ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications", "saga-tracker"];

/// Starts the relay in this process: it publishes the outbox of every database that a consumer is set to use, unless `database_urls` names others.
///
/// # Errors
/// When a setting does not fit, or the address of its probes is taken.
pub fn start(host: &Arc<Host>) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let all = host.settings().clone();
        let mut settings = settings(&all)?;
        let read = move || Some(self::settings(&all.read_again().ok()?).ok()?.database_urls);
        settings.read_again = relay::ReadAgain(Some(Arc::new(read)));
        let probes: ConsumerSettings = host.settings().section(NAME)?;
        let health = Arc::new(Health::of(NAME));
        host.open(NAME, probes.http, Routes::new(), Arc::clone(&health), None).await?;
        host.spawn(NAME, relay::run(settings, host.clock().clone(), health, host.shutdown().clone()));
        Ok(())
    })
}

/// What can be set of the relay.
pub fn section() -> Section {
    let mut section = Section::consumer(NAME, &ConsumerSettings::default());
    section.fields.retain(|field| field.name == "http"); // its probes; it hears nothing
    section.with(&RelaySettings::default()).checked(|all| Ok(settings(all).map(drop)?))
}

/// The relay's settings: its own section over what all consumers share.
///
/// # Errors
/// When a value does not fit.
pub fn settings(all: &Settings) -> Result<RelaySettings, SettingsError> {
    let (common, mut settings) = (all.common(), all.section::<RelaySettings>(NAME)?);
    let own = std::mem::take(&mut settings.kafka);
    settings.kafka = common.kafka.clone();
    settings.kafka.extend(own);
    settings.topic_prefix.clone_from(&common.topic_prefix);
    if settings.database_urls.is_empty() {
        let mut urls = BTreeSet::new();
        for consumer in CONSUMERS {
            urls.insert(all.database_url(consumer)?);
        }
        settings.database_urls = urls.into_iter().collect();
    }
    Ok(settings)
}
