//! What is known of consumers, relay and tracker: whether an answer that is not there could have been here by now.

use std::collections::{HashMap, VecDeque};

use events::Timestamp;

use super::order::TopicPartition;
use super::outages::Outages;
use super::pace::SampleHistory;

/// One shard of a database's outbox.
pub type Shard = (String, i32);

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// When consumers passed what.
    pub pace: SampleHistory,
    /// When they were down.
    pub outages: Outages,
    /// Up to which moment everything that was committed to a shard of an outbox is published, and read here.
    pub folded: HashMap<Shard, Timestamp>,
    /// Whose outbox is in which database.
    pub databases: HashMap<&'static str, String>,
}

impl Evidence {
    /// Up to which moment everything that the consumer published on this shard is known here; none: that can't be said.
    pub fn folded_until(&self, consumer: &str, shard: i32) -> Option<Timestamp> {
        let database = self.databases.get(consumer)?;
        self.folded.get(&(database.clone(), shard)).copied()
    }

    /// Whether the tracker has read what there was when it last looked.
    pub fn is_caught_up(&self) -> bool {
        !self.folded.is_empty()
    }
}

type NextOffsets = HashMap<TopicPartition, i64>;

/// What was seen, and the tracker has not read up to: how far relays had published, as their watermarks say, and, asked after that, where the topics
/// ended: all that those watermarks speak of stands before the ends.
#[derive(Clone, Debug, Default)]
pub struct Sightings(VecDeque<(HashMap<Shard, Timestamp>, NextOffsets)>);

/// More are not kept: of a tracker that is behind, the old ones are reached first.
const MOST: usize = 64;

impl Sightings {
    /// Takes a sighting, and says what is surely folded, now that the tracker has read so far; none: none of the sightings is reached.
    pub fn take(
        &mut self,
        published: HashMap<Shard, Timestamp>,
        ends: NextOffsets,
        read: &NextOffsets,
    ) -> Option<HashMap<Shard, Timestamp>> {
        if self.0.len() < MOST {
            self.0.push_back((published, ends));
        }
        let is_read = |(at, end): (&TopicPartition, &i64)| *end == 0 || read.get(at).is_some_and(|next| next >= end);
        let newest = self.0.iter().rposition(|(_, ends)| ends.iter().all(is_read))?;
        self.0.drain(..newest);
        self.0.front().map(|(published, _)| published.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(sightings: &mut Sightings, second: i64, end: i64, read: &NextOffsets) -> Option<HashMap<Shard, Timestamp>> {
        let published = [(("shop".to_owned(), 0), Timestamp::from_millis(second))].into();
        sightings.take(published, [(("orders", 0), end), (("fraud", 0), 0)].into(), read)
    }

    fn read(next: i64) -> HashMap<TopicPartition, i64> {
        [(("orders", 0), next)].into()
    }

    #[test]
    fn what_is_published_counts_when_the_tracker_has_read_up_to_where_topics_ended_then() {
        let mut sightings = Sightings::default();
        assert_eq!(take(&mut sightings, 1, 5, &read(4)), None);
        assert_eq!(take(&mut sightings, 2, 7, &HashMap::new()), None);
        let folded = take(&mut sightings, 3, 9, &read(7)).unwrap();
        assert_eq!(folded.values().next(), Some(&Timestamp::from_millis(2)));
        let folded = take(&mut sightings, 4, 10, &read(8)).unwrap();
        assert_eq!(folded.values().next(), Some(&Timestamp::from_millis(2)), "still");
        let folded = take(&mut sightings, 5, 10, &read(10)).unwrap();
        assert_eq!(folded.values().next(), Some(&Timestamp::from_millis(5)));
    }

    #[test]
    fn a_tracker_that_is_always_a_little_behind_gets_its_evidence_all_the_same() {
        let mut sightings = Sightings::default();
        let mut folded = None;
        for second in 0..1_000 {
            folded = take(&mut sightings, second, second * 10 + 10, &read(second * 10 - 1_000)).or(folded);
        }
        assert!(folded.is_some_and(|folded| folded.values().all(|until| until.as_millis() > 500)));
    }
}
