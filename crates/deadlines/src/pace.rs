//! When a consumer passed an event: samples of how far its group had come, each with the moment at which it was seen.

use std::collections::HashMap;

use events::Timestamp;

use super::order::TopicPartition;

/// More samples of one partition are thinned: what is left says of an event that it was passed a little later, never earlier.
const MOST: usize = 2_000;

/// How far a group had come on one partition at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was seen.
    pub at: Timestamp,
    /// The next offset.
    pub committed: i64,
}

/// The samples of all consumers and partitions, by time.
#[derive(Clone, Debug, Default)]
pub struct SampleHistory(HashMap<(&'static str, TopicPartition), Vec<Sample>>);

impl SampleHistory {
    /// Takes a sample; returns whether the group stands elsewhere than before. One that was set back is to pass again what lies ahead of it again.
    pub fn see(&mut self, consumer: &'static str, partition: TopicPartition, sample: Sample) -> bool {
        let samples = self.0.entry((consumer, partition)).or_default();
        if samples.last().is_some_and(|last| last.committed == sample.committed) {
            return false;
        }
        samples.retain(|known| known.committed < sample.committed);
        samples.push(sample);
        if samples.len() > MOST {
            let mut number = 0;
            samples.retain(|_| {
                number += 1;
                number > MOST / 2 || number % 2 == 0
            });
        }
        true
    }

    /// When the consumer was first seen beyond this offset; none: it has not been yet.
    pub fn passed(&self, consumer: &'static str, partition: TopicPartition, offset: i64) -> Option<Timestamp> {
        let samples = self.0.get(&(consumer, partition))?;
        let first = samples.partition_point(|sample| sample.committed <= offset);
        samples.get(first).map(|sample| sample.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: TopicPartition = ("orders", 0);

    fn at(seconds: i64, committed: i64) -> Sample {
        Sample { at: Timestamp::from_millis(seconds * 1_000), committed }
    }

    #[test]
    fn an_event_is_passed_when_its_consumer_is_first_seen_beyond_it() {
        let mut pace = SampleHistory::default();
        assert!(pace.see("inventory", PARTITION, at(10, 5)));
        assert!(!pace.see("inventory", PARTITION, at(20, 5)));
        assert!(pace.see("inventory", PARTITION, at(30, 9)));
        let passed = |offset| pace.passed("inventory", PARTITION, offset).map(|at| at.as_millis() / 1_000);
        assert_eq!((passed(4), passed(5), passed(8), passed(9)), (Some(10), Some(30), Some(30), None));
        assert_eq!(pace.passed("payments", PARTITION, 0), None, "another consumer");
    }

    #[test]
    fn a_group_that_was_set_back_has_to_pass_again() {
        let mut pace = SampleHistory::default();
        pace.see("inventory", PARTITION, at(10, 5));
        pace.see("inventory", PARTITION, at(20, 9));
        assert!(pace.see("inventory", PARTITION, at(30, 2)));
        assert_eq!(pace.passed("inventory", PARTITION, 4), None);
        pace.see("inventory", PARTITION, at(40, 6));
        assert_eq!(pace.passed("inventory", PARTITION, 4), Some(Timestamp::from_millis(40_000)));
    }

    #[test]
    fn thinned_samples_never_say_that_an_event_was_passed_earlier() {
        let mut pace = SampleHistory::default();
        let many = MOST as i64 * 5;
        (1..=many).for_each(|second| {
            pace.see("inventory", PARTITION, at(second, second));
        });
        assert!(pace.0.values().all(|samples| samples.len() <= MOST));
        for offset in (0..many).step_by(97) {
            let passed = pace.passed("inventory", PARTITION, offset).unwrap().as_millis() / 1_000;
            assert!(passed > offset, "{offset} at {passed}");
        }
        assert_eq!(pace.passed("inventory", PARTITION, many - 1), Some(Timestamp::from_millis(many * 1_000)));
    }
}
