//! The consumer's name, which everything of it knows.

/// The name of this consumer.
pub(crate) const NAME: &str = "saga-tracker";
