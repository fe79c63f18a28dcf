//! Timers: rows that say when a consumer looks at an order again, and the poller that takes what is due.

pub(crate) mod poller;
pub(crate) mod store;
