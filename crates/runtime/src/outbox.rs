//! The append to the outbox: the only way by which anything is published, in the transaction that changed the state it tells of.

use sqlx::PgConnection;

use crate::effects::Outgoing;
use crate::failure::Failure;
use crate::writes::{Within, Writes};

/// Shards of the outbox, leased by relays; a key is always in the same one.
pub const SHARDS: u64 = 8;

/// The shard of a key (FNV-1a).
pub fn shard(key: Option<&[u8]>) -> i16 {
    let hash = key
        .unwrap_or_default()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    ((hash ^ (hash >> 32)) % SHARDS) as i16
}

/// Appends rows in this order and returns their positions (`seq`). Call it when every lock of the transaction is held:
/// the relay orders a key's events by position.
///
/// # Errors
/// What the database says.
pub async fn append(db: &mut PgConnection, rows: &[Outgoing]) -> Result<Vec<i64>, Failure> {
    write(db, Writes::default(), rows, Within::Transaction).await
}

/// Executes the writes of a batch, and then, in the same statement, appends what it says.
pub(crate) async fn write(
    db: &mut PgConnection,
    mut writes: Writes,
    rows: &[Outgoing],
    within: Within<'_>,
) -> Result<Vec<i64>, Failure> {
    if !rows.is_empty() {
        add(&mut writes, rows);
    }
    let positions = writes.execute_and_say(db, !rows.is_empty(), within).await?;
    if positions.len() != rows.len() {
        return Err(Failure::LostRace {
            table: "outbox.event",
            saved: positions.len() as u64,
            decided: rows.len() as u64,
        });
    }
    Ok(positions)
}

fn add(writes: &mut Writes, rows: &[Outgoing]) {
    writes
        .append(
            "insert into outbox.event (slot, shard, topic, key, event_id, headers, payload) ",
            "select rotation.current_slot, said.shard, said.topic, said.key, said.event_id, said.headers, said.payload
             from outbox.rotation,
                  unnest($1::int2[], $2::text[], $3::bytea[], $4::uuid[], $5::bytea[], $6::bytea[])
                    with ordinality as said (shard, topic, key, event_id, headers, payload, n)",
            " order by said.n",
        )
        .bind(rows.iter().map(|row| shard(row.key.as_deref())).collect::<Vec<i16>>())
        .bind(rows.iter().map(|row| row.topic).collect::<Vec<&str>>())
        .bind(rows.iter().map(|row| row.key.as_deref()).collect::<Vec<Option<&[u8]>>>())
        .bind(rows.iter().map(|row| row.event_id).collect::<Vec<uuid::Uuid>>())
        .bind(rows.iter().map(|row| row.headers.encode()).collect::<Vec<&[u8]>>())
        .bind(rows.iter().map(|row| row.payload.as_deref()).collect::<Vec<Option<&[u8]>>>());
}
