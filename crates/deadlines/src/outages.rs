//! When consumers were down: an answer that a timer, a person or a gateway brings can't come while nobody is there to say it.

use std::collections::HashMap;
use std::time::Duration;

use events::Timestamp;

/// Outages of one consumer that are remembered.
const MOST: usize = 200;

/// From when to when a group was seen empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOutage {
    /// First seen empty.
    pub began: Timestamp,
    /// Last seen empty.
    pub ended: Timestamp,
}

/// The outages of all consumers.
#[derive(Clone, Debug, Default)]
pub struct Outages {
    past: HashMap<&'static str, Vec<GroupOutage>>,
    down: HashMap<&'static str, bool>,
}

impl Outages {
    /// Remembers an outage of an earlier run of this program.
    pub fn remember(&mut self, consumer: &'static str, outage: GroupOutage) {
        self.past.entry(consumer).or_default().push(outage);
    }

    /// Takes what was seen of a consumer; returns its outage, if it is down.
    pub fn see(&mut self, consumer: &'static str, is_down: bool, at: Timestamp) -> Option<GroupOutage> {
        let was_down = self.down.insert(consumer, is_down).unwrap_or(false);
        if !is_down {
            return None;
        }
        let past = self.past.entry(consumer).or_default();
        match past.last_mut().filter(|_| was_down) {
            Some(outage) => outage.ended = outage.ended.max(at),
            None => past.push(GroupOutage { began: at, ended: at }),
        }
        if past.len() > MOST {
            past.remove(0);
        }
        past.last().copied()
    }

    /// Whether it was down when it was last looked at.
    pub fn is_down(&self, consumer: &str) -> bool {
        self.down.get(consumer).copied().unwrap_or(false)
    }

    /// How long it was down between these moments.
    pub fn lasted(&self, consumer: &str, from: Timestamp, until: Timestamp) -> Duration {
        let overlap = |outage: &GroupOutage| outage.ended.min(until).since(outage.began.max(from));
        self.past.get(consumer).map_or(Duration::ZERO, |past| past.iter().map(overlap).sum())
    }

    /// When it was last seen down.
    pub fn last(&self, consumer: &str) -> Option<Timestamp> {
        self.past.get(consumer)?.iter().map(|outage| outage.ended).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn an_outage_lasts_from_when_a_group_was_first_seen_empty_to_when_it_was_last() {
        let mut outages = Outages::default();
        for (second, is_down) in [(0, false), (10, true), (20, true), (30, false), (40, true), (50, false)] {
            outages.see("payments", is_down, at(second));
        }
        let lasted = |from, until| outages.lasted("payments", at(from), at(until)).as_secs();
        assert_eq!((lasted(0, 100), lasted(15, 100), lasted(0, 12), lasted(25, 100)), (10, 5, 2, 0));
        assert_eq!((outages.last("payments"), outages.is_down("payments")), (Some(at(40)), false));
        assert_eq!(outages.lasted("fraud", at(0), at(100)), Duration::ZERO);
    }
}
