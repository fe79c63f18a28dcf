//! What all parts of a running simulator share.

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::api::RateLimiter;

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    /// The book.
    pub pool: PgPool,
    /// Where its pages are, without a slash at the end.
    pub public_url: String,
    /// The rate limits.
    pub limiter: RateLimiter,
    /// Requests that are executed, whether or not their callers wait.
    pub requests: TaskTracker,
    /// Told after each request: there may be something to deliver.
    pub wake: Notify,
}

impl Simulator {
    /// One on this book.
    #[must_use]
    pub fn new(pool: PgPool, public_url: &str) -> Self {
        Self {
            pool,
            public_url: public_url.trim_end_matches('/').to_owned(),
            limiter: RateLimiter::default(),
            requests: TaskTracker::new(),
            wake: Notify::new(),
        }
    }
}
