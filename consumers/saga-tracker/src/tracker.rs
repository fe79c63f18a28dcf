//! The consumer's name and its own state.

use runtime::Cooldown;

use crate::alerts::AlertKind;

pub(crate) const NAME: &str = "saga-tracker";

#[derive(Debug, Default)]
pub struct SagaTracker {
    /// Whether events may come that are kept already: a group that was reset, or a process that was killed, hears more than one batch again.
    pub(crate) repeating: Cooldown,
    pub(crate) untold: Vec<AlertKind>,
}
