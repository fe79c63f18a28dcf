//! Reads settings into their types. What stands in a variable of the environment is what the type that wants it makes of it: a key of digits stays a
//! text, and a number is one without quotes.

use std::fmt;
use std::path::Path;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Serialize, forward_to_deserialize_any};

use super::SettingsError;
use super::secret::{self, Secret};
use super::tree::{FILE, Node, Raw, SettingOrigin, toml_value, variable, within};

/// What does not fit: where, what was expected, what came.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct TypeMismatch {
    place: Option<String>,
    what: String,
}

impl de::Error for TypeMismatch {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self { place: None, what: what.to_string() }
    }
}

impl From<toml::de::Error> for TypeMismatch {
    fn from(error: toml::de::Error) -> Self {
        de::Error::custom(error.message())
    }
}

struct SettingPath<'n> {
    node: &'n Node,
    path: Vec<String>,
    /// Whether what stands here names the file that holds the value.
    in_file: bool,
}

impl<'n> SettingPath<'n> {
    fn text(&self) -> Option<&'n str> {
        match self.node {
            Node::Leaf(Raw::Text(text) | Raw::Toml(toml::Value::String(text)), _) => Some(text),
            Node::Leaf(Raw::Toml(_), _) | Node::Table(_) => None,
        }
    }

    /// In the environment everything is text; in a file text is text.
    fn is_variable(&self) -> bool {
        matches!(self.node, Node::Leaf(Raw::Text(_), _))
    }

    fn secret(&self) -> Result<Secret, TypeMismatch> {
        let path = self.text().ok_or_else(|| misfit("expected the path of a file, as a text in quotes"))?;
        Secret::from_file(Path::new(path)).map_err(|error| misfit(&error.to_string()))
    }

    /// Adds where it is to a failure that does not say so yet.
    fn located<T>(&self, result: Result<T, TypeMismatch>) -> Result<T, TypeMismatch> {
        result.map_err(|mut misfit| {
            misfit.place.get_or_insert_with(|| place(&self.path, self.node));
            misfit
        })
    }

    fn parsed<T: std::str::FromStr>(&self, text: &str, expected: &str) -> Result<T, TypeMismatch> {
        text.trim().parse().map_err(|_| misfit(&format!("expected {expected}, got {text:?}")))
    }

    fn whatever<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        if self.in_file {
            return Err(misfit("only a secret is read from a file"));
        }
        match self.node {
            Node::Table(table) => visitor.visit_map(TableEntries::of(&self, table.iter().collect(), None)?),
            Node::Leaf(Raw::Text(text), _) => visitor.visit_borrowed_str(text),
            Node::Leaf(Raw::Toml(value), _) => Ok(value.clone().deserialize_any(visitor)?),
        }
    }
}

fn misfit(what: &str) -> TypeMismatch {
    de::Error::custom(what)
}

fn place(path: &[String], node: &Node) -> String {
    match node {
        Node::Leaf(_, SettingOrigin::Variable(name)) => name.to_string(),
        Node::Leaf(_, SettingOrigin::File(file)) => format!("{} in {file}", path.join(".")),
        Node::Leaf(_, SettingOrigin::Default) | Node::Table(_) => format!("{} ({})", path.join("."), variable(path)),
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty: $expected:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
            match self.text().filter(|_| self.is_variable() && !self.in_file) {
                Some(text) => visitor.$visit(self.parsed::<$type>(text, $expected)?),
                None => self.whatever(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for SettingPath<'de> {
    type Error = TypeMismatch;

    parsed! {
        deserialize_bool visit_bool bool: "true or false",
        deserialize_i8 visit_i8 i8: "a whole number",
        deserialize_i16 visit_i16 i16: "a whole number",
        deserialize_i32 visit_i32 i32: "a whole number",
        deserialize_i64 visit_i64 i64: "a whole number",
        deserialize_u8 visit_u8 u8: "a whole number, 0 or more",
        deserialize_u16 visit_u16 u16: "a whole number, 0 or more",
        deserialize_u32 visit_u32 u32: "a whole number, 0 or more",
        deserialize_u64 visit_u64 u64: "a whole number, 0 or more",
        deserialize_f32 visit_f32 f32: "a number",
        deserialize_f64 visit_f64 f64: "a number",
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        self.whatever(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        if self.in_file { visitor.visit_string(self.secret()?.expose().to_owned()) } else { self.whatever(visitor) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        // Compose's `${NAME:-}` sets a variable to nothing.
        if self.is_variable() && self.text() == Some("") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeMismatch> {
        if name == secret::NAME && self.in_file {
            return visitor.visit_str(self.secret()?.expose());
        }
        visitor.visit_newtype_struct(self)
    }

    /// A list in a variable is written as TOML has it, or one item a line.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        let secret = if self.in_file { Some(self.secret()?) } else { None };
        let text = secret.as_ref().map(Secret::expose).or(self.text().filter(|_| self.is_variable()));
        let Some(text) = text else { return self.whatever(visitor) };
        if text.trim_start().starts_with('[') {
            let list =
                toml_value(text).ok_or_else(|| misfit("expected a list such as [\"a\", \"b\"], or one item a line"))?;
            return Ok(list.deserialize_any(visitor)?);
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        visitor.visit_seq(SeqDeserializer::new(lines))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        let Some(text) = self.text().filter(|_| self.is_variable() && !self.in_file) else {
            return self.whatever(visitor);
        };
        let table = toml_value(text).filter(toml::Value::is_table);
        let table = table.ok_or_else(|| misfit("expected a table such as { name = \"value\" }"))?;
        Ok(table.deserialize_any(visitor)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeMismatch> {
        match self.node {
            Node::Table(table) => visitor.visit_map(TableEntries::of(&self, table.iter().collect(), Some(fields))?),
            Node::Leaf(..) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeMismatch> {
        let text = self.text().ok_or_else(|| misfit("expected a text in quotes"))?;
        let name: StrDeserializer<'_, TypeMismatch> = text.into_deserializer();
        visitor.visit_enum(name)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeMismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

/// The entries of a table, with those that name a file under the name of what it holds.
struct TableEntries<'n> {
    rest: std::vec::IntoIter<(String, SettingPath<'n>)>,
    next: Option<SettingPath<'n>>,
}

impl<'n> TableEntries<'n> {
    fn of(
        at: &SettingPath<'n>,
        table: Vec<(&'n String, &'n Node)>,
        fields: Option<&'static [&'static str]>,
    ) -> Result<Self, TypeMismatch> {
        let is_field = |name: &str| fields.is_none_or(|fields| fields.contains(&name));
        let mut entries: Vec<(String, SettingPath<'n>)> = Vec::new();
        for (name, node) in table {
            let path = within(&at.path, name);
            let is_own = fields.is_some_and(|all| all.contains(&name.as_str()));
            let of_file = name.strip_suffix(FILE).filter(|held| !is_own && is_field(held));
            let held = of_file.unwrap_or(name);
            if entries.iter().any(|(other, _)| other == held) {
                let what = format!("expected either {held} or {held}{FILE}, got both");
                return Err(TypeMismatch { place: Some(place(&path, node)), what });
            }
            entries.push((held.to_owned(), SettingPath { node, path, in_file: of_file.is_some() }));
        }
        Ok(Self { rest: entries.into_iter(), next: None })
    }
}

impl<'de> MapAccess<'de> for TableEntries<'de> {
    type Error = TypeMismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TypeMismatch> {
        let Some((name, at)) = self.rest.next() else { return Ok(None) };
        let key = at.located(seed.deserialize(name.into_deserializer()));
        self.next = Some(at);
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TypeMismatch> {
        let at = self.next.take().ok_or_else(|| misfit("a value before its key"))?;
        let again = SettingPath { node: at.node, path: at.path.clone(), in_file: at.in_file };
        again.located(seed.deserialize(at))
    }
}

pub(super) fn extract<T: DeserializeOwned + Serialize>(
    root: &Node,
    key: &str,
    defaults: &T,
) -> Result<T, SettingsError> {
    let defaults = serde_json::to_value(defaults).ok().and_then(Node::of_json).unwrap_or_default();
    let node = match root.get(key) {
        Some(set) => defaults.under(set.clone()),
        None => defaults,
    };
    let read = T::deserialize(SettingPath { node: &node, path: vec![key.to_owned()], in_file: false });
    read.map_err(|misfit| SettingsError::at(misfit.place.as_deref().unwrap_or(key), misfit.what))
}
