//! Places orders on a running pipeline, plays its people, measures it, and checks its books.
//!
//! It knows the pipeline as any user does: through its topics, its routes and its tables.

#![allow(missing_docs, reason = "an inner crate: its names say it")]

mod addresses;
pub mod invariants;
pub mod lag;
pub mod limit;
pub mod mix;
mod people;
mod place;
pub mod processes;
pub mod relay;
pub mod report;
pub mod runs;
pub mod stripe;
mod watch;

pub use addresses::PipelineAddresses;
