//! What a batch changes in the queue: what goes behind the lanes, what comes out, what failed again.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use events::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::queue::{ParkingQueue, lane};
use crate::failure::Failure;
use crate::kafka::record::Message;
use crate::postgres::sql::Timestamptz;
use crate::vocabulary::ErrorInfo;

const LONGEST_ERROR: usize = 2_000;

/// An event that is parked anew: with its failure, or behind one.
pub(crate) struct NewlyParked<'m> {
    pub message: &'m Message,
    /// Why, and when it is tried again (never: it is this dead letter); none: it waits behind its head.
    pub failure: Option<(&'m ErrorInfo, Result<Timestamp, Uuid>)>,
}

pub(crate) struct Failed<'m> {
    pub arrival: i64,
    pub attempts: i32,
    pub death: &'m ErrorInfo,
    /// When it is tried again; or the dead letter that it is now.
    pub next: Result<Timestamp, Uuid>,
}

impl ParkingQueue {
    /// Parks events in this order; those that are parked or dead already are left out. Returns the places of those that were.
    pub async fn park(
        &self,
        db: &mut PgConnection,
        arrivals: &[NewlyParked<'_>],
        now: Timestamp,
    ) -> Result<HashSet<(String, i32, i64)>, Failure> {
        if arrivals.is_empty() {
            return Ok(HashSet::new());
        }
        let Self { schema, .. } = self;
        let statement = format!(
            "insert into {schema}.parked (lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at, next_at, attempts,
                    first_failed_at, last_failed_at, stage, error_class, message, letter_id, dead_at, incarnation)
             select lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, $14, next_at, (stage is not null)::int,
                    case when stage is not null then $14 end, case when stage is not null then $14 end, stage, error_class, message, letter_id,
                    case when letter_id is not null then $14 end, incarnation
               from unnest($1::bytea[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[],
                           $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::uuid[], $15::uuid[]) with ordinality
                      as new (lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, next_at, stage, error_class, message,
                              letter_id, incarnation, n)
              where letter_id is not null or not exists (select from {schema}.dead_letter d
                    where d.topic = new.topic and d.\"partition\" = new.\"partition\" and d.\"offset\" = new.\"offset\"
                      and coalesce(d.incarnation, new.incarnation) = new.incarnation)
              order by n
             on conflict (topic, \"partition\", \"offset\", incarnation) do nothing
             returning topic, \"partition\", \"offset\""
        );
        let deaths = || arrivals.iter().map(|arrival| arrival.failure.as_ref().map(|(death, _)| *death));
        let next = || arrivals.iter().map(|arrival| arrival.failure.as_ref().map(|(_, next)| *next));
        let parked: Vec<(String, i32, i64)> = sqlx::query_as(AssertSqlSafe(statement))
            .bind(arrivals.iter().map(|arrival| lane(arrival.message)).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.topic).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.partition).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.offset).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.timestamp_ms).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.key.as_deref()).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.headers.encode()).collect::<Vec<_>>())
            .bind(arrivals.iter().map(|arrival| arrival.message.payload.as_deref()).collect::<Vec<_>>())
            .bind(next().map(|next| next.and_then(Result::ok).map(Timestamptz)).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| death.stage)).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| death.class.as_str())).collect::<Vec<_>>())
            .bind(deaths().map(|death| death.map(|death| kept_text(&death.message))).collect::<Vec<_>>())
            .bind(next().map(|next| next.and_then(Result::err)).collect::<Vec<_>>())
            .bind(Timestamptz(now))
            .bind(arrivals.iter().map(|arrival| arrival.message.incarnation()).collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
        self.in_use.store(true, Ordering::Relaxed);
        Ok(parked.into_iter().collect())
    }

    pub async fn remove(&self, db: &mut PgConnection, arrivals: &[i64]) -> Result<(), Failure> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let statement = format!("delete from {}.parked where arrival = any($1)", self.schema);
        let removed = sqlx::query(AssertSqlSafe(statement)).bind(arrivals).execute(db).await?.rows_affected();
        if removed != arrivals.len() as u64 {
            return Err(Failure::LostRace { table: "parked", saved: removed, decided: arrivals.len() as u64 });
        }
        Ok(())
    }

    pub async fn fail(&self, db: &mut PgConnection, failed: &[Failed<'_>], now: Timestamp) -> Result<(), Failure> {
        if failed.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "update {}.parked set attempts = again.attempts, next_at = again.next_at, first_failed_at = coalesce(first_failed_at, $8),
                    last_failed_at = $8, stage = again.stage, error_class = again.error_class, message = again.message,
                    letter_id = coalesce(again.letter_id, parked.letter_id), dead_at = case when again.letter_id is not null then $8 end
               from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::uuid[])
                      as again (arrival, attempts, next_at, stage, error_class, message, letter_id)
              where parked.arrival = again.arrival",
            self.schema
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(failed.iter().map(|failed| failed.arrival).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.attempts).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.next.ok().map(Timestamptz)).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.death.stage).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.death.class.as_str()).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| kept_text(&failed.death.message)).collect::<Vec<_>>())
            .bind(failed.iter().map(|failed| failed.next.err()).collect::<Vec<_>>())
            .bind(Timestamptz(now))
            .execute(db)
            .await?;
        Ok(())
    }

    /// Has the heads of these lanes tried now whose predecessors are gone; returns the lanes in which anything waits.
    pub async fn follow_up(
        &self,
        db: &mut PgConnection,
        lanes: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<HashSet<Vec<u8>>, Failure> {
        let Self { schema, .. } = self;
        let statement = format!(
            "with head as (select distinct on (lane) lane, arrival from {schema}.parked where lane = any($1) order by lane, arrival),
                  freed as (update {schema}.parked set next_at = $2 from head
                             where parked.arrival = head.arrival and parked.next_at is null and parked.dead_at is null)
             select lane from head"
        );
        let waiting: Vec<Vec<u8>> =
            sqlx::query_scalar(AssertSqlSafe(statement)).bind(lanes).bind(Timestamptz(now)).fetch_all(db).await?;
        Ok(waiting.into_iter().collect())
    }
}

/// An error as a text column takes it.
fn kept_text(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_ERROR).unwrap_or(text.len());
    text[..end].replace('\0', "\u{fffd}")
}
