//! How long what failed for its order alone waits before it is tried again, and when it is given up.

use std::time::Duration;

use events::Timestamp;

use crate::settings::ConsumerSettings;

/// The pace of retries: doubling from a first wait up to a ceiling, each spread so that what failed together does not come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPace {
    attempts: u32,
    first: Duration,
    ceiling: Duration,
    spread: f64,
}

impl RetryPace {
    pub fn of(settings: &ConsumerSettings) -> Self {
        let ConsumerSettings { retry_attempts, retry_initial_backoff, retry_max_backoff, retry_jitter, .. } = settings;
        Self {
            attempts: *retry_attempts,
            first: retry_initial_backoff.0,
            ceiling: retry_max_backoff.0.max(retry_initial_backoff.0),
            spread: retry_jitter.clamp(0.0, 1.0),
        }
    }

    /// When it is tried again after so many attempts that failed; none: that was the last. `seed` tells one record's spread from another's.
    pub fn next(&self, attempts: u32, seed: &[u8], now: Timestamp) -> Option<Timestamp> {
        (attempts < self.attempts).then(|| now.plus(self.wait(attempts, seed)))
    }

    fn wait(&self, attempts: u32, seed: &[u8]) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(self.ceiling);
        let hash = seed
            .iter()
            .chain(&attempts.to_be_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let share = ((hash ^ (hash >> 32)) % 2_001) as f64 / 1_000.0 - 1.0; // -1 to 1
        doubled.mul_f64(1.0 + self.spread * share)
    }
}

/// Whether an attempt is told of, so that a long wait is seen and few words are made of it: the first, second, fourth, eighth.
pub(crate) fn is_told(attempts: u32) -> bool {
    attempts.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn seconds(pace: &RetryPace, attempts: u32, seed: &[u8]) -> Option<f64> {
        pace.next(attempts, seed, NOW).map(|next| next.since(NOW).as_secs_f64())
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_the_last_attempt_has_none() {
        let settings = ConsumerSettings { retry_jitter: 0.0, retry_attempts: 12, ..ConsumerSettings::default() };
        let pace = RetryPace::of(&settings);
        let waits: Vec<f64> = (1..12).filter_map(|attempts| seconds(&pace, attempts, b"k")).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]);
        assert_eq!(seconds(&pace, 12, b"k"), None);
    }

    #[test]
    fn waits_are_spread_within_their_bounds_and_the_same_record_waits_the_same() {
        let pace = RetryPace::of(&ConsumerSettings::default());
        let waits: Vec<f64> = (0..200_u8).filter_map(|key| seconds(&pace, 4, &[key])).collect();
        assert!(waits.iter().all(|wait| (6.4..=9.6).contains(wait)), "{waits:?}");
        let different: std::collections::BTreeSet<u64> = waits.iter().map(|wait| (wait * 1_000.0) as u64).collect();
        assert!(different.len() > 100, "they part: {different:?}");
        assert_eq!(seconds(&pace, 4, b"k"), seconds(&pace, 4, b"k"));
    }

    #[test]
    fn who_sets_one_attempt_has_no_retries() {
        let pace = RetryPace::of(&ConsumerSettings { retry_attempts: 1, ..ConsumerSettings::default() });
        assert_eq!(pace.next(1, b"k", NOW), None);
    }
}
