//! The reading statements. Each names the outbox's slots one by one, so that a cached plan goes straight to their primary keys.

use std::sync::LazyLock;

use super::record::COLUMNS;

/// Slots of the outbox, as the migration has them.
pub(super) const SLOTS: i16 = 4;

/// Joins one branch for each slot.
fn each_slot(branch: impl Fn(i16) -> String) -> String {
    (0..SLOTS).map(branch).collect::<Vec<_>>().join(" union all ")
}

/// Keeps the rows of some shards ($1, a bit for each). Not as `= any(…)`, of which the planner would make a probe of the index for each shard: mostly one
/// relay holds them all.
const HELD: &str = "(1 << shard) & $1 <> 0";

/// Rows of the shards $1 that became visible since a snapshot ($2 its xmax, $4 who ran then), by position, at most $3; before them one row with the snapshot
/// that they were read under, and how many cursors were stored with it.
///
/// Who ran comes from a join and not from `= any(…)`: of an array the planner makes a filter over the whole slot where it believes the slot to be
/// empty, and the plan is kept while the slot fills. `offset 0` keeps it from turning the join round.
fn poll(stored: &str) -> String {
    let rows = each_slot(|slot| {
        let table = format!("select {COLUMNS} from outbox.event_{slot} where slot = {slot} and {HELD}");
        format!(
            "{table} and xid >= $2::text::xid8 union all
             select read.* from unnest($4::text[]::xid8[]) as running (id) cross join lateral ({table} and xid = running.id offset 0) as read"
        )
    });
    format!(
        "select pg_current_snapshot()::text as snapshot, {stored}::int2 as slot, null::int2 as shard, null::xid8 as xid, null::int8 as seq, null::text as topic,
                null::bytea as key, null::bytea as headers, null::bytea as payload
         union all select null, {COLUMNS} from ({rows}) as read
         order by seq nulls first limit $3"
    )
}

pub(super) static POLL: LazyLock<String> = LazyLock::new(|| poll("null"));

/// Stores the cursors of some shards of an epoch: the snapshot, when given, and what lies ahead of it, its snapshot and its position. Five parameters in this
/// order, the first of which is `$first`.
fn store(first: usize) -> String {
    let [shards, epoch, snapshot, ahead, seq] = std::array::from_fn(|place| first + place);
    format!(
        "update outbox.relay_cursor set snapshot = coalesce(${snapshot}::text::pg_snapshot, snapshot), ahead = ${ahead}::text::pg_snapshot,
                ahead_seq = ${seq}
          where shard = any(${shards}) and epoch = ${epoch}"
    )
}

pub(super) static STORE: LazyLock<String> = LazyLock::new(|| store(1));

/// A poll that stores the cursors in the same round trip: the parameters of [`store`] from $5 on.
pub(super) static STORE_AND_POLL: LazyLock<String> =
    LazyLock::new(|| format!("with stored as ({} returning 1) {}", store(5), poll("(select count(*) from stored)")));

/// What is to be published of the shards $1, as in [`HELD`]: not visible in its cursor ($2 xmax, $3 in progress), not published ahead of it ($4 snapshot, $5 seq), visible in
/// the target ($6). The snapshots are parsed once (as sub-selects), not for each row.
const WANTED: &str = "pg_visible_in_snapshot(xid, (select $6::text::pg_snapshot))
    and (seq > $5 or not pg_visible_in_snapshot(xid, (select $4::text::pg_snapshot)))";

/// Who ran in the cursor's snapshot ($3), joined as in [`poll`].
const RUNNING: &str = "unnest((select $3::text[]::xid8[])::xid8[]) as running (id)";

/// How many rows of some shards are to be published, and from which position to which.
pub(super) static EXTENT: LazyLock<String> = LazyLock::new(|| {
    let rows = each_slot(|slot| {
        let table = format!("select seq from outbox.event_{slot} where slot = {slot} and {HELD}");
        format!(
            "{table} and xid >= (select $2::text::xid8) and {WANTED}
             union all select read.seq from {RUNNING} cross join lateral ({table} and xid = running.id and {WANTED} offset 0) as read"
        )
    });
    format!("select count(*), min(seq), max(seq) from ({rows}) as waiting")
});

/// The same rows in a window of positions [$7, $8), by transaction: a page is then read by primary key.
pub(super) static WINDOW: LazyLock<String> = LazyLock::new(|| {
    each_slot(|slot| {
        let table = format!(
            "select {slot}::int2 as slot, xid, min(seq) as first, max(seq) as last from outbox.event_{slot} where slot = {slot} and {HELD}"
        );
        let window = "and seq >= $7 and seq < $8";
        format!(
            "({table} and xid >= (select $2::text::xid8) and {WANTED} {window} group by xid)
             union all (select read.* from {RUNNING} cross join lateral ({table} and xid = running.id and {WANTED} {window} group by xid) as read)"
        )
    })
});

/// A page: rows of the transactions (slots $1, their shards $2 as bits, xids $3) from positions $4 on, and before $5.
pub(super) const PAGE: &str = "
    select event.slot, event.shard, event.xid, event.seq, event.topic, event.key, event.headers, event.payload
    from unnest($1::int2[], $2::int2[], $3::text[]::xid8[], $4::int8[]) as told (slot, shards, xid, first)
    join outbox.event on event.slot = told.slot and event.xid = told.xid and event.seq >= told.first and event.seq < $5
                     and (1 << event.shard) & told.shards <> 0
    order by event.seq";
