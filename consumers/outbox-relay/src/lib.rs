//! The outbox relay as a consumer of its own: it hears no topic and publishes what the others committed to their outbox.
//!
//! Publishes `RelayAdvanced` on `operations`, the watermark by which the saga tracker tells late from stuck. All else is in [`relay`].

use std::sync::Arc;

use ::relay::{self, RelaySettings};
use choreography::Choreography;
use runtime::http::Routes;
use runtime::settings::{ConsumerSettings, Secret, Section, SettingsError};
use runtime::{Health, Host, Settings};

/// The relay's name: of its section in the settings, its metrics and its binary.
pub const NAME: &str = "outbox-relay";

/// Starts the relay in this process: it publishes the outbox of every database that a consumer is set to use, unless `database_urls` names others.
///
/// # Errors
/// When a setting does not fit, or the address of its probes is taken.
pub fn start(host: &Arc<Host>) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let all = host.settings().clone();
        let mut settings = settings(&all)?;
        // Fixed once: a database is known by the consumer that uses it, as its address may change and another's may be equal for a while.
        let owners = owners(&all)?;
        let read = move || {
            let now = all.read_again().ok()?;
            addresses(&now, &owners).ok()
        };
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
    Section::consumer(NAME, &ConsumerSettings::default())
        .with(&RelaySettings::default())
        .checked(|all| settings(all)?.check())
}

/// The relay's settings: its own section over what all consumers share.
pub fn settings(all: &Settings) -> Result<RelaySettings, SettingsError> {
    let (common, mut settings) = (all.common(), all.section::<RelaySettings>(NAME)?);
    let own = std::mem::take(&mut settings.kafka);
    settings.kafka = common.kafka.clone();
    settings.kafka.extend(own);
    settings.topic_prefix.clone_from(&common.topic_prefix);
    settings.database_urls = addresses(all, &owners(all)?)?;
    Ok(settings)
}

/// One consumer for each database, in the order of topics.yaml; none where the section names the databases itself.
fn owners(all: &Settings) -> Result<Vec<&'static str>, SettingsError> {
    let mut found: Vec<(&'static str, Secret)> = Vec::new();
    if all.section::<RelaySettings>(NAME)?.database_urls.is_empty() {
        for consumer in Choreography::embedded().consumers.names() {
            let url = all.database_url(consumer)?;
            if !found.iter().any(|(_, known)| known.expose() == url.expose()) {
                found.push((consumer, url));
            }
        }
    }
    Ok(found.into_iter().map(|(consumer, _)| consumer).collect())
}

/// The addresses of these owners' databases; without owners those that the section names, in its order.
fn addresses(all: &Settings, owners: &[&str]) -> Result<Vec<Secret>, SettingsError> {
    if owners.is_empty() {
        return Ok(all.section::<RelaySettings>(NAME)?.database_urls);
    }
    owners.iter().map(|consumer| all.database_url(consumer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(payments: &str) -> Settings {
        let text = format!(
            "[common]\ndatabase_url = 'postgres://q:mmm@db1/shop'\n[common.kafka]\n'bootstrap.servers' = 'k:1'\n[payments]\ndatabase_url = '{payments}'\n[fraud]\ndatabase_url = 'postgres://q:nnn@db2/fraud'\n"
        );
        Settings::from_toml(&text).unwrap()
    }

    #[test]
    fn a_relay_keeps_its_database_when_passwords_change() {
        let hosts = |urls: Vec<Secret>| -> Vec<String> {
            urls.iter().map(|url| url.expose().rsplit('@').next().unwrap().to_owned()).collect()
        };
        let first = with("postgres://q:aaa@db3/pay");
        let owners = owners(&first).unwrap();
        assert_eq!(owners, ["orders", "payments", "fraud"]);
        let expected = ["db1/shop", "db3/pay", "db2/fraud"];
        assert_eq!(hosts(settings(&first).unwrap().database_urls), expected);
        assert_eq!(hosts(addresses(&with("postgres://q:zzz@db3/pay"), &owners).unwrap()), expected);
    }
}
