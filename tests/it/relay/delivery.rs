//! What a relay does with single rows, with open and with huge transactions, and with rows that can't be published.

use std::time::{Duration, Instant};

use quadrille_tests::deadline::Ends;
use sqlx::Row as _;

use super::support::{Bench, PATIENCE, append};

async fn emit(bench: &Bench, rows: &[(&'static str, &str, Vec<u8>)]) -> Vec<i64> {
    let mut tx = bench.pool.begin().await.unwrap();
    let positions = append(&mut tx, rows).await;
    tx.commit().await.unwrap();
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_becomes_a_record_with_its_key_its_value_its_headers_and_its_position() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    let positions =
        emit(&bench, &[("orders", "a", b"1".to_vec()), ("orders", "b", vec![]), ("orders", "a", b"2".to_vec())]).await;
    assert!(positions.is_sorted());
    bench.settled().await;
    relay.stop().await;
    let records = bench.read("orders");
    let of_a: Vec<_> = records.iter().filter(|record| record.key == "a").collect();
    assert_eq!(of_a.iter().map(|record| record.text()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(of_a[0].partition, of_a[1].partition);
    assert_eq!(of_a[0].headers["ce_sequence"], format!("{:020}", positions[0]));
    assert_eq!(of_a[0].headers["ce_specversion"], "1.0");
    assert_eq!(records.len(), 3);
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_delays_nobody_and_is_published_when_it_commits() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    emit(&bench, &[("orders", "first", vec![])]).await;
    bench.settled().await;
    let mut open = bench.pool.begin().await.unwrap();
    append(&mut open, &[("orders", "open", vec![])]).await;
    let since = Instant::now();
    for n in 0..50 {
        emit(&bench, &[("orders", &format!("k{n}"), vec![])]).await;
    }
    while bench.count("select count(*) from outbox.event e join outbox.relay_cursor using (shard) where not pg_visible_in_snapshot(xid, snapshot)").await > 0 {
        assert!(since.elapsed() < Duration::from_secs(5), "others wait for an open transaction");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.read("orders").len(), 51, "all but the open one");
    open.commit().await.unwrap();
    bench.settled().await;
    assert_eq!(bench.read("orders").len(), 52);
    relay.stop().await;
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_event_with_a_smaller_transaction_id_stays_the_later_one() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    sqlx::raw_sql("create table entity (id text primary key); insert into entity values ('a'), ('b')")
        .execute(&bench.pool)
        .await
        .unwrap();
    let lock = |id: &'static str| sqlx::query("select from entity where id = $1 for no key update").bind(id);
    let mut early = bench.pool.begin().await.unwrap();
    lock("a").execute(&mut *early).await.unwrap();
    let mut late = bench.pool.begin().await.unwrap();
    lock("b").execute(&mut *late).await.unwrap();
    append(&mut late, &[("orders", "b", b"first".to_vec())]).await;
    late.commit().await.unwrap();
    lock("b").execute(&mut *early).await.unwrap();
    append(&mut early, &[("orders", "b", b"second".to_vec())]).await;
    early.commit().await.unwrap();
    assert_eq!(
        bench.count("select count(*) from outbox.event x, outbox.event y where x.seq < y.seq and x.xid > y.xid").await,
        1,
        "ids turned round"
    );
    let relay = bench.relay();
    bench.settled().await;
    relay.stop().await;
    assert_eq!(
        bench.read("orders").iter().map(|record| record.text().to_owned()).collect::<Vec<_>>(),
        ["first", "second"]
    );
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_handed_out_one_by_one() {
    let bench = Bench::with_topics(&[]).await;
    let cache = bench
        .count(
            "select seqcache from pg_sequence where seqrelid = pg_get_serial_sequence('outbox.entry', 'seq')::regclass",
        )
        .await;
    assert_eq!(cache, 1, "sessions with a cache of their own would turn a key's events round");
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_24_rows_that_kafka_refuses_are_set_aside_and_hold_nobody_up() {
    let bench = Bench::with_topics(&[("orders", 1_000_000), ("small", 2_000)]).await;
    let relay = bench.relay();
    let mut rows: Vec<(&'static str, String, Vec<u8>)> = Vec::new();
    for n in 0..30 {
        rows.push(("small", format!("s{n}"), b"fits".to_vec()));
        rows.push(("orders", format!("o{n}"), b"fits".to_vec()));
    }
    rows.push(("small", "s7".into(), vec![7; 5_000]));
    rows.push(("nowhere", "n1".into(), b"no such topic".to_vec()));
    rows.push(("not a topic", "n2".into(), b"no possible topic".to_vec()));
    rows.push(("small", "s8".into(), b"after".to_vec()));
    let borrowed: Vec<(&'static str, &str, Vec<u8>)> =
        rows.iter().map(|(topic, key, value)| (*topic, key.as_str(), value.clone())).collect();
    emit(&bench, &borrowed).await;
    bench.settled().await;
    assert_eq!(bench.read("orders").len(), 30);
    let small = bench.read("small");
    assert!(small.iter().any(|record| record.text() == "after"));
    assert_eq!(
        small
            .iter()
            .filter(|record| record.text() == "fits")
            .map(|record| &record.key)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        30
    );
    let aside =
        sqlx::query("select topic, error from outbox.set_aside order by topic").fetch_all(&bench.pool).await.unwrap();
    let topics: Vec<&str> = aside.iter().map(|row| row.get(0)).collect();
    assert_eq!(topics, ["not a topic", "nowhere", "small"]);
    assert!(aside[1].get::<&str, _>(1).contains("topics apply"), "{}", aside[1].get::<&str, _>(1));
    // Mended, they are published: the topic is there now.
    bench.create(&[("nowhere", 1_000_000)]).await;
    let mut db = bench.pool.acquire().await.unwrap();
    // The relay remembers for a second that there is no such topic: released too early, the row comes back.
    let ends = Ends::within(PATIENCE);
    while bench.read("nowhere").is_empty() {
        ends.check(|| "a row that was released".to_owned());
        assert_eq!(::relay::release(&mut db, Some("nowhere")).await.unwrap(), 1);
        bench.settled().await;
    }
    assert_eq!(bench.read("nowhere").len(), 1);
    assert_eq!(bench.count("select count(*) from outbox.set_aside").await, 2);
    relay.stop().await;
    bench.drop_it().await;
}

/// An entry has 1,024 events and 256 kB at most; what says more has several, and its events follow one another all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_more_than_an_entry_holds_is_told_in_its_order() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    let value = |n: usize| {
        [n.to_string().into_bytes(), vec![b'.'; if (2_000..2_006).contains(&n) { 100_000 } else { 0 }]].concat()
    };
    let rows: Vec<_> = (0..3_000).map(|n| ("orders", if n % 3 == 0 { "a" } else { "b" }, value(n))).collect();
    let positions = emit(&bench, &rows).await;
    bench.settled().await;
    relay.stop().await;
    assert_eq!(positions.len(), 3_000);
    assert!(positions.is_sorted_by(|one, next| one < next));
    assert_eq!(bench.count("select max(cardinality(shards))::int8 from outbox.entry").await, 1_024);
    let bytes =
        "select max((select sum(octet_length(payload)) from unnest(payloads) as payload))::int8 from outbox.entry";
    assert!((200_000..=256 << 10).contains(&bench.count(bytes).await));
    let records = bench.read("orders");
    assert_eq!(records.len(), 3_000);
    for key in ["a", "b"] {
        let told: Vec<_> = records.iter().filter(|record| record.key == key).collect();
        let said: Vec<_> = rows.iter().zip(&positions).filter(|((_, of, _), _)| *of == key).collect();
        assert!(told.iter().zip(&said).all(|(record, ((_, _, value), position))| {
            record.value == *value && record.headers["ce_sequence"] == format!("{position:020}")
        }));
        assert_eq!(told.len(), said.len());
    }
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_transaction_is_paged_and_the_others_follow() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    emit(&bench, &[("orders", "first", vec![])]).await;
    bench.settled().await;
    sqlx::query(
        "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
         select current_slot, array_agg(n % 8 order by n), array_agg(gen_random_uuid()), array_agg('orders'::text),
                array_agg(convert_to('k' || n % 100, 'UTF8') order by n), array_agg(''::bytea), array_agg(convert_to(n::text, 'UTF8') order by n)
         from outbox.rotation, generate_series(1, 60000) as n group by current_slot, n / 60 order by n / 60",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let since = Instant::now();
    emit(&bench, &[("orders", "after", vec![])]).await;
    bench.settled().await;
    println!("60,000 rows of one transaction and one after them: {:?}", since.elapsed());
    relay.stop().await;
    let records = bench.read("orders");
    assert_eq!(records.len(), 60_002);
    let mut last = std::collections::HashMap::new();
    for record in records.iter().filter(|record| record.key.starts_with('k')) {
        let n: u32 = record.text().parse().unwrap();
        assert!(last.insert(record.key.clone(), n).is_none_or(|before| before < n), "{} turned round", record.key);
    }
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_session_was_ended_starts_again_from_its_cursor() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    for n in 0..200 {
        emit(&bench, &[("orders", "k", n.to_string().into_bytes())]).await;
        if n % 50 == 25 {
            bench.settled().await; // it has a session now
            let ended = bench.count("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'outbox-relay' and datname = current_database()").await;
            assert!(ended > 0);
        }
    }
    bench.settled().await;
    relay.stop().await;
    let mut numbers: Vec<u32> = bench.read("orders").iter().map(|record| record.text().parse().unwrap()).collect();
    numbers.dedup();
    let mut first_sights = numbers.clone();
    first_sights.sort_unstable();
    first_sights.dedup();
    assert_eq!(first_sights, (0..200).collect::<Vec<_>>());
    bench.drop_it().await;
}

/// A broker names the records of a batch that it finds invalid, and refuses the others with them: those are sent again, in their keys' order, and the
/// relay does not start anew, for ever, as if the connection were at fault. More of them than the ring of batches has places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_broker_finds_invalid_are_set_aside_and_their_neighbours_keep_their_keys_order() {
    let bench = Bench::with_topics(&[]).await;
    bench.create_compacted("levels").await;
    let row = |number: usize, key: Option<&str>| {
        let headers = runtime::Headers::default();
        let (key, payload) = (key.map(|key| key.as_bytes().to_vec()), Some(number.to_string().into_bytes()));
        runtime::Outgoing { topic: "levels", key, event_id: uuid::Uuid::now_v7(), headers, payload }
    };
    let keys = ["a", "b", "c"];
    let mut rows: Vec<runtime::Outgoing> = (0..150).map(|number| row(number, Some(keys[number % 3]))).collect();
    rows.insert(70, row(1_000, None));
    rows.insert(20, row(1_001, None));
    let (first, rest) = rows.split_at(100);
    for part in [first, rest] {
        let mut tx = bench.pool.begin().await.unwrap();
        runtime::outbox::append(&mut tx, part).await.unwrap();
        tx.commit().await.unwrap();
    }
    let relay = bench.relay();
    bench.settled().await;
    let aside = sqlx::query("select convert_from(payload, 'UTF8'), error from outbox.set_aside order by seq");
    let aside = aside.fetch_all(&bench.pool).await.unwrap();
    assert_eq!(aside.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["1001", "1000"]);
    let error: &str = aside[0].get(1);
    assert!(error.to_lowercase().contains("invalid"), "{error}");
    let records = bench.read("levels");
    for (at, key) in keys.iter().enumerate() {
        let all: Vec<usize> =
            records.iter().filter(|record| record.key == *key).map(|record| record.text().parse().unwrap()).collect();
        // What came through before is there once more behind what did not: the last of each is what counts.
        let last: Vec<usize> = all
            .iter()
            .enumerate()
            .filter(|(at, number)| !all[at + 1..].contains(number))
            .map(|(_, number)| *number)
            .collect();
        assert_eq!(last, (0..150).filter(|number| number % 3 == at).collect::<Vec<_>>(), "{key}: {all:?}");
    }
    let (well, status) = bench.operator_says(&["status"]);
    assert!(!well && status.contains("2 set aside") && status.contains("levels  key -"), "{status}");
    relay.stop().await;
    bench.drop_it().await;
}

/// The plan of a poll is made while the outbox is empty, and kept: it must not read a slot as a whole when that has filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_reads_what_is_new_however_full_the_slot_is() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    let row = ("orders", "a", b"1".to_vec());
    // Who runs is part of what a poll asks; its plan is made when it is first asked.
    let mut open = bench.pool.begin().await.unwrap();
    append(&mut open, &[("orders", "open", vec![])]).await;
    emit(&bench, std::slice::from_ref(&row)).await;
    bench.settled().await;
    sqlx::query(
        "insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads)
         select current_slot, array[0], array[gen_random_uuid()], array['orders'], array['a'::bytea], array[''::bytea], array['1'::bytea]
           from outbox.rotation, generate_series(1, 20000)",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    // Not by counting what waits, which reads all of it.
    let passed = "select count(*) from outbox.relay_cursor where pg_visible_in_snapshot((select max(xid::text::int8)::text::xid8 from outbox.entry), snapshot)";
    bench.until(passed, |shards| shards == 8).await;
    for _ in 0..200 {
        emit(&bench, std::slice::from_ref(&row)).await;
        bench.settled().await;
    }
    open.commit().await.unwrap();
    bench.settled().await;
    relay.stop().await;
    bench.pool.close().await; // sessions that end tell their statistics
    let pool = sqlx::PgPool::connect(&bench.database.url).await.unwrap();
    let statement = "select sum(idx_tup_read)::int8 from pg_stat_user_indexes where schemaname = 'outbox' and relname like 'entry%'";
    let (mut read, since): (i64, _) = (0, Instant::now());
    while read < 20_000 {
        assert!(since.elapsed() < Duration::from_secs(60), "the statistics tell of {read} index entries");
        read = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
    }
    pool.close().await;
    // A poll that reads the slot reads 20,000 entries each of 200 times. Catching up, and `settled`, read up to half a million.
    assert!(read < 2_000_000, "{read} index entries were read for 20,202 entries");
    bench.drop_it().await;
}
