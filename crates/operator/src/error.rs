//! Why something was not done.

use runtime::parking;
use runtime::{Failure, Verdict};

use crate::edit::EditError;
use crate::plan::PlanRefusal;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// It must not be done, or there is nothing to do: the same again is refused again.
    #[error("{0}")]
    Refused(String),
    /// The new data can't be taken.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Somebody who is needed does not answer: the same again may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The job was stopped, or another instance works on it.
    #[error("the job was stopped, or is worked on by another instance")]
    Lost,
    /// The database refused, or did not answer.
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

impl From<PlanRefusal> for OperatorError {
    fn from(refusal: PlanRefusal) -> Self {
        Self::Refused(refusal.0)
    }
}

impl From<parking::RetryRefusal> for OperatorError {
    fn from(refusal: parking::RetryRefusal) -> Self {
        match refusal {
            parking::RetryRefusal::Failed(failure) => Self::Failed(failure),
            refused @ (parking::RetryRefusal::Unknown { .. }
            | parking::RetryRefusal::Decided { .. }
            | parking::RetryRefusal::NoRecord { .. }
            | parking::RetryRefusal::NoValue { .. }) => Self::Refused(refused.to_string()),
        }
    }
}
