//! The SQL of this crate: dead letters, the audit record, jobs. All of it is in the schema `saga_tracker`.

mod actions;
mod jobs;
mod letters;

pub use actions::*;
pub use jobs::*;
pub use letters::*;
