//! How long a batch waits for more events.

use std::time::Duration;

/// The longest that a batch waits because the last one took long.
const LONGEST: Duration = Duration::from_millis(50);

/// A batch of so few events shows that hardly anything comes: who waits, waits for nobody.
const FEW: usize = 2;
/// From so many events on a batch shows that there is much to do.
const MANY: usize = 32;

/// How long the next batch waits for more, after one that took so long for so many events. Not at all after a few; `usual` after more; and after many
/// as long as they took, within bounds: a transaction and its statements cost the same for ten events as for a thousand, and on a busy machine each of
/// their round trips waits for a processor. So the busier it is, the larger the batches, and deciding takes half of the time at most.
pub(crate) fn next(usual: Duration, took: Duration, events: usize) -> Duration {
    match events {
        ..=FEW => Duration::ZERO,
        MANY.. => took.min(LONGEST).max(usual),
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for_after_a_few_events_and_after_many_as_long_as_they_took() {
        let ms = Duration::from_millis;
        assert_eq!(next(ms(2), ms(9), FEW), ms(0), "the machine is slow, but nobody comes");
        assert_eq!(next(ms(2), ms(9), FEW + 1), ms(2));
        assert_eq!(next(ms(2), ms(9), MANY - 1), ms(2));
        assert_eq!(next(ms(2), ms(9), MANY), ms(9));
        assert_eq!(next(ms(2), ms(1), MANY), ms(2));
        assert_eq!(next(ms(2), ms(90), MANY), LONGEST);
        assert_eq!(next(ms(100), ms(90), MANY), ms(100), "who set a longer one keeps it");
    }
}
