//! Races: batches are read without locks, and whoever was overtaken decides again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use events::{Event, FraudCleared, FulfillmentConfirmed, PaymentAuthorized};
use inventory::{Inventory, Pick, Priority, Shelves, Strategy, Want};
use quadrille_tests::deadline::Ends;
use quadrille_tests::{Order, Pipeline, Setup, read_all};

/// A strategy during one of whose answers somebody else changes the level that it was asked about.
#[derive(Clone, Debug)]
struct Overtaken {
    database_url: String,
    /// Which answer, from 0.
    at: usize,
    asked: Arc<AtomicUsize>,
}

impl Strategy for Overtaken {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == self.at {
            let url = self.database_url.clone();
            // A runtime of its own: the rule is asked from within another one.
            let overtake = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    use sqlx::Connection as _;
                    let mut db = sqlx::PgConnection::connect(&url).await.unwrap();
                    sqlx::raw_sql(
                        "set lock_timeout = '5s'; update inventory.stock_level set version = version + 1 where sku = 'TEA'",
                    )
                    .execute(&mut db)
                    .await
                    .expect("nobody holds a lock while a rule is asked");
                });
            };
            std::thread::spawn(overtake).join().unwrap();
        }
        Priority.allocate(wants, shelves)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_overtaken_between_reading_and_writing_is_decided_again_and_nothing_is_sold_twice() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "inventory").collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let overtaken =
        Overtaken { database_url: pipeline.database.url.clone(), at: 1, asked: Arc::new(AtomicUsize::new(0)) };
    let strategy = overtaken.clone();
    let start = async |host: Arc<runtime::Host>| {
        let inventory = Inventory::new(host.settings().section("inventory")?).with_strategy(Box::new(strategy));
        inventory::start_as(&host, inventory).await
    };
    pipeline.host_as(start).await;
    pipeline.stock("TEA", "a", 5).await;
    // The first batch after a start looks whether anything is parked, with locks.
    pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    assert_eq!(overtaken.asked.load(Ordering::SeqCst), 1);
    let version = "select version from inventory.stock_level where sku = 'TEA'";
    let before = pipeline.count(version).await;
    pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    assert_eq!(overtaken.asked.load(Ordering::SeqCst), 3, "once in vain, and once more");
    assert_eq!(pipeline.count("select on_hand from inventory.stock_level where sku = 'TEA'").await, 1);
    assert_eq!(pipeline.count(version).await, before + 3, "the other's change, the reservation, the commitment");
    pipeline.finish().await;
}

/// Two instances of payments have a sandbox's worker each, and both write one book.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_capture_and_a_void_that_two_instances_ask_for_at_once_the_sandbox_does_one() {
    use payments::gateway::{Buyer, Gateway, Money, Outcome, Request};
    use sandbox_gateway::{Sandbox, SandboxSettings};

    let database = quadrille_tests::Database::fresh().await;
    let stopped = tokio_util::sync::CancellationToken::new();
    let mut workers = tokio::task::JoinSet::new();
    let mut open = || {
        let settings = SandboxSettings { latency: runtime::Span::millis(0), ..SandboxSettings::default() };
        let clock = runtime::Clock::default();
        let (sandbox, worker) = Sandbox::open(settings, runtime::Span::secs(3_600), database.pool.clone(), clock);
        workers.spawn(worker.run(stopped.clone()));
        sandbox
    };
    let (one, other) = (open(), open());
    let order_id = events::OrderId(runtime::Clock::default().mint());
    let request = |operation: &str, payment_id: Option<String>| Request {
        order_id,
        key: format!("order:{order_id}:{operation}:1"),
        attempt: 1,
        since: events::Timestamp::from_millis(0),
        money: Money { amount: 1_000, currency: events::Currency::EUR },
        payment_id,
        refund_id: None,
    };
    let buyer = Buyer { customer_id: events::CustomerId("ada".into()), payment_method: "tok_approved".into() };
    let Outcome::Authorized(hold) = one.authorize(&request("authorize", None), &buyer).await else {
        panic!("tok_approved is approved");
    };
    // Both are asked before either may write.
    let mut nobody_writes = database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table sandbox.payment in exclusive mode").execute(&mut *nobody_writes).await.unwrap();
    let (capture, void) =
        (request("capture", Some(hold.payment_id.clone())), request("void", Some(hold.payment_id.clone())));
    let let_both_write = async {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let ends = Ends::within(Duration::from_secs(60));
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&database.pool).await.unwrap() < 2 {
            ends.pause(|| "two who wait for the lock".to_owned()).await;
        }
        nobody_writes.commit().await.unwrap();
    };
    let (captured, voided, ()) = tokio::join!(one.capture(&capture), other.void(&void), let_both_write);
    let answers = (captured, voided);
    assert!(
        matches!(
            answers,
            (Outcome::Captured { .. }, Outcome::VoidFailed { .. })
                | (Outcome::CaptureFailed { .. }, Outcome::Voided { .. })
        ),
        "one of them, not both: {answers:?}"
    );
    stopped.cancel();
    workers.join_all().await;
    database.drop_it().await;
}

/// What a batch writes anew is inserted without a look whether it is there: two instances that decide the same first event find out as they write it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_new_to_who_decided_it_and_is_there_already_is_a_lost_race_and_nothing_else_is_written() {
    use runtime::{Failure, WriteSet};

    let database = quadrille_tests::Database::fresh().await;
    let mut db = database.pool.acquire().await.unwrap();
    let writes = |reference: &str, quantity: i64, rows: Option<usize>| {
        let mut writes = WriteSet::default();
        let warehouse = "insert into inventory.warehouse values ($1, $1, 1, 'DE')";
        writes.add("inventory.warehouse", Some(1), warehouse).bind(format!("of-{reference}-{quantity}"));
        let receipt = "insert into inventory.receipt (reference, sku, warehouse, quantity, received_at) values ($1, 'TEA', 'a', $2, now())";
        writes.add("inventory.receipt", rows, receipt).bind(reference.to_owned()).bind(quantity);
        writes
    };
    sqlx::raw_sql("insert into inventory.warehouse values ('a', 'a', 1, 'DE')").execute(&mut *db).await.unwrap();
    writes("one", 1, Some(1)).execute_autocommit(&mut db).await.unwrap();
    let lost = writes("one", 2, Some(1)).execute_autocommit(&mut db).await;
    assert!(matches!(lost, Err(Failure::LostRace { table: "inventory.receipt", .. })), "{lost:?}");
    let lost = writes("one", 3, Some(1)).execute(&mut db).await;
    assert!(matches!(lost, Err(Failure::LostRace { table: "inventory.receipt", .. })), "{lost:?}");
    let refused = writes("one", 4, None).execute_autocommit(&mut db).await;
    assert!(matches!(refused, Err(Failure::Database(_))), "nobody counts these rows: {refused:?}");
    let written: Vec<String> =
        sqlx::query_scalar("select warehouse from inventory.warehouse").fetch_all(&mut *db).await.unwrap();
    assert_eq!(written, ["a", "of-one-1"]);
    drop(db);
    database.drop_it().await;
}

/// What another instance wrote between two events of an order counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_instance_wrote_between_two_events_is_what_the_second_is_decided_on() {
    let consumers = Setup::default().consumers.into_iter().filter(|name| *name != "fulfillment").collect();
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    let other_instance = async |change: &str| {
        let changed = sqlx::query(sqlx::AssertSqlSafe(change.to_owned())).execute(&pipeline.database.pool).await;
        assert_eq!(changed.unwrap().rows_affected(), 1, "{change}");
    };
    let again = |topic: &str, event_type: &str| {
        let records: Vec<_> = read_all(&pipeline.topic(topic));
        let records: Vec<_> = records.into_iter().filter(|record| record.header("ce_type") == event_type).collect();
        assert_eq!(records.len(), 1, "{event_type}");
        pipeline.publish_again(topic, &records);
    };
    pipeline.stock("TEA", "a", 5).await;
    let order_id = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;

    // inventory wrote that the units are held. In the table they are not.
    other_instance(
        "update inventory.reservation set version = version + 1, state = 'reserved', data = (data::jsonb || '{\"state\": \"reserved\"}')::text
          where state = 'held'",
    )
    .await;
    let counted = pipeline.count("select count(*) from fraud.velocity").await;
    again("payments", PaymentAuthorized::TYPE);
    pipeline.settle().await;
    assert_eq!(pipeline.count("select count(*) from inventory.reservation where state = 'held'").await, 1);
    // The same event at fraud changes nothing, young as the order is.
    pipeline.the::<FraudCleared>(&order_id).await;
    assert_eq!(pipeline.count("select count(*) from fraud.velocity").await, counted);

    // payments wrote that the money is held. In the table another instance has let it go.
    other_instance("update payments.payment set version = version + 1, state = 'VOIDED' where state = 'AUTHORIZED'")
        .await;
    pipeline.host(&["fulfillment"]).await;
    pipeline.settle().await;
    let captures = "select count(*) from sandbox.operation where operation = 'capture'";
    assert_eq!(pipeline.count(captures).await, 0, "what another instance let go is not taken");
    other_instance("update payments.payment set version = version + 1, state = 'AUTHORIZED' where state = 'VOIDED'")
        .await;
    again("fulfillment", FulfillmentConfirmed::TYPE);
    pipeline.settle().await;
    assert_eq!(pipeline.count(captures).await, 1);
    assert_eq!(pipeline.status(&order_id).await, "COMPLETED");
    pipeline.finish().await;
}
