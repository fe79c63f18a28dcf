//! Races: batches are read without locks, and whoever was overtaken decides again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inventory::{Inventory, Pick, Priority, Shelves, Strategy, Want};
use quadrille_tests::{Order, Pipeline, Setup};

/// A strategy during whose first answers somebody else changes the level that it was asked about.
#[derive(Clone, Debug)]
struct Overtaken {
    database_url: String,
    times: usize,
    asked: Arc<AtomicUsize>,
}

impl Strategy for Overtaken {
    fn allocate(&self, wants: &[Want<'_>], shelves: &Shelves<'_>) -> Vec<Pick> {
        if self.asked.fetch_add(1, Ordering::SeqCst) < self.times {
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
        Overtaken { database_url: pipeline.database.url.clone(), times: 1, asked: Arc::new(AtomicUsize::new(0)) };
    let strategy = overtaken.clone();
    let start = async |host: Arc<runtime::Host>| {
        let inventory = Inventory::new(host.settings().section("inventory")?).with_strategy(Box::new(strategy));
        inventory::start_as(&host, inventory).await
    };
    pipeline.host_as(start).await;
    pipeline.stock("TEA", "a", 3).await;
    let version = "select version from inventory.stock_level where sku = 'TEA'";
    let before = pipeline.count(version).await;
    pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    pipeline.settle().await;
    assert_eq!(overtaken.asked.load(Ordering::SeqCst), 2, "once without locks, in vain, and once with");
    assert_eq!(pipeline.count("select on_hand from inventory.stock_level where sku = 'TEA'").await, 1);
    assert!(pipeline.count(version).await >= before + 3, "the other's change, the reservation, the commitment");
    pipeline.finish().await;
}
