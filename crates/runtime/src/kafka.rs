//! Kafka as a consumer meets it: the loop that polls, rebalances, records and their headers, client settings, and what retention deleted unread.

pub mod bootstrap_again;
pub(crate) mod client_config;
pub(crate) mod consumer_loop;
pub(crate) mod decode;
pub mod headers;
pub mod properties;
pub mod rebalance;
pub mod record;
mod retention_gap;
pub mod topology;
