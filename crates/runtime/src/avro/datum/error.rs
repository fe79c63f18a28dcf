//! Why bytes can't be read: what was expected and what came, and at which field; never the record's own text, which may be personal.

use std::fmt;

use serde::de::{Expected, Unexpected};

#[derive(Debug, thiserror::Error)]
#[error("{field}{}{what}", if field.is_empty() { "" } else { ": " })]
pub(crate) struct DatumError {
    field: String,
    what: String,
}

impl DatumError {
    pub fn new(what: impl Into<String>) -> Self {
        Self { field: String::new(), what: what.into() }
    }

    /// The same, one level up.
    pub fn within(mut self, part: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{part}{dot}{}", self.field);
        self
    }
}

impl serde::de::Error for DatumError {
    /// A type's own words, without all that they quote: it may be personal, and hold quotes itself.
    fn custom<T: fmt::Display>(words: T) -> Self {
        let words = words.to_string();
        let is_quote = |letter| matches!(letter, '"' | '`');
        Self::new(match (words.find(is_quote), words.rfind(is_quote)) {
            (Some(first), Some(last)) => format!("{}\u{2026}{}", &words[..first], &words[last + 1..]),
            (Some(_), None) | (None, _) => words,
        })
    }

    fn invalid_type(came: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, got {}", without_value(came)))
    }

    fn invalid_value(came: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, got another {}", without_value(came)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("expected one of {}, got something else", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("expected a value, got none: its writer's schema has no such field, or it is null").within(field)
    }
}

fn without_value(came: Unexpected<'_>) -> &'static str {
    match came {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "whole number",
        Unexpected::Float(_) => "floating point number",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::NewtypeStruct | Unexpected::Map => "record",
        Unexpected::Seq => "list",
        Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant => "enum",
        Unexpected::Other(_) => "value",
    }
}
