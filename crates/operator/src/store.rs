//! The SQL of this crate: dead letters, the audit record, jobs. All of it is in the schema `saga_tracker`.

mod actions;
mod jobs;
mod letters;

pub use actions::ActionFilter;
pub(crate) use actions::{Action, StoredAction, actions, conclude, note};
pub(crate) use jobs::{
    JobLease, JobRow, advance_job, begin_job, end_job, job, jobs, release_job, resume_job, take_job,
};
pub(crate) use letters::{
    GroupRow, LetterRow, count_letters, groups, letter, letters, letters_between, oldest_letters,
};
