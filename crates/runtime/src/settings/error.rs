//! What is wrong with settings.

use std::time::Duration;

/// A setting that is missing or can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A required one is missing.
    #[error("{name} is not set: expected {expected}; `cargo xtask up` starts the real parts and prints it")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// One has a value that does not fit.
    #[error("{place}: {what}")]
    Invalid {
        /// Which one, and where it is set.
        place: String,
        /// What was expected, and what came unless it is a secret.
        what: String,
    },
    /// Nobody reads these.
    #[error("{}; `quadrille config reference` lists all settings", problems.join("\n"))]
    Unknown {
        /// Each with the nearest that there is.
        problems: Vec<String>,
    },
    /// What stands for the outside world is not named, and this is no demo.
    #[error(
        "{setting} ({variable}) is not set: expected {expected}. To try Quadrille out set QUADRILLE_PROFILE=demo: then {simulated}"
    )]
    Unnamed {
        /// The setting.
        setting: String,
        /// The variable that sets it.
        variable: String,
        /// What it may be.
        expected: &'static str,
        /// What it is in a demo.
        simulated: &'static str,
    },
    /// Orders would be forgotten while something of them can still come back.
    #[error("{name} is {got:?}: expected at least {least:?}, {why}; set it longer")]
    TooShort {
        /// The setting.
        name: String,
        /// What it is.
        got: Duration,
        /// What it must be.
        least: Duration,
        /// Why.
        why: &'static str,
    },
}
