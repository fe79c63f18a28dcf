//! Properties of librdkafka, some of which are secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Secret;

/// Whether a property of librdkafka holds a password or a key.
pub fn is_secret_property(name: &str) -> bool {
    let ends = ["password", "passphrase", "secret", "key.pem", "jaas.config"];
    ends.iter().any(|end| name.ends_with(end)) || name == "sasl.oauthbearer.config"
}

/// Properties of librdkafka by name, such as `sasl.username`. `Debug` and `Serialize` leave secrets out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), if is_secret_property(name) { "***" } else { value.as_str() }))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As secrets, so that no message repeats a value.
        let values = BTreeMap::<String, Secret>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }
}

impl Deref for Properties {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Properties {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, String); N]> for Properties {
    fn from(properties: [(String, String); N]) -> Self {
        properties.into_iter().collect()
    }
}

impl<'p> IntoIterator for &'p Properties {
    type Item = (&'p String, &'p String);
    type IntoIter = std::collections::btree_map::Iter<'p, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Properties {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
