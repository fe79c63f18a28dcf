//! The gateway as its callers see it: what goes over the wire, what comes of each answer; every request against Stripe's own description of its API.

#![allow(clippy::unwrap_used, reason = "a test that finds no answer ends there")]

mod conformance;
mod contract;
mod double;
mod flows;
mod golden;
mod ledger;
mod notices;
mod simulated;
mod simulator;
mod transport;
