//! How long a batch waits for more events.

use std::time::Duration;

/// From so many events on a batch shows that there is much to do.
const MANY: usize = 64;
/// The longest that a batch waits for more then.
const LONGEST: Duration = Duration::from_millis(25);

/// How long the next batch waits for more. Little to do: the setting, or nothing where the last batch took longer than that, for then enough is
/// waiting. Much to do: as long as the last batch took, for a transaction and its statements cost the same for ten events as for a thousand.
pub(crate) fn next(least: Duration, events: usize, took: Duration) -> Duration {
    if events >= MANY {
        took.min(LONGEST).max(least)
    } else if took > least {
        Duration::ZERO
    } else {
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_setting_when_idle_nothing_when_behind_and_longer_when_batches_fill() {
        let ms = Duration::from_millis;
        assert_eq!(next(ms(2), 3, ms(1)), ms(2));
        assert_eq!(next(ms(2), 3, ms(9)), ms(0));
        assert_eq!(next(ms(2), 400, ms(9)), ms(9));
        assert_eq!(next(ms(2), 400, ms(90)), LONGEST);
        assert_eq!(next(ms(100), 400, ms(90)), ms(100), "who set a longer one keeps it");
    }
}
