//! What waits for a retry, as consumers say: of each consumer and order the latest word counts, by its place in the outbox.

use events::{OrderParked, OrderUnparked, Timestamp};

use crate::place::Place;

/// What one consumer said last of one order. Merged as the database does it: any order and any repetition end in the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parking {
    pub parked: Option<(i64, Timestamp, OrderParked)>,
    pub unparked: Option<(i64, Timestamp, String)>,
}

impl Parking {
    pub(crate) fn by_parked(event: &OrderParked, place: &Place) -> Self {
        Self { parked: Some((rank(place), place.at, event.clone())), unparked: None }
    }

    pub(crate) fn by_unparked(event: &OrderUnparked, place: &Place) -> Self {
        Self { parked: None, unparked: Some((rank(place), place.at, event.outcome.to_string())) }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let rank_of = |of: &Option<(i64, Timestamp, OrderParked)>| of.as_ref().map(|(rank, ..)| *rank);
        if rank_of(&self.parked) < rank_of(&other.parked) {
            self.parked.clone_from(&other.parked);
        }
        if self.unparked < other.unparked {
            self.unparked.clone_from(&other.unparked);
        }
    }
}

/// What did not come from an outbox has no place there: its time stands for it.
fn rank(place: &Place) -> i64 {
    place.seq.unwrap_or_else(|| place.at.as_millis())
}

#[cfg(test)]
mod tests {
    use events::{EventId, OrderId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// What a consumer said at this place: parked if it is odd.
    fn word(seq: i64) -> Parking {
        let at = Timestamp::from_millis(seq);
        let place = Place { topic: "operations", partition: 0, offset: seq, at, seq: Some(seq) };
        let (order_id, consumer) = (OrderId(Uuid::nil()), "payments".to_owned());
        if seq % 2 == 0 {
            return Parking::by_unparked(&OrderUnparked { order_id, consumer, outcome: "recovered".into() }, &place);
        }
        let parked = OrderParked {
            order_id,
            consumer,
            event_id: EventId(Uuid::nil()),
            event_type: "x".into(),
            topic: "orders".into(),
            partition: 0,
            offset: 0,
            attempts: seq,
            next_at: at,
            parked_at: Some(at),
            error: "slow".into(),
        };
        Parking::by_parked(&parked, &place)
    }

    proptest! {
        #[test]
        fn the_latest_word_counts_in_whatever_order_and_however_often_words_are_heard(
            words in proptest::collection::vec(1..40_i64, 1..30),
        ) {
            let mut heard = Parking::default();
            words.iter().for_each(|seq| heard.merge(&word(*seq)));
            let latest = |odd: i64| words.iter().copied().filter(|seq| seq % 2 == odd).max();
            prop_assert_eq!(heard.parked.map(|(rank, _, event)| (rank, event.attempts)), latest(1).map(|seq| (seq, seq)));
            prop_assert_eq!(heard.unparked.map(|(rank, ..)| rank), latest(0));
        }
    }
}
