//! A breach of a rule, as every check reports it.

use std::fmt;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleBreach {
    /// Where: an event, a topic, a consumer, a schema.
    pub at: String,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it.
    pub action: String,
}

impl RuleBreach {
    pub(crate) fn new(
        at: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self { at: at.into(), expected: expected.into(), found: found.into(), action: action.into() }
    }

    /// A name that nothing has.
    pub(crate) fn unknown(at: &str, expected: &str, found: &str) -> Self {
        Self::new(at, expected, format!("{found:?}"), "correct the name, or add what it names")
    }
}

impl fmt::Display for RuleBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}: {}", self.at, self.expected, self.found, self.action)
    }
}
