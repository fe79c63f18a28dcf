//! The real binary against a real PostgreSQL (DATABASE_URL), each test with a process and a database of its own.

mod api;
mod clock;
mod contract;
mod crash;
mod faults;
mod harness;
mod idempotency;
mod webhooks;
