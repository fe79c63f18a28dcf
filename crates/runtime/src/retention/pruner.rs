//! The pruner: deletes, in small batches beside the consumer's work, what is older than the horizon and over.
//!
//! It walks over the old orders by their ids, a chunk in each transaction, and waits for no row: what is locked is in use, and goes at the next round.
//! Of the instances of a consumer one prunes at a time.

use std::sync::Arc;
use std::time::Duration;

use events::{OrderId, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::postgres::sql::Timestamptz;
use crate::retention::Expiring;
use crate::retention::horizon::Horizon;

/// Orders, or other rows, of one transaction.
const CHUNK: i64 = 500;
/// How long it is on record what was done through the routes.
const RECORDS: Duration = Duration::from_secs(400 * 24 * 3_600);
/// Deletes at most `$3` of those records of the consumer `$1` before `$2`: their ids begin with their time.
const FORGET_RECORDS: &str = "delete from runtime.door_action where action_id in
    (select action_id from runtime.door_action where consumer = $1 and action_id < $2 order by action_id limit $3)";
/// The rest between two transactions, so that batches come first.
const REST: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Round {
    /// That were forgotten.
    orders: u64,
    /// Rows that belong to no order.
    others: u64,
    /// Orders older than the horizon that have not ended.
    open: u64,
    /// The oldest of them.
    oldest: Option<Uuid>,
}

/// Prunes now and then until told to stop. A round that fails is made up for by the next.
pub(crate) async fn prune<C: Consumer>(engine: Arc<Engine<C>>, every: Duration) {
    let Some(horizon) = &engine.horizon else { return };
    loop {
        let next = engine.clock.now().plus(every);
        tokio::select! {
            () = engine.clock.sleep_until(next) => {}
            () = engine.shutdown.cancelled() => return,
        }
        match round(&engine, horizon).await {
            Ok(round) => tell::<C>(round),
            Err(failure) => {
                metrics::counter!("quadrille_pruning_failures_total", "consumer" => C::NAME).increment(1);
                tracing::warn!(consumer = C::NAME, %failure, "old orders not forgotten, will be tried at the next round");
            }
        }
    }
}

fn tell<C: Consumer>(Round { orders, others, open, oldest }: Round) {
    metrics::counter!("quadrille_forgotten_orders_total", "consumer" => C::NAME).increment(orders);
    metrics::gauge!("quadrille_open_beyond_horizon", "consumer" => C::NAME).set(open as f64);
    if orders + others > 0 {
        tracing::info!(consumer = C::NAME, orders, others, "older than the horizon: forgotten");
    }
    if let Some(order_id) = oldest {
        tracing::warn!(
            consumer = C::NAME, %order_id, open,
            "orders older than the horizon have not ended: they are kept; the oldest is named, look into it"
        );
    }
}

async fn round<C: Consumer>(engine: &Engine<C>, horizon: &Horizon) -> Result<Round, Failure> {
    let until = horizon.until(engine.clock.now());
    let (mut round, mut after) = (Round::default(), Some(Uuid::nil()));
    while let Some(from) = after {
        after = orders(engine, horizon, from, until, &mut round).await?;
        rest(engine).await;
    }
    while let Some((rows, more)) = others(engine, horizon, until).await? {
        round.others += rows;
        if !more || engine.shutdown.is_cancelled() {
            break;
        }
        rest(engine).await;
    }
    Ok(round)
}

async fn rest<C: Consumer>(engine: &Engine<C>) {
    tokio::select! {
        () = tokio::time::sleep(REST) => {}
        () = engine.shutdown.cancelled() => {}
    }
}

/// Forgets one chunk of orders, in a transaction of its own; returns the last order that was looked at, if there are more.
async fn orders<C: Consumer>(
    engine: &Engine<C>,
    horizon: &Horizon,
    after: Uuid,
    until: Timestamp,
    round: &mut Round,
) -> Result<Option<Uuid>, Failure> {
    let mut tx = engine.warm.pool().begin().await?;
    if engine.shutdown.is_cancelled() || !alone(&mut tx, &engine.schema).await? {
        return Ok(None);
    }
    let rows: Vec<(Uuid, bool, bool)> = sqlx::query_as(AssertSqlSafe(horizon.next.clone()))
        .bind(after)
        .bind(OrderId::least_at(until).as_uuid())
        .bind(CHUNK)
        .bind(Timestamptz(until))
        .fetch_all(&mut *tx)
        .await?;
    let gone: Vec<Uuid> = rows.iter().filter(|(_, _, gone)| *gone).map(|(order_id, ..)| *order_id).collect();
    if !gone.is_empty() {
        for statement in &horizon.forget {
            sqlx::query(AssertSqlSafe(statement.clone())).bind(&gone).execute(&mut *tx).await?;
        }
    }
    tx.commit().await?;
    let open = || rows.iter().filter(|(_, ended, _)| !ended);
    round.orders += gone.len() as u64;
    round.open += open().count() as u64;
    round.oldest = round.oldest.or(open().map(|(order_id, ..)| *order_id).next());
    Ok(rows.last().filter(|_| rows.len() as i64 == CHUNK).map(|(order_id, ..)| *order_id))
}

/// Deletes one chunk of what belongs to no order: how many rows, and whether there may be more; none where another instance is at it.
async fn others<C: Consumer>(
    engine: &Engine<C>,
    horizon: &Horizon,
    until: Timestamp,
) -> Result<Option<(u64, bool)>, Failure> {
    let mut tx = engine.warm.pool().begin().await?;
    if !alone(&mut tx, &engine.schema).await? {
        return Ok(None);
    }
    let oldest_record = OrderId::least_at(engine.clock.now().minus(RECORDS)).as_uuid();
    let mut queries = vec![sqlx::query(FORGET_RECORDS).bind(C::NAME).bind(oldest_record)];
    for statement in [&horizon.letters, &horizon.answers] {
        queries.push(sqlx::query(AssertSqlSafe(statement.clone())).bind(Timestamptz(until)));
    }
    for Expiring { statement, age } in &horizon.others {
        let until = age.map_or(until, |age| engine.clock.now().minus(age));
        queries.push(sqlx::query(*statement).bind(Timestamptz(until)));
    }
    let (mut all, mut more) = (0, false);
    for query in queries {
        let rows = query.bind(CHUNK).execute(&mut *tx).await?.rows_affected();
        (all, more) = (all + rows, more || rows >= CHUNK as u64);
    }
    tx.commit().await?;
    Ok(Some((all, more)))
}

/// Whether no other instance prunes this schema at the moment; until the transaction's end.
async fn alone(db: &mut PgConnection, schema: &str) -> Result<bool, Failure> {
    let statement = "select pg_try_advisory_xact_lock(hashtextextended('quadrille prunes ' || $1, 0))";
    Ok(sqlx::query_scalar(statement).bind(schema).fetch_one(db).await?)
}
