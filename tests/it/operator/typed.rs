//! What an operator types: the real binary, its tables, its JSON, and Ctrl-C.

use std::process::{Output, Stdio};
use std::time::Duration;

use quadrille_tests::deadline::Ends;
use quadrille_tests::{Pipeline, binary, stack};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::bulk::{restore, unknown, with_unknown_orders};

fn quadrille(pipeline: &Pipeline, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("quadrille"));
    command
        .arg("dead-letters")
        .args(arguments)
        .env("DATABASE_URL", &pipeline.database.url)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stack().kafka)
        .env("SCHEMA_REGISTRY_URL", &stack().registry_url)
        .env("QUADRILLE_SAGA_TRACKER__ORDERS_URL", pipeline.door("orders", ""))
        .env("USER", "eve")
        .kill_on_drop(true);
    command
}

async fn run(pipeline: &Pipeline, arguments: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } = quadrille(pipeline, arguments).output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_looks_at_dead_letters_retries_all_stops_with_ctrl_c_and_goes_on() {
    let orders = unknown(12);
    let (pipeline, known) = with_unknown_orders("", &orders).await;
    let (ok, groups, _) = run(&pipeline, &["groups", "--kind", "event", "--json"]).await;
    let group = json(groups.trim());
    assert!(ok && group["letters"] == 12, "{groups}");
    let (_, table, _) = run(&pipeline, &["list", "--class", "conflict", "--event-type", "StockRejected"]).await;
    assert_eq!(table.lines().filter(|line| line.contains("StockRejected")).count(), 12, "{table}");
    assert!(table.lines().count() == 13 && !table.contains('│'), "a row is a line in a pipe: {table}");
    let id = group["example"].as_str().unwrap();
    let (ok, case, error) = run(&pipeline, &["show", &id[..8]]).await;
    assert!(ok && case.contains(id) && case.contains("expected StockRejected only of orders"), "{case}{error}");
    let (ok, data, _) = run(&pipeline, &["show", id, "--data"]).await;
    assert!(ok && json(&data)["reason"]["code"] == "out_of_stock", "{data}");
    let (ok, _, error) = run(&pipeline, &["skip", id]).await;
    assert!(!ok && error.contains("--why"), "a skip needs a reason: {error}");
    let (ok, dry, _) = run(&pipeline, &["skip", id, "--dry-run"]).await;
    assert!(ok && dry.contains("would be done: the cancellation of order"), "{dry}");
    // A container may have no USER: the system's own name will do.
    let mut nameless = quadrille(&pipeline, &["skip", id, "--dry-run"]);
    let Output { status, stderr, .. } = nameless.env_remove("USER").output().await.unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    // `quadrille dead-letters list | head`, of which head has gone.
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let mut list = quadrille(&pipeline, &["list"]);
    let child = list.stdout(closed).stderr(Stdio::piped()).spawn().unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().await.unwrap();
    assert_eq!((status.code(), String::from_utf8_lossy(&stderr).as_ref()), (Some(141), ""));

    restore(&pipeline, &known, &orders).await;
    let (ok, _, error) = run(&pipeline, &["retry", "--all", "--consumer", "orders"]).await;
    assert!(!ok && error.contains("--yes"), "who has no terminal says so beforehand: {error}");
    let mut retry = quadrille(&pipeline, &["retry", "--all", "--yes", "--consumer", "orders", "--rate", "2", "--json"]);
    let mut child = retry.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(json(&line)["done"].is_string(), "{line}");
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().unwrap().to_string()]).status().await.unwrap();
    assert!(interrupt.success());
    let ends = Ends::within(Duration::from_secs(60));
    let mut last = String::new();
    while let Some(line) = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap() {
        ends.check(|| "the end of an interrupted retry".to_owned());
        last = line;
    }
    let report = json(&last);
    assert_eq!((child.wait().await.unwrap().code(), &report["stopped"]), (Some(130), &Value::Bool(true)), "{report}");
    let (done, left) = (report["done"].as_i64().unwrap(), report["left"].as_i64().unwrap());
    assert!(done >= 3 && left > 0 && done + left == 12, "{report}");

    let (ok, again, error) = run(&pipeline, &["retry", "--all", "--yes", "--consumer", "orders"]).await;
    assert!(ok && again.contains(&format!("retry: {left} done, 0 refused, 0 left of {left}")), "{again}{error}");
    let failed = "select count(*) from orders.\"order\" where state = 'FAILED'";
    pipeline.until_count(failed, 12, "every order's end").await;
    let (ok, audit, _) = run(&pipeline, &["audit", "--json"]).await;
    assert!(ok && audit.lines().count() == 12 && audit.lines().all(|line| json(line)["who"] == "eve"), "{audit}");
    pipeline.finish_without_audit("dead letters tell of orders that only orders knows").await;
}
