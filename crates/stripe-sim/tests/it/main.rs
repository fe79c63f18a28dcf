//! The real binary against a real PostgreSQL (DATABASE_URL), each test with a process and a database of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, fail where they can't go on")]

mod api;
mod clock;
mod contract;
mod crash;
mod faults;
mod harness;
mod idempotency;
mod webhooks;
