//! The retrier: has the heads of parked lanes that are due decided again, in order with those behind them, like events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use events::Timestamp;
use tokio::time::Instant;

use crate::avro::registry::Registry;
use crate::consumer::Consumer;
use crate::dead_letter;
use crate::engine::item::{BatchItem, ItemError};
use crate::engine::{Due, Engine};
use crate::failure::{Backoff, Failure};
use crate::health::Circuit;
use crate::kafka::decode::{self, Asking, decode_record, unreadable};
use crate::kafka::record::Unreadable;
use crate::parking::queue::ParkedRecord;
use crate::vocabulary::Abandoned;

const LANES: i64 = 100;
const BATCH: i64 = 400;
/// The longest rest: what another instance parked, or a person had tried again, is seen after it.
const REST: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(5);
/// How often a registry that is away is asked whether it is back.
const LOOK_FOR_REGISTRY: Duration = Duration::from_secs(2);
/// How often the queue is looked over as a whole.
const LOOK_OVER: Duration = Duration::from_secs(10);

/// Tries what is parked until told to stop.
pub(crate) async fn retry<C: Consumer>(engine: Arc<Engine<C>>, registry: Registry) -> Result<(), Abandoned> {
    let (mut backoff, mut look_over, mut look) = (Backoff::default(), Instant::now(), Instant::now());
    while !engine.shutdown.is_cancelled() {
        match next(&engine, &registry, &mut look, &mut look_over).await {
            Ok(Due::Now(rows)) => {
                backoff = Backoff::default();
                metrics::counter!("quadrille_retries_total", "consumer" => C::NAME).increment(rows.len() as u64);
                engine.process(items(&engine, &registry, rows).await?).await?;
                engine.or_stop(tokio::time::sleep(BREATH)).await; // another instance may be at them
            }
            Ok(Due::At(next)) => rest(&engine, next).await,
            Err(failure) => {
                let wait = engine.look_again_in(&mut backoff, failure, "what is parked")?;
                rest(&engine, Some(engine.clock.now().plus(wait))).await;
            }
        }
    }
    Ok(())
}

/// What is to be tried next, lane by lane in order.
async fn next<C: Consumer>(
    engine: &Engine<C>,
    registry: &Registry,
    look: &mut Instant,
    look_over: &mut Instant,
) -> Result<Due<ParkedRecord>, Failure> {
    // What fails for everyone is nobody's own failure: no attempt is used up for it.
    if engine.health.is_broken(Circuit::Database) {
        return Ok(Due::At(None));
    }
    look_whether_the_registry_is_back(engine, registry, look).await?;
    if Instant::now() >= *look_over {
        *look_over = Instant::now() + LOOK_OVER;
        engine.queue.straighten(engine.warm.pool(), engine.clock.now()).await?;
        measure(engine).await?;
    }
    let heads = engine.queue.next(engine.warm.pool(), LANES).await?;
    let now = engine.clock.now();
    let due: Vec<Vec<u8>> = heads.iter().filter(|(_, at)| at.0 <= now).map(|(lane, _)| lane.clone()).collect();
    if due.is_empty() {
        return Ok(Due::At(heads.first().map(|(_, at)| at.0)));
    }
    let rows = in_turn(engine.queue.read(engine.warm.pool(), &due, BATCH).await?, now);
    if rows.is_empty() {
        // Something that is due is not the head of its lane.
        engine.queue.straighten(engine.warm.pool(), now).await?;
        return Ok(Due::At(None));
    }
    Ok(Due::Now(rows))
}

/// Of the rows of some lanes, those that are their turn: from a head that is due up to the first that waits for a person.
fn in_turn(rows: Vec<ParkedRecord>, now: Timestamp) -> Vec<ParkedRecord> {
    let (mut begun, mut closed) = (HashSet::new(), HashSet::new());
    let mut is_turn = |row: &ParkedRecord| {
        let is_head = begun.insert(row.lane.clone());
        let waits = row.dead_at.is_some() || is_head && row.next_at.is_some_and(|next| next.0 > now);
        if waits {
            closed.insert(row.lane.clone());
        }
        !closed.contains(&row.lane)
    };
    rows.into_iter().filter(|row| is_turn(row)).collect()
}

async fn items<C: Consumer>(
    engine: &Arc<Engine<C>>,
    registry: &Registry,
    rows: Vec<ParkedRecord>,
) -> Result<Vec<BatchItem<C>>, Abandoned> {
    let mut items = Vec::with_capacity(rows.len());
    let asking = Asking::of(registry);
    for kept in rows {
        let message = kept.topic.as_deref().and_then(known).and_then(|topic| kept.message(topic));
        let work = match &message {
            _ if kept.skipped => Err(ItemError::Skipped),
            Some(message) => decode_record(engine, &asking, message).await?,
            None => Err(unreadable(Unreadable(format!(
                "what was parked from {:?} can't be read: expected a topic and headers as this version has them; was it parked by a newer one?",
                kept.topic
            )))),
        };
        let open = Some(engine.health.open());
        items.push(BatchItem { message, kept: Some(kept), open, ..BatchItem::new(work) });
    }
    Ok(items)
}

/// Asks whether a registry that was away is back; if it is, all that waits for it is due.
async fn look_whether_the_registry_is_back<C: Consumer>(
    engine: &Engine<C>,
    registry: &Registry,
    look: &mut Instant,
) -> Result<(), Failure> {
    if !engine.health.is_broken(Circuit::Registry) || Instant::now() < *look {
        return Ok(());
    }
    let is_back = tokio::select! {
        is_back = registry.is_back() => is_back,
        () = engine.shutdown.cancelled() => false,
    };
    if is_back {
        engine.queue.call_back(engine.warm.pool(), decode::WAITS, engine.clock.now()).await?;
        engine.health.close_circuit(Circuit::Registry, engine.clock.now());
    }
    *look = Instant::now() + LOOK_FOR_REGISTRY;
    Ok(())
}

fn known(topic: &str) -> Option<&'static str> {
    events::catalogue().iter().map(|entry| entry.topic).chain([dead_letter::TOPIC]).find(|name| *name == topic)
}

/// Rests until the next head is due, one is parked, or a second has passed.
async fn rest<C: Consumer>(engine: &Engine<C>, next: Option<Timestamp>) {
    tokio::select! {
        () = engine.sleep_until(next) => {}
        () = engine.parked.notified() => {}
        () = tokio::time::sleep(REST) => {}
        () = engine.shutdown.cancelled() => {}
    }
}

async fn measure<C: Consumer>(engine: &Engine<C>) -> Result<(), Failure> {
    let (events, dead, since) = engine.queue.extent(engine.warm.pool()).await?;
    let age = since.map_or(0.0, |since| engine.clock.now().since(since.0).as_secs_f64());
    metrics::gauge!("quadrille_parked", "consumer" => C::NAME).set(events as f64);
    metrics::gauge!("quadrille_parked_dead", "consumer" => C::NAME).set(dead as f64);
    metrics::gauge!("quadrille_parked_oldest_seconds", "consumer" => C::NAME).set(age);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::sql::Timestamptz;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn row(arrival: i64, lane: &str, next_at: Option<i64>, dead: bool) -> ParkedRecord {
        let at = |seconds: i64| Timestamptz(Timestamp::from_millis(NOW.as_millis() + seconds * 1_000));
        ParkedRecord {
            arrival,
            lane: lane.as_bytes().to_vec(),
            topic: None,
            partition: None,
            offset: None,
            timestamp_ms: None,
            key: None,
            headers: Vec::new(),
            payload: None,
            parked_at: Timestamptz(NOW),
            next_at: next_at.map(at),
            attempts: 0,
            first_failed_at: None,
            loops: 0,
            letter_id: None,
            dead_at: dead.then_some(Timestamptz(NOW)),
            decided_by: None,
            skipped: false,
            incarnation: None,
        }
    }

    #[test]
    fn a_lane_is_taken_from_a_head_that_is_due_up_to_the_first_that_waits_for_a_person() {
        let rows = vec![
            row(1, "a", Some(0), false),
            row(4, "a", None, false),
            row(7, "a", None, true),
            row(9, "a", None, false),
            row(2, "b", Some(5), false),
            row(3, "b", None, false),
            row(5, "c", None, true),
            row(6, "c", Some(0), false),
            row(8, "d", None, false),
        ];
        let taken: Vec<i64> = in_turn(rows, NOW).iter().map(|row| row.arrival).collect();
        assert_eq!(taken, [1, 4, 8]);
    }
}
