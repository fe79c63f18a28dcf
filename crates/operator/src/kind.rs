//! Words for dead letters: what they are, where they stand, their headers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LetterKind {
    /// An event that a consumer could not decide.
    Event,
    /// An order that is stuck.
    Order,
}

impl LetterKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Order => "order",
        }
    }
}

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterStatus {
    /// It waits for a person.
    Open,
    /// A person has its consumer decide it again; its consumer has not said yet what came of it.
    Retrying,
    /// It was decided after all; of an order: it went on.
    Recovered,
    /// A person skipped it.
    Skipped,
    /// It was tried again and died again.
    DiedAgain,
}

impl LetterStatus {
    pub const ALL: [Self; 5] = [Self::Open, Self::Retrying, Self::Recovered, Self::Skipped, Self::DiedAgain];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retrying => "retrying",
            Self::Recovered => "recovered",
            Self::Skipped => "skipped",
            Self::DiedAgain => "died_again",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A header of a dead letter: as text, or else in hexadecimal, so that nothing is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, if it is readable text; neither this nor `hex`: it is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in hexadecimal, if it is not readable text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}
