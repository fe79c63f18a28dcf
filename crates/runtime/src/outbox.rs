//! The append to the outbox: the only way by which anything is published, in the transaction that changed the state it tells of.

use std::fmt::Write as _;

use sqlx::PgConnection;

use crate::bind_columns;
use crate::engine::answers::Answers;
use crate::engine::effects::Outgoing;
use crate::engine::write_set::{Scope, WriteSet};
use crate::failure::Failure;

/// Shards of the outbox, leased by relays; a key is always in the same one.
pub const SHARDS: u64 = 8;

/// The shard of a key (FNV-1a).
pub fn shard(key: Option<&[u8]>) -> i16 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.unwrap_or_default().iter().fold(0xcbf2_9ce4_8422_2325, step);
    ((hash ^ (hash >> 32)) % SHARDS) as i16
}

/// Appends rows in this order and returns their positions (`seq`). Call it when every lock of the transaction is held:
/// the relay orders a key's events by position.
pub async fn append(db: &mut PgConnection, rows: &[Outgoing]) -> Result<Vec<i64>, Failure> {
    write(db, WriteSet::default(), rows, None, Scope::Transaction).await
}

/// Executes the writes of a batch, and then, in the same statement, appends what it says and keeps what its requests are answered.
pub(crate) async fn write(
    db: &mut PgConnection,
    mut writes: WriteSet,
    rows: &[Outgoing],
    answers: Option<&Answers>,
    within: Scope<'_>,
) -> Result<Vec<i64>, Failure> {
    if rows.is_empty() {
        return writes.execute_with_outbox(db, 0, within).await;
    }
    let entries = entries(rows);
    add(&mut writes, &entries);
    if let Some(answers) = answers {
        answers.add(&mut writes, entries.iter().map(|rows| rows.len()));
    }
    let firsts = writes.execute_with_outbox(db, entries.len(), within).await?;
    Ok(firsts.into_iter().zip(entries).flat_map(|(first, rows)| (first..).take(rows.len())).collect())
}

/// Positions between an entry and the next one, as the sequence has them: an entry has so many events at most.
pub const STEP: u32 = 1_024;
/// Bytes of an entry: a relay reads it as a whole. A larger event has one of its own.
const ENTRY_BYTES: usize = 256 << 10;

fn entries(rows: &[Outgoing]) -> Vec<&[Outgoing]> {
    let (mut entries, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (index, row) in rows.iter().enumerate() {
        let size =
            [&row.key, &row.payload].into_iter().flatten().map(Vec::len).sum::<usize>() + row.headers.encode().len();
        if index - first == STEP as usize || (index > first && bytes + size > ENTRY_BYTES) {
            entries.push(&rows[first..index]);
            (first, bytes) = (index, 0);
        }
        bytes += size;
    }
    entries.push(&rows[first..]);
    entries
}

fn add(writes: &mut WriteSet, entries: &[&[Outgoing]]) {
    let mut values = String::new();
    for number in 0..entries.len() {
        let [shards, ids, topics, keys, headers, payloads] = std::array::from_fn(|column| number * 6 + column + 1);
        let _ = write!(
            values,
            "{}({number}, ${shards}::int2[], ${ids}::uuid[], ${topics}::text[], ${keys}::bytea[], ${headers}::bytea[], ${payloads}::bytea[])",
            if number == 0 { "" } else { ", " }
        );
    }
    let mut part = writes.append(
        "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads) ",
        &format!(
            "select rotation.current_slot, said.shards, said.event_ids, said.topics, said.keys, said.headers, said.payloads
               from outbox.rotation, (values {values}) as said (n, shards, event_ids, topics, keys, headers, payloads)"
        ),
        " order by said.n",
    );
    for rows in entries {
        part = bind_columns!(part; for row in rows => shard(row.key.as_deref()), row.event_id, row.topic,
            row.key.as_deref(), row.headers.encode(), row.payload.as_deref());
    }
}
