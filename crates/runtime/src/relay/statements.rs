//! The reading statements. Each names the outbox's slots one by one, so that a cached plan goes straight to their primary keys.

use std::sync::LazyLock;

use super::record::COLUMNS;

/// Slots of the outbox, as the migration has them.
pub(super) const SLOTS: i16 = 4;

/// Joins one branch for each slot.
fn each_slot(branch: impl Fn(i16) -> String) -> String {
    (0..SLOTS).map(branch).collect::<Vec<_>>().join(" union all ")
}

/// Rows of the shards $1 that became visible since a snapshot ($2 its xmax, and $4 who ran then), by position, at most $3; before them one row with the snapshot
/// that they were read under. Two texts: mostly nobody ran.
///
/// Shard and transaction come from a join and never from `= any(…)`: of an array the planner makes a filter over the whole slot where it believes the
/// slot to be empty, and the plan is kept while the slot fills. `offset 0` keeps it from turning the join round.
fn poll(with_running: bool) -> String {
    let rows = each_slot(|slot| {
        let branch = |of: &str, and: &str| {
            format!(
                "select read.* from {of} cross join lateral
                 (select {COLUMNS} from outbox.event_{slot} where slot = {slot} and shard = held.shard and {and} offset 0) as read"
            )
        };
        let since = branch("unnest($1::int2[]) as held (shard)", "xid >= $2::text::xid8");
        let of = "unnest($4::text[]::xid8[]) as running (xid) cross join unnest($1::int2[]) as held (shard)";
        let running =
            if with_running { format!(" union all {}", branch(of, "xid = running.xid")) } else { String::new() };
        format!("{since}{running}")
    });
    format!(
        "select pg_current_snapshot()::text as snapshot, null::int2 as slot, null::int2 as shard, null::xid8 as xid, null::int8 as seq, null::text as topic,
                null::bytea as key, null::bytea as headers, null::bytea as payload
         union all select null, {COLUMNS} from ({rows}) as read
         order by seq nulls first limit $3"
    )
}

pub(super) static POLL: LazyLock<String> = LazyLock::new(|| poll(false));
pub(super) static POLL_WITH_RUNNING: LazyLock<String> = LazyLock::new(|| poll(true));

/// What is to be published of shard $1: not visible in its cursor ($2 xmax, $3 in progress), not published ahead of it ($4 snapshot, $5 seq), visible in
/// the target ($6). The snapshots are parsed once (as sub-selects), not for each row.
const WANTED: &str = "pg_visible_in_snapshot(xid, (select $6::text::pg_snapshot))
    and (seq > $5 or not pg_visible_in_snapshot(xid, (select $4::text::pg_snapshot)))";

/// Who ran in the cursor's snapshot ($3), joined as in [`poll`].
const RUNNING: &str = "unnest((select $3::text[]::xid8[])::xid8[]) as running (id)";

/// How many rows of a shard are to be published, and from which position to which.
pub(super) static EXTENT: LazyLock<String> = LazyLock::new(|| {
    let rows = each_slot(|slot| {
        let table = format!("select seq from outbox.event_{slot} where slot = {slot} and shard = $1");
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
            "select {slot}::int2 as slot, xid, min(seq) as first, max(seq) as last from outbox.event_{slot} where slot = {slot} and shard = $1"
        );
        let window = "and seq >= $7 and seq < $8";
        format!(
            "({table} and xid >= (select $2::text::xid8) and {WANTED} {window} group by xid)
             union all (select read.* from {RUNNING} cross join lateral ({table} and xid = running.id and {WANTED} {window} group by xid) as read)"
        )
    })
});

/// A page: rows of the transactions (slots $1, shards $2, xids $3) from positions $4 on, and before $5.
pub(super) const PAGE: &str = "
    select event.slot, event.shard, event.xid, event.seq, event.topic, event.key, event.headers, event.payload
    from unnest($1::int2[], $2::int2[], $3::text[]::xid8[], $4::int8[]) as told (slot, shard, xid, first)
    join outbox.event on event.slot = told.slot and event.shard = told.shard and event.xid = told.xid
                     and event.seq >= told.first and event.seq < $5
    order by event.seq";
