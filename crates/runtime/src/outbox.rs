//! The append to the outbox: the only way by which anything is published, in the transaction that changed the state it tells of.

use sqlx::PgConnection;

use crate::effects::Outgoing;
use crate::failure::Failure;

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
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let shards: Vec<i16> = rows.iter().map(|row| shard(row.key.as_deref())).collect();
    let topics: Vec<&str> = rows.iter().map(|row| row.topic).collect();
    let keys: Vec<Option<&[u8]>> = rows.iter().map(|row| row.key.as_deref()).collect();
    let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.event_id).collect();
    let headers: Vec<Vec<u8>> = rows.iter().map(|row| row.headers.encode()).collect();
    let payloads: Vec<Option<&[u8]>> = rows.iter().map(|row| row.payload.as_deref()).collect();
    let positions = sqlx::query_scalar(
        "insert into outbox.event (slot, shard, topic, key, event_id, headers, payload)
         select rotation.current_slot, said.shard, said.topic, said.key, said.event_id, said.headers, said.payload
         from outbox.rotation,
              unnest($1::int2[], $2::text[], $3::bytea[], $4::uuid[], $5::bytea[], $6::bytea[])
                with ordinality as said (shard, topic, key, event_id, headers, payload, n)
         order by said.n
         returning seq",
    )
    .bind(shards)
    .bind(topics)
    .bind(keys)
    .bind(ids)
    .bind(headers)
    .bind(payloads)
    .fetch_all(db)
    .await?;
    if positions.len() != rows.len() {
        return Err(Failure::LostRace {
            table: "outbox.event",
            saved: positions.len() as u64,
            decided: rows.len() as u64,
        });
    }
    Ok(positions)
}
