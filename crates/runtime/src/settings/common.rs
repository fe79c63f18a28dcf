//! What every consumer of a process shares.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Properties, Secret, SettingsError, Span};

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
    pub shutdown_timeout: Span,
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
            shutdown_timeout: Span::secs(20),
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

impl Common {
    /// User and password in the registry's address would be shown wherever the address is.
    pub(super) fn take_registry_user_out_of_its_url(&mut self) {
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

/// Which required settings are not there, each with the field that would hold it.
pub(super) fn missing(common: &Common) -> Vec<(&'static str, SettingsError)> {
    let brokers = common.kafka.get("bootstrap.servers").map_or("", String::as_str);
    let required = [
        ("database_url", common.database_url.expose(), "DATABASE_URL", "postgres://user:password@host:port/database"),
        ("kafka", brokers, "KAFKA_BOOTSTRAP_SERVERS", "host:port[,host:port…]"),
    ];
    let absent = required.into_iter().filter(|(_, value, ..)| value.is_empty());
    let unset = |name, expected| {
        format!("{name} is not set: expected {expected}; `cargo xtask up` starts the real parts and prints it")
    };
    absent.map(|(field, _, name, expected)| (field, SettingsError::Unfit(unset(name, expected)))).collect()
}
