//! Settings: defaults, then `quadrille.toml` (or the file that `QUADRILLE_CONFIG` names), then the environment. One place reads them all.
//!
//! Each part describes what can be set of it ([`Section`]), from the structs that hold it: unknown settings are refused by it, `quadrille config` shows
//! it, and docs/configuration.md is written from it.

mod describe;
mod properties;
mod read;
mod reference;
mod secret;
mod tree;
mod unknown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use choreography::Choreography;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

pub use describe::{Field, Section, Shape};
pub use properties::{Properties, is_secret_property};
pub use reference::{Row, reference};
pub use secret::{Secret, hidden};
pub use tree::Origin;

use tree::Node;

/// A setting that is missing or can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A required one is missing.
    #[error("{name} is not set: expected {expected}; `cargo xtask up` starts the real parts and prints it")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// One has a value that does not fit.
    #[error("{place}: {what}")]
    Invalid {
        /// Which one, and where it is set.
        place: String,
        /// What was expected, and what came unless it is a secret.
        what: String,
    },
    /// Nobody reads these.
    #[error("{}; `quadrille config reference` lists all settings", problems.join("\n"))]
    Unknown {
        /// Each with the nearest that there is.
        problems: Vec<String>,
    },
    /// What stands for the outside world is not named, and this is no demo.
    #[error(
        "{setting} ({variable}) is not set: expected {expected}. To try Quadrille out set QUADRILLE_PROFILE=demo: then {simulated}"
    )]
    Unnamed {
        /// The setting.
        setting: String,
        /// The variable that sets it.
        variable: String,
        /// What it may be.
        expected: &'static str,
        /// What it is in a demo.
        simulated: &'static str,
    },
    /// Orders would be forgotten while something of them can still come back.
    #[error("{name} is {got:?}: expected at least {least:?}, {why}; set it longer")]
    TooShort {
        /// The setting.
        name: String,
        /// What it is.
        got: Duration,
        /// What it must be.
        least: Duration,
        /// Why.
        why: &'static str,
    },
}

/// A duration, written like `15m`, `250ms` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "humantime_serde")] pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl ToSchema for Span {}

impl utoipa::PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Duration);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

/// What kind of an installation this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A shop's: nothing is simulated unless it is named.
    #[default]
    Production,
    /// To try it, develop and test: the sandbox gateway and the built-in warehouse with its test SKUs, where nothing else is named.
    Demo,
}

/// What every consumer of a process shares.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Common {
    /// What is simulated where nothing is named: in `production` nothing, in `demo` payments have the sandbox gateway, and fulfillment the built-in
    /// warehouse with its test SKUs. `cargo xtask up`, `demo` and Docker Compose set `demo`.
    pub profile: Profile,
    /// PostgreSQL, as `postgres://user:password@host:port/database`; a password's special letters as in URLs (`%23` for `#`).
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(default)]
    pub database_url: Secret,
    /// A registry with the Confluent API. Asked only for schema ids that are not known yet.
    pub schema_registry_url: String,
    /// User, or API key, at the registry.
    pub schema_registry_user: Option<String>,
    /// Password, or API secret, at the registry.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(inline, default)]
    pub schema_registry_password: Option<Secret>,
    /// Properties of librdkafka: `KAFKA_SASL_USERNAME` is `sasl.username`. `KAFKA_BOOTSTRAP_SERVERS` is required.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub kafka: Properties,
    /// Put before every topic's and group's name, so that deployments can share a cluster.
    pub topic_prefix: String,
    /// How long a stopping process may take to finish its batches.
    pub shutdown_within: Span,
    /// Threads that decide and serve. One consumer waits for its database far more than it computes, and a second thread is woken for nothing.
    pub worker_threads: usize,
    /// The share of orders whose traces are recorded when an OTLP endpoint is set, from 0 to 1.
    pub trace_share: f64,
    /// The share of orders each of whose steps is a line of log, from 0 to 1; the same orders in every consumer.
    pub log_share: f64,
    /// Where traces go, over HTTP; none: nowhere.
    pub otlp_endpoint: Option<String>,
    /// How old an order is before consumers forget it, once it has ended; none: as topics.yaml has it.
    #[schema(inline)]
    pub horizon: Option<Span>,
    /// Takes a horizon that events can outlive, in topics or as dead letters. For tests alone: such an event would be taken for a new order's.
    pub allow_short_horizon: bool,
    /// How often consumers look for what they may forget.
    pub prune_every: Span,
    /// Who may call the routes of programs: a line for each key, `NAME ROLE[:SCOPE] KEY`, as `quadrille keys new` prints it. None: programs listen
    /// on the loopback interface alone, and answer everybody there.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(default)]
    pub keys: Secret,
    /// The key that this program shows to others: the tracker to orders and payments, the command line to inventory.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(inline, default)]
    pub api_key: Option<Secret>,
    /// The certificate of the routes, with its chain, in PEM; none: no TLS.
    #[schema(value_type = Option<String>)]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, PKCS #8, in PEM.
    #[schema(value_type = Option<String>)]
    pub tls_key: Option<PathBuf>,
    /// Who signed the certificates of other programs, in PEM; none: whom this machine trusts.
    #[schema(value_type = Option<String>)]
    pub tls_authority: Option<PathBuf>,
    /// How long a caller may take to send the head of a request, and then its body.
    pub request_timeout: Span,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            profile: Profile::Production,
            database_url: Secret::default(),
            schema_registry_url: String::new(),
            schema_registry_user: None,
            schema_registry_password: None,
            kafka: Properties::default(),
            topic_prefix: String::new(),
            shutdown_within: Span::secs(20),
            worker_threads: 1,
            trace_share: 0.01,
            log_share: 0.01,
            otlp_endpoint: None,
            horizon: None,
            allow_short_horizon: false,
            prune_every: Span::secs(600),
            keys: Secret::default(),
            api_key: None,
            tls_certificate: None,
            tls_key: None,
            tls_authority: None,
            request_timeout: Span::secs(15),
        }
    }
}

/// What the runtime lets be set for each consumer, beside the consumer's own settings.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Where its doors, probes and metrics listen. Port 0: any free one, for a second instance on the same machine.
    #[schema(value_type = Option<String>, format = "address")]
    pub http: Option<SocketAddr>,
    /// A database of its own; else the common one.
    #[serde(serialize_with = "crate::settings::hidden")]
    #[schema(inline, default)]
    pub database_url: Option<Secret>,
    /// Database connections at most.
    pub connections: u32,
    /// Events of one batch at most.
    pub batch_events: usize,
    /// Bytes of one batch at most.
    pub batch_bytes: usize,
    /// How long a batch waits for more events. Not at all after one of one or two events; after one of many (32) as long as that one took, where that is
    /// longer, up to 50 ms.
    pub linger: Span,
    /// How often what fails for its order alone is tried before it becomes a dead letter, the first time included.
    pub park_attempts: u32,
    /// How long it waits after the first attempt; twice as long after each further one.
    pub park_first: Span,
    /// The longest that it waits between two attempts.
    pub park_ceiling: Span,
    /// By which share each wait is longer or shorter, from 0 to 1, so that what failed together does not come back together.
    pub park_spread: f64,
    /// Kafka's `group.instance.id`: an instance that restarts under it resumes its partitions at once.
    pub instance_id: Option<String>,
    /// librdkafka properties for this consumer alone.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub kafka: Properties,
    /// How long this consumer keeps its orders, where that is longer than the horizon.
    #[schema(inline)]
    pub keep: Option<Span>,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            http: None,
            database_url: None,
            connections: 6,
            batch_events: 400,
            batch_bytes: 1_000_000,
            linger: Span::millis(2),
            park_attempts: 8,
            park_first: Span::secs(1),
            park_ceiling: Span::secs(300),
            park_spread: 0.2,
            instance_id: None,
            kafka: Properties::default(),
            keep: None,
        }
    }
}

impl ConsumerSettings {
    /// For a consumer that nobody waits for: the broker answers it when there is much to tell, or after a tenth of a second.
    pub fn in_bundles() -> Self {
        let fetch = [("fetch.min.bytes", "65536"), ("fetch.wait.max.ms", "100")];
        Self {
            kafka: fetch.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
            ..Self::default()
        }
    }
}

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
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::layered(Node::parse(text, "the settings given")?)
    }

    /// Everything that is wrong with the settings of this process and these parts; they are read as a start would read them.
    pub fn problems(sections: &[Section]) -> Vec<String> {
        Self::problems_of(
            tree::file().and_then(|file| Ok(file.under(Node::of_variables(std::env::vars_os())?))),
            sections,
        )
    }

    fn problems_of(root: Result<Node, SettingsError>, sections: &[Section]) -> Vec<String> {
        let root = match root {
            Ok(root) => root,
            Err(error) => return vec![error.to_string()],
        };
        let (mut problems, mut common) = (Vec::new(), Common::default());
        match Self::read_common(&root) {
            Ok(read) => common = read,
            Err(error) => {
                problems.push(error.to_string());
                // What else there is counts for the parts: one that is missing is no reason to think this no demo.
                common = extract(&root, "common", &common).unwrap_or_default();
            }
        }
        if let Err(error) = crate::kafka_properties::check(&common.kafka) {
            problems.push(format!("KAFKA_… settings: {error}"));
        }
        let settings = Self { root: Arc::new(root), common, of_process: false };
        if let Err(SettingsError::Unknown { problems: unknown }) = settings.refuse_unknown_in(sections) {
            problems.extend(unknown);
        }
        for section in sections {
            match section.check(&settings) {
                Ok(()) => {}
                Err(error) if matches!(error.downcast_ref(), Some(SettingsError::Unknown { .. })) => {} // named already
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        let mut named = std::collections::BTreeSet::new();
        problems.retain(|problem| named.insert(problem.clone())); // what is common is wrong for everyone
        problems
    }

    fn layered(root: Node) -> Result<Self, SettingsError> {
        let common = Section::common();
        let problems = unknown::in_section(&root, &common, &names(std::slice::from_ref(&common)));
        if !problems.is_empty() {
            return Err(SettingsError::Unknown { problems });
        }
        Ok(Self { common: Self::read_common(&root)?, root: Arc::new(root), of_process: false })
    }

    fn read_common(root: &Node) -> Result<Common, SettingsError> {
        let mut common: Common = extract(root, "common", &Common::default())?;
        for (value, name, expected) in [
            (common.database_url.expose(), "DATABASE_URL", "postgres://user:password@host:port/database"),
            (
                common.kafka.get("bootstrap.servers").map_or("", String::as_str),
                "KAFKA_BOOTSTRAP_SERVERS",
                "host:port[,host:port…]",
            ),
        ] {
            if value.is_empty() {
                return Err(SettingsError::Missing { name, expected });
            }
        }
        common.take_registry_user_out_of_its_url();
        Ok(common)
    }

    /// The same settings as they are now: a secret that stands in a file may be another one.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn read_again(&self) -> Result<Self, SettingsError> {
        if self.of_process { Self::from_env() } else { Ok(self.clone()) }
    }

    /// What all consumers share.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Refuses what is set of this part, or of none that there is, and nobody reads. A part's start asks it; what is set of other parts is theirs to
    /// refuse.
    ///
    /// # Errors
    /// Every such setting, with the nearest that there is.
    pub fn refuse_unknown(&self, section: &Section) -> Result<(), SettingsError> {
        self.refuse_unknown_in(std::slice::from_ref(section))
    }

    /// The same for several parts.
    ///
    /// # Errors
    /// As [`Settings::refuse_unknown`].
    pub fn refuse_unknown_in(&self, sections: &[Section]) -> Result<(), SettingsError> {
        let all = names(sections);
        let consumers = crate::host::consumers().map(|name| name.replace('-', "_"));
        let known: Vec<String> = ["common".to_owned()]
            .into_iter()
            .chain(consumers)
            .chain(sections.iter().map(|of| of.name.clone()))
            .collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let mut problems = unknown::sections(&self.root, &known, &all);
        problems.extend(sections.iter().flat_map(|section| unknown::in_section(&self.root, section, &all)));
        if problems.is_empty() { Ok(()) } else { Err(SettingsError::Unknown { problems }) }
    }

    /// The settings of one consumer, over their defaults.
    ///
    /// # Errors
    /// When a value does not fit.
    pub fn section<T: DeserializeOwned + Serialize + Default>(&self, name: &str) -> Result<T, SettingsError> {
        extract(&self.root, &name.replace('-', "_"), &T::default())
    }

    /// The settings of one consumer, over these defaults.
    ///
    /// # Errors
    /// When a value does not fit.
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
        Err(SettingsError::Unnamed { setting: path.join("."), variable: tree::variable(&path), expected, simulated })
    }

    /// What the runtime lets be set for a consumer, over the defaults of its kind.
    ///
    /// # Errors
    /// When a value does not fit.
    pub fn consumer(&self, name: &str, defaults: &ConsumerSettings) -> Result<ConsumerSettings, SettingsError> {
        extract(&self.root, &name.replace('-', "_"), defaults)
    }

    /// The database of a consumer: its own, or the common one. [`Secret::read_again`] has a password that was changed in its file.
    ///
    /// # Errors
    /// When a value does not fit.
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
        if horizon <= least && !self.common.allow_short_horizon {
            let why = "as events can come back from topics, the outbox and dead letters for so long";
            return Err(SettingsError::TooShort { name: "QUADRILLE_HORIZON".into(), got: horizon, least, why });
        }
        let keep = self.consumer(name, defaults)?.keep.map_or(horizon, |keep| keep.0);
        if keep < horizon {
            let name = format!("QUADRILLE_{}__KEEP", name.replace('-', "_").to_uppercase());
            let why = "the horizon, within which every consumer must know its orders";
            return Err(SettingsError::TooShort { name, got: keep, least: horizon, why });
        }
        Ok(keep)
    }
}

impl Common {
    /// User and password in the registry's address would be shown wherever the address is.
    fn take_registry_user_out_of_its_url(&mut self) {
        let Some((scheme, rest)) = self.schema_registry_url.split_once("://") else { return };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((user, _)) = authority.rsplit_once('@') else { return };
        let address = format!("{scheme}://{}", &rest[user.len() + 1..]);
        let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        if self.schema_registry_user.is_none() {
            self.schema_registry_user = Some(decoded(user));
            self.schema_registry_password =
                self.schema_registry_password.take().or(password.map(|password| decoded(password).into()));
        }
        self.schema_registry_url = address;
    }
}

/// Percent-encoding taken out, as addresses have it.
fn decoded(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let meant = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(meant.unwrap_or(*byte));
        rest = if meant.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The paths of all settings that these parts and all consumers have, for who looks for the one that was meant.
fn names(sections: &[Section]) -> Vec<Vec<String>> {
    let of_consumers = crate::host::consumers().map(|name| Section::consumer(name, &ConsumerSettings::default()));
    let all: Vec<Section> = sections.iter().cloned().chain([Section::common()]).chain(of_consumers).collect();
    let with_file = |(path, field): (Vec<String>, &Field)| {
        let file = (field.shape == Shape::Secret).then(|| {
            let mut file = path.clone();
            file.last_mut().into_iter().for_each(|name| name.push_str(tree::FILE));
            file
        });
        [Some(path), file].into_iter().flatten()
    };
    all.iter().flat_map(Section::leaves).flat_map(with_file).collect()
}

fn extract<T: DeserializeOwned + Serialize>(root: &Node, key: &str, defaults: &T) -> Result<T, SettingsError> {
    let defaults = serde_json::to_value(defaults).ok().and_then(Node::of_json).unwrap_or_default();
    let node = match root.get(key) {
        Some(set) => defaults.under(set.clone()),
        None => defaults,
    };
    read::read(&node, key).map_err(|misfit| SettingsError::Invalid {
        place: misfit.place.unwrap_or_else(|| key.to_owned()),
        what: misfit.what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &str = "[common]\ndatabase_url = 'postgres://x'\n[common.kafka]\n'bootstrap.servers' = 'k:1'\n";

    #[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
    #[serde(default)]
    struct Own {
        ttl: Option<Span>,
        limit: u32,
    }

    #[test]
    fn a_consumer_reads_its_own_and_the_runtimes_settings_from_one_section() {
        let settings =
            Settings::from_toml(&format!("{PARTS}[saga_tracker]\nttl = '15m'\nlimit = 3\nbatch_events = 7")).unwrap();
        assert_eq!(settings.section::<Own>("saga-tracker").unwrap(), Own { ttl: Some(Span::secs(900)), limit: 3 });
        assert_eq!(settings.section::<ConsumerSettings>("saga-tracker").unwrap().batch_events, 7);
        assert_eq!(settings.section::<Own>("orders").unwrap(), Own::default());
        let defaults = ConsumerSettings { linger: Span::millis(100), batch_events: 9, ..ConsumerSettings::default() };
        let tracker = settings.consumer("saga-tracker", &defaults).unwrap();
        assert_eq!((tracker.batch_events, tracker.linger), (7, Span::millis(100)));
        assert_eq!(settings.consumer("orders", &defaults).unwrap().batch_events, 9);
    }

    #[test]
    fn defaults_in_lists_stay_though_an_optional_field_of_theirs_is_not_set() {
        #[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
        #[serde(default)]
        struct Listed {
            rules: Vec<Own>,
        }
        let defaults = Listed { rules: vec![Own { ttl: None, limit: 3 }, Own::default()] };
        assert_eq!(Settings::from_toml(PARTS).unwrap().section_over("orders", &defaults).unwrap(), defaults);
    }

    #[test]
    fn a_missing_address_says_what_to_set_and_how_to_get_it() {
        let error = Settings::from_toml("[common.kafka]\n'bootstrap.servers' = 'k:1'").unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL is not set") && error.contains("cargo xtask up"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_section_and_key() {
        let settings = Settings::from_toml(&format!("{PARTS}[orders]\nlimit = 'many'")).unwrap();
        let error = settings.section::<Own>("orders").unwrap_err().to_string();
        assert!(error.contains("orders") && error.contains("limit"), "{error}");
    }

    #[test]
    fn orders_are_kept_for_the_horizon_and_never_shorter_than_events_can_come_back() {
        let keep = |common: &str, tracker: &str| {
            let settings = Settings::from_toml(
                &PARTS
                    .replace("[common.kafka]", &format!("{common}\n[common.kafka]"))
                    .replace("[common]", &format!("[saga_tracker]\n{tracker}\n[common]")),
            );
            let defaults = ConsumerSettings { keep: Some(Span::secs(400 * 86_400)), ..ConsumerSettings::default() };
            let settings = settings.unwrap();
            Ok((
                settings.keep("orders", &ConsumerSettings::default())?.as_secs() / 86_400,
                settings.keep("saga-tracker", &defaults)?.as_secs() / 86_400,
            ))
        };
        let told = |kept: Result<(u64, u64), SettingsError>| kept.unwrap_err().to_string();
        assert_eq!(keep("", "").unwrap(), (60, 400));
        assert_eq!(keep("horizon = '90d'", "keep = '100d'").unwrap(), (90, 100));
        let short = told(keep("horizon = '10d'", ""));
        assert!(short.contains("QUADRILLE_HORIZON is 864000s") && short.contains("set it longer"), "{short}");
        assert_eq!(keep("horizon = '10d'\nallow_short_horizon = true", "").unwrap(), (10, 400));
        let shorter = told(keep("", "keep = '50d'"));
        assert!(shorter.contains("QUADRILLE_SAGA_TRACKER__KEEP"), "{shorter}");
    }

    #[test]
    fn properties_of_librdkafka_are_given_one_by_one_or_as_a_table() {
        let given = |name: &str, value: &str| {
            env(&[(name, value)]).unwrap().consumer("orders", &ConsumerSettings::default()).unwrap().kafka
        };
        let wanted: Properties = [("linger.ms".to_owned(), "0".to_owned())].into_iter().collect();
        assert_eq!(given("QUADRILLE_ORDERS__KAFKA__LINGER_MS", "0"), wanted);
        assert_eq!(given("QUADRILLE_ORDERS__KAFKA", "{\"linger.ms\" = \"0\"}"), wanted);
    }

    /// What `Own` has, for tables of wrong settings.
    #[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
    #[serde(default)]
    struct Wide {
        /// How often.
        every: Span,
        /// The key.
        #[serde(serialize_with = "crate::settings::hidden")]
        #[schema(inline, default)]
        secret: Option<Secret>,
        /// Keys by name.
        #[serde(serialize_with = "crate::settings::hidden")]
        #[schema(default)]
        api_keys: std::collections::BTreeMap<String, Secret>,
        /// Whole.
        limit: u32,
        /// Not whole.
        share: f64,
        /// Yes or no.
        on: bool,
        /// Words.
        list: Vec<String>,
        /// Its own.
        inner: Inner,
    }

    #[derive(Debug, Serialize, Deserialize, ToSchema)]
    struct Inner {
        /// One.
        first: i64,
        /// Two.
        second: i64,
    }

    impl Default for Inner {
        fn default() -> Self {
            Self { first: 1, second: 2 }
        }
    }

    fn wide() -> Section {
        Section::consumer("saga-tracker", &ConsumerSettings::default())
            .with(&Wide { every: Span::secs(5), ..Wide::default() })
    }

    #[test]
    fn secrets_and_ids_that_look_like_something_else_stay_text() {
        let quoted = "\"quoted, and long enough\"";
        let read = |name: &str, value: &str| {
            let settings = env(&[(name, value)]).unwrap();
            settings.refuse_unknown(&wide()).unwrap();
            let (own, set) =
                (settings.section::<Wide>("saga-tracker"), settings.section::<ConsumerSettings>("saga-tracker"));
            (own.unwrap(), set.unwrap())
        };
        for value in
            ["1234567890123456", "0012345678901234", "12345678.9012345", "true", quoted, "{a=1}", "[1]", "1e400"]
        {
            let (own, _) = read("QUADRILLE_SAGA_TRACKER__SECRET", value);
            assert_eq!(own.secret.as_ref().map(Secret::expose), Some(value));
            let (own, _) = read("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE", value);
            assert_eq!(own.api_keys["eve"].expose(), value);
            let (_, set) = read("QUADRILLE_SAGA_TRACKER__INSTANCE_ID", value);
            assert_eq!(set.instance_id.as_deref(), Some(value));
        }
        let (_, set) = read("QUADRILLE_SAGA_TRACKER__INSTANCE_ID", "");
        assert_eq!(set.instance_id, None, "Compose sets a variable to nothing");
    }

    #[test]
    fn a_variable_is_what_its_setting_makes_of_it() {
        let settings = env(&[
            ("QUADRILLE_SAGA_TRACKER__EVERY", "250ms"),
            ("QUADRILLE_SAGA_TRACKER__LIMIT", " 7 "),
            ("QUADRILLE_SAGA_TRACKER__SHARE", "1"),
            ("QUADRILLE_SAGA_TRACKER__ON", "true"),
            ("QUADRILLE_SAGA_TRACKER__LIST", "a b\nc"),
            ("QUADRILLE_SAGA_TRACKER__INNER__SECOND", "5"),
            ("QUADRILLE_SAGA_TRACKER__HTTP", "127.0.0.1:0"),
        ])
        .unwrap();
        settings.refuse_unknown(&wide()).unwrap();
        let own = settings.section::<Wide>("saga-tracker").unwrap();
        assert_eq!((own.every, own.limit, own.share, own.on), (Span::millis(250), 7, 1.0, true));
        assert_eq!((own.list, own.inner.first, own.inner.second), (vec!["a b".to_owned(), "c".to_owned()], 1, 5));
        let list = env(&[("QUADRILLE_SAGA_TRACKER__LIST", "[\"x\"]")]).unwrap();
        assert_eq!(list.section::<Wide>("saga-tracker").unwrap().list, ["x"]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_came() {
        for (name, value, expected) in [
            ("LIMIT", "many", "expected a whole number, 0 or more, got \"many\""),
            ("LIMIT", "-1", "expected a whole number, 0 or more, got \"-1\""),
            ("SHARE", "half", "expected a number, got \"half\""),
            ("ON", "yes", "expected true or false, got \"yes\""),
            ("EVERY", "soon", "soon"),
            ("INNER", "none", "expected a table"),
        ] {
            let name = format!("QUADRILLE_SAGA_TRACKER__{name}");
            let error = env(&[(&name, value)]).unwrap().section::<Wide>("saga-tracker").unwrap_err().to_string();
            assert!(error.starts_with(&name) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_with_the_nearest() {
        for (name, nearest) in [
            ("QUADRILLE_TOPIC_PREFX", "QUADRILLE_TOPIC_PREFIX"),
            ("QUADRILLE_SAGA_TRACKER_HTTP", "QUADRILLE_SAGA_TRACKER__HTTP"),
            ("QUADRILLE_PROFIL", "QUADRILLE_PROFILE"),
            ("DATABASE_URL_FILE", ""),
        ] {
            let error = env(&[(name, "x")]).map(drop).unwrap_err().to_string();
            let expected = format!("{name} is no setting; {nearest} is the nearest");
            assert!(nearest.is_empty() || error.contains(&expected), "{error}");
        }
        for (name, nearest) in [
            ("QUADRILLE_SAGA_TRACKER__HTPT", "QUADRILLE_SAGA_TRACKER__HTTP"),
            ("QUADRILLE_SAGA_TRACKER__SECRET_FIEL", "QUADRILLE_SAGA_TRACKER__SECRET_FILE"),
            ("QUADRILLE_SAGA_TRACKER__LIMIT_FILE", "QUADRILLE_SAGA_TRACKER__LIMIT"),
            ("QUADRILLE_SAGA_TRACKER__INNER__SECNOD", "QUADRILLE_SAGA_TRACKER__INNER__SECOND"),
            ("QUADRILLE_SAGA_TRACKR__LIMIT", "QUADRILLE_SAGA_TRACKER__LIMIT"),
            ("QUADRILLE_INVENTRY__HTTP", "QUADRILLE_INVENTORY__HTTP"),
        ] {
            let error = env(&[(name, "1")]).unwrap().refuse_unknown(&wide()).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is no setting; {nearest} is the nearest")), "{error}");
        }
        let others =
            env(&[("QUADRILLE_ORDERS__RESERVATION_TTL", "1s"), ("QUADRILLE_CONFIG", "x"), ("QUADRILLE", "x")]).unwrap();
        others.refuse_unknown(&wide()).unwrap(); // orders' own to refuse
        let table = env(&[("QUADRILLE_SAGA_TRACKER__INNER", "{ frist = 1 }")]).unwrap();
        let error = table.refuse_unknown(&wide()).unwrap_err().to_string();
        assert!(error.contains("QUADRILLE_SAGA_TRACKER__INNER is no setting"), "{error}");
        let file = format!("profil = 'demo'\n{PARTS}");
        let error = Settings::from_toml(&file).unwrap_err().to_string();
        assert!(error.contains("common.profil (in the settings given) is no setting; common.profile"), "{error}");
        let file =
            Settings::from_toml(&format!("profile = 'demo'\n{PARTS}[saga_tracker]\nevry = 1\nlimt = 2")).unwrap();
        assert!(file.is_demo());
        let error = file.refuse_unknown(&wide()).unwrap_err().to_string();
        assert!(
            error.contains("saga_tracker.evry") && error.contains("saga_tracker.limit is the nearest"),
            "all: {error}"
        );
    }

    #[test]
    fn what_is_not_utf8_is_refused_where_it_is_ours_and_nobodys_business_elsewhere() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt as _;
        let with = |name: &[u8], value: &[u8]| {
            let parts =
                [(b"DATABASE_URL".as_slice(), b"postgres://x".as_slice()), (b"KAFKA_BOOTSTRAP_SERVERS", b"k:1")];
            let of = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            let all = parts.into_iter().chain([(name, value)]).map(|(name, value)| (of(name), of(value)));
            Node::of_variables(all).and_then(Settings::layered)
        };
        for (name, value) in
            [(b"LESS_TERMCAP_md".as_slice(), b"\xa3".as_slice()), (b"CAF\xc9", b"1"), (b"\xff", b"\xff")]
        {
            with(name, value).unwrap();
        }
        let error = with(b"QUADRILLE_TOPIC_PREFIX", b"caf\xc9").unwrap_err().to_string();
        assert!(error.contains("QUADRILLE_TOPIC_PREFIX: expected UTF-8") && !error.contains("caf"), "{error}");
        let error = with(b"DATABASE_URL_FILE", b"/run/\xc9").unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL_FILE: expected UTF-8"), "{error}");
        let error = with(b"QUADRILLE_CAF\xc9", b"1").unwrap_err().to_string();
        assert!(error.contains("QUADRILLE_CAF\u{fffd} is no setting"), "{error}");
    }

    #[test]
    fn every_secret_is_read_from_a_file_and_again_when_it_was_changed() {
        let file = std::env::temp_dir().join(format!("quadrille-secret-{}", std::process::id()));
        std::fs::write(&file, "postgres://me:first@host/db\n").unwrap();
        let path = file.to_str().unwrap();
        let settings = env(&[
            ("DATABASE_URL_FILE", path),
            ("SCHEMA_REGISTRY_USER", "me"),
            ("SCHEMA_REGISTRY_PASSWORD_FILE", path),
            ("KAFKA_SASL_PASSWORD_FILE", path),
            ("QUADRILLE_SAGA_TRACKER__SECRET_FILE", path),
            ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE_FILE", path),
            ("QUADRILLE_ORDERS__DATABASE_URL_FILE", path),
            ("QUADRILLE_ORDERS__KAFKA__SASL_PASSWORD_FILE", path),
        ]);
        // Both in one place contradict each other.
        let error = settings.unwrap_err().to_string();
        assert!(
            error.contains("DATABASE_URL_FILE: expected either database_url or database_url_file, got both"),
            "{error}"
        );
        let set = [
            ("DATABASE_URL_FILE", path),
            ("KAFKA_BOOTSTRAP_SERVERS", "k:1"),
            ("SCHEMA_REGISTRY_USER", "me"),
            ("SCHEMA_REGISTRY_PASSWORD_FILE", path),
            ("KAFKA_SASL_PASSWORD_FILE", path),
            ("QUADRILLE_SAGA_TRACKER__SECRET_FILE", path),
            ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE_FILE", path),
            ("QUADRILLE_ORDERS__DATABASE_URL_FILE", path),
            ("QUADRILLE_ORDERS__KAFKA__SASL_PASSWORD_FILE", path),
        ];
        // One given in quadrille.toml gives way to a file that the environment names.
        let below = Node::parse("database_url = 'postgres://other'", "quadrille.toml").unwrap();
        let variables = Node::of_variables(set.iter().map(|(name, value)| (name.into(), value.into()))).unwrap();
        let settings = Settings::layered(below.under(variables)).unwrap();
        settings.refuse_unknown_in(&[wide(), Section::consumer("orders", &ConsumerSettings::default())]).unwrap();
        let wanted = "postgres://me:first@host/db";
        let (common, own) = (settings.common(), settings.section::<Wide>("saga-tracker").unwrap());
        assert_eq!(common.database_url.expose(), wanted);
        assert_eq!(common.schema_registry_password.as_ref().unwrap().expose(), wanted);
        assert_eq!(common.kafka["sasl.password"], wanted);
        assert_eq!((own.secret.unwrap().expose(), own.api_keys["eve"].expose()), (wanted, wanted));
        let orders = settings.consumer("orders", &ConsumerSettings::default()).unwrap();
        assert_eq!(orders.kafka["sasl.password"], wanted);
        let url = settings.database_url("orders").unwrap();
        std::fs::write(&file, "postgres://me:second@host/db\r\n").unwrap();
        assert_eq!(url.expose(), wanted);
        assert_eq!(url.read_again().unwrap().expose(), "postgres://me:second@host/db");
        std::fs::write(&file, "\n").unwrap();
        assert!(url.read_again().unwrap_err().to_string().contains("which is empty"));
        std::fs::remove_file(&file).unwrap();
        assert!(url.read_again().unwrap_err().to_string().contains(path));
        let missing = env(&[("QUADRILLE_SAGA_TRACKER__SECRET_FILE", "/nowhere")]).unwrap();
        let error = missing.section::<Wide>("saga-tracker").unwrap_err().to_string();
        assert!(error.starts_with("QUADRILLE_SAGA_TRACKER__SECRET_FILE: /nowhere: "), "{error}");
    }

    #[test]
    fn a_secret_is_in_no_error_no_debug_and_not_among_what_is_shown() {
        const HIDDEN: &str = "12345678901234567890";
        for toml in [
            format!("[saga_tracker]\nsecret = {HIDDEN}"),
            format!("[saga_tracker]\nsecret = [\"{HIDDEN}\"]"),
            format!("[saga_tracker.api_keys]\neve = {HIDDEN}.5"),
            format!("[orders.kafka]\n'sasl.password' = {}", &HIDDEN[..18]),
            format!("[saga_tracker]\nsecret = \"{HIDDEN}"),
        ] {
            let error = Settings::from_toml(&format!("{PARTS}{toml}")).map_err(|error| error.to_string()).and_then(
                |settings| {
                    let own = settings.section::<Wide>("saga-tracker").map(|_| ());
                    own.and(settings.consumer("orders", &ConsumerSettings::default()).map(drop))
                        .map_err(|error| error.to_string())
                },
            );
            let error = error.unwrap_err();
            assert!(!error.contains(&HIDDEN[..18]), "{error}");
        }
        let settings = env(&[
            ("DATABASE_URL_UNUSED", HIDDEN),
            ("KAFKA_SASL_PASSWORD", HIDDEN),
            ("SCHEMA_REGISTRY_PASSWORD", HIDDEN),
            ("QUADRILLE_SAGA_TRACKER__SECRET", HIDDEN),
            ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE", HIDDEN),
            ("QUADRILLE_SAGA_TRACKER__DATABASE_URL", HIDDEN),
        ])
        .unwrap();
        let own = settings.section::<Wide>("saga-tracker").unwrap();
        let shown = format!("{settings:?} {:?} {own:?} {:?}", settings.common(), settings.rows(&wide()));
        let shown = shown + &format!("{:?}", settings.rows(&Section::common()));
        assert!(!shown.contains(HIDDEN), "{shown}");
        let row = |name: &str| settings.rows(&wide()).into_iter().find(|row| row.setting.ends_with(name)).unwrap();
        let eve = row("api_keys.eve");
        assert_eq!((eve.value.as_deref(), eve.from.as_str()), (Some("***"), "QUADRILLE_SAGA_TRACKER__API_KEYS__EVE"));
        let every = row("tracker.every");
        assert_eq!((every.value.as_deref(), every.from.as_str()), (Some("5s"), "default"));
    }

    #[test]
    fn user_and_password_of_the_registry_are_taken_out_of_its_address() {
        let of = |url: &str, user: &[(&str, &str)]| {
            let set: Vec<(&str, &str)> = [("SCHEMA_REGISTRY_URL", url)].iter().chain(user).copied().collect();
            let common = env(&set).unwrap().common().clone();
            let password = common.schema_registry_password.map(|password| password.expose().to_owned());
            (common.schema_registry_url, common.schema_registry_user, password)
        };
        let (me, secret) = (Some("me".to_owned()), Some("s3cr3t@#".to_owned()));
        let address = "https://registry:8081/apis/ccompat/v7".to_owned();
        let inside = of("https://me:s3cr3t%40%23@registry:8081/apis/ccompat/v7", &[]);
        assert_eq!(inside, (address.clone(), me.clone(), secret.clone()));
        let beside = [("SCHEMA_REGISTRY_USER", "me"), ("SCHEMA_REGISTRY_PASSWORD", "s3cr3t@#")];
        assert_eq!(of(&address, &beside), (address.clone(), me.clone(), secret.clone()));
        assert_eq!(of("https://old:x@registry:8081/apis/ccompat/v7", &beside), (address.clone(), me, secret));
        assert_eq!(of("https://registry:8081/@/", &[]), ("https://registry:8081/@/".to_owned(), None, None));
    }

    #[tokio::test]
    async fn the_registry_is_told_who_asks_and_nobody_else_is() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://me:s3cr3t@{}/apis/ccompat/v7", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            let (mut asked, mut buffer) = (Vec::new(), [0; 4_096]);
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = caller.read(&mut buffer).unwrap();
                asked.extend_from_slice(&buffer[..read]);
            }
            caller.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8_lossy(&asked).to_lowercase()
        });
        let settings = env(&[("SCHEMA_REGISTRY_URL", &url)]).unwrap();
        let pool = crate::sql::pool("postgres://nobody@127.0.0.1:1/nothing", "test", 1).unwrap();
        let registry = crate::Registry::from_settings(settings.common(), pool).unwrap();
        let refused = registry.register("subject", "\"string\"").await.unwrap_err().to_string();
        assert!(answering.join().unwrap().contains("authorization: basic bwu6cznjcjn0"), "me:s3cr3t, in lower case");
        let gone = registry.register("subject", "\"string\"").await.unwrap_err().to_string();
        for said in [refused, gone] {
            assert!(!said.contains("s3cr3t") && !said.contains("me:"), "{said}");
        }
    }

    #[test]
    fn what_stands_for_the_outside_world_is_named_or_a_demos() {
        let asked =
            |set: &[(&str, &str)]| env(set).unwrap().names("payments", "gateway", "a gateway", "it is the sandbox");
        let error = asked(&[]).unwrap_err().to_string();
        assert!(error.contains("QUADRILLE_PAYMENTS__GATEWAY") && error.contains("QUADRILLE_PROFILE=demo"), "{error}");
        assert!(!asked(&[("QUADRILLE_PROFILE", "demo")]).unwrap());
        assert!(asked(&[("QUADRILLE_PAYMENTS__GATEWAY", "sandbox")]).unwrap());
        let error = env(&[("QUADRILLE_PROFILE", "demmo")]).unwrap_err().to_string();
        assert!(error.contains("QUADRILLE_PROFILE") && error.contains("demo"), "{error}");
    }

    /// As from an environment that holds these beside the addresses.
    fn env(set: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let parts = [("DATABASE_URL", "postgres://x"), ("KAFKA_BOOTSTRAP_SERVERS", "k:1")];
        let all = parts.iter().chain(set).map(|(name, value)| (name.into(), value.into()));
        Settings::layered(Node::of_variables(all)?)
    }
}
