//! Rows that Kafka does not take: kept in a table of their own, counted and reported, so that they hold nobody up.

use events::OrderId;
use sqlx::{PgConnection, Row as _};

use super::error::RelayError;
use super::outbound::{Outbound, OutboundBatch, alone};
use super::record::{EntryPlace, OutboxEntry};
use runtime::{Headers, bind_columns};

/// An event by its place: slot $1, xid $2, entry $3 and index $4; as an entry that has it alone.
const BY_PLACE: &str = "
    select slot, xid, seq + $4, shards[$4 + 1:$4 + 1], topics[$4 + 1:$4 + 1], keys[$4 + 1:$4 + 1], headers[$4 + 1:$4 + 1], payloads[$4 + 1:$4 + 1]
    from outbox.entry where slot = $1 and xid = $2::text::xid8 and seq = $3";

/// Tries each row alone whose neighbours may have been at fault, later ones of its key behind it, and notes in its batch what is refused all the same.
pub(super) async fn try_alone(
    db: &mut PgConnection,
    outbound: &mut Outbound,
    batches: &mut [OutboundBatch],
) -> Result<(), RelayError> {
    for (batch, row) in alone(batches) {
        let place = batches[batch].place(row);
        // One by one: a page of rows that were too large together may be large.
        let query = sqlx::query(BY_PLACE).bind(place.slot).bind(place.xid.to_string()).bind(place.entry);
        let row = query.bind(i32::from(place.index)).fetch_one(&mut *db).await?;
        for record in OutboxEntry::of(&row, 0)?.records(u8::MAX) {
            if let Err(reason) = outbound.give_alone(&record?).await? {
                batches[batch].refused.push((place, reason));
            }
        }
    }
    Ok(())
}

/// Copies the rows into `outbox.set_aside`. Repeated for the same rows it changes nothing.
pub(super) async fn set_aside(
    db: &mut PgConnection,
    outbound: &mut Outbound,
    refused: &[(EntryPlace, String)],
) -> Result<(), RelayError> {
    let query = sqlx::query(
        "insert into outbox.set_aside (seq, event_id, topic, key, headers, payload, shard, error)
         select entry.seq + told.at - 1, event_ids[told.at], topics[told.at], keys[told.at], headers[told.at], payloads[told.at], shards[told.at], told.error
         from unnest($1::int2[], $2::text[]::xid8[], $3::int8[], $4::int4[], $5::text[]) as told (slot, xid, seq, at, error)
         join outbox.entry using (slot, xid, seq)
         on conflict (seq) do nothing returning seq, event_id::text, topic, error, key, headers",
    );
    let query = bind_columns!(query; for (place, reason) in refused =>
        place.slot, place.xid.to_string(), place.entry, i32::from(place.index) + 1, reason.as_str());
    for row in query.fetch_all(db).await? {
        let (seq, event_id, topic, error): (i64, String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (order_id, correlation_id) = whose(row.try_get(4)?, row.try_get(5)?);
        tracing::error!(
            seq,
            event_id,
            order_id,
            correlation_id,
            topic,
            error,
            "an event can't be published and was set aside in outbox.set_aside; its order waits for it. Mend the cause, then run `quadrille relay release`"
        );
        outbound.doubt(&topic);
        metrics::counter!("quadrille_relay_set_aside_total", "topic" => topic).increment(1);
    }
    Ok(())
}

/// The order that a row is of, as its key says, and its correlation id; keys of the front door are anyone's, and are not logged.
fn whose(key: Option<&[u8]>, headers: &[u8]) -> (Option<String>, Option<String>) {
    let order_id = key.and_then(|key| std::str::from_utf8(key).ok()?.parse::<OrderId>().ok()).map(|id| id.to_string());
    let headers = Headers::decode(headers).ok();
    let correlation = headers.as_ref().and_then(|headers| headers.text("ce_correlationid")).map(ToOwned::to_owned);
    (order_id.clone(), correlation.or(order_id))
}
