//! Secrets: passwords, keys, and addresses that hold them. They are used, never shown.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::SettingsError;

/// By this name the settings' own deserializer knows that a secret is wanted, and from which file it came.
pub(super) const NAME: &str = "$quadrille::Secret";

/// A text that appears in no log, error or answer: `Debug` prints `***`, there is no `Display` and no `Serialize`.
///
/// In the settings it is given as a text, or as the file that holds it: `alert_secret_file = "/run/secrets/alert"`, `DATABASE_URL_FILE=…`.
/// One from a file can be [read again](Secret::read_again), for whoever rotates it.
///
/// Two are equal if their texts are, wherever they stand: one database may be named by a text and by a file.
#[derive(Clone, Default)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Secret {}

impl PartialOrd for Secret {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Secret {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Secret {
    /// The text itself, for whoever uses it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The secret as its file holds it now; without a file, as it is. To be called before each new connection.
    ///
    /// # Errors
    /// When the file can't be read or is empty.
    pub fn read_again(&self) -> Result<Self, SettingsError> {
        match &self.file {
            Some(file) => Self::from_file(file),
            None => Ok(self.clone()),
        }
    }

    /// The first line ending at the end of the file is not part of the secret: editors and `echo` add one.
    pub(super) fn from_file(file: &Path) -> Result<Self, SettingsError> {
        let unreadable = |why: String| SettingsError::Invalid { place: file.display().to_string(), what: why };
        let text = std::fs::read_to_string(file).map_err(|error| {
            unreadable(format!("expected a file that holds a secret, which can't be read: {error}"))
        })?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(unreadable("expected a secret in this file, which is empty".to_owned()));
        }
        Ok(Self { text: text.to_owned(), file: Some(file.to_owned()) })
    }
}

/// Serializes as nothing: for a secret, and what has no default that could be shown. (Settings are serialized for their defaults alone.)
///
/// # Errors
/// What the serializer says.
pub fn hidden<T, S: serde::Serializer>(_: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self { text, file: None }
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
        deserializer.deserialize_newtype_struct(NAME, TheSecret)
    }
}

/// What our own deserializer gives: what stands there, or the parts of what a file holds.
struct TheSecret;

/// What stands there.
struct TheText;

impl<'de> Visitor<'de> for TheSecret {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret, as a text in quotes")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
        deserializer.deserialize_any(TheText)
    }

    /// From a file: its text, and where it is.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Secret, A::Error> {
        let mut next = || parts.next_element::<String>().map(Option::unwrap_or_default);
        Ok(Secret { text: next()?, file: Some(next()?.into()) })
    }
}

impl Visitor<'_> for TheText {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(text.into())
    }

    // Serde's own messages would repeat what came.
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(in_quotes("a truth value"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(in_quotes("a number"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(in_quotes("a number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(in_quotes("a number"))
    }
}

fn in_quotes<E: de::Error>(came: &str) -> E {
    E::custom(format_args!("expected a text in quotes, got {came}"))
}

impl utoipa::ToSchema for Secret {}

impl utoipa::PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Password);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_same_wherever_it_stands() {
        let of_file = Secret { text: "postgres://db".into(), file: Some("/run/secrets/db".into()) };
        let known = std::collections::BTreeSet::from([of_file.clone(), "postgres://db".into()]);
        assert_eq!(known.len(), 1);
        assert_ne!(of_file, "postgres://other".into());
    }
}
