//! Moments: milliseconds since 1970-01-01T00:00:00Z, as Avro's `timestamp-millis` has them. Nobody here asks a clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z; shown as RFC 3339 in UTC, such as `2026-01-31T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a moment as RFC 3339, such as \"2026-01-31T12:00:00Z\", got {0:?}: {1}")]
pub struct TimestampError(String, String);

impl Timestamp {
    /// The moment so many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment so much later, in whole milliseconds; the last moment there is if it would lie beyond it.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    /// The moment so much earlier, in whole milliseconds; the first moment there is if it would lie before it.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }

    /// Whether a clock can mean it: not seconds, microseconds or nanoseconds taken for milliseconds, nor the zero of a time that was never set.
    pub const fn is_plausible(self) -> bool {
        // From 2020-01-01, years before the first order here, to the last that RFC 3339 can name.
        self.0 >= 1_577_836_800_000 && self.0 < 253_402_300_800_000
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            // Beyond the years that RFC 3339 can name: the number is all there is to show.
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()))
            .map_err(|error| TimestampError(text.to_owned(), error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_and_read_as_rfc_3339() {
        let moment = Timestamp::from_millis(1_769_860_800_123);
        assert_eq!(moment.to_string(), "2026-01-31T12:00:00.123Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn moments_add_and_subtract_without_overflow() {
        let moment = Timestamp::from_millis(1_000);
        assert_eq!(moment.plus(Duration::from_secs(2)).as_millis(), 3_000);
        assert_eq!(moment.since(moment.plus(Duration::from_secs(2))), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(i64::MAX).plus(Duration::from_secs(1)).as_millis(), i64::MAX);
        assert_eq!(moment.minus(Duration::MAX).as_millis(), 1_000 - i64::MAX);
    }
}
