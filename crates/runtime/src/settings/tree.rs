//! What is set, and where: the file's tables and the environment's variables as one tree, before anything of it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::SettingsError;
use crate::kafka::properties::{self, PropertyError};

/// Variables that are no `QUADRILLE_…`: each is a common setting.
const PLAIN: [(&str, &str); 5] = [
    ("DATABASE_URL", "database_url"),
    ("SCHEMA_REGISTRY_URL", "schema_registry_url"),
    ("SCHEMA_REGISTRY_USER", "schema_registry_user"),
    ("SCHEMA_REGISTRY_PASSWORD", "schema_registry_password"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
];

/// What ends the name of a setting whose value is the file that holds a secret.
pub(super) const FILE: &str = "_file";

/// Settings that had another name before, by their old names; those still set them, in every section.
const RENAMED: [(&str, &str); 8] = [
    ("park_attempts", "retry_attempts"),
    ("park_first", "retry_initial_backoff"),
    ("park_ceiling", "retry_max_backoff"),
    ("park_spread", "retry_jitter"),
    ("shutdown_within", "shutdown_timeout"),
    ("review_within", "review_timeout"),
    ("audit_within", "audit_timeout"),
    ("position_within", "position_timeout"),
];

/// Names the settings file; no setting itself.
const CONFIG: &str = "QUADRILLE_CONFIG";
/// Of docker-compose.yml, which puts them into `QUADRILLE_KEYS`: they may stand in the shell in which `quadrille` is called too.
const COMPOSE: [&str; 2] = ["QUADRILLE_SHOP_KEY", "QUADRILLE_ADMIN_KEY"];

/// Where something is set.
#[derive(Clone)]
pub(super) enum SettingOrigin {
    Default,
    File(Arc<str>),
    Variable(Arc<str>),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => f.write_str(path),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, PartialEq)]
pub(super) enum Raw {
    /// In the environment, where everything is text; what it is depends on who reads it.
    Text(String),
    /// In a file, or a default.
    Toml(toml::Value),
}

/// Settings, by name. Without `Debug`: there are secrets in it.
#[derive(Clone)]
pub(super) enum Node {
    Table(BTreeMap<String, Node>),
    Leaf(Raw, SettingOrigin),
}

impl Default for Node {
    fn default() -> Self {
        Self::Table(BTreeMap::new())
    }
}

impl Node {
    /// A default. What is null is not set.
    pub fn of_json(value: serde_json::Value) -> Option<Self> {
        if let serde_json::Value::Object(table) = value {
            let entries = table.into_iter().filter_map(|(key, value)| Some((key, Self::of_json(value)?)));
            return Some(Self::Table(entries.collect()));
        }
        Some(Self::Leaf(Raw::Toml(without_nulls(value)?), SettingOrigin::Default))
    }

    fn of_toml(value: toml::Value, origin: &SettingOrigin) -> Self {
        if let toml::Value::Table(table) = value {
            Self::Table(table.into_iter().map(|(key, value)| (key, Self::of_toml(value, origin))).collect())
        } else {
            Self::Leaf(Raw::Toml(value), origin.clone())
        }
    }

    /// A settings file. What stands before its first table is common.
    pub fn parse(text: &str, name: &str) -> Result<Self, SettingsError> {
        // The parser's own message shows the line, and what stands there may be a secret.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            SettingsError::at(format_args!("{name}, line {line}"), error.message())
        })?;
        let (sections, common): (toml::Table, toml::Table) = table.into_iter().partition(|(_, value)| value.is_table());
        let origin = SettingOrigin::File(name.into());
        let mut root = Self::of_toml(sections.into(), &origin);
        if !common.is_empty() {
            let common = Self::Table([("common".to_owned(), Self::of_toml(common.into(), &origin))].into());
            root = root.under(common);
        }
        Ok(root.with_new_names())
    }

    /// An inline table, as a variable may hold one; none where the text is none.
    pub fn inline(text: &str, origin: &SettingOrigin) -> Option<Self> {
        let value = toml_value(text).filter(toml::Value::is_table)?;
        Some(Self::of_toml(value, origin))
    }

    /// What the environment sets. What is not UTF-8 is refused where it is ours, and nobody's business where it is not.
    pub fn of_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let (mut root, mut problems) = (Self::default(), Vec::new());
        for (name, value) in variables {
            let Some(name) = name.to_str() else {
                let shown = name.to_string_lossy();
                if shown.starts_with("QUADRILLE_") {
                    problems.push(format!("{shown} is no setting: its name is not UTF-8; unset it"));
                }
                continue;
            };
            let Some(path) = path_of(name) else { continue };
            match value.into_string() {
                Ok(value) => root.insert(&path, Self::Leaf(Raw::Text(value), SettingOrigin::Variable(name.into()))),
                Err(_) => problems.push(format!("{name}: expected UTF-8, got other bytes; set it anew, or unset it")),
            }
        }
        if problems.is_empty() { Ok(root.with_new_names()) } else { Err(SettingsError::Unknown(problems)) }
    }

    /// Each setting under its name of today. What is set under both names goes by the new one.
    fn with_new_names(mut self) -> Self {
        let Self::Table(sections) = &mut self else { return self };
        for section in sections.values_mut() {
            let Self::Table(section) = section else { continue };
            for (old, new) in RENAMED {
                if let Some(value) = section.remove(old) {
                    section.entry(new.to_owned()).or_insert(value);
                }
            }
        }
        self
    }

    fn insert(&mut self, path: &[String], node: Self) {
        let Self::Table(table) = self else { return };
        match path {
            [] => {}
            [last] => {
                table.insert(last.clone(), node);
            }
            [first, rest @ ..] => {
                let entry = table.entry(first.clone()).or_default();
                if let Self::Leaf(Raw::Text(text), origin) = entry {
                    *entry = Self::inline(text, origin).unwrap_or_default();
                }
                entry.insert(rest, node);
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Table(table) => table.get(name),
            Self::Leaf(..) => None,
        }
    }

    /// Its entries, each as a table of its own.
    pub fn each(&self) -> Vec<(String, Self)> {
        let alone = |(name, node): (&String, &Self)| (name.clone(), Self::Table([(name.clone(), node.clone())].into()));
        match self {
            Self::Table(table) => table.iter().map(alone).collect(),
            Self::Leaf(..) => Vec::new(),
        }
    }

    /// This under what overrules it, table by table.
    pub fn under(self, upper: Self) -> Self {
        match (self, upper) {
            (Self::Table(mut lower), Self::Table(upper)) => {
                // A file for a secret overrules the secret, and the other way round.
                lower.retain(|key, _| {
                    let sibling = key.strip_suffix(FILE).map_or_else(|| format!("{key}{FILE}"), ToOwned::to_owned);
                    !upper.contains_key(&sibling)
                });
                for (key, node) in upper {
                    let merged = match lower.remove(&key) {
                        Some(below) => below.under(node),
                        None => node,
                    };
                    lower.insert(key, merged);
                }
                Self::Table(lower)
            }
            (lower @ Self::Table(_), Self::Leaf(Raw::Text(text), origin)) => match Self::inline(&text, &origin) {
                Some(table) => lower.under(table),
                None => Self::Leaf(Raw::Text(text), origin),
            },
            (_, upper) => upper,
        }
    }
}

/// The file that `QUADRILLE_CONFIG` names, which must be there, or `quadrille.toml`, if it is.
pub(super) fn file() -> Result<Node, SettingsError> {
    let named = std::env::var_os(CONFIG).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| "quadrille.toml".into());
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Node::parse(&text, &name),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(Node::default()),
        Err(error) => Err(SettingsError::at(name, format_args!("the settings file can't be read: {error}"))),
    }
}

/// A value as TOML has it, where the text is one.
pub(super) fn toml_value(text: &str) -> Option<toml::Value> {
    let table: toml::Table = format!("it = {text}").parse().ok()?;
    table.into_iter().next().map(|(_, value)| value)
}

/// The path of a name within a table.
pub(super) fn within(table: &[String], name: &str) -> Vec<String> {
    table.iter().map(String::as_str).chain([name]).map(ToOwned::to_owned).collect()
}

/// Which setting a variable sets; none: it is none of ours.
fn path_of(name: &str) -> Option<Vec<String>> {
    if name == CONFIG || COMPOSE.contains(&name) {
        return None;
    }
    for (plain, field) in PLAIN {
        match name.strip_prefix(plain) {
            Some("") => return Some(vec!["common".into(), field.into()]),
            Some("_FILE") => return Some(vec!["common".into(), format!("{field}{FILE}")]),
            Some(_) | None => {}
        }
    }
    if let Some(property) = name.strip_prefix("KAFKA_") {
        let property = kafka_property(property);
        if matches!(properties::known(property.trim_end_matches(FILE)), Err(PropertyError::Unknown(_))) {
            left_alone(name, &property);
            return None;
        }
        return Some(vec!["common".into(), "kafka".into(), property]);
    }
    name.strip_prefix("QUADRILLE_").map(setting_path)
}

/// Says so once: settings are read again while a password is refused.
fn left_alone(name: &str, property: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
        tracing::warn!("{name} is left alone: librdkafka has no property {property}");
    }
}

/// `SASL_PASSWORD` is `sasl.password`; `SASL_PASSWORD_FILE` the file that holds it.
fn kafka_property(name: &str) -> String {
    let name = name.to_lowercase();
    let dotted = |name: &str| name.replace('_', ".");
    let file = name.strip_suffix(FILE).map(dotted).filter(|property| super::is_secret_property(property));
    file.map_or_else(|| dotted(&name), |property| format!("{property}{FILE}"))
}

/// `<SECTION>__<FIELD>`; without a section it is common.
fn setting_path(setting: &str) -> Vec<String> {
    let parts: Vec<String> = setting.to_lowercase().split("__").map(ToOwned::to_owned).collect();
    match parts.as_slice() {
        [common] => vec!["common".into(), common.clone()],
        [section, kafka, property @ ..] if kafka == "kafka" && !property.is_empty() => {
            vec![section.clone(), kafka.clone(), kafka_property(&property.join("_"))]
        }
        _ => parts,
    }
}

/// The variable that sets what stands here.
pub(super) fn variable(path: &[String]) -> String {
    let upper = |parts: &[String]| parts.join("__").to_uppercase().replace(['.', '-'], "_");
    match path {
        [common, kafka, property] if common == "common" && kafka == "kafka" => {
            format!("KAFKA_{}", upper(std::slice::from_ref(property)))
        }
        [common, field] if common == "common" => {
            let (plain, end) = field.strip_suffix(FILE).map_or((field.as_str(), ""), |plain| (plain, "_FILE"));
            let named = PLAIN.iter().find(|(_, field)| *field == plain).map(|(name, _)| format!("{name}{end}"));
            named.unwrap_or_else(|| format!("QUADRILLE_{}", field.to_uppercase()))
        }
        [common, rest @ ..] if common == "common" => format!("QUADRILLE_{}", upper(rest)),
        _ => format!("QUADRILLE_{}", upper(path)),
    }
}

/// TOML has no null: what is null, in lists and tables too, is left out.
fn without_nulls(value: serde_json::Value) -> Option<toml::Value> {
    use serde_json::Value;
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value.into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.into_iter().filter_map(without_nulls).collect::<Vec<_>>().into(),
        Value::Object(table) => {
            let entries = table.into_iter().filter_map(|(key, value)| Some((key, without_nulls(value)?)));
            toml::Value::Table(entries.collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names_become_paths_and_back() {
        for (name, path) in [
            ("QUADRILLE_TOPIC_PREFIX", &["common", "topic_prefix"][..]),
            ("QUADRILLE_SAGA_TRACKER__HTTP", &["saga_tracker", "http"]),
            ("QUADRILLE_ORDERS__KAFKA__GROUP_PROTOCOL", &["orders", "kafka", "group.protocol"]),
            ("QUADRILLE_ORDERS__KAFKA__SASL_PASSWORD_FILE", &["orders", "kafka", "sasl.password_file"]),
            ("QUADRILLE_SAGA_TRACKER__API_KEYS__EVE_FILE", &["saga_tracker", "api_keys", "eve_file"]),
            ("KAFKA_SASL_PASSWORD", &["common", "kafka", "sasl.password"]),
            ("KAFKA_SASL_PASSWORD_FILE", &["common", "kafka", "sasl.password_file"]),
            ("DATABASE_URL", &["common", "database_url"]),
            ("DATABASE_URL_FILE", &["common", "database_url_file"]),
            ("SCHEMA_REGISTRY_PASSWORD_FILE", &["common", "schema_registry_password_file"]),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &["common", "otlp_endpoint"]),
        ] {
            let found = path_of(name).unwrap();
            assert_eq!(found, path, "{name}");
            assert_eq!(variable(&found), name);
        }
        for other in ["PATH", "QUADRILLE", "QUADRILLE_CONFIG", "DATABASE_URLS", "OTEL_SERVICE_NAME"] {
            assert_eq!(path_of(other), None, "{other}");
        }
    }
}
