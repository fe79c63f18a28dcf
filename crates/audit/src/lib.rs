//! The books: what must hold over the tables of all consumers, and between the outbox and the topics.
//!
//! Each is one question across schemas, as an auditor would ask it: consumers never do. All of one database are asked of one snapshot, and none takes for a
//! breach what is merely on its way: a fact is compared only with what must have been committed before it. (One can only be asked when all is
//! quiet, and says so.) The tracker asks now and then, `quadrille audit` when an operator wants to know, the demo and the tests after each run.

#![allow(missing_docs, reason = "an inner crate: its names say it")]

mod books;
mod databases;
mod known;
mod outbox;

pub use books::{AuditScope, BreachLine, CheckOutcome, Finding, Invariant, ask, checks};
pub use databases::{Databases, ask_all};
pub use known::{KNOWN, known};
pub use outbox::{OUTBOX, Window, outbox};

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the books can't be read: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Settings(#[from] runtime::settings::SettingsError),
    #[error("the topics can't be read: {0}")]
    Topics(#[from] kafka_admin::replay::ReplayError),
}
