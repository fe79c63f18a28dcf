//! What all parts of a running simulator share.

use sqlx::PgPool;
use tokio::sync::{Mutex, Notify};
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
    /// Held while what is due is done: who moves the clock is answered when all of it is done, not while another task still does it.
    pub due: Mutex<()>,
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
            due: Mutex::new(()),
            wake: Notify::new(),
        }
    }
}
