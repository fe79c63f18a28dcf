//! What waits for a retry, as consumers say: of each consumer and order the latest word counts, by its place in the outbox.

use events::{OrderParked, OrderUnparked, Timestamp};

use crate::record::Place;

/// What one consumer said last of one order. Merged as the database does it: any order and any repetition end in the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parking {
    /// The latest OrderParked: its place, its time, and itself.
    pub parked: Option<(i64, Timestamp, OrderParked)>,
    /// The latest OrderUnparked: its place, its time, and its outcome.
    pub unparked: Option<(i64, Timestamp, String)>,
}

impl Parking {
    pub(crate) fn by_parked(event: &OrderParked, place: &Place) -> Self {
        Self { parked: Some((rank(place), place.at, event.clone())), unparked: None }
    }

    pub(crate) fn by_unparked(event: &OrderUnparked, place: &Place) -> Self {
        Self { parked: None, unparked: Some((rank(place), place.at, event.outcome.to_string())) }
    }

    /// Takes what was said besides.
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
