//! Rate limits: a bucket of tokens for each endpoint, and one for all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::operation::ApiOperation;
use crate::error::RateLimited;

/// The buckets. They are full after a restart.
#[derive(Debug, Default)]
pub struct RateLimiter {
    buckets: Mutex<HashMap<Option<ApiOperation>, (f64, Instant)>>,
}

impl RateLimiter {
    /// Takes a token for the operation, and one for all. Rates are requests a second, and bursts of as many.
    ///
    /// # Errors
    /// Which bucket is empty.
    pub fn take(
        &self,
        operation: ApiOperation,
        endpoint_rate: Option<u32>,
        global_rate: Option<u32>,
        now: Instant,
    ) -> Result<(), RateLimited> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, rate, limited) in
            [(None, global_rate, RateLimited::Global), (Some(operation), endpoint_rate, RateLimited::Endpoint)]
        {
            let Some(rate) = rate.map(f64::from) else { continue };
            let (tokens, since) = buckets.entry(bucket).or_insert((rate, now));
            *tokens = (*tokens + now.saturating_duration_since(*since).as_secs_f64() * rate).min(rate);
            *since = now;
            if *tokens < 1.0 {
                return Err(limited);
            }
            *tokens -= 1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_fills_at_its_rate() {
        let (limiter, start) = (RateLimiter::default(), Instant::now());
        let take = |operation, now| limiter.take(operation, Some(2), None, now);
        let (list, create) = (ApiOperation::RefundsList, ApiOperation::RefundsCreate);
        assert_eq!(
            [take(list, start), take(list, start), take(list, start)],
            [Ok(()), Ok(()), Err(RateLimited::Endpoint)]
        );
        assert_eq!(take(create, start), Ok(()), "each endpoint has its own");
        assert_eq!(take(list, start + Duration::from_millis(500)), Ok(()));
        assert_eq!(take(list, start + Duration::from_millis(500)), Err(RateLimited::Endpoint));
    }

    #[test]
    fn the_global_bucket_is_shared() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        assert_eq!(limiter.take(ApiOperation::RefundsList, None, Some(1), now), Ok(()));
        assert_eq!(limiter.take(ApiOperation::RefundsCreate, None, Some(1), now), Err(RateLimited::Global));
    }
}
