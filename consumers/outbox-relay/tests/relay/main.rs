//! The outbox relay on real PostgreSQL and Kafka.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests: a panic is their answer

mod delivery;
mod measure;
mod rescue;
mod support;
mod torture;
