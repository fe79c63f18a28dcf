//! What is wrong with settings.

/// A setting that is missing or can't be used. Messages say what was expected, and what came unless it is a secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is missing, or its value does not fit.
    #[error("{0}")]
    Unfit(String),
    /// Nobody reads these; each is named with the nearest that there is.
    #[error("{}; `quadrille config reference` lists all settings", .0.join("\n"))]
    Unknown(Vec<String>),
    /// What stands for the outside world is not named, and this is no demo.
    #[error("{0}")]
    Unnamed(String),
}

impl SettingsError {
    pub(super) fn at(place: impl std::fmt::Display, what: impl std::fmt::Display) -> Self {
        Self::Unfit(format!("{place}: {what}"))
    }
}
