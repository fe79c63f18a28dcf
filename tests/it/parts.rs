//! PostgreSQL and Kafka as they are run: failovers, full servers, rotated passwords, poolers, topics that are away.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod database;
mod drill;
mod migrations;
mod pooler;
mod proxy;
mod topics;

use std::time::{Duration, Instant};

use quadrille_tests::deadline::Ends;
use quadrille_tests::{ALL, Order, Pipeline, stack, superuser_url};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// How soon `/readyz` tells that something is away.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// What `/readyz` of a consumer answers.
async fn ready(pipeline: &Pipeline, consumer: &str) -> (u16, String) {
    let response = pipeline.http.get(pipeline.door(consumer, "/readyz")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Waits until all of these are not ready, and why, as one of them says.
async fn told(pipeline: &Pipeline, consumers: &[&str], what: &str) -> Duration {
    let since = Instant::now();
    loop {
        let mut silent = Vec::new();
        for consumer in consumers {
            let (status, why) = ready(pipeline, consumer).await;
            if status != 503 || !why.contains(what) {
                silent.push((*consumer, status, why));
            }
        }
        if silent.is_empty() {
            return since.elapsed();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "expected 503 with `{what}`: {silent:?}");
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks
    }
}

/// Waits until all of these are ready.
async fn until_ready(pipeline: &Pipeline, consumers: &[&str]) {
    for consumer in consumers {
        let ends = Ends::within(Duration::from_secs(60));
        loop {
            match ready(pipeline, consumer).await {
                (200, _) => break,
                (_, why) => ends.pause(|| format!("{consumer} is not ready: {why}")).await,
            }
        }
    }
}

fn tea() -> Order {
    Order::of(&[("TEA", 1, 1_250)])
}

/// The stack's PostgreSQL as its superuser.
async fn superuser() -> PgConnection {
    PgConnection::connect(&superuser_url()).await.expect("the stack's superuser")
}

async fn run(db: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(db)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Ends all sessions of a database but the one that asks.
async fn end_sessions(db: &mut PgConnection, database: &str) {
    let statement = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}' and pid <> pg_backend_pid()"
    );
    run(db, &statement).await;
}

/// Posts an order as it stands, for at most so long: the status, none when the caller left.
async fn post(pipeline: &Pipeline, body: &Value, patience: Duration) -> Option<u16> {
    let request = pipeline.http.post(pipeline.door("orders", "/orders")).json(body).timeout(patience);
    request.send().await.ok().map(|response| response.status().as_u16())
}
