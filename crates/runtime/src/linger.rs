//! How long a batch waits for more events.

use std::time::Duration;

/// The longest that a batch waits because the last one took long.
const LONGEST: Duration = Duration::from_millis(50);

/// How long the next batch waits for more: as long as the last one took, within bounds. A transaction and its statements cost the same for ten events as
/// for a thousand, and on a busy machine each of their round trips waits for a processor: so the busier it is, the larger the batches, and deciding takes
/// half of the time at most.
pub(crate) fn next(least: Duration, took: Duration) -> Duration {
    took.min(LONGEST).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_setting_when_idle_and_as_long_as_the_last_batch_when_busy() {
        let ms = Duration::from_millis;
        assert_eq!(next(ms(2), ms(1)), ms(2));
        assert_eq!(next(ms(2), ms(9)), ms(9));
        assert_eq!(next(ms(2), ms(90)), LONGEST);
        assert_eq!(next(ms(100), ms(90)), ms(100), "who set a longer one keeps it");
        assert_eq!(next(ms(0), ms(0)), ms(0));
    }
}
