//! Sections: the settings of one part, with what its start checks of them.

use anyhow::Context as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::describe::{SettingField, described, leaves};
use super::{Common, ConsumerSettings, Secret, Settings};
use crate::addresses;
use crate::http;
use crate::kafka::properties;
use crate::postgres::sql;

/// What publishes, and is no consumer.
const RELAY: &str = "outbox-relay";

type SectionCheck = fn(&Settings) -> anyhow::Result<()>;

/// The settings of one part: a consumer's, or those that all share.
#[derive(Clone)]
pub struct Section {
    /// Its name, as in `[saga_tracker]`.
    pub name: String,
    pub(super) fields: Vec<SettingField>,
    checks: Vec<SectionCheck>,
    /// A consumer's: what the runtime lets be set for it, by default.
    consumer: Option<ConsumerSettings>,
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("name", &self.name).field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Section {
    /// A part without settings yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.replace('-', "_"), fields: Vec::new(), checks: Vec::new(), consumer: None }
    }

    /// What all parts share.
    pub fn common() -> Self {
        Self::new("common")
            .with(&Common::default())
            .checked(|all| http::Keys::parse(all.common().keys.expose()).map(drop))
            .checked(|all| http::Serving::new(all.common()).map(drop))
            .checked(|all| http::client(all.common()).map(drop))
            .checked(|all| address(&all.common().database_url))
            .checked(|all| properties::check(&all.common().kafka).context("KAFKA_… settings"))
    }

    /// What the runtime lets be set for a consumer, over the defaults of its kind.
    pub fn consumer(name: &str, defaults: &ConsumerSettings) -> Self {
        let mut section = Self::new(name).with(defaults);
        if name == RELAY {
            section.fields.retain(|field| field.name == "http"); // its probes; it hears nothing
            return section;
        }
        Self { consumer: Some(defaults.clone()), ..section }
    }

    /// Adds settings, with these defaults.
    #[must_use]
    pub fn with<T: ToSchema + Serialize>(mut self, defaults: &T) -> Self {
        for field in described(defaults) {
            // Two structs may read one setting: the first says what it is.
            if self.fields.iter().all(|known| known.name != field.name) {
                self.fields.push(field);
            }
        }
        self
    }

    /// Adds what is checked when the settings are, beside that each can be read.
    #[must_use]
    pub fn checked(mut self, check: SectionCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// What this part's start would refuse of its settings: what does not fit, is missing, or contradicts something else.
    pub fn problems(&self, settings: &Settings) -> Vec<anyhow::Error> {
        let own = self.checks.iter().map(|check| check(settings));
        let all: Vec<anyhow::Result<()>> = match &self.consumer {
            None => own.collect(),
            Some(defaults) => own.chain(self.problems_of_consumer(defaults, settings)).collect(),
        };
        all.into_iter().filter_map(Result::err).collect()
    }

    fn problems_of_consumer(&self, defaults: &ConsumerSettings, settings: &Settings) -> Vec<anyhow::Result<()>> {
        let name = self.name.replace('_', "-");
        let own = match settings.consumer(&name, defaults) {
            Ok(own) => own,
            Err(error) => return vec![Err(error.into())],
        };
        let doors = own.http.map_or(Ok(()), |http| addresses::refuse_reachable(&name, http, settings.common()));
        let kafka = properties::check(&own.kafka).with_context(|| format!("KAFKA_… settings of {name}"));
        let database = own.database_url.as_ref().map_or(Ok(()), address);
        let keeps = settings.keep(&name, defaults).map(drop).map_err(anyhow::Error::from);
        vec![doors, kafka, database.with_context(|| format!("settings of {name}")), keeps]
    }

    /// Every single setting with its path, the fields of tables each for itself.
    pub fn leaves(&self) -> Vec<(Vec<String>, &SettingField)> {
        leaves(&self.name, &self.fields)
    }
}

/// Whether a database's address can be read; that there is none is told by itself.
fn address(url: &Secret) -> anyhow::Result<()> {
    if url.is_empty() {
        return Ok(());
    }
    sql::address(url.expose()).map(drop).context("DATABASE_URL")
}
