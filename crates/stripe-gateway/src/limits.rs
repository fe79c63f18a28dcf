//! A token bucket for each endpoint and one for the account: Stripe limits both, and a call over the limit is better not made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::requests::Endpoint;

/// How long a call may wait for its token; one that would wait longer is not made now.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an endpoint rests after Stripe said that it was called too often.
const REST: Duration = Duration::from_secs(1);

/// Calls at a steady rate, with a quarter of a second's worth in one burst (the generic cell rate algorithm).
#[derive(Debug)]
struct TokenBucket {
    interval: Duration,
    burst: Duration,
    /// When all that was taken so far is paid for.
    paid_at: Option<Instant>,
}

impl TokenBucket {
    fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval * (per_second / 4).saturating_sub(1), paid_at: None }
    }

    /// How long a call that comes now must wait.
    fn wait(&self, now: Instant) -> Duration {
        self.paid_at.map_or(Duration::ZERO, |paid_at| paid_at.saturating_duration_since(now + self.burst))
    }

    fn take(&mut self, now: Instant) {
        self.paid_at = Some(self.paid_at.unwrap_or(now).max(now) + self.interval);
    }
}

/// The limits of one account, as far as this process uses them.
#[derive(Debug)]
pub(crate) struct RateLimits(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    endpoint_rate: u32,
    account: TokenBucket,
    endpoints: BTreeMap<Endpoint, TokenBucket>,
}

impl Buckets {
    fn endpoint(&mut self, endpoint: Endpoint) -> &mut TokenBucket {
        self.endpoints.entry(endpoint).or_insert_with(|| TokenBucket::new(self.endpoint_rate))
    }

    /// Takes a token of both; how long its call must wait. None, and nothing taken, where that would be too long.
    fn take(&mut self, endpoint: Endpoint, now: Instant) -> Option<Duration> {
        let wait = self.endpoint(endpoint).wait(now).max(self.account.wait(now));
        if wait > PATIENCE {
            return None;
        }
        self.endpoint(endpoint).take(now);
        self.account.take(now);
        Some(wait)
    }
}

impl RateLimits {
    /// Limits in calls a second.
    pub fn new(endpoint_rate: u32, account_rate: u32) -> Self {
        let account = TokenBucket::new(account_rate);
        Self(Mutex::new(Buckets { endpoint_rate, account, endpoints: BTreeMap::new() }))
    }

    /// Waits until a call may be made; false, at once, where that would take too long.
    pub async fn admit(&self, endpoint: Endpoint) -> bool {
        let wait = self.buckets().take(endpoint, Instant::now());
        match wait {
            Some(wait) if wait.is_zero() => true,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            None => false,
        }
    }

    /// Stripe says that the endpoint is called too often: it rests.
    pub fn rest(&self, endpoint: Endpoint) {
        let mut buckets = self.buckets();
        let bucket = buckets.endpoint(endpoint);
        let until = Instant::now() + REST + bucket.burst;
        bucket.paid_at = Some(bucket.paid_at.map_or(until, |paid_at| paid_at.max(until)));
    }

    fn buckets(&self) -> std::sync::MutexGuard<'_, Buckets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_calls_than_the_rate_and_a_quarter() {
        let limits = RateLimits::new(20, 1_000);
        let start = Instant::now();
        let mut made = Vec::new();
        // Four asks each millisecond, for three seconds.
        for tick in 0..12_000_u64 {
            let now = start + Duration::from_micros(tick * 250);
            made.extend(limits.buckets().take(Endpoint::Confirm, now).map(|wait| now + wait));
        }
        let busiest = made
            .iter()
            .map(|from| made.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(at)).count());
        assert!(busiest.max().unwrap() <= 25, "Stripe takes 25 a second");
        assert!(made.len() >= 60, "and what may be used is used: {}", made.len());
    }

    #[test]
    fn a_call_that_would_wait_too_long_takes_no_token() {
        let limits = RateLimits::new(1, 1_000);
        let now = Instant::now();
        let mut buckets = limits.buckets();
        let waits: Vec<_> = (0..5).map(|_| buckets.take(Endpoint::Get, now)).collect();
        let second = Duration::from_secs(1);
        assert_eq!(waits, [Some(Duration::ZERO), Some(second), None, None, None]);
        assert_eq!(buckets.take(Endpoint::Get, now + second), Some(second), "those that were sent away took nothing");
        assert_eq!(buckets.take(Endpoint::Capture, now + second), Some(Duration::ZERO), "another endpoint has its own");
    }

    #[test]
    fn the_account_is_limited_over_all_endpoints_and_an_endpoint_rests_when_told() {
        let limits = RateLimits::new(100, 1);
        let now = Instant::now();
        assert_eq!(limits.buckets().take(Endpoint::Get, now), Some(Duration::ZERO));
        assert_eq!(limits.buckets().take(Endpoint::Capture, now), Some(Duration::from_secs(1)));
        let limits = RateLimits::new(20, 1_000);
        limits.rest(Endpoint::Capture);
        let wait = limits.buckets().take(Endpoint::Capture, Instant::now()).unwrap();
        assert!(wait > Duration::from_millis(900), "{wait:?}");
        assert_eq!(limits.buckets().take(Endpoint::Get, Instant::now()), Some(Duration::ZERO));
    }
}
