//! Rotation of the slots, and what an operator does: rewind, rebase.

use std::time::Duration;

use ::relay::{self, RelaySettings};
use events::Timestamp;
use quadrille_tests::deadline::Ends;
use runtime::{Codec, Registry};
use sqlx::Row as _;

use super::support::{Bench, PATIENCE, append};

async fn emit(bench: &Bench, key: &str, values: std::ops::Range<u32>) {
    for value in values {
        let mut tx = bench.pool.begin().await.unwrap();
        append(&mut tx, &[("orders", key, value.to_string().into_bytes())]).await;
        tx.commit().await.unwrap();
    }
}

fn values(bench: &Bench, key: &str) -> Vec<u32> {
    bench
        .read("orders")
        .iter()
        .filter(|record| record.key == key)
        .map(|record| record.text().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_rotate_while_writers_write_and_nothing_is_lost_or_kept_for_ever() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let settings = RelaySettings {
        retention: Duration::from_millis(60),
        rotation_interval: Duration::from_millis(20),
        ..bench.settings.clone()
    };
    let relay = bench.relay_with(settings);
    let mut slots = std::collections::BTreeSet::new();
    let mut said = 0;
    // ends with the fourth slot, or after 20,000 rows
    while slots.len() < 4 || bench.count("select count(*) from outbox.event").await >= i64::from(said) {
        emit(&bench, "k", said..said + 20).await;
        said += 20;
        slots.insert(bench.count("select current_slot::int8 from outbox.rotation").await);
        assert!(said < 20_000, "slots seen: {slots:?}");
    }
    bench.settled().await;
    relay.stop().await;
    assert_eq!(values(&bench, "k"), (0..said).collect::<Vec<_>>());
    assert_eq!(bench.count("select count(*) from outbox.rotation where emptied_until is not null").await, 1);
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_with_unpublished_rows_is_not_emptied() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    emit(&bench, "k", 0..10).await;
    // As if the slot after this one were full of rows that nobody has published.
    sqlx::raw_sql("update outbox.rotation set current_slot = 3").execute(&bench.pool).await.unwrap();
    emit(&bench, "k", 10..20).await;
    let mut open = bench.pool.begin().await.unwrap();
    sqlx::query("insert into outbox.entry (slot, shards, event_ids, topics, keys, headers, payloads) values (0, '{0}', array[gen_random_uuid()], '{orders}', '{o}', '{\"\"}', '{null}')").execute(&mut *open).await.unwrap();
    let settings = RelaySettings {
        retention: Duration::from_millis(1),
        rotation_interval: Duration::from_millis(10),
        ..bench.settings.clone()
    };
    let relay = bench.relay_with(settings);
    let unpublished = "select count(*) from outbox.event e left join outbox.relay_cursor c using (shard) where c.shard is null or not pg_visible_in_snapshot(xid, snapshot)";
    bench.until(unpublished, |rows| rows == 0).await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(
            bench.count("select current_slot::int8 from outbox.rotation").await,
            3,
            "somebody writes the next slot"
        );
    }
    open.commit().await.unwrap();
    bench.until("select current_slot::int8 from outbox.rotation", |slot| slot != 3).await;
    bench.settled().await;
    relay.stop().await;
    assert_eq!(values(&bench, "k"), (0..20).collect::<Vec<_>>());
    assert_eq!(bench.read("orders").len(), 21);
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewound_relay_publishes_again_what_was_committed_since_and_goes_on() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let settings = RelaySettings { rotation_interval: Duration::from_millis(50), ..bench.settings.clone() };
    let relay = bench.relay_with(settings);
    emit(&bench, "k", 0..5).await;
    bench.settled().await;
    bench.until("select count(*) from outbox.moment", |moments| moments > 0).await;
    let since: i64 =
        bench.count("select ceil(extract(epoch from max(taken_at)) * 1000)::int8 + 1 from outbox.moment").await;
    emit(&bench, "k", 5..10).await;
    bench.settled().await;
    let mut db = bench.pool.acquire().await.unwrap();
    let rewound = relay::rewind(&mut db, Timestamp::from_millis(since)).await.unwrap();
    assert_eq!(rewound.shards, 8);
    assert!(rewound.to.is_some_and(|to| to <= Timestamp::from_millis(since)));
    emit(&bench, "k", 10..12).await;
    bench.settled().await;
    let seen = values(&bench, "k");
    let again = seen.iter().filter(|value| (5..10).contains(*value)).count();
    assert_eq!(again, 10, "{seen:?}");
    assert_eq!(seen.iter().max(), Some(&11));
    // Rewound to the beginning, all of it comes again; a shard is never moved forward.
    let rewound = relay::rewind(&mut db, Timestamp::from_millis(0)).await.unwrap();
    assert_eq!((rewound.to, rewound.shards), (None, 8));
    relay.stop().await;
    let rewound = relay::rewind(&mut db, Timestamp::from_millis(i64::from(u32::MAX) * 1_000)).await.unwrap();
    let relay = bench.relay();
    bench.settled().await;
    relay.stop().await;
    assert!(values(&bench, "k").iter().filter(|value| **value == 0).count() >= 2, "{rewound:?}");
    bench.drop_it().await;
}

/// Turns the outbox into one that came from another cluster by a dump: foreign transaction ids, a foreign cursor.
async fn restore_from_elsewhere(bench: &Bench) {
    sqlx::raw_sql(
        "create table kept as select * from outbox.entry;
         create table kept_cursor as select * from outbox.relay_cursor;
         truncate outbox.entry;
         insert into outbox.entry (slot, xid, seq, shards, event_ids, topics, keys, headers, payloads) overriding system value
             select slot, (xid::text::int8 + 5000000000)::text::xid8, seq, shards, event_ids, topics, keys, headers, payloads from kept;
         update outbox.relay_cursor set system_identifier = 42,
             snapshot = (select (pg_snapshot_xmax(snapshot)::text::int8 + 5000000000)::text || ':' || (pg_snapshot_xmax(snapshot)::text::int8 + 5000000000)::text || ':')::pg_snapshot;",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_outbox_and_moves_it_from_the_command_line() {
    let bench = Bench::with_topics(&[]).await;
    emit(&bench, "k", 0..5).await;
    assert!(bench.operator(&["status"]).contains("5 events wait to be published, none set aside"));
    // There is no topic for them: they are set aside until there is.
    let relay = bench.relay();
    bench.until("select count(*) from outbox.set_aside", |rows| rows >= 5).await;
    let (well, status) = bench.operator_says(&["status"]);
    assert!(!well, "rows that were set aside wait for a person: {status}");
    assert!(status.contains("5 set aside") && status.contains("quadrille relay release"), "{status}");
    bench.create(&[("orders", 1_000_000)]).await;
    assert!(bench.operator(&["release", "--topic", "payments"]).contains("0 events"));
    assert!(bench.operator(&["release", "--yes"]).contains("5 events are with the relay again"));
    bench.settled().await;
    let rewound = bench.operator(&["rewind", "--since", "2020-01-01T00:00:00Z"]);
    assert!(rewound.contains("8 shards went back to the oldest event that is kept"), "{rewound}");
    relay.stop().await;
    let rebased = bench.operator(&["rebase"]);
    assert!(rebased.contains("relays and consumers may start"), "{rebased}");
    let relay = bench.relay();
    bench.settled().await;
    relay.stop().await;
    assert!(values(&bench, "k").len() >= 5);
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_stops_the_relay_until_it_is_rebased() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    emit(&bench, "k", 0..5).await;
    bench.settled().await;
    let mut db = bench.pool.acquire().await.unwrap();
    let running = relay::rebase(&mut db).await.unwrap_err().to_string();
    assert!(running.contains("stop all relays"), "{running}");
    relay.stop().await;
    emit(&bench, "k", 5..8).await; // committed, not published, then dumped
    restore_from_elsewhere(&bench).await;
    emit(&bench, "k", 8..10).await; // by consumers that ran on the restored database before anybody noticed
    let error = bench.relay().error().await;
    assert!(error.contains("quadrille relay rebase") && error.contains("42"), "{error}");
    assert_eq!(relay::rebase(&mut db).await.unwrap().unpublished, 5);
    let relay = bench.relay();
    emit(&bench, "k", 10..12).await;
    bench.settled().await;
    relay.stop().await;
    assert_eq!(values(&bench, "k"), (0..12).collect::<Vec<_>>());
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_transaction_ids_went_backwards_stops_the_relay() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let relay = bench.relay();
    emit(&bench, "k", 0..3).await;
    bench.settled().await;
    relay.stop().await;
    sqlx::raw_sql("update outbox.relay_cursor set snapshot = '900000000000:900000000000:'")
        .execute(&bench.pool)
        .await
        .unwrap();
    let error = bench.relay().error().await;
    assert!(error.contains("900000000000") && error.contains("rebase"), "{error}");
    bench.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_watermark_says_until_when_all_is_published() {
    let bench = Bench::with_topics(&[("orders", 1_000_000)]).await;
    let settings = RelaySettings { watermark_interval: Duration::from_millis(50), ..bench.settings.clone() };
    let relay = bench.relay_with(settings);
    emit(&bench, "k", 0..5).await;
    let last: i64 = sqlx::query("select max(seq) from outbox.event").fetch_one(&bench.pool).await.unwrap().get(0);
    bench.settled().await;
    let codec = Codec::new(&Registry::stored(&bench.pool).await.unwrap()).unwrap();
    let ends = Ends::within(PATIENCE);
    let said = loop {
        let all = bench.read("operations");
        let said: Vec<events::RelayAdvanced> =
            all.iter().map(|record| codec.decode(Some(&record.value)).unwrap()).collect();
        if said.iter().any(|said| said.last_seq == last) {
            assert_eq!(all[0].headers["ce_type"], "quadrille.operations.RelayAdvanced");
            break said;
        }
        ends.pause(|| format!("a watermark at {last}")).await;
    };
    assert!(said.is_sorted_by_key(|said| (said.published_until, said.last_seq)));
    assert_eq!(said.last().unwrap().shards, (0..8).collect::<Vec<i32>>());
    relay.stop().await;
    bench.drop_it().await;
}
