//! Settings: defaults, then `quadrille.toml` (or the file that `QUADRILLE_CONFIG` names), then the environment. One place reads them all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use choreography::Choreography;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kafka_properties::{self, PropertyError};

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
    #[error("settings of {section}: {source}")]
    Invalid {
        /// Which part of the settings.
        section: String,
        /// What was expected and what came, with where it was set.
        source: Box<figment::Error>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What every consumer of a process shares.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// `DATABASE_URL`: PostgreSQL, as `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// `SCHEMA_REGISTRY_URL`: a registry with the Confluent API. Asked only for schema ids that are not known yet.
    pub schema_registry_url: String,
    /// `KAFKA_BOOTSTRAP_SERVERS` and every other `KAFKA_…` variable, as librdkafka's properties (`KAFKA_SASL_USERNAME` is `sasl.username`).
    pub kafka: BTreeMap<String, String>,
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
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces go, over HTTP; none: nowhere.
    pub otlp_endpoint: Option<String>,
    /// How old an order is before consumers forget it, once it has ended; none: as topics.yaml has it.
    pub horizon: Option<Span>,
    /// Takes a horizon that events can outlive, in topics or as dead letters. For tests alone: such an event would be taken for a new order's.
    pub allow_short_horizon: bool,
    /// How often consumers look for what they may forget.
    pub prune_every: Span,
    /// Who may call the routes of programs: a line for each key, `NAME ROLE[:SCOPE] KEY`, as `quadrille keys new` prints it. None: programs listen
    /// on the loopback interface alone, and answer everybody there.
    pub keys: String,
    /// The key that this program shows to others: the tracker to orders and payments, the command line to inventory.
    pub api_key: Option<String>,
    /// The certificate of the routes, with its chain, in PEM; none: no TLS.
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, PKCS #8, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Who signed the certificates of other programs, in PEM; none: whom this machine trusts.
    pub tls_authority: Option<PathBuf>,
    /// How long a caller may take to send the head of a request, and then its body.
    pub request_timeout: Span,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            database_url: String::new(),
            schema_registry_url: String::new(),
            kafka: BTreeMap::new(),
            topic_prefix: String::new(),
            shutdown_within: Span::secs(20),
            worker_threads: 1,
            trace_share: 0.01,
            log_share: 0.01,
            otlp_endpoint: None,
            horizon: None,
            allow_short_horizon: false,
            prune_every: Span::secs(600),
            keys: String::new(),
            api_key: None,
            tls_certificate: None,
            tls_key: None,
            tls_authority: None,
            request_timeout: Span::secs(15),
        }
    }
}

/// What the runtime lets be set for each consumer, beside the consumer's own settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Where its doors, probes and metrics listen. Port 0: any free one, for a second instance on the same machine.
    pub http: Option<SocketAddr>,
    /// A database of its own; else the common one.
    pub database_url: Option<String>,
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
    pub kafka: BTreeMap<String, String>,
    /// How long this consumer keeps its orders, where that is longer than the horizon.
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
            kafka: BTreeMap::new(),
            keep: None,
        }
    }
}

impl ConsumerSettings {
    /// For a consumer that nobody waits for: the broker answers it when there is much to tell, or after a tenth of a second.
    pub fn in_bundles() -> Self {
        let fetch = [("fetch.min.bytes", "65536"), ("fetch.wait.max.ms", "100")];
        Self { kafka: fetch.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), ..Self::default() }
    }
}

/// All settings of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    figment: Figment,
    common: Common,
    /// Whether they are the process's own.
    of_process: bool,
}

impl Settings {
    /// The settings of this process: file and environment.
    ///
    /// # Errors
    /// When one can't be read, or a required one is missing.
    pub fn from_env() -> Result<Self, SettingsError> {
        let settings = Self::layered(
            Figment::new()
                .merge(Serialized::defaults(Named { common: Common::default() }))
                .merge(file())
                .merge(Environment),
        )?;
        Ok(Self { of_process: true, ..settings })
    }

    /// Settings given in TOML, as in `quadrille.toml`, and nothing else: for tests and tools that host consumers themselves.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::layered(
            Figment::new().merge(Serialized::defaults(Named { common: Common::default() })).merge(Toml::string(text)),
        )
    }

    fn layered(figment: Figment) -> Result<Self, SettingsError> {
        let common: Common = extract(&figment, "common")?;
        for (value, name, expected) in [
            (common.database_url.as_str(), "DATABASE_URL", "postgres://user:password@host:port/database"),
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
        Ok(Self { figment, common, of_process: false })
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

    /// The settings of one consumer, or what the runtime lets be set for it ([`ConsumerSettings`]).
    ///
    /// # Errors
    /// When a value does not fit.
    pub fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, SettingsError> {
        let key = name.replace('-', "_");
        if self.figment.contains(&key) { extract(&self.figment, &key) } else { Ok(T::default()) }
    }

    /// What the runtime lets be set for a consumer, over the defaults of its kind.
    ///
    /// # Errors
    /// When a value does not fit.
    pub fn consumer(&self, name: &str, defaults: &ConsumerSettings) -> Result<ConsumerSettings, SettingsError> {
        let key = name.replace('-', "_");
        extract(&self.figment.clone().join(Serialized::default(&key, defaults)), &key)
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

#[derive(Serialize)]
struct Named {
    common: Common,
}

fn extract<T: DeserializeOwned>(figment: &Figment, key: &str) -> Result<T, SettingsError> {
    figment
        .extract_inner(key)
        .map_err(|source| SettingsError::Invalid { section: key.to_owned(), source: Box::new(source) })
}

fn file() -> figment::providers::Data<Toml> {
    let named = Env::var("QUADRILLE_CONFIG").map(PathBuf::from);
    match named {
        Some(path) => Toml::file_exact(path),
        None => Toml::file("quadrille.toml"),
    }
}

/// The environment: `DATABASE_URL` and its kin, `KAFKA_…` as librdkafka properties, `QUADRILLE_<SECTION>__<FIELD>` for the rest
/// (a section is a consumer; without one it is a common setting).
struct Environment;

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut root = Dict::new();
        for (name, value) in std::env::vars() {
            let path: Vec<String> = match name.as_str() {
                "DATABASE_URL" | "SCHEMA_REGISTRY_URL" => vec!["common".into(), name.to_lowercase()],
                "OTEL_EXPORTER_OTLP_ENDPOINT" => vec!["common".into(), "otlp_endpoint".into()],
                "QUADRILLE_CONFIG" => continue,
                _ => match (name.strip_prefix("KAFKA_"), name.strip_prefix("QUADRILLE_")) {
                    (Some(property), _) => {
                        let property = property.to_lowercase().replace('_', ".");
                        if matches!(kafka_properties::known(&property), Err(PropertyError::Unknown(_))) {
                            tracing::warn!("{name} is left alone: librdkafka has no property {property}");
                            continue;
                        }
                        vec!["common".into(), "kafka".into(), property]
                    }
                    (_, Some(setting)) => setting_path(setting),
                    _ => continue,
                },
            };
            put(&mut root, &path, value);
        }
        Ok(Map::from([(Profile::Default, root)]))
    }
}

fn put(root: &mut Dict, path: &[String], value: String) {
    let value = if is_verbatim(path) { Value::from(value) } else { typed(value) };
    insert(root, path, value);
}

/// Whether a setting is text whatever it looks like: common ones, but for these, and single properties of librdkafka.
fn is_verbatim(path: &[String]) -> bool {
    match path {
        [section, key] => {
            section == "common"
                && !matches!(key.as_str(), "trace_share" | "log_share" | "worker_threads" | "allow_short_horizon")
        }
        [_, kafka, _property] => kafka == "kafka",
        _ => false,
    }
}

/// A number, a truth value, a list or table as TOML writes them, or else the text itself.
fn typed(text: String) -> Value {
    text.parse().unwrap_or(Value::from(text))
}

fn setting_path(setting: &str) -> Vec<String> {
    let parts: Vec<String> = setting.to_lowercase().split("__").map(ToOwned::to_owned).collect();
    match parts.as_slice() {
        [common] => vec!["common".into(), common.clone()],
        [section, kafka, property @ ..] if kafka == "kafka" && !property.is_empty() => {
            vec![section.clone(), kafka.clone(), property.join(".").replace('_', ".")]
        }
        _ => parts,
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let entry = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &str = "[common]\ndatabase_url = 'postgres://x'\n[common.kafka]\n'bootstrap.servers' = 'k:1'\n";

    #[derive(Debug, Default, Deserialize, PartialEq)]
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
            let (path, mut root) = (setting_path(name), Dict::new());
            put(&mut root, &path, value.to_owned());
            let parts = Figment::new().merge(Toml::string(PARTS)).merge(Serialized::defaults(root));
            Settings::layered(parts).unwrap().consumer("orders", &ConsumerSettings::default()).unwrap().kafka
        };
        let wanted = BTreeMap::from([("linger.ms".to_owned(), "0".to_owned())]);
        assert_eq!(given("ORDERS__KAFKA__LINGER_MS", "0"), wanted);
        assert_eq!(given("ORDERS__KAFKA", "{\"linger.ms\" = \"0\"}"), wanted);
    }

    #[test]
    fn environment_names_become_paths() {
        assert_eq!(setting_path("TOPIC_PREFIX"), ["common", "topic_prefix"]);
        assert_eq!(setting_path("SAGA_TRACKER__HTTP"), ["saga_tracker", "http"]);
        assert_eq!(setting_path("ORDERS__KAFKA__GROUP_PROTOCOL"), ["orders", "kafka", "group.protocol"]);
    }
}
