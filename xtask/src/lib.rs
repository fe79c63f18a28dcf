//! The project's automation: installs what a machine lacks, starts and stops the real parts (Kafka, PostgreSQL, schema
//! registry) without Docker, and runs the tests against them.
//!
//! Everything that it starts belongs to one clone: data, logs and downloads are under the git-ignored `.quadrille/`,
//! and the processes carry that folder's path among their arguments ([`process::Mark`]).

#![allow(missing_docs, reason = "an inner crate: its names say it")]

pub mod addresses;
pub mod bench;
pub mod consumers;
pub mod demo;
#[cfg(test)]
mod docker_compose;
#[cfg(test)]
mod documents;
pub mod install;
pub mod java;
pub mod kafka;
pub mod ports;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod programs;
pub mod project;
pub mod registry;
pub mod report;
pub mod stack;
pub mod test;
pub mod up;
