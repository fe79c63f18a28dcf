//! Retention: what is forgotten of orders that ended before the horizon, and what else has had its time.

pub(crate) mod horizon;
pub(crate) mod pruner;
