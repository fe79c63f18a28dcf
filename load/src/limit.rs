//! The ceiling: the rows of orders that went through the pipeline, written once more to the same PostgreSQL by bare set-based SQL. No Kafka, no
//! rules, no encoding: what is left is what the database itself takes for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use runtime::sql;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;

use crate::addresses::PipelineAddresses;
use crate::processes::{self, Process};
use crate::runs::RunOutcome;

/// Orders of one batch, as consumers have them when they are busy.
const BATCH: u64 = 400;
/// Numbers of connections that are tried; the fastest counts.
const CONNECTIONS: [u32; 3] = [2, 4, 8];
const SCHEMA: &str = "bench_limit";

struct LimitTable {
    source: &'static str,
    /// Changes of a row after it was inserted, as an expression over it.
    changes: &'static str,
    /// The column that a change touches; the whole row is written anew.
    touches: &'static str,
}

const fn inserted(source: &'static str) -> LimitTable {
    LimitTable { source, changes: "0", touches: "" }
}

const fn changed(source: &'static str) -> LimitTable {
    LimitTable { source, changes: "version - 1", touches: "version" }
}

/// Its rows are of many orders each.
const OUTBOX: &str = "outbox.entry";

/// What each consumer writes: one transaction a batch for the inserts, and one for each round of changes.
static CONSUMERS: [&[LimitTable]; 8] = [
    &[changed("orders.\"order\""), inserted(OUTBOX)],
    &[changed("inventory.reservation"), inserted("inventory.movement")],
    &[changed("payments.payment")],
    &[
        LimitTable { source: "sandbox.payment", changes: "(captured + released > 0)::int", touches: "captured" },
        inserted("sandbox.operation"),
    ],
    &[inserted("fraud.assessment"), inserted("fraud.velocity")],
    &[changed("fulfillment.consignment")],
    &[changed("notifications.customer"), inserted("notifications.message")],
    // The tracker collapses an order's events of a moment into one change.
    &[LimitTable { source: "saga_tracker.\"order\"", changes: "2", touches: "seen" }, inserted("saga_tracker.event")],
];

impl LimitTable {
    fn copy(&self) -> String {
        self.source.replace('.', "_").replace('"', "")
    }
}

/// Copies the last orders' rows aside and writes them again, with several numbers of connections.
pub async fn run(
    pipeline: &PipelineAddresses,
    orders: u64,
    processes: &[Process],
) -> anyhow::Result<(u32, RunOutcome)> {
    let pool = sql::pool(pipeline.settings.common().database_url.expose(), "quadrille limit", 8)?;
    let batches = stage(&pool, orders).await?;
    let mut best: Option<(u32, RunOutcome)> = None;
    for connections in CONNECTIONS {
        let before = processes::usage(processes);
        let took = write(&pool, batches, connections).await?;
        let usage = processes::since(&before, processes);
        let outcome = RunOutcome::of("orders", orders, took, Histogram::new(3)?, usage);
        if best.as_ref().is_none_or(|(_, best)| took < best.took) {
            best = Some((connections, outcome));
        }
    }
    execute(&pool, format!("drop schema {SCHEMA} cascade")).await?;
    best.context("no number of connections was tried")
}

async fn execute(db: impl sqlx::PgExecutor<'_>, statement: String) -> anyhow::Result<u64> {
    let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(db).await;
    Ok(done.with_context(|| statement)?.rows_affected())
}

/// Makes the copies: of each table the rows of the sample with the batch that they belong to, and an empty one like it.
async fn stage(pool: &PgPool, orders: u64) -> anyhow::Result<i32> {
    let mut db = pool.acquire().await?;
    for statement in [
        "set statement_timeout = '10min'".to_owned(),
        format!("drop schema if exists {SCHEMA} cascade"),
        format!("create schema {SCHEMA}"),
        format!(
            "create function {SCHEMA}.order_of(key bytea) returns uuid language sql immutable as
             $$ select case when length(key) = 36 then encode(key, 'escape')::uuid end $$"
        ),
    ] {
        execute(&mut *db, statement).await?;
    }
    let sample = format!(
        "create unlogged table {SCHEMA}.sample as
         select order_id, ((row_number() over (order by order_id) - 1) / {BATCH})::int as batch
           from (select order_id from orders.\"order\" where state = 'COMPLETED' order by order_id desc limit {orders}) last"
    );
    let found = execute(&mut *db, sample).await?;
    ensure!(
        found == orders,
        "expected {orders} completed orders to write again, found {found}: run `cargo xtask bench backlog` first"
    );
    for table in CONSUMERS.iter().copied().flatten() {
        let (copy, source) = (table.copy(), table.source);
        let changes = table.changes;
        execute(&mut *db, format!("create table {SCHEMA}.{copy} (like {source} including all)")).await?;
        let rows = if source == OUTBOX {
            entries()
        } else {
            format!(
                "select source.*, sample.batch as limit_batch, ({changes})::int as limit_changes
                   from {source} source join {SCHEMA}.sample using (order_id) order by sample.batch"
            )
        };
        execute(&mut *db, format!("create unlogged table {SCHEMA}.{copy}_stage as {rows}")).await?;
        execute(&mut *db, format!("create index on {SCHEMA}.{copy}_stage (limit_batch)")).await?;
        execute(&mut *db, format!("analyze {SCHEMA}.{copy}_stage")).await?;
    }
    let level = format!("{SCHEMA}.inventory_stock_level");
    execute(&mut *db, format!("create table {level} (like inventory.stock_level including all)")).await?;
    execute(&mut *db, format!("insert into {level} select * from inventory.stock_level")).await?;
    Ok(i32::try_from(orders.div_ceil(BATCH))?)
}

/// The outbox's entries: as many events of a batch's orders in each as consumers have them when they are busy.
fn entries() -> String {
    format!(
        "select min(slot) as slot, (array_agg(xid order by seq))[1] as xid, min(seq) as seq, array_agg(shard order by seq) as shards,
                array_agg(event_id order by seq) as event_ids, array_agg(topic order by seq) as topics, array_agg(key order by seq) as keys,
                array_agg(headers order by seq) as headers, array_agg(payload order by seq) as payloads, batch as limit_batch, 0 as limit_changes
           from (select event.*, sample.batch, row_number() over (partition by sample.batch order by event.seq) / {BATCH} as part
                   from outbox.event join {SCHEMA}.sample on sample.order_id = {SCHEMA}.order_of(event.key)) as event
          group by batch, part order by batch"
    )
}

async fn write(pool: &PgPool, batches: i32, connections: u32) -> anyhow::Result<Duration> {
    let work = Arc::new(statements(pool).await?);
    for table in CONSUMERS.iter().copied().flatten() {
        execute(pool, format!("truncate {SCHEMA}.{}", table.copy())).await?;
    }
    let (next, began, mut workers) = (Arc::new(AtomicI32::new(0)), Instant::now(), JoinSet::new());
    for _ in 0..connections {
        let (pool, work, next) = (pool.clone(), Arc::clone(&work), Arc::clone(&next));
        workers.spawn(async move {
            let mut db = pool.acquire().await?;
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                if batch >= batches {
                    return anyhow::Ok(());
                }
                for transaction in work.iter() {
                    let mut tx = sqlx::Connection::begin(&mut *db).await?;
                    for statement in transaction {
                        sqlx::query(AssertSqlSafe(statement.as_str())).bind(batch).execute(&mut *tx).await?;
                    }
                    tx.commit().await?;
                }
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(began.elapsed())
}

/// The transactions of a batch, each a list of statements with the batch as their parameter.
async fn statements(pool: &PgPool) -> anyhow::Result<Vec<Vec<String>>> {
    let mut transactions = Vec::new();
    for tables in CONSUMERS {
        let mut inserts = Vec::new();
        let mut rounds: Vec<Vec<String>> = Vec::new();
        for table in tables {
            let copy = table.copy();
            let columns: String = sqlx::query_scalar(
                "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                  where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
            )
            .bind(format!("{SCHEMA}.{copy}"))
            .fetch_one(pool)
            .await?;
            inserts.push(format!(
                "insert into {SCHEMA}.{copy} ({columns}) overriding system value select {columns} from {SCHEMA}.{copy}_stage where limit_batch = $1"
            ));
            let most: i32 = sqlx::query_scalar(AssertSqlSafe(format!(
                "select coalesce(max(limit_changes), 0) from {SCHEMA}.{copy}_stage"
            )))
            .fetch_one(pool)
            .await?;
            let column = table.touches;
            let key = if table.source.starts_with("sandbox") { "payment_id" } else { "order_id" };
            rounds.resize_with(rounds.len().max(most as usize), Vec::new);
            for (round, statements) in rounds.iter_mut().take(most as usize).enumerate() {
                statements.push(format!(
                    "update {SCHEMA}.{copy} t set {column} = s.{column} from {SCHEMA}.{copy}_stage s
                      where s.limit_batch = $1 and s.limit_changes > {round} and t.{key} = s.{key}"
                ));
            }
        }
        // Stock is taken with the first and given up with the last word, its levels locked in their order.
        if tables.iter().any(|table| table.source == "inventory.movement") {
            inserts.extend(levels());
            if let Some(last) = rounds.last_mut() {
                last.extend(levels());
            }
        }
        transactions.push(inserts);
        transactions.extend(rounds);
    }
    Ok(transactions)
}

fn levels() -> [String; 2] {
    let touched = format!("select sku, warehouse from {SCHEMA}.inventory_movement_stage where limit_batch = $1");
    let level = format!("{SCHEMA}.inventory_stock_level");
    [
        format!("select from {level} where (sku, warehouse) in ({touched}) order by sku, warehouse for no key update"),
        format!("update {level} set version = version + 1 where (sku, warehouse) in ({touched})"),
    ]
}
