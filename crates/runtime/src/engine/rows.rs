//! Rows of orders as this process left them a moment ago: an order's next event need not read them again.
//!
//! What is remembered may be outdated, since other instances write too. It is trusted as far as its write is guarded: a row that was recalled and is
//! changed is written at the version that was recalled, or not at all; one that is not changed says nothing, and is read ([`Recalled::check`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use events::{OrderId, Timestamp};
use hashlink::LruCache;
use uuid::Uuid;

use crate::consumer::Reading;
use crate::failure::Failure;

/// How many orders are remembered: those of a second or two below saturation, and of the last batches above it.
const ROWS: usize = 400;
/// How long, in case somebody changes rows by hand and leaves their versions as they were; and how old an order is that is presumed to be new.
const LASTS: Duration = Duration::from_secs(10);
/// Up to so many orders a batch presumes that what begins here is new. A larger one reads: it costs little for each of its orders, and is dear to repeat.
const FEW: usize = 16;

/// The rows that a consumer has written or read lately, each with its version.
#[derive(Debug)]
pub struct Recent<R>(Mutex<LruCache<OrderId, Known<R>>>);

#[derive(Debug)]
struct Known<R> {
    row: R,
    version: i64,
    at: Timestamp,
}

/// What an input is to the row of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meets {
    /// It comes later, as a rule.
    Known,
    /// It is the first one of its order, as a rule.
    New,
}

/// What is known of a batch's orders without a question to the database.
#[derive(Debug)]
pub struct Recall<R> {
    /// The rows that are remembered, with their versions.
    pub rows: Vec<(OrderId, i64, R)>,
    /// Those orders, and those that are presumed to be new.
    pub recalled: Recalled,
    /// The orders that are to be read, sorted.
    pub others: Vec<Uuid>,
}

/// Orders of a batch that were not read: remembered, or presumed to be new.
#[derive(Clone, Debug, Default)]
pub struct Recalled(Vec<OrderId>);

impl Recalled {
    /// Whether the write will tell if they were as they had been recalled: of each one, the row is changed.
    ///
    /// # Errors
    /// [`Failure::Unsure`] when it won't.
    pub fn check(&self, is_changed: impl Fn(OrderId) -> bool) -> Result<(), Failure> {
        if self.0.iter().all(|order_id| is_changed(*order_id)) { Ok(()) } else { Err(Failure::Unsure) }
    }
}

impl<R> Default for Recent<R> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(ROWS)))
    }
}

impl<R> Recent<R> {
    /// What is known of the orders of a batch. It is taken out, and remembered again when the batch is written: whatever fails is read the next time.
    pub fn recall(
        &self,
        orders: impl IntoIterator<Item = (OrderId, Meets)>,
        now: Timestamp,
        reading: Reading,
    ) -> Recall<R> {
        let mut wanted: BTreeMap<OrderId, Meets> = BTreeMap::new();
        for (order_id, meets) in orders {
            wanted.entry(order_id).and_modify(|other| *other = meets.max(*other)).or_insert(meets);
        }
        let few = wanted.len() <= FEW;
        let is_recent = |at: Timestamp| now.as_millis().abs_diff(at.as_millis()) <= LASTS.as_millis() as u64;
        let mut recall = Recall { rows: Vec::new(), recalled: Recalled::default(), others: Vec::new() };
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (order_id, meets) in wanted {
            let known = rows.remove(&order_id).filter(|known| is_recent(known.at));
            match known.filter(|_| reading == Reading::Recalled) {
                Some(Known { row, version, .. }) => recall.rows.push((order_id, version, row)),
                None if reading == Reading::Recalled
                    && meets == Meets::New
                    && few
                    && order_id.minted_at().is_some_and(is_recent) => {}
                None => {
                    recall.others.push(order_id.as_uuid());
                    continue;
                }
            }
            recall.recalled.0.push(order_id);
        }
        recall
    }

    /// Remembers rows as they are in the table now, with their versions: for after the commit.
    pub fn remember(&self, rows: impl IntoIterator<Item = (OrderId, i64, R)>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (order_id, version, row) in rows {
            known.insert(order_id, Known { row, version, at: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_764_059_000_000);

    fn order(number: u128, at: Timestamp) -> OrderId {
        OrderId(Uuid::from_u128((at.as_millis() as u128) << 80 | 7 << 76 | 2 << 62 | number))
    }

    fn recall(recent: &Recent<&'static str>, orders: &[(OrderId, Meets)], reading: Reading) -> Recall<&'static str> {
        recent.recall(orders.iter().copied(), NOW, reading)
    }

    #[test]
    fn a_row_is_recalled_once_and_not_when_it_is_to_be_read() {
        let recent = Recent::default();
        let id = order(1, NOW);
        for (reading, rows) in [(Reading::Recalled, 1), (Reading::Fresh, 0), (Reading::Locked, 0)] {
            recent.remember([(id, 3, "held")], NOW);
            let known = recall(&recent, &[(id, Meets::Known)], reading);
            assert_eq!((known.rows.len(), known.others.len()), (rows, 1 - rows), "{reading:?}");
            let known = recall(&recent, &[(id, Meets::Known)], Reading::Recalled);
            assert_eq!(known.others, [id.as_uuid()], "taken out by the batch before");
        }
    }

    #[test]
    fn what_is_older_than_ten_seconds_is_read() {
        let recent = Recent::default();
        let id = order(1, NOW);
        recent.remember([(id, 3, "held")], NOW.minus(LASTS + Duration::from_millis(1)));
        assert_eq!(recall(&recent, &[(id, Meets::Known)], Reading::Recalled).others, [id.as_uuid()]);
    }

    #[test]
    fn only_a_young_order_that_begins_here_in_a_small_batch_is_presumed_to_be_new() {
        let recent = Recent::default();
        let (young, old) = (order(1, NOW), order(1, NOW.minus(Duration::from_secs(11))));
        let orders = [(young, Meets::Known), (young, Meets::New), (old, Meets::New), (order(2, NOW), Meets::Known)];
        let known = recall(&recent, &orders, Reading::Recalled);
        assert_eq!((known.rows.len(), &known.recalled.0[..]), (0, &[young][..]));
        assert_eq!(known.others, [old.as_uuid(), order(2, NOW).as_uuid()]);
        let many: Vec<(OrderId, Meets)> = (1..=17).map(|number| (order(number, NOW), Meets::New)).collect();
        assert_eq!(recall(&recent, &many, Reading::Recalled).others.len(), 17);
        assert_eq!(recall(&recent, &many[1..], Reading::Recalled).others.len(), 0);
        assert_eq!(recall(&recent, &many[1..], Reading::Fresh).others.len(), 16);
    }

    #[test]
    fn what_was_recalled_and_is_not_changed_must_be_read() {
        let recent = Recent::default();
        recent.remember([(order(1, NOW), 3, "held")], NOW);
        let orders = [(order(1, NOW), Meets::Known), (order(2, NOW), Meets::New)];
        let known = recall(&recent, &orders, Reading::Recalled);
        assert!(known.recalled.check(|_| true).is_ok());
        for unchanged in [order(1, NOW), order(2, NOW)] {
            assert!(matches!(known.recalled.check(|order_id| order_id != unchanged), Err(Failure::Unsure)));
        }
    }
}
