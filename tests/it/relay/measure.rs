//! Measurements, run by hand: `RELAY=target/release/quadrille-outbox-relay cargo test -p quadrille-tests --test it relay::measure -- --ignored --nocapture --test-threads=1`.

use std::time::{Duration, Instant};

use quadrille_tests::deadline::Ends;
use runtime::Headers;
use sqlx::{Connection as _, PgConnection};

use super::support::{Bench, Process, append};

/// CPU seconds of processes whose command line has this.
fn cpu(what: &str) -> f64 {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        if !String::from_utf8_lossy(&line).contains(what) {
            continue;
        }
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    }
    ticks as f64 / 100.0
}

/// What the broker's command line has: `BROKER`, where several run.
fn broker() -> String {
    std::env::var("BROKER").unwrap_or_else(|_| "kafka.Kafka".into())
}

fn status(process: &Process, field: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap()
        .trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

fn own_cpu(process: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[0] + fields[1]) as f64 / 100.0
}

fn headers() -> Vec<u8> {
    let mut headers = Headers::default();
    for (name, value) in [
        ("ce_id", "0190a8f0-0000-7000-8000-000000000000"),
        ("ce_type", "quadrille.inventory.StockReserved"),
        ("ce_source", "inventory"),
        ("ce_time", "2026-01-31T12:00:00.000Z"),
        ("ce_subject", "0190a8f0-0000-7000-8000-000000000000"),
        ("ce_causationid", "0190a8f0-0000-7000-8000-000000000000"),
        ("ce_correlationid", "0190a8f0-0000-7000-8000-000000000000"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        headers.push(name, value);
    }
    headers.encode().to_vec()
}

async fn fill(bench: &Bench, rows: i64) {
    // As the runtime writes them: transactions of 100 rows.
    for from in (0..rows).step_by(100) {
        sqlx::query(
            "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
             select current_slot, array_agg(hashint8(n) & 7), array_agg(gen_random_uuid()), array_agg((array['orders','inventory','payments','fraud'])[1 + n % 4]),
                    array_agg(convert_to('0190a8f0-0000-7000-8000-' || lpad(n::text, 12, '0'), 'UTF8')), array_agg($2), array_agg(convert_to(rpad(n::text, 220, 'x'), 'UTF8'))
             from outbox.rotation, generate_series($1, $1 + 99) as n group by current_slot",
        )
        .bind(from)
        .bind(headers())
        .execute(&bench.pool)
        .await
        .unwrap();
    }
}

/// The newest transaction that wrote.
async fn newest(bench: &Bench) -> String {
    sqlx::query_scalar("select xid::text from outbox.event order by seq desc limit 1")
        .fetch_one(&bench.pool)
        .await
        .unwrap()
}

/// Waits until a transaction is published; cheaper than counting what waits.
async fn published(bench: &Bench, xid: &str) {
    let query =
        "select count(*) filter (where pg_visible_in_snapshot($1::text::xid8, snapshot)) from outbox.relay_cursor";
    let ends = Ends::within(Duration::from_secs(300));
    while sqlx::query_scalar::<_, i64>(query).bind(xid).fetch_one(&bench.pool).await.unwrap() < 8 {
        ends.pause(|| format!("the publication of transaction {xid}")).await;
    }
}

const TOPICS: [(&str, u32); 4] =
    [("orders", 1_000_000), ("inventory", 1_000_000), ("payments", 1_000_000), ("fraud", 1_000_000)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn backlog() {
    let bench = Bench::with_topics(&TOPICS).await;
    for round in 0..4 {
        fill(&bench, 300_000).await;
        sqlx::query("checkpoint").execute(&bench.pool).await.ok();
        let newest = newest(&bench).await;
        let before = cpu(&broker());
        let postgres = cpu("postgres:");
        let since = Instant::now();
        let mut process = bench.process();
        published(&bench, &newest).await;
        let took = since.elapsed().as_secs_f64();
        let own = own_cpu(&process);
        println!(
            "round {round}: {:.0} events/s, CPU µs an event: relay {:.2}, PostgreSQL {:.2} (with this watch), broker {:.2}; relay peak {:.1} MB",
            300_000.0 / took,
            own / 0.3,
            (cpu("postgres:") - postgres) / 0.3,
            (cpu(&broker()) - before) / 0.3,
            status(&process, "VmHWM"),
        );
        process.kill();
    }
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn latency() {
    for rate in [200, 2_000, 10_000_u64] {
        let bench = Bench::with_topics(&[]).await;
        bench.create_appending("orders").await;
        let process = bench.process();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (kafka, postgres, own) = (cpu(&broker()), cpu("postgres:"), own_cpu(&process));
        let seconds = 10;
        let per_transaction = if rate >= 10_000 { 20 } else { (rate / 200).max(1) };
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let url = bench.database.url.clone();
                tokio::spawn(async move {
                    let mut db = PgConnection::connect(&url).await.unwrap();
                    let began = Instant::now();
                    let step = Duration::from_secs_f64(2.0 * per_transaction as f64 / rate as f64);
                    let mut n = 0;
                    while began.elapsed() < Duration::from_secs(seconds) {
                        let due = step * n;
                        if let Some(wait) = due.checked_sub(began.elapsed()) {
                            tokio::time::sleep(wait).await;
                        }
                        let now = now_ms();
                        let rows: Vec<(String, Vec<u8>)> = (0..per_transaction)
                            .map(|row| (format!("{writer}-{n}-{row}"), format!("{now:<220}").into_bytes()))
                            .collect();
                        let rows: Vec<(&'static str, &str, Vec<u8>)> =
                            rows.iter().map(|(key, value)| ("orders", key.as_str(), value.clone())).collect();
                        append(&mut db, &rows).await;
                        n += 1;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let (kafka, postgres, own) = (cpu(&broker()) - kafka, cpu("postgres:") - postgres, own_cpu(&process) - own);
        bench.settled().await;
        let mut waits: Vec<f64> = bench
            .read("orders")
            .iter()
            .map(|record| record.timestamp as f64 - record.text().trim().parse::<f64>().unwrap())
            .collect();
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        println!(
            "{rate}/s in transactions of {per_transaction}: {} events, begin of the insert to Kafka p50 {:.1} p95 {:.1} p99 {:.1} max {:.1} ms; CPU %: relay {:.1}, PostgreSQL {:.1}, broker {:.1}; relay {:.1} MB",
            waits.len(),
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            own * 10.0,
            postgres * 10.0,
            kafka * 10.0,
            status(&process, "VmHWM"),
        );
        drop(process);
        bench.drop_it().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn idle_and_resumption_and_a_huge_transaction() {
    let bench = Bench::with_topics(&TOPICS).await;
    let process = bench.process();
    fill(&bench, 10_000).await;
    bench.settled().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (own, postgres) = (own_cpu(&process), cpu("postgres:"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "idle: relay {:.2} %, PostgreSQL {:.2} % of a core",
        (own_cpu(&process) - own) * 10.0,
        (cpu("postgres:") - postgres) * 10.0
    );
    drop(process);
    let since = Instant::now();
    let process = bench.process();
    fill(&bench, 100).await;
    bench.settled().await;
    println!("from start to published: {:?}", since.elapsed());
    for _ in 0..3 {
        sqlx::query(
            "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
             select current_slot, array_agg(n % 8), array_agg(gen_random_uuid()), array_agg('orders'::text), array_agg(convert_to(n::text, 'UTF8')), array_agg($1),
                    array_agg(convert_to(rpad(n::text, 220, 'x'), 'UTF8'))
             from outbox.rotation, generate_series(1, 200000) as n group by current_slot, n / 400 order by n / 400",
        )
        .bind(headers())
        .execute(&bench.pool)
        .await
        .unwrap();
        let since = Instant::now();
        fill(&bench, 100).await;
        // All in one transaction of 100: the newest that was written.
        published(&bench, &newest(&bench).await).await;
        println!(
            "200,000 rows of one transaction, and 100 after them: {:?}; relay {:.1} MB",
            since.elapsed(),
            status(&process, "VmHWM")
        );
    }
    drop(process);
    bench.drop_it().await;
}

fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as f64 / 1_000.0
}
