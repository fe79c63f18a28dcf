//! Rows that Kafka does not take: kept in a table of their own, counted and reported, so that they hold nobody up.

use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};

use super::error::RelayError;
use super::outbound::Outbound;
use super::record::{Place, Record};

/// Rows by their places: slots $1, shards $2, xids $3, seqs $4.
const BY_PLACE: &str = "
    select event.slot, event.shard, event.xid, event.seq, event.topic, event.key, event.headers, event.payload
    from unnest($1::int2[], $2::int2[], $3::text[]::xid8[], $4::int8[]) as told (slot, shard, xid, seq)
    join outbox.event using (slot, shard, xid, seq) order by event.seq";

/// Tries each row alone, for those whose neighbours may have been at fault, and returns the ones that are refused all the same.
pub(super) async fn try_alone(
    db: &mut PgConnection,
    outbound: &mut Outbound,
    places: &[Place],
) -> Result<Vec<(Place, String)>, RelayError> {
    let mut refused = Vec::new();
    for place in places {
        // One by one: a page of rows that were too large together may be large.
        let row = bind_places(sqlx::query(BY_PLACE), std::slice::from_ref(place)).fetch_one(&mut *db).await?;
        if let Err(reason) = outbound.give_alone(&Record::of(&row, 0)?).await? {
            refused.push((*place, reason));
        }
    }
    Ok(refused)
}

/// Copies the rows into `outbox.set_aside`. Repeated for the same rows it changes nothing.
pub(super) async fn set_aside(
    db: &mut PgConnection,
    outbound: &mut Outbound,
    refused: &[(Place, String)],
) -> Result<(), RelayError> {
    let places: Vec<Place> = refused.iter().map(|(place, _)| *place).collect();
    let reasons: Vec<&str> = refused.iter().map(|(_, reason)| reason.as_str()).collect();
    let query = sqlx::query(
        "insert into outbox.set_aside (seq, event_id, topic, key, headers, payload, shard, error)
         select event.seq, event.event_id, event.topic, event.key, event.headers, event.payload, event.shard, told.error
         from unnest($1::int2[], $2::int2[], $3::text[]::xid8[], $4::int8[], $5::text[]) as told (slot, shard, xid, seq, error)
         join outbox.event using (slot, shard, xid, seq)
         on conflict (seq) do nothing returning seq, event_id::text, topic, error",
    );
    let rows = bind_places(query, &places).bind(reasons).fetch_all(db).await?;
    let mut by_topic: HashMap<String, u64> = HashMap::new();
    for row in rows {
        let (seq, event_id, topic, error): (i64, String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        tracing::error!(
            seq,
            event_id,
            topic,
            error,
            "an event can't be published and was set aside in outbox.set_aside; its order waits for it. Mend the cause, then run `quadrille relay release`"
        );
        outbound.doubt(&topic);
        *by_topic.entry(topic).or_default() += 1;
    }
    for (topic, rows) in by_topic {
        metrics::counter!("quadrille_relay_set_aside_total", "topic" => topic).increment(rows);
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_places<'q>(query: Query<'q>, places: &[Place]) -> Query<'q> {
    query
        .bind(places.iter().map(|place| place.slot).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.shard).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.xid.to_string()).collect::<Vec<_>>())
        .bind(places.iter().map(|place| place.seq).collect::<Vec<_>>())
}
