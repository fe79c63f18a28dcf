//! Stripe's API: `/v1/…`.

mod access;
mod execute;
mod expand;
mod handler;
mod list;
mod operation;
mod rate;

pub use access::ApiAccess;
pub use execute::{Reply, execute};
pub use expand::resolve;
pub use handler::{CloseConnection, answer};
pub use list::with_pending_webhooks;
pub use operation::ApiOperation;
pub use rate::RateLimiter;
