//! Why something was not done.

use runtime::parking::RetryRefusal;
use runtime::{Failure, Verdict};

use crate::edit::EditError;

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// It must not be done, or there is nothing to do: the same again is refused again.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody who is needed does not answer: the same again may succeed.
    #[error("{0}")]
    Unavailable(String),
    #[error("the job was stopped, or is worked on by another instance")]
    Lost,
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl OperatorError {
    /// Whether it is about this dead letter alone, so that all others of a filter are gone on with: what it asks is refused, or the database refuses
    /// what it holds.
    pub(crate) fn is_of_one(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Edit(_) => true,
            Self::Failed(failure) => {
                matches!(failure.verdict(), Verdict::DeadLetter | Verdict::Park) && !failure.is_wait()
            }
            Self::Unavailable(_) | Self::Lost => false,
        }
    }
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RetryRefusal> for OperatorError {
    fn from(refusal: RetryRefusal) -> Self {
        match refusal {
            RetryRefusal::Failed(failure) => Self::Failed(failure),
            RetryRefusal::Unknown { .. }
            | RetryRefusal::Decided { .. }
            | RetryRefusal::NoRecord { .. }
            | RetryRefusal::NoValue { .. } => Self::Refused(refusal.to_string()),
        }
    }
}
