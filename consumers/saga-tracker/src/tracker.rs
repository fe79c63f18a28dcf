//! The consumer's own state.

use runtime::Cooldown;

use crate::alerts::AlertKind;

/// The consumer `saga-tracker`.
#[derive(Debug, Default)]
pub struct SagaTracker {
    /// Whether events may come that are kept already: a group that was reset, or a process that was killed, hears more than one batch again.
    pub(crate) repeating: Cooldown,
    /// Alerts that are turned off.
    pub(crate) untold: Vec<AlertKind>,
}
