//! A filled database of the release before is migrated as it stands, and all programs go on with its rows.

use std::time::Duration;

use events::derive_id;
use quadrille_tests::{ALL, Database, Order, Pipeline, Setup, lag, produce, schemas, stack};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use runtime::{Registry, migrations};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;
use uuid::Uuid;

/// The first number of a migration that the release before did not have.
const SINCE: i64 = 20;
/// How many it had.
const BEFORE: usize = 48;

const CONSUMERS: [&str; 7] =
    ["orders", "inventory", "payments", "fraud", "fulfillment", "notifications", "saga_tracker"];

/// The tables that hold rows of it, with what of a row may be new, and the order of its rows.
fn tables() -> Vec<(String, &'static str, &'static str)> {
    let mut all: Vec<(String, &str, &str)> =
        [("runtime.schema_id", "schema_id"), ("inventory.stock_level", "sku"), ("notifications.message", "event_id")]
            .map(|(table, order)| (table.to_owned(), "{}", order))
            .into();
    all.push(("saga_tracker.\"order\"".into(), "{exchange_for}", "order_id"));
    all.push(("orders.\"order\"".into(), "{placement}", "order_id"));
    for consumer in CONSUMERS {
        all.push((format!("{consumer}.dead_letter"), "{incarnation}", "letter_id"));
        all.push((format!("{consumer}.parked"), "{incarnation,lane}", "arrival"));
    }
    all
}

async fn rows(database: &Database) -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    for (table, but, order) in tables() {
        let statement = format!("select to_jsonb(kept) - '{but}'::text[] from {table} kept order by {order}");
        let found = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&database.pool).await.unwrap();
        all.push((table, found));
    }
    all
}

async fn texts(database: &Database, statement: &str) -> Vec<Option<String>> {
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_all(&database.pool).await.unwrap()
}

/// When Kafka says that the records of a topic's only partition were written.
fn times(topic: &str, records: usize) -> Vec<i64> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", &stack().kafka).set("group.id", topic).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let time = |_| {
        let record = consumer.poll(Duration::from_secs(20)).expect("a record within 20 s").unwrap();
        record.timestamp().to_millis().unwrap()
    };
    (0..records).map(time).collect()
}

/// What tells a record from others at its place, as docs and the migration say: 128 bits of SHA-256 over its time and value.
fn incarnation(timestamp_ms: Option<i64>, value: &[u8]) -> Option<String> {
    let time = timestamp_ms.map(i64::to_be_bytes);
    let digest = openssl::sha::sha256(&[time.as_ref().map_or(&[][..], |time| time), value].concat());
    Some(Uuid::from_slice(&digest[..16]).unwrap().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_database_of_the_release_before_is_migrated_and_its_rows_are_gone_on_with() {
    let setup = Setup { consumers: Vec::new(), partitions: 1, ..Setup::default() };
    let mut pipeline = Pipeline::with(setup).await;
    let topic = pipeline.topic("order-placed");
    let order = |reference: &str| Order::of(&[("TEA", 1, 1_250)]).with("source", "web").with("reference", reference);
    let waiting = order("o-4").body().to_string();
    produce(&topic, &[(Some(b"waits"), waiting.as_bytes(), &[]), (Some(b"died"), b"no order", &[])]);

    // As the release before left it.
    let database = Database::empty().await;
    let mut had = 0;
    for (schema, migrator) in schemas() {
        let earlier = migrator.iter().filter(|migration| migration.version < SINCE).cloned().collect();
        had += migrations::run(&database.url, &schema, Migrator { migrations: earlier, ..Migrator::DEFAULT })
            .await
            .unwrap();
    }
    assert_eq!(had, BEFORE, "its migrations are those that it had");
    let mut filled = include_str!("upgrade.sql").to_owned();
    for (order, reference) in [("{rejected}", "o-2"), ("{completed}", "o-3")] {
        filled = filled.replace(order, &derive_id("web", "orders", "placement", reference).to_string());
    }
    sqlx::raw_sql(AssertSqlSafe(filled)).execute(&database.pool).await.unwrap();
    let times = times(&topic, 2);
    sqlx::query(
        "with dead as (insert into orders.dead_letter (letter_id, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, stage, error_class, message, died_at)
                       values (gen_random_uuid(), 'order-placed', 0, 1, $3, 'died', '', $4, 'decode', 'unreadable', 'no order', now()))
         insert into orders.parked (lane, topic, \"partition\", \"offset\", timestamp_ms, key, headers, payload, parked_at, next_at, attempts, error_class)
         values ('waits', 'order-placed', 0, 0, $1, 'waits', '', $2, now(), now(), 1, 'busy')",
    )
    .bind(times[0])
    .bind(waiting.as_bytes())
    .bind(times[1])
    .bind(b"no order".as_slice())
    .execute(&database.pool)
    .await
    .unwrap();
    let before = rows(&database).await;
    assert!(before.iter().all(|(_, rows)| !rows.is_empty()), "{before:#?}");

    // All that came since.
    for (schema, migrator) in schemas() {
        let all = migrator.iter().count();
        let later = migrator.iter().filter(|migration| migration.version >= SINCE).count();
        let ran = migrations::run(&database.url, &schema, migrator).await.unwrap();
        assert_eq!(ran, later, "{schema}: {all} in all");
    }
    for ((table, before), (_, after)) in before.iter().zip(&rows(&database).await) {
        assert_eq!(before, after, "{table}");
    }
    for consumer in CONSUMERS {
        let of = |table: &str, order: &str| {
            format!(
                "select incarnation::text from {consumer}.{table} where topic is distinct from 'order-placed' order by {order}"
            )
        };
        let one = |at: i64, value: u8| incarnation(Some(1_793_440_800_000 + at), &[value]);
        let twice = incarnation(Some(1_793_440_800_000), b"\x00\xff");
        let expected = [None, twice.clone(), twice, incarnation(None, b""), None, one(1, 1)];
        assert_eq!(texts(&database, &of("dead_letter", "letter_id")).await, expected, "{consumer}");
        let expected = [one(1, 1), one(2, 2), one(3, 3), None, one(4, 4), one(5, 5)];
        assert_eq!(texts(&database, &of("parked", "arrival")).await, expected, "{consumer}");
        // Both of the long key are in one lane still, in which later ones of it will come, and all others where they were.
        let lanes = format!(
            "select case when lane = '\\x02'::bytea || sha256(key) then 'digest' else convert_from(lane, 'UTF8') end
               from {consumer}.parked where topic is distinct from 'order-placed' order by arrival"
        );
        let expected =
            ["l", "l", "\u{1}payments/1@105", "\u{1}40000000-0000-5000-8000-000000000005", "digest", "digest"];
        assert_eq!(texts(&database, &lanes).await, expected.map(|lane| Some(lane.to_owned())), "{consumer}");
    }

    // All programs take it up, with their groups at the beginning of every topic, so that its records come again.
    std::mem::replace(&mut pipeline.database, database).drop_it().await;
    let registry = Registry::new(&stack().registry_url, pipeline.database.pool.clone()).unwrap();
    for entry in events::catalogue() {
        registry.register(&choreography::subject(entry.topic, entry.event_type), entry.schema).await.unwrap();
    }
    pipeline.host(&ALL).await;
    let state = async |reference: &str| {
        let statement =
            format!("select state from orders.\"order\" where reference = '{reference}' order by placed_at");
        texts(&pipeline.database, &statement).await.into_iter().flatten().collect::<Vec<_>>()
    };
    pipeline.until(|| async { state("o-4").await == ["COMPLETED"] }, "the end of what was parked").await;
    let group = (pipeline.topic("orders"), [topic]);
    pipeline.until(|| async { lag(&group.0, &group.1) == 0 }, "all read again").await;
    let left = "select (select count(*) from orders.parked where topic = 'order-placed') + (select count(*) from outbox.event where topic = 'dead-letter-events')";
    assert_eq!(pipeline.count(left).await, 0, "what waited is done once, and what had died is no letter again");
    assert_eq!(pipeline.count("select count(*) from orders.dead_letter where topic = 'order-placed'").await, 1);

    // Its orders are known, and the identity of the rejected one is free.
    for (number, expected) in [(1, "PENDING"), (2, "REJECTED"), (3, "COMPLETED")] {
        let order = pipeline.get("orders", &format!("/orders/0192a0f0-0000-7000-8000-00000000000{number}")).await;
        assert_eq!(order["state"], expected, "{order}");
    }
    for (reference, expected) in [("o-3", 409), ("o-2", 202)] {
        let (status, answer) = pipeline.post("orders", "/orders", order(reference).body()).await;
        assert_eq!(status, expected, "{reference}: {answer}");
    }
    pipeline.until(|| async { state("o-2").await == ["REJECTED", "COMPLETED"] }, "the end of the mended one").await;
    let stock = pipeline.get("inventory", "/stock/TEA").await;
    assert_eq!((&stock["on_hand"], &stock["reserved"]), (&5.into(), &3.into()), "{stock}");
    let found = pipeline.get("saga-tracker", "/orders?reference=o-1").await;
    assert_eq!(found["orders"][0]["order_id"], "0192a0f0-0000-7000-8000-000000000001", "{found}");
    let told = "select count(*) from notifications.message where state = 'RECORDED'";
    let recorded = || async { pipeline.count(told).await > 0 };
    pipeline.until(recorded, "messages that are recorded beside those that say they were sent").await;
    pipeline.finish_without_audit("rows of the release before have no events").await;
}
