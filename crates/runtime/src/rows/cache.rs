//! Rows of orders as this process left them a moment ago: an order's next event need not read them again.
//!
//! What is cached may be outdated, since other instances write too. It is trusted as far as its write is guarded: a row that was recalled and is
//! changed is written at the version that was recalled, or not at all; one that is not changed says nothing, and is read
//! ([`Rows::save`](crate::rows::Rows::save)).

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use events::{OrderId, Timestamp};
use hashlink::LruCache;
use uuid::Uuid;

use crate::rows::table::TableRow;

/// How many orders are remembered: those of a second or two below saturation, and of the last batches above it.
const ROWS: usize = 400;
/// How long, in case somebody changes rows by hand and leaves their versions as they were; and how old an order is that is presumed to be new.
const LASTS: Duration = Duration::from_secs(10);
/// Up to so many orders a batch presumes that what begins here is new. A larger one reads: it costs little for each of its orders, and is dear to repeat.
const FEW: usize = 16;

/// The caches of one consumer's tables.
#[derive(Debug, Default)]
pub(crate) struct RowCaches(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl RowCaches {
    pub fn of<R: TableRow>(&self) -> Arc<RowCache<R>> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = caches.entry(TypeId::of::<R>()).or_insert_with(|| Arc::new(RowCache::<R>::default()));
        Arc::clone(cache).downcast().unwrap_or_default()
    }
}

/// The rows of one table that were written or read lately, each with its version.
#[derive(Debug)]
pub(crate) struct RowCache<R: TableRow>(Mutex<LruCache<R::Key, Cached<R>>>);

#[derive(Debug)]
struct Cached<R> {
    row: R,
    version: i64,
    at: Timestamp,
}

impl<R: TableRow> Default for RowCache<R> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(ROWS)))
    }
}

impl<R: TableRow> RowCache<R> {
    /// Remembers rows as they are in the table now, with their versions: for after the commit.
    pub fn remember(&self, rows: impl IntoIterator<Item = (R::Key, i64, R)>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, version, row) in rows {
            known.insert(key, Cached { row, version, at: now });
        }
    }
}

/// What is known of a batch's orders without a question to the database.
#[derive(Debug)]
pub(crate) struct Recall<R> {
    pub rows: Vec<(OrderId, i64, R)>,
    /// Those orders, and those that are presumed to be new.
    pub unread: Vec<OrderId>,
    pub to_read: Vec<Uuid>,
}

impl<R: TableRow<Key = OrderId>> RowCache<R> {
    /// What is known of the orders of a batch, each of which begins with it or not. It is taken out, and remembered again when the batch is written:
    /// whatever fails is read the next time. Nothing counts that is not `trusted`.
    pub fn recall(
        &self,
        orders: impl IntoIterator<Item = (OrderId, bool)>,
        now: Timestamp,
        trusted: bool,
    ) -> Recall<R> {
        let mut wanted: BTreeMap<OrderId, bool> = BTreeMap::new();
        for (order_id, begins) in orders {
            *wanted.entry(order_id).or_default() |= begins;
        }
        let few = wanted.len() <= FEW;
        let is_recent = |at: Timestamp| now.as_millis().abs_diff(at.as_millis()) <= LASTS.as_millis() as u64;
        let mut recall = Recall { rows: Vec::new(), unread: Vec::new(), to_read: Vec::new() };
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (order_id, begins) in wanted {
            let known = rows.remove(&order_id).filter(|known| trusted && is_recent(known.at));
            let is_new = || trusted && begins && few && order_id.minted_at().is_some_and(is_recent);
            match known {
                Some(Cached { row, version, .. }) => recall.rows.push((order_id, version, row)),
                None if is_new() => {}
                None => {
                    recall.to_read.push(order_id.as_uuid());
                    continue;
                }
            }
            recall.unread.push(order_id);
        }
        recall
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::rows::table::{Columns, StoredRow};

    pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_764_059_000_000);

    /// A row of a table `test.row`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Plain(pub &'static str);

    impl TableRow for Plain {
        type Key = OrderId;
        const TABLE: &'static str = "test.row";

        fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
            columns
                .key("order_id", |order_id| order_id.as_uuid())
                .changing("state", |row| row.0)
                .fixed("length", |row| row.0.len() as i64)
                .changing_unread("is_held", |row| row.0 == "held")
                .created_at("created_at")
                .changed_at("updated_at")
        }

        fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
            Ok((OrderId(row.get("order_id")?), Self("read")))
        }

        fn to_cache(self) -> Option<Self> {
            (self.0 != "gone").then_some(self)
        }
    }

    pub(crate) fn order(number: u128, at: Timestamp) -> OrderId {
        OrderId(Uuid::from_u128((at.as_millis() as u128) << 80 | 7 << 76 | 2 << 62 | number))
    }

    fn recall(cache: &RowCache<Plain>, orders: &[(OrderId, bool)], trusted: bool) -> Recall<Plain> {
        cache.recall(orders.iter().copied(), NOW, trusted)
    }

    #[test]
    fn a_row_is_recalled_once_and_not_when_it_is_to_be_read() {
        let cache = RowCache::default();
        let id = order(1, NOW);
        for (trusted, rows) in [(true, 1), (false, 0)] {
            cache.remember([(id, 3, Plain("held"))], NOW);
            let known = recall(&cache, &[(id, false)], trusted);
            assert_eq!((known.rows.len(), known.to_read.len()), (rows, 1 - rows), "{trusted}");
            let known = recall(&cache, &[(id, false)], true);
            assert_eq!(known.to_read, [id.as_uuid()], "taken out by the batch before");
        }
    }

    #[test]
    fn what_is_older_than_ten_seconds_is_read() {
        let cache = RowCache::default();
        let id = order(1, NOW);
        cache.remember([(id, 3, Plain("held"))], NOW.minus(LASTS + Duration::from_millis(1)));
        assert_eq!(recall(&cache, &[(id, false)], true).to_read, [id.as_uuid()]);
    }

    #[test]
    fn only_a_young_order_that_begins_here_in_a_small_batch_is_presumed_to_be_new() {
        let cache = RowCache::default();
        let (young, old) = (order(1, NOW), order(1, NOW.minus(Duration::from_secs(11))));
        let orders = [(young, false), (young, true), (old, true), (order(2, NOW), false)];
        let known = recall(&cache, &orders, true);
        assert_eq!((known.rows.len(), &known.unread[..]), (0, &[young][..]));
        assert_eq!(known.to_read, [old.as_uuid(), order(2, NOW).as_uuid()]);
        let many: Vec<(OrderId, bool)> = (1..=17).map(|number| (order(number, NOW), true)).collect();
        assert_eq!(recall(&cache, &many, true).to_read.len(), 17);
        assert_eq!(recall(&cache, &many[1..], true).to_read.len(), 0);
        assert_eq!(recall(&cache, &many[1..], false).to_read.len(), 16);
    }

    #[test]
    fn each_table_has_a_cache_of_its_own_that_stays() {
        let caches = RowCaches::default();
        caches.of::<Plain>().remember([(order(1, NOW), 3, Plain("held"))], NOW);
        let known = recall(&caches.of(), &[(order(1, NOW), false)], true);
        assert_eq!(known.rows, [(order(1, NOW), 3, Plain("held"))]);
    }
}
