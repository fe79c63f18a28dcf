//! The sandbox: a gateway that needs no provider, for demos and tests. Test tokens say what happens; its book in PostgreSQL survives a `kill -9`.
//!
//! Calls of one moment are done in one transaction of the sandbox's own (never in one of payments): a provider's book, not ours. Only one such
//! transaction runs at a time, whichever instance of payments runs it, so the rules in [`book`] see the whole truth of what they read. The latency that
//! is set is waited for by each call on its own.
#![allow(missing_docs)] // an inner crate: its names say it

mod book;
mod entry;
mod http;
mod job;
mod ledger;
mod sandbox;
mod settings;
mod store;
mod token;
mod worker;

pub use http::{SandboxRoutes, routes};
pub use sandbox::{Sandbox, Unavailable};
pub use settings::SandboxSettings;
pub use token::Token;
pub use worker::SandboxWorker;

pub const SCHEMA: &str = "sandbox";

pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/sandbox")
}
