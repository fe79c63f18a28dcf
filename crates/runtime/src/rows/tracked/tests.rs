use events::Timestamp;

use super::*;
use crate::engine::write_set::WriteSet;
use crate::rows::table::{Columns, StoredRow};

const NOW: Timestamp = Timestamp::from_millis(1_764_059_000_000);

/// A row of a table `test.row`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain(&'static str);

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
}

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

fn known(number: u128, version: i64, row: Plain) -> (OrderId, i64, Plain) {
    (order(number), version, row)
}

fn rows(stored: Vec<(OrderId, i64, Plain)>) -> Rows<Plain> {
    let mut rows = Rows::default();
    rows.take(stored);
    rows
}

/// What a batch of these rows writes.
fn written(rows: &Rows<Plain>, is_update: bool) -> String {
    let entries: Vec<RowToWrite<'_, Plain>> = rows
        .0
        .iter()
        .filter(|(_, row)| row.is_changed && (row.version > 0) == is_update)
        .map(|(key, row)| RowToWrite { key, version: row.version + 1, row: &row.value })
        .collect();
    let mut writes = WriteSet::default();
    write(&mut writes, &entries, is_update, NOW);
    writes.text().to_owned()
}

#[test]
fn a_row_is_marked_by_whoever_changes_it() {
    let mut rows = rows(vec![known(1, 3, Plain("held")), known(2, 3, Plain("held")), known(3, 3, Plain("held"))]);
    assert_eq!(rows.get_mut(&order(1)).unwrap().0, "held");
    rows.get_mut(&order(2)).unwrap().0 = "gone";
    rows.get_mut(&order(3)).unwrap().untracked().0 = "gone";
    rows.get_or_insert_with(order(4), || Plain("new"));
    rows.insert(order(5), Plain("new"));
    let changed: Vec<_> = rows.changed().map(|(key, _)| *key).collect();
    assert_eq!(changed, [order(2), order(5)]);
    rows.get_mut(&order(3)).unwrap().mark_changed();
    assert_eq!(rows.changed().count(), 3);
}

#[test]
fn new_rows_are_inserted_and_known_ones_updated_at_the_version_that_was_read() {
    let mut rows = rows(vec![known(1, 3, Plain("held")), known(2, 1, Plain("held"))]);
    assert_eq!(written(&rows, false) + &written(&rows, true), "", "nothing is written for nothing");
    rows.get_mut(&order(1)).unwrap().0 = "gone";
    rows.insert(order(3), Plain("new"));
    assert_eq!(
        written(&rows, false),
        "with w0 as (insert into test.row (version, order_id, state, length, is_held, created_at, updated_at) \
         select new.*, $6::timestamptz, $6::timestamptz from unnest($1::INT8[], $2::UUID[], $3::TEXT[], $4::INT8[], $5::BOOL[]) as new returning 1)"
    );
    assert_eq!(
        written(&rows, true),
        "with w0 as (update test.row as kept set version = new.version, state = new.state, is_held = new.is_held, updated_at = $5 \
         from unnest($1::INT8[], $2::UUID[], $3::TEXT[], $4::BOOL[]) as new (version, order_id, state, is_held) \
         where kept.order_id = new.order_id and kept.version = new.version - 1 returning 1)"
    );
}

#[test]
fn a_batch_reads_in_the_order_in_which_it_locks() {
    let select = |with_locks| Select::<Plain>::filter("order_id = any($1)").for_batch(with_locks).text().to_owned();
    let plain =
        "select version, order_id, state, length from test.row as kept where order_id = any($1) order by order_id";
    assert_eq!(select(false), plain);
    assert_eq!(select(true), format!("{plain} for no key update"));
}
