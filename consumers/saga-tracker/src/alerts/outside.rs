//! What is wrong outside the tracker's own tables: events that Kafka does not take, and consumers that say that they are not ready.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use choreography::Choreography;
use events::Timestamp;
use reqwest::StatusCode;
use runtime::settings::ConsumerSettings;
use runtime::{Failure, Host, databases, sql};
use sqlx::PgPool;

use crate::settings::TrackerSettings;
use crate::store::watch;

const PATIENCE: Duration = Duration::from_secs(2);
const REPEATED: usize = 300;

pub(crate) struct Outside {
    outboxes: Vec<PgPool>,
    probes: Vec<(&'static str, String)>,
    http: reqwest::Client,
    /// Since when a program has said that it is not ready.
    since: BTreeMap<&'static str, Timestamp>,
}

impl Outside {
    /// The databases that consumers are set to use, and where each program listens: as it is set, else in this process, else by its own settings.
    pub fn new(host: &Host, settings: &TrackerSettings, set: &BTreeMap<&str, &String>) -> anyhow::Result<Self> {
        let (all, choreography) = (host.settings(), Choreography::embedded());
        let mut probes = Vec::new();
        for (name, program) in choreography.all_programs().filter(|(name, _)| *name != "saga-tracker") {
            let own: ConsumerSettings = all.section(name)?;
            // One that is optional runs where something says so: it is hosted here, or its address is set.
            let usual = runtime::default_address(name).filter(|_| !program.optional);
            let listens = host.address(name).or(own.http.or(usual).filter(|at| at.port() != 0));
            // As a variable of the environment, its name has no hyphen.
            let probe = settings.probes.get(name).or_else(|| settings.probes.get(&name.replace('-', "_")));
            let set = probe.or(set.get(name).copied()).cloned();
            probes.extend(set.or(listens.map(|at| runtime::http::url(all.common(), at))).map(|url| (name, url)));
        }
        let urls = databases::of(all, choreography.consumers.names())?.into_keys();
        let outboxes: Result<Vec<PgPool>, _> = urls.map(|url| sql::pool(url.expose(), "quadrille alerts", 1)).collect();
        let http = runtime::http::anonymous(all.common())?.timeout(PATIENCE).build()?;
        Ok(Self { outboxes: outboxes.context("DATABASE_URL")?, probes, http, since: BTreeMap::new() })
    }

    /// By database: the events that were set aside. A database that does not answer is no news here: its consumers are not ready.
    pub async fn set_aside(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        for pool in &self.outboxes {
            let failed = |failure: &Failure| tracing::warn!(consumer = "saga-tracker", %failure, "an outbox can't be read, will be tried again");
            let Ok((database, events, topics)) = watch::set_aside(pool).await.inspect_err(failed) else { continue };
            metrics::gauge!("quadrille_outbox_set_aside", "database" => database.clone()).set(events as f64);
            if events > 0 {
                let text = format!(
                    "{events} events of {database} are not taken by Kafka and were set aside (topics {topics}): their orders wait for them. \
                     See outbox.set_aside for why, mend the cause, then `quadrille relay release`"
                );
                wrong.push((database, text));
            }
        }
        wrong
    }

    /// By consumer: what it says of why it is not ready, if it has said so for longer than `patience`. One that does not answer at all is told from
    /// its group, and by whoever runs it.
    pub async fn not_ready(&mut self, patience: Duration, now: Timestamp) -> Vec<(String, String)> {
        let asked = self.probes.iter().map(|(name, url)| {
            let request = self.http.get(format!("{}/readyz", url.trim_end_matches('/')));
            async move {
                let answer = request.send().await.ok()?;
                let is_ready = answer.status() != StatusCode::SERVICE_UNAVAILABLE;
                Some((*name, is_ready, answer.text().await.unwrap_or_default()))
            }
        });
        let mut wrong = Vec::new();
        for (name, is_ready, why) in futures_util::future::join_all(asked).await.into_iter().flatten() {
            if is_ready {
                self.since.remove(name);
                continue;
            }
            let for_long = now.since(*self.since.entry(name).or_insert(now));
            if for_long >= patience {
                let why: String = why.trim().chars().take(REPEATED).collect();
                wrong.push((name.to_owned(), format!("{name} has not been ready for {} s: {why}", for_long.as_secs())));
            }
        }
        wrong
    }
}
