//! Who may change anything through the tracker's doors: a key for each person, compared in constant time.

use std::collections::BTreeMap;

use runtime::settings::Secret;
use sha2::{Digest, Sha256};

/// The shortest key that is taken, in characters.
const SHORTEST: usize = 16;

/// Why a key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No key is set: nobody may.
    NoneSet,
    /// None came.
    Missing,
    /// Another one came.
    Wrong,
}

/// The keys that are set, as digests: what is compared has one length, and no key stays in memory.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<(String, [u8; 32])>);

impl Keys {
    /// The keys of these people.
    ///
    /// # Errors
    /// When one is too short to be worth anything.
    pub fn new(set: &BTreeMap<String, Secret>) -> anyhow::Result<Self> {
        if let Some((name, _)) = set.iter().find(|(_, key)| key.expose().chars().count() < SHORTEST) {
            anyhow::bail!(
                "settings of saga_tracker: expected at least {SHORTEST} characters in api_keys.{name}, got fewer: `openssl rand -hex 24` makes one"
            );
        }
        Ok(Self(set.iter().map(|(name, key)| (name.clone(), digest(key.expose()))).collect()))
    }

    /// Whose key this is. Every key is compared, to its end: how long it takes says nothing of how near one came.
    ///
    /// # Errors
    /// When it is nobody's.
    pub fn whose(&self, key: Option<&str>) -> Result<&str, Denied> {
        if self.0.is_empty() {
            return Err(Denied::NoneSet);
        }
        let came = digest(key.ok_or(Denied::Missing)?);
        let mut whose = None;
        for (name, digest) in &self.0 {
            let differs = digest.iter().zip(came).fold(0, |differs, (set, came)| differs | (set ^ came));
            if std::hint::black_box(differs) == 0 {
                whose = Some(name.as_str());
            }
        }
        whose.ok_or(Denied::Wrong)
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(set: &[(&str, &str)]) -> anyhow::Result<Keys> {
        Keys::new(&set.iter().map(|(name, key)| ((*name).to_owned(), (*key).into())).collect())
    }

    #[test]
    fn a_key_says_whose_it_is_and_any_other_opens_nothing() {
        let keys = keys(&[("ada", "0123456789abcdef"), ("eve", "fedcba9876543210")]).unwrap();
        assert_eq!(keys.whose(Some("fedcba9876543210")), Ok("eve"));
        for wrong in ["", "fedcba987654321", "fedcba98765432100", "FEDCBA9876543210"] {
            assert_eq!(keys.whose(Some(wrong)), Err(Denied::Wrong));
        }
        assert_eq!(keys.whose(None), Err(Denied::Missing));
    }

    #[test]
    fn without_a_key_nobody_may() {
        assert_eq!(Keys::default().whose(Some("")), Err(Denied::NoneSet));
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused_by_its_name() {
        let error = keys(&[("eve", "short")]).unwrap_err().to_string();
        assert!(error.contains("api_keys.eve") && !error.contains("short"), "{error}");
    }
}
