//! The outbox relay alone: what writers committed arrives once at least, in each key's order, whatever dies in between.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests: a panic is their answer, and they have no settings of their own

mod delivery;
mod measure;
mod rescue;
mod support;
mod torture;
