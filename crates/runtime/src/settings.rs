//! Settings: defaults, then `quadrille.toml` (or the file that `QUADRILLE_CONFIG` names), then the environment. One place reads them all.
//!
//! Each part describes what can be set of it ([`Section`]), from the structs that hold it: unknown settings are refused by it, `quadrille config` shows
//! it, and docs/configuration.md is written from it.

mod common;
mod consumer;
mod describe;
mod error;
mod problems;
mod properties;
mod read;
mod reference;
mod secret;
mod section;
#[cfg(test)]
mod tests;
mod tree;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use choreography::Choreography;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use common::{Common, Profile};
pub use consumer::{ConsumerSettings, Span};
pub use error::SettingsError;
pub use properties::{Properties, is_secret_property};
pub use reference::{SettingRow, reference};
pub use secret::{Secret, hidden};
pub use section::Section;

use crate::programs::programs;
use common::missing;
use read::extract;
use tree::Node;

/// All settings of a process. `Debug` shows none of them.
#[derive(Clone)]
pub struct Settings {
    root: Arc<Node>,
    common: Common,
    /// Whether they are the process's own.
    of_process: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Settings {
    /// The settings of this process: file and environment.
    ///
    /// # Errors
    /// When one can't be read, is unknown, or a required one is missing.
    pub fn from_env() -> Result<Self, SettingsError> {
        let settings = Self::layered(tree::file()?.under(Node::of_variables(std::env::vars_os())?))?;
        Ok(Self { of_process: true, ..settings })
    }

    /// Settings given in TOML, as in `quadrille.toml`, and nothing else: for tests and tools that host consumers themselves.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::layered(Node::parse(text, "the settings given")?)
    }

    fn layered(root: Node) -> Result<Self, SettingsError> {
        let common = describe::described(&Common::default());
        let of_all = describe::described(&ConsumerSettings::default());
        let leaves = programs().flat_map(|name| describe::leaves(&name.replace('-', "_"), &of_all));
        let names: Vec<_> = describe::names(describe::leaves("common", &common).into_iter().chain(leaves)).collect();
        let problems = unknown::in_section(&root, "common", &common, &names);
        if !problems.is_empty() {
            return Err(SettingsError::Unknown(problems));
        }
        Ok(Self { common: Self::read_common(&root)?, root: Arc::new(root), of_process: false })
    }

    fn read_common(root: &Node) -> Result<Common, SettingsError> {
        let mut common: Common = extract(root, "common", &Common::default())?;
        if let Some((_, error)) = missing(&common).into_iter().next() {
            return Err(error);
        }
        common.take_registry_user_out_of_its_url();
        Ok(common)
    }

    /// The same settings as they are now: a secret that stands in a file may be another one.
    pub fn read_again(&self) -> Result<Self, SettingsError> {
        if self.of_process { Self::from_env() } else { Self::layered((*self.root).clone()) }
    }

    /// What all consumers share.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// The settings of one consumer, over their defaults.
    pub fn section<T: DeserializeOwned + Serialize + Default>(&self, name: &str) -> Result<T, SettingsError> {
        self.section_over(name, &T::default())
    }

    /// The settings of one consumer, over these defaults.
    pub fn section_over<T: DeserializeOwned + Serialize>(&self, name: &str, defaults: &T) -> Result<T, SettingsError> {
        extract(&self.root, &name.replace('-', "_"), defaults)
    }

    /// Whether this is a demo, where the outside world is simulated unless it is named.
    pub fn is_demo(&self) -> bool {
        self.common.profile == Profile::Demo
    }

    /// Whether the setting that says what stands for the outside world is set. Where it is not, only a demo may simulate it.
    ///
    /// # Errors
    /// When it is not, and this is no demo.
    pub fn names(
        &self,
        consumer: &str,
        field: &str,
        expected: &'static str,
        simulated: &'static str,
    ) -> Result<bool, SettingsError> {
        let path = [consumer.replace('-', "_"), field.to_owned()];
        if self.root.get(&path[0]).and_then(|section| section.get(field)).is_some() {
            return Ok(true);
        }
        if self.is_demo() {
            return Ok(false);
        }
        let (setting, variable) = (path.join("."), tree::variable(&path));
        Err(SettingsError::Unnamed(format!(
            "{setting} ({variable}) is not set: expected {expected}. To try Quadrille out set QUADRILLE_PROFILE=demo: then {simulated}"
        )))
    }

    /// What the runtime lets be set for a consumer, over the defaults of its kind.
    pub fn consumer(&self, name: &str, defaults: &ConsumerSettings) -> Result<ConsumerSettings, SettingsError> {
        self.section_over(name, defaults)
    }

    /// The database of a consumer: its own, or the common one.
    pub fn database_url(&self, name: &str) -> Result<Secret, SettingsError> {
        let own = self.section::<ConsumerSettings>(name)?.database_url;
        Ok(own.unwrap_or_else(|| self.common.database_url.clone()))
    }

    /// How old an order of a consumer is before it is forgotten: the horizon, or what the consumer keeps beyond it.
    ///
    /// # Errors
    /// When it is so short that an event of a forgotten order could come back, or a value does not fit.
    pub fn keep(&self, name: &str, defaults: &ConsumerSettings) -> Result<Duration, SettingsError> {
        let choreography = Choreography::embedded();
        let horizon = self.common.horizon.map_or(choreography.horizon, |horizon| horizon.0);
        let least = choreography.longest_retention();
        let too_short = |name: &str, got: Duration, least: Duration, why| {
            let what = format!("{name} is {got:?}: expected at least {least:?}, {why}; set it longer");
            Err(SettingsError::Unfit(what))
        };
        if horizon <= least && !self.common.allow_short_horizon {
            let why = "as events can come back from topics, the outbox and dead letters for so long";
            return too_short("QUADRILLE_HORIZON", horizon, least, why);
        }
        let keep = self.consumer(name, defaults)?.keep.map_or(horizon, |keep| keep.0);
        if keep < horizon {
            let name = format!("QUADRILLE_{}__KEEP", name.replace('-', "_").to_uppercase());
            return too_short(&name, keep, horizon, "the horizon, within which every consumer must know its orders");
        }
        Ok(keep)
    }
}
