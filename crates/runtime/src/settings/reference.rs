//! The settings for people: every one with what it is now and why, and the page that lists them all.

use serde::Serialize;
use serde_json::Value;

use super::Settings;
use super::describe::{SettingField, Shape};
use super::properties::is_secret_property;
use super::section::Section;
use super::tree::{FILE, Node, Raw, SettingOrigin, variable, within};

/// One setting as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingRow {
    /// Its name, as in the settings file: `saga_tracker.audit_every`.
    pub setting: String,
    /// The variable that sets it.
    pub variable: String,
    /// What it is; of a secret `***`; none: nothing.
    pub value: Option<String>,
    /// Where that is from: `default`, a file, or a variable.
    pub from: String,
}

impl Settings {
    /// What is set of a part, and what is not: every setting with its value, secrets masked, and where it is from.
    pub fn rows(&self, section: &Section) -> Vec<SettingRow> {
        section.leaves().into_iter().flat_map(|(path, field)| self.rows_of(&path, field)).collect()
    }

    fn rows_of(&self, path: &[String], field: &SettingField) -> Vec<SettingRow> {
        let row = |path: &[String], value: Option<String>, from: &SettingOrigin| SettingRow {
            setting: path.join("."),
            variable: variable(path),
            value,
            from: from.to_string(),
        };
        let (parent, name) = path.split_at(path.len() - 1);
        let table = parent.iter().try_fold(&*self.root, |node, name| node.get(name));
        let at = |name: &str| table.and_then(|table| table.get(name));
        if let Some(Node::Leaf(_, origin)) = at(&format!("{}{FILE}", name[0])) {
            return vec![row(path, Some("***".to_owned()), origin)];
        }
        let default = field.default.clone().and_then(Node::of_json);
        let node = match (default, at(&name[0]).cloned()) {
            (Some(default), Some(set)) => Some(default.under(set)),
            (default, set) => set.or(default),
        };
        match (&field.shape, node) {
            (_, None) => vec![row(path, None, &SettingOrigin::Default)],
            (shape, Some(Node::Leaf(raw, origin))) => vec![row(path, Some(shown(shape, path, &raw)), &origin)],
            (Shape::Map(_), Some(Node::Table(table))) if table.is_empty() => {
                vec![row(path, None, &SettingOrigin::Default)]
            }
            (shape, Some(Node::Table(table))) => {
                let inner = if let Shape::Map(inner) = shape { inner } else { shape };
                let of = |(name, node): (&String, &Node)| {
                    let path = within(path, name);
                    match node {
                        Node::Leaf(raw, origin) => row(&path, Some(shown(inner, &path, raw)), origin),
                        Node::Table(_) => {
                            let value = if inner.is_secret() { "***" } else { "{…}" };
                            row(&path, Some(value.to_owned()), &SettingOrigin::Default)
                        }
                    }
                };
                table.iter().map(of).collect()
            }
        }
    }
}

/// A value for the eye; a secret's, or that of a property that is one, masked.
fn shown(shape: &Shape, path: &[String], raw: &Raw) -> String {
    let is_property = path.iter().any(|name| name == "kafka");
    let is_hidden = |name: &String| is_secret_property(name.trim_end_matches(FILE));
    if shape.is_secret() || is_property && path.last().is_some_and(is_hidden) {
        return "***".to_owned();
    }
    match raw {
        // A whole table in a variable may hold a secret.
        Raw::Text(text) if matches!(shape, Shape::Map(_)) && !text.is_empty() => "{…}".to_owned(),
        Raw::Text(text) | Raw::Toml(toml::Value::String(text)) => without_secrets(text),
        Raw::Toml(value) => serde_json::to_string(value).unwrap_or_default(),
    }
}

/// An address without who asks and what it asks: a password or a token may stand there. One whose scheme was forgotten is an address too.
fn without_secrets(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (scheme, end) = (&text[..text.len() - rest.len()], rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = rest[..end].rsplit_once('@').filter(|(user, _)| !scheme.is_empty() || user.contains(':'));
    if scheme.is_empty() && user.is_none() {
        return text.to_owned();
    }
    let place = user.map_or_else(|| rest[..end].to_owned(), |(_, place)| format!("***@{place}"));
    let path = rest[end..].split_once(['?', '#']).map(|(path, _)| format!("{path}?***"));
    format!("{scheme}{place}{}", path.as_deref().unwrap_or(&rest[end..]))
}

impl Shape {
    fn is_secret(&self) -> bool {
        match self {
            Self::Secret => true,
            Self::List(shape) | Self::Map(shape) => shape.is_secret(),
            Self::Table(fields) => fields.iter().any(|field| field.shape.is_secret()),
            Self::Value(_) | Self::OneOf(_) => false,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Value(words) => (*words).to_owned(),
            Self::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Secret => "secret".to_owned(),
            Self::List(shape) => format!("list of {}", shape.words()),
            Self::Map(shape) => format!("{} by name", shape.words()),
            Self::Table(_) => "table".to_owned(),
        }
    }
}

/// docs/configuration.md: all settings of these parts. What most of them have, with the same default, stands once.
pub fn reference(sections: &[Section]) -> String {
    let rows: Vec<(&str, Vec<[String; 5]>)> =
        sections.iter().map(|section| (&*section.name, section.leaves().iter().map(row).collect())).collect();
    let shared = |row: &[String; 5]| rows.iter().filter(|(_, others)| others.contains(row)).count() * 2 > rows.len();
    let mut page = INTRODUCTION.to_owned();
    let mut all: Vec<[String; 5]> = Vec::new();
    for row in rows.iter().flat_map(|(_, rows)| rows.iter().filter(|row| shared(row))) {
        if !all.contains(row) {
            all.push(row.clone());
        }
    }
    let mut table = |heading: &str, variable: &str, rows: &mut dyn Iterator<Item = &[String; 5]>| {
        let mut rows = rows.peekable();
        if rows.peek().is_some() {
            page.push_str(heading);
            page.push_str("\n| setting | variable | type | default | meaning |\n|---|---|---|---|---|\n");
        }
        for row in rows {
            let cells = row.each_ref().map(|cell| cell.replace('|', "\\|").replace(OWN, variable));
            page.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    };
    for (number, (name, own)) in rows.iter().enumerate() {
        if number == 1 {
            table(SHARED, "`QUADRILLE_<CONSUMER>__", &mut all.iter());
        }
        let variable = format!("`QUADRILLE_{}__", name.to_uppercase());
        table(&format!("\n## [{name}]\n"), &variable, &mut own.iter().filter(|row| !shared(row)));
    }
    page
}

/// What stands for a part's own variables until it is known whose table a row comes into.
const OWN: &str = "`\u{0}";

fn row((path, SettingField { shape, meaning, default, .. }): &(Vec<String>, &SettingField)) -> [String; 5] {
    let mut variable = format!("`{}", variable(path));
    if matches!(shape, Shape::Map(_)) {
        variable = if path[..] == ["common", "kafka"] { "`KAFKA_<PROPERTY>".into() } else { variable + "__<NAME>" };
    }
    let own = format!("`QUADRILLE_{}__", path[0].to_uppercase());
    let default = default.as_ref().map_or_else(String::new, written);
    [format!("`{}`", path[1..].join(".")), variable.replace(&own, OWN) + "`", shape.words(), default, plain(meaning)]
}

fn written(default: &Value) -> String {
    match default {
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::Object(table) if table.is_empty() => String::new(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "see there".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => format!("`{default}`"),
    }
}

/// Without the links that rustdoc alone can follow.
fn plain(meaning: &str) -> String {
    let mut text = String::new();
    let mut rest = meaning;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, behind)) = after.split_once(')') else { break };
        match before.rsplit_once('[') {
            Some((lead, name)) => text.push_str(&format!("{lead}{name}")),
            None => text.push_str(before),
        }
        rest = behind;
    }
    text + rest
}

const SHARED: &str = "
## Every consumer

These stand in each consumer's part, with its name in the variable: `QUADRILLE_ORDERS__BATCH_EVENTS`, `QUADRILLE_SAGA_TRACKER__LINGER`. Where a consumer's own
table below has one of them too, with another default, that row counts. The outbox relay has `http` alone of these.
";

const INTRODUCTION: &str = "\
# Settings

Written by `quadrille config reference > docs/configuration.md` from the settings' own definitions; a test compares.

What counts, from least to most: the default, `quadrille.toml` in the working directory (or the file that `QUADRILLE_CONFIG` names), the environment.
A setting of the file stands under its part, `[saga_tracker]` and then `audit_every = \"5m\"`; what all parts share under `[common]`, or before the first
part. In the environment it is a variable, as the tables say.

- A setting that there is not stops the start, and the message names the nearest one. Each program refuses what it does not know of its own part, of what
  all share, and of parts that there are not; `quadrille config check` looks at all parts, and starts nothing.
- In a variable everything is text, and what it becomes depends on the setting: a key of digits stays text, quotes stay part of it. Lists are written as
  in TOML (`[\"a\", \"b\"]`) or one item a line, durations like `250ms`, `15m`, `7d`.
- **Secrets** are shown by no log, error or answer. Each can be in a file: `alert_secret_file = \"/run/secrets/alert\"`, or
  `QUADRILLE_SAGA_TRACKER__ALERT_SECRET_FILE=…`, `DATABASE_URL_FILE=…`, `KAFKA_SASL_PASSWORD_FILE=…`. One line end at the file's end is not part of it.
- `quadrille config show` prints what is set and where it is from, secrets masked; `--json` for programs.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_who_asks_also_where_its_scheme_was_forgotten() {
        for (address, expected) in [
            ("http://svc:s3cr3t@registry:8081/v7?a=b", "http://***@registry:8081/v7?***"),
            ("postgres://shop:p@ss@db/shop", "postgres://***@db/shop"),
            ("svc:s3cr3t@registry/v7", "***@registry/v7"),
            ("me@kafka:9092", "me@kafka:9092"),
            ("http://registry/a@b", "http://registry/a@b"),
            ("127.0.0.1:9092", "127.0.0.1:9092"),
        ] {
            assert_eq!(without_secrets(address), expected);
        }
    }
}
