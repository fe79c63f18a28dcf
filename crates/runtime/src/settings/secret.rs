//! Secrets: passwords, keys, and addresses that hold them. They are used, never shown.

use std::fmt;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::SettingsError;

/// By this name the settings' own deserializer knows that a secret is wanted.
pub(super) const NAME: &str = "$quadrille::Secret";

/// A text that appears in no log, error or answer: `Debug` prints `***`, there is no `Display` and no `Serialize`.
///
/// In the settings it is given as a text, or as the file that holds it: `alert_secret_file = "/run/secrets/alert"`, `DATABASE_URL_FILE=…`.
/// Who rotates it has it [read again](super::Settings::read_again) with the settings.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for whoever uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first line ending at the end of the file is not part of the secret: editors and `echo` add one.
    pub(super) fn from_file(file: &Path) -> Result<Self, SettingsError> {
        let unreadable = |error| format!("expected a file that holds a secret, which can't be read: {error}");
        let unfit = |why: String| SettingsError::at(file.display(), why);
        let text = std::fs::read_to_string(file).map_err(|error| unfit(unreadable(error)))?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(unfit("expected a secret in this file, which is empty".to_owned()));
        }
        Ok(text.into())
    }
}

/// Serializes as nothing: for a secret, and what has no default that could be shown. (Settings are serialized for their defaults alone.)
pub fn hidden<T, S: serde::Serializer>(_: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, TheText)
    }
}

/// What our own deserializer gives: what stands there, or what a file holds.
struct TheText;

impl<'de> Visitor<'de> for TheText {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
        use toml::Value;
        // Serde's own messages would repeat what came.
        let came = match Value::deserialize(deserializer)? {
            Value::String(text) => return Ok(text.into()),
            Value::Boolean(_) => "a truth value",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Datetime(_) | Value::Array(_) | Value::Table(_) => "something else",
        };
        Err(de::Error::custom(format_args!("expected a text in quotes, got {came}")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(text.into())
    }
}

impl utoipa::ToSchema for Secret {}

impl utoipa::PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Password);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}
