//! What can be asked of the tracker costs no more for there being more of it.

use quadrille_tests::deadline::Ends;
use quadrille_tests::{Order, Pipeline, Setup};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use uuid::Uuid;

use crate::rebuild::{quadrille, text};

/// How many rows of orders a statement of the figures reads for the newest 5,000, as its plan tells when it is carried out.
async fn orders_read(pool: &PgPool, statement: &str) -> u64 {
    fn of(node: &Value) -> u64 {
        let number = |name: &str| node[name].as_f64().unwrap_or_default() as u64;
        let rows = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
        let own = if node["Relation Name"] == "order" { rows * number("Actual Loops") } else { 0 };
        own + node["Plans"].as_array().into_iter().flatten().map(of).sum::<u64>()
    }
    let last = "select order_id from saga_tracker.\"order\" order by order_id desc offset 4999 limit 1";
    let last: Uuid = sqlx::query_scalar(last).fetch_one(pool).await.unwrap();
    let explain = AssertSqlSafe(format!("explain (analyze, format json) {statement}"));
    let cuts = statement.contains("$3");
    let plan = sqlx::query_scalar(explain).bind(if cuts { Uuid::nil() } else { last }).bind(Uuid::max());
    let plan = if cuts { plan.bind(4_999_i64) } else { plan };
    let plan: Value = plan.fetch_one(pool).await.unwrap();
    of(&plan[0]["Plan"])
}

/// With 196,000 orders the figures took 3.4 to 6.6 s, and once 503: each was a row that was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_of_the_newest_orders_where_there_are_many_and_say_so() {
    let consumers = vec!["saga-tracker"];
    let pipeline = Pipeline::with(Setup { consumers, ..Setup::default() }).await;
    // One order a second, ending now; every fourth failed.
    let orders = 12_000;
    let rows = format!(
        "insert into saga_tracker.\"order\" (order_id, seen, rank, position, placed_at, accepted_at, closed_at, ended_at, changed_at, deadline, reason)
         select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, 1,
                case n % 4 when 0 then 91 else 93 end, n, at, at, at, at + interval '2 seconds', at, at, row(1, case n % 4 when 0 then 'declined' end, '')::saga_tracker.reason
           from generate_series(1, {orders}) n, lateral (select to_timestamp({now} / 1000.0) - make_interval(secs => {orders} - n) as at) moment",
        now = pipeline.clock.now().as_millis()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&pipeline.database.pool).await.unwrap();
    sqlx::raw_sql("vacuum analyze saga_tracker.\"order\"").execute(&pipeline.database.pool).await.unwrap();
    for statement in saga_tracker::FIGURES {
        let read = orders_read(&pipeline.database.pool, statement).await;
        assert!((1..=5_001).contains(&read), "{read} of {orders} orders are read: {statement}");
    }
    let stats = pipeline.get("saga-tracker", "/stats").await;
    let counted = |stats: &serde_json::Value| -> i64 {
        stats["orders"].as_array().unwrap().iter().map(|count| count["orders"].as_i64().unwrap()).sum()
    };
    assert_eq!((&stats["complete"], counted(&stats)), (&json!(false), 5_000), "{stats}");
    // Whoever wants the rest asks for what was placed before: nothing is counted twice, nothing is left out.
    let (mut all, mut page) = (counted(&stats), stats);
    let ends = Ends::within(Duration::from_secs(60));
    while page["complete"] == json!(false) {
        ends.check(|| format!("the last page, after {all} of {orders} orders"));
        let before = page["placed_after"].as_str().unwrap();
        page = pipeline.get("saga-tracker", &format!("/stats?placed_before={before}")).await;
        all += counted(&page);
    }
    assert_eq!(all, orders);
    let whole = page["steps"].as_array().unwrap().iter().find(|step| step["step"] == "whole").unwrap();
    assert_eq!((&whole["p50_ms"], &whole["max_ms"]), (&json!(2_000), &json!(2_000)), "{whole}");
    pipeline.finish_without_audit("the rows of the tracker are of no order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_found_by_its_reference() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 10).await;
    let place = async |reference: &str| {
        let request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Idempotency-Key", reference);
        let answer = request.json(&Order::of(&[("TEA", 1, 450)]).body()).send().await.unwrap();
        answer.json::<serde_json::Value>().await.unwrap()["order_id"].as_str().unwrap().to_owned()
    };
    // As long as a key may be: no index by its text would take it.
    let long = "basket-".repeat(30);
    let (short_id, long_id) = (place("basket-1").await, place(&long).await);
    pipeline.settle().await;
    for (reference, id) in [("basket-1", &short_id), (&long, &long_id)] {
        let found = quadrille(&pipeline, &["orders", "find", "--json", "--reference", reference]).await;
        let said: serde_json::Value =
            serde_json::from_slice(&found.stdout).unwrap_or_else(|_| panic!("{}", text(&found)));
        assert_eq!((&said["order_id"], &said["status"]), (&json!(id), &json!("COMPLETED")), "{said}");
        let listed = pipeline.get("saga-tracker", &format!("/orders?reference={reference}")).await;
        assert_eq!(
            (listed["orders"].as_array().unwrap().len(), &listed["orders"][0]["order_id"]),
            (1, &json!(id)),
            "{listed}"
        );
    }
    let table = quadrille(&pipeline, &["orders", "find", "--reference", "basket-1"]).await;
    assert!(table.status.success() && text(&table).lines().count() == 2, "a header and a line: {}", text(&table));
    let none = quadrille(&pipeline, &["orders", "find", "--reference", "basket"]).await;
    assert!(none.status.code() == Some(1) && text(&none).contains("no order with reference"), "{}", text(&none));
    pipeline.finish().await;
}
