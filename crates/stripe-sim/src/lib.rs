//! A simulator of Stripe's payment API for tests and demos. No money moves, and it knows cards alone.
//!
//! It speaks API version [`settings::API_VERSION`] as the real one does where a payment system can tell: PaymentIntents with manual capture, their state
//! machine, 3-D Secure on a page, refunds that fail days later, disputes, balance transactions with fees, events, idempotency keys, rate limits,
//! signed webhooks. Its book is in PostgreSQL (schema [`store::SCHEMA`]): it goes on where it was after `kill -9`. Its clock is virtual, and moved by a
//! request. DrawnFaults are set by rule: an answer that is lost after the commit, a 500 that is rolled forward an hour later, a 502 page, a lock.
//!
//! Everything under `/v1/` is the API; everything under `/_sim/` controls the simulator, in its own JSON: clock, settings, faults, webhook endpoints,
//! acts of the dashboard and of banks, and a ledger that checks itself. `docs/stripe-sim.md` lists both, and what is left out.
//!
//! A request is one transaction, and a payment one row: the PaymentIntent with its charges, refunds and disputes ([`record`]). Rules ([`rules`]) are
//! pure: they change the record and say what else happens ([`effects`]).

#![recursion_limit = "512"]

pub mod api;
pub mod audit;
pub mod card;
pub mod clock;
mod control;
pub mod currency;
mod delivery;
pub mod effects;
pub mod error;
pub mod fault;
pub mod form;
pub mod id;
mod page;
pub mod parameters;
pub mod record;
pub mod render;
pub mod rules;
mod server;
pub mod settings;
pub mod simulator;
pub mod store;
pub mod webhook;

pub use server::serve;
