//! The harness: a whole pipeline of its own for each test, on the real parts, so that tests run side by side.
//!
//! A [`Pipeline`] has a database and a topic prefix of its own, a clock that the test moves, and all consumers hosted in the test's process.
//! [`Pipeline::settle`] runs it to quiescence; nobody sleeps. [`Pipeline::finish`] checks what must hold after every test.

mod database;
pub mod deadline;
mod kafka;
mod order;
mod pipeline;
mod publish;
mod quiet;
mod stack;

pub use ::pipeline::schemas;
pub use database::{Database, drop_database, superuser_url};
pub use kafka::{
    NewRecord, Record, commit_beginning, commit_end, delete_all, lag, produce, produce_large, read_all, recreate,
    watch_offsets,
};
pub use order::Order;
pub use pipeline::{ALL, KEYS, Pipeline, Setup, key};
pub use stack::{Stack, binary, stack};
