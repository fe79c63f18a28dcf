//! The reading statements. Each names the outbox's slots one by one, so that a cached plan goes straight to their primary keys.

use std::sync::LazyLock;

use super::record::COLUMNS;

pub(super) const SLOTS: i16 = 4;

fn each_slot(branch: impl Fn(i16) -> String) -> String {
    (0..SLOTS).map(branch).collect::<Vec<_>>().join(" union all ")
}

/// Keeps the entries that have events of some shards ($1). Mostly one relay holds them all.
const HELD: &str = "shards && $1";

/// Entries of the shards $1 that became visible since a snapshot (transactions $2 to $4, [`Snapshot::unseen`](super::snapshot::Snapshot::unseen)), by position,
/// at most $3; before them one row with the snapshot that they were read under, and how many cursors were stored with it.
///
/// The transactions come from one join over all slots: below saturation a poll costs what it costs to begin it, node by node of its plan. And they come from
/// a join, not from `= any(…)`: of an array the planner makes a filter over the whole slot where it believes the slot to be empty, and the plan is
/// kept while the slot fills.
fn poll(stored: &str) -> String {
    let rows = each_slot(|slot| {
        format!(
            "select {COLUMNS} from outbox.entry_{slot} where slot = {slot} and {HELD} and xid >= unseen.first and xid <= unseen.last"
        )
    });
    format!(
        "select pg_current_snapshot()::text as snapshot, {stored}::int2 as slot, null::xid8 as xid, null::int8 as seq, null::int2[] as shards, null::text[] as topics,
                null::bytea[] as keys, null::bytea[] as headers, null::bytea[] as payloads
         union all select null, read.* from unnest($2::text[]::xid8[], $4::text[]::xid8[]) as unseen (first, last) cross join lateral ({rows}) as read
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

/// How many events of some shards are to be published, and from which entry's position to which.
pub(super) static EXTENT: LazyLock<String> = LazyLock::new(|| {
    let rows = each_slot(|slot| {
        let table = format!("select seq, shards from outbox.entry_{slot} where slot = {slot} and {HELD}");
        format!(
            "{table} and xid >= (select $2::text::xid8) and {WANTED}
             union all select read.seq, read.shards from {RUNNING} cross join lateral ({table} and xid = running.id and {WANTED} offset 0) as read"
        )
    });
    format!(
        "select coalesce(sum((select count(*) from unnest(shards) as shard where shard = any($1))), 0)::int8, min(seq), max(seq) from ({rows}) as waiting"
    )
});

/// The same entries in a window of positions [$7, $8), by transaction, with how many events they have: a page is then read by primary key.
pub(super) static WINDOW: LazyLock<String> = LazyLock::new(|| {
    each_slot(|slot| {
        let table = format!(
            "select {slot}::int2 as slot, xid, min(seq) as first, max(seq) as last, sum(cardinality(shards))::int8 as events from outbox.entry_{slot} where slot = {slot} and {HELD}"
        );
        let window = "and seq >= $7 and seq < $8";
        format!(
            "({table} and xid >= (select $2::text::xid8) and {WANTED} {window} group by xid)
             union all (select read.* from {RUNNING} cross join lateral ({table} and xid = running.id and {WANTED} {window} group by xid) as read)"
        )
    })
});

/// The statements that are put together here, for whoever prepares them all.
pub fn statements() -> Vec<String> {
    let released = appended(RELEASED, "released");
    [&POLL, &STORE, &STORE_AND_POLL, &EXTENT, &WINDOW]
        .map(|made| made.to_string())
        .into_iter()
        .chain([released])
        .collect()
}

/// A page: entries of the transactions (slots $1, xids $3) from positions $4 on, and before $5; before each, which shards of it are wanted ($2, as bits).
pub(super) const PAGE: &str = "
    select told.shards, entry.slot, entry.xid, entry.seq, entry.shards, entry.topics, entry.keys, entry.headers, entry.payloads
    from unnest($1::int2[], $2::int2[], $3::text[]::xid8[], $4::int8[]) as told (slot, shards, xid, first)
    join outbox.entry on entry.slot = told.slot and entry.xid = told.xid and entry.seq >= told.first and entry.seq < $5
    order by entry.seq";

/// What is given to the relay again of what was set aside.
pub(super) const RELEASED: &str =
    "released as (delete from outbox.set_aside where $1::text is null or topic = $1 returning *), ";

/// Appends the events of a table, or of what `with` names, once more, in their order, and says how many they are. Entries of 256 kB: counted with 256 bytes besides its own,
/// no event makes one of more than 1,024.
pub(super) fn appended(with: &str, source: &str) -> String {
    format!(
        "with {with}sized as (
             select *, sum(256 + coalesce(octet_length(key), 0) + octet_length(headers) + coalesce(octet_length(payload), 0))
                           over (order by seq) / (256 << 10) as part
               from {source}),
         entries as (
             insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
             select current_slot, array_agg(shard order by seq), array_agg(event_id order by seq), array_agg(topic order by seq),
                    array_agg(key order by seq), array_agg(headers order by seq), array_agg(payload order by seq)
               from sized, outbox.rotation group by current_slot, part order by part
             returning cardinality(shards) as events)
         select coalesce(sum(events), 0)::int8 from entries"
    )
}
