//! What people do about dead letters and stuck orders, one of them or all of a filter. One library, behind the tracker's routes and the command line.
//!
//! What a wish comes to is planned by a pure rule (`plan`), so that a dry run says exactly what would be done. Each dead letter is a
//! transaction of its own, with its line in the audit record: whoever is interrupted has done some wholly, the others not at all, and goes on by
//! doing the same again.

#![allow(missing_docs, reason = "an inner crate: its names say it")]

mod act;
mod all;
mod consumer_apis;
mod dead_letter;
mod edit;
mod error;
mod filter;
pub mod jobs;
mod kind;
mod operator;
mod plan;
mod read;
mod schema;
mod store;
mod views;

pub use act::ActOutcome;
pub use all::{Progress, Report};
pub use consumer_apis::{ConsumerApis, OperatorSettings};
pub use edit::{EditError, with_fields};
pub use error::OperatorError;
pub use filter::{Bulk, Filter};
pub use kind::{Header, LetterKind, LetterStatus};
pub use operator::{Operator, migrations};
pub use plan::{Act, MAX_LOOPS, Note};
pub use store::{ActionFilter, ActionView, GroupView, JobView};
pub use views::{BytesView, LetterView};
