//! The torture test: writers of mixed transaction length, aborts, lock waits that turn transaction ids round, relays killed in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quadrille_tests::deadline::Ends;
use sqlx::{PgConnection, PgPool};

use super::support::{Bench, Process, Read, append};

const WRITERS: u64 = 12;
const EVENTS: u64 = 20_000;
const KEYS: u64 = 60;

/// A small generator, so that a run can be told again by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Locks one to four keys, some before it has an id and some after waiting for others, tells of each, and commits or aborts, sooner or later.
async fn write(pool: &PgPool, dice: &mut Dice) -> u64 {
    let mut tx = pool.begin().await.unwrap();
    let mut keys: Vec<i64> = (0..=dice.roll(3)).map(|_| dice.roll(KEYS) as i64).collect();
    keys.sort_unstable();
    keys.dedup();
    // Each lock gives the transaction its id at the first and then waits at the others: ids and commits come in different orders.
    for key in &keys {
        sqlx::query("select from entity where id = $1 for no key update").bind(key).execute(&mut *tx).await.unwrap();
        if dice.roll(8) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(5))).await;
        }
    }
    let mut told = 0;
    for _ in 0..=dice.roll(3) {
        told += tell(&mut tx, &keys).await;
        if dice.roll(10) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(if dice.0.is_multiple_of(7) { 120 } else { 8 }))).await;
        }
    }
    if dice.roll(12) == 0 {
        tx.rollback().await.unwrap();
        return 0;
    }
    tx.commit().await.unwrap();
    told
}

/// Counts each key's row up and says so: the numbers of a key are its order.
async fn tell(db: &mut PgConnection, keys: &[i64]) -> u64 {
    let counted: Vec<(i64, i64)> =
        sqlx::query_as("update entity set version = version + 1 where id = any($1) returning id, version")
            .bind(keys)
            .fetch_all(&mut *db)
            .await
            .unwrap();
    let names: Vec<(String, Vec<u8>)> =
        counted.iter().map(|(id, version)| (format!("key-{id}"), version.to_string().into_bytes())).collect();
    let rows: Vec<(&'static str, &str, Vec<u8>)> =
        names.iter().map(|(key, version)| ("orders", key.as_str(), version.clone())).collect();
    append(db, &rows).await;
    rows.len() as u64
}

async fn write_all(bench: &Bench, seed: u64) {
    sqlx::raw_sql("create table entity (id bigint primary key, version bigint not null default 0)")
        .execute(&bench.pool)
        .await
        .unwrap();
    sqlx::query("insert into entity (id) select generate_series(0, $1 - 1)")
        .bind(KEYS as i64)
        .execute(&bench.pool)
        .await
        .unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (pool, told, mut dice) =
                (bench.pool.clone(), Arc::clone(&told), Dice(seed.wrapping_mul(writer * 2 + 1) | 1));
            tokio::spawn(async move {
                let ends = Ends::within(Duration::from_secs(300));
                while told.load(Ordering::Relaxed) < EVENTS {
                    ends.check(|| format!("{EVENTS} events"));
                    told.fetch_add(write(&pool, &mut dice).await, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Every version of every key is there; first sights of a key come in order; returns how many records were repetitions.
fn check(records: &[Read], versions: &HashMap<String, i64>) -> usize {
    let mut seen: HashMap<&str, i64> = HashMap::new();
    let mut repeated = 0;
    for record in records {
        let version: i64 = record.text().parse().unwrap();
        let last = seen.entry(&record.key).or_default();
        assert!(
            version <= *last + 1,
            "key {} jumps from {last} to {version} at {}/{}",
            record.key,
            record.partition,
            record.offset
        );
        if version == *last + 1 {
            *last = version;
        } else {
            repeated += 1;
        }
    }
    for (key, version) in versions {
        assert_eq!(seen.get(key.as_str()).copied().unwrap_or_default(), *version, "events of {key} are lost");
    }
    repeated
}

async fn versions(bench: &Bench) -> HashMap<String, i64> {
    let rows: Vec<(i64, i64)> = sqlx::query_as("select id, version from entity").fetch_all(&bench.pool).await.unwrap();
    rows.into_iter().map(|(id, version)| (format!("key-{id}"), version)).collect()
}

/// Another transaction holds an id all the while.
async fn hold_open(bench: &Bench) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut open = bench.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_each_key_keeps_its_order_while_relays_are_killed() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let open = hold_open(&bench).await;
    let done = Arc::new(AtomicBool::new(false));
    let killer = async {
        let mut kills = 0;
        // ends with the writers
        while !done.load(Ordering::Relaxed) {
            let relay = bench.relay();
            tokio::time::sleep(Duration::from_millis(400)).await;
            relay.abort().await;
            let mut process: Process = bench.process();
            tokio::time::sleep(Duration::from_millis(700)).await;
            process.kill();
            kills += 2;
        }
        kills
    };
    let writing = async {
        write_all(&bench, 0x9e37_79b9_7f4a_7c15).await;
        done.store(true, Ordering::Relaxed);
    };
    let (kills, ()) = tokio::join!(killer, writing);
    let relay = bench.relay();
    bench.settled().await;
    relay.stop().await;
    let records = bench.read("orders");
    let repeated = check(&records, &versions(&bench).await);
    println!("{} records, {repeated} repetitions, {kills} kills", records.len());
    open.rollback().await.unwrap();
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_share_the_shards_and_take_over_from_each_other() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let done = Arc::new(AtomicBool::new(false));
    let first = bench.relay();
    let takeovers = async {
        let mut last = bench.relay();
        // ends with the writers
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(600)).await;
            let next = bench.relay();
            tokio::time::sleep(Duration::from_millis(600)).await;
            std::mem::replace(&mut last, next).abort().await;
        }
        last
    };
    let writing = async {
        write_all(&bench, 0x2545_f491_4f6c_dd1d).await;
        done.store(true, Ordering::Relaxed);
    };
    let (last, ()) = tokio::join!(takeovers, writing);
    bench.settled().await;
    first.stop().await;
    last.stop().await;
    let repeated = check(&bench.read("orders"), &versions(&bench).await);
    println!("{repeated} repetitions");
    bench.drop_it().await;
}
