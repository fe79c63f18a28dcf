//! Consumers with databases of their own: orders end, books and dead letters are those of all databases, one relay publishes each of them.

use std::process::{Command, Output};

use audit::{AuditScope, Databases};
use events::{Event, StockRejected};
use quadrille_tests::{Database, Pipeline, Setup, binary, stack};
use runtime::Settings;
use serde_json::Value;

use crate::rebuild::{place_mixed, text};

/// The command line, with payments and fraud in the second database.
async fn quadrille(url: &str, second: &str, prefix: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("quadrille"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env("DATABASE_URL", url)
        .env("QUADRILLE_PAYMENTS__DATABASE_URL", second)
        .env("QUADRILLE_FRAUD__DATABASE_URL", second)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
        .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
        .env("QUADRILLE_PROFILE", "demo")
        .env("QUADRILLE_TOPIC_PREFIX", prefix)
        .env("USER", "eve");
    tokio::task::spawn_blocking(move || command.output().expect("quadrille runs")).await.expect("a thread")
}

async fn of(pipeline: &Pipeline, arguments: &[&str]) -> Output {
    let second = pipeline.second.as_ref().expect("a second database");
    quadrille(&pipeline.database.url, &second.url, &pipeline.prefix, arguments).await
}

async fn execute(database: &Database, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&database.pool).await.expect(statement);
}

/// The breaches that the books of all databases have, as check and subject.
async fn broken(pipeline: &Pipeline) -> Vec<(&'static str, String)> {
    let settings = Settings::from_toml(&pipeline.settings_toml()).unwrap();
    let databases = Databases::open(&settings, None).unwrap();
    let findings = audit::ask_all(&databases, &AuditScope::everything(true)).await.unwrap();
    assert_eq!(findings.len(), audit::checks().len(), "every question is asked: {findings:#?}");
    findings.iter().flat_map(|of| of.lines().iter().map(|line| (of.name, line.subject.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_with_a_database_of_their_own_are_relayed_audited_and_operated_like_the_others() {
    let pipeline = Pipeline::with(Setup { apart: vec!["payments", "fraud"], ..Setup::default() }).await;
    let second = pipeline.second.clone().unwrap();
    for sku in ["TEA", "SHORT-1", "DAMAGED-1"] {
        pipeline.stock(sku, "a", 500).await;
        pipeline.stock(sku, "b", 500).await;
    }
    let orders = place_mixed(&pipeline, 18).await;
    pipeline.settle().await;
    for order in &orders {
        let status = pipeline.status(order).await;
        assert!(["COMPLETED", "FAILED", "CANCELLED", "PENDING"].contains(&status.as_str()), "{order}: {status}");
    }
    let ended = pipeline.count("select count(*) from orders.\"order\" where ended_at is not null").await;
    assert!(ended >= 14, "{ended} of {} orders have ended", orders.len());
    // Each is where it was set to be, and nowhere else.
    let paid = "select count(*) from payments.payment";
    let in_second: i64 = sqlx::query_scalar(paid).fetch_one(&second.pool).await.unwrap();
    assert!(pipeline.count(paid).await == 0 && in_second >= 14, "{in_second}");

    // The books: of all databases, also what is compared across them.
    assert_eq!(broken(&pipeline).await, []);
    let order = &orders[0];
    execute(&second, &format!("update payments.payment set captured = captured + 1, authorized = authorized + 1 where order_id = '{order}'")).await;
    let found = broken(&pipeline).await;
    for check in ["charged", "book"] {
        assert!(found.contains(&(check, order.clone())), "{check}: {found:#?}");
    }
    let said = of(&pipeline, &["audit"]).await;
    assert!(
        said.status.code() == Some(1) && text(&said).contains(&format!("BROKEN  charged  {order}")),
        "{}",
        text(&said)
    );
    execute(&second, &format!("update payments.payment set captured = captured - 1, authorized = authorized - 1 where order_id = '{order}'")).await;
    let said = of(&pipeline, &["audit"]).await;
    assert!(said.status.success() && text(&said).contains("captured − "), "{}", text(&said));

    // The relay: each database.
    let status = text(&of(&pipeline, &["relay", "status"]).await);
    for database in pipeline.databases() {
        assert!(status.contains(&format!("{}: 0 events wait", database.name)), "{status}");
    }

    // A dead letter of a consumer in the second database: it is there, heard of by the tracker in the first, and tried again.
    let stranger = "0192b3a4-0000-7000-8000-000000000001";
    pipeline.publish_bytes::<events::FulfillmentConfirmed>(stranger, b"\x00\x00\x00\x00\x01 cut");
    let kept = "select count(*) from payments.dead_letter";
    pipeline.settle().await;
    let in_second: i64 = sqlx::query_scalar(kept).fetch_one(&second.pool).await.unwrap();
    assert_eq!((pipeline.count(kept).await, in_second), (0, 1));
    let listed = of(&pipeline, &["dead-letters", "list", "--consumer", "payments", "--json"]).await;
    let letter: Value = serde_json::from_slice(&listed.stdout).unwrap_or_else(|_| panic!("{}", text(&listed)));
    let retried = of(&pipeline, &["dead-letters", "retry", letter["letter_id"].as_str().unwrap()]).await;
    assert!(retried.status.success() && text(&retried).contains("payments was given it back"), "{}", text(&retried));
    let again = "select count(*) from payments.dead_letter where loops = 1 and resolution is null";
    let died_again = async || sqlx::query_scalar::<_, i64>(again).fetch_one(&second.pool).await.unwrap() == 1;
    pipeline.until(died_again, "its second death").await;
    pipeline.settle().await;
    let case = of(&pipeline, &["orders", "show", order]).await;
    assert!(case.status.success() && text(&case).contains("captured"), "{}", text(&case));
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_schema_ids_go_to_the_database_of_each_consumer() {
    let (first, second) = (Database::empty().await, Database::empty().await);
    let prefix = format!("{}.", first.name);
    for arguments in [&["migrate"][..], &["topics", "apply"]] {
        let done = quadrille(&first.url, &second.url, &prefix, arguments).await;
        assert!(done.status.success(), "{}", text(&done));
    }
    let mut schemas = Vec::new();
    for database in [&first, &second] {
        let there: Vec<String> = sqlx::query_scalar("select nspname::text from pg_namespace where nspname not like 'pg\\_%' and nspname not in ('public', 'information_schema') order by 1")
            .fetch_all(&database.pool)
            .await
            .unwrap();
        schemas.push(there.join(" "));
        let ids: i64 = sqlx::query_scalar("select count(*) from runtime.schema_id where subject like '%' || $1")
            .bind(StockRejected::NAME)
            .fetch_one(&database.pool)
            .await
            .unwrap();
        assert_eq!(ids, 1, "{}: what a consumer looks for where it looks", database.name);
    }
    assert_eq!(
        schemas,
        [
            "fulfillment inventory notifications orders outbox runtime saga_tracker",
            "fraud outbox payments runtime sandbox"
        ]
    );
    first.drop_it().await;
    second.drop_it().await;
}
