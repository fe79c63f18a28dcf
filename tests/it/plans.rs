//! Plans that are made once for each connection.

use std::str::FromStr as _;
use std::time::Duration;

use runtime::sql::{CheckedOut, StickyPool};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// How the statement `known` is executed.
async fn plan(db: &mut CheckedOut) -> String {
    let lines: Vec<String> = sqlx::query_scalar("explain (costs off) execute known('{}')")
        .persistent(false)
        .fetch_all(&mut **db)
        .await
        .unwrap();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_made_for_an_empty_table_is_made_anew() {
    let database = quadrille_tests::Database::fresh().await;
    let options =
        PgConnectOptions::from_str(&database.url).unwrap().options([("plan_cache_mode", "force_generic_plan")]);
    let options = options.options(["seqscan", "hashjoin", "mergejoin"].map(|plan| (format!("enable_{plan}"), "off")));
    let warm =
        StickyPool::planned_every(PgPoolOptions::new().max_connections(1).connect_lazy_with(options), Duration::ZERO);
    // Autovacuum would have the plan made anew, too.
    let table = "create table public.known (id uuid primary key, version bigint) with (autovacuum_enabled = off)";
    sqlx::raw_sql(table).execute(&database.pool).await.unwrap();
    sqlx::raw_sql("vacuum analyze public.known").execute(&database.pool).await.unwrap();
    let mut db = warm.take().await.unwrap();
    let statement = "prepare known (uuid[]) as
        update public.known set version = version + 1 from unnest($1) as decided (order_id) where known.id = decided.order_id";
    sqlx::raw_sql(statement).execute(&mut *db).await.unwrap();
    assert!(plan(&mut db).await.contains("Join Filter"), "the whole index is read: nothing is in it");
    warm.keep(db);
    let rows = "insert into public.known select gen_random_uuid(), 1 from generate_series(1, 5000)";
    sqlx::raw_sql(rows).execute(&database.pool).await.unwrap();
    let mut db = warm.take().await.unwrap();
    let plan = plan(&mut db).await;
    assert!(plan.contains("Index Cond: (id = decided.order_id)"), "{plan}");
    drop(db);
    warm.close().await;
    database.drop_it().await;
}
