//! The routes under schemathesis: requests that it makes from the documents, none of which may be answered otherwise than they say.

use std::process::Stdio;
use std::time::Duration;

use quadrille_tests::{Order, Pipeline, Setup, key};
use tokio::process::Command;

use super::programs;

/// How long each program is asked. All are asked at once.
const SECONDS: &str = "75";
/// What a run may take beside that: reading the document, the last request, and making failures small.
const PATIENCE: Duration = Duration::from_secs(180);
/// The same requests at each run.
const SEED: &str = "15";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,unsupported_method,missing_required_header";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_schemathesis_makes_is_answered_otherwise_than_documented() {
    let python = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status().await;
    if !python.is_ok_and(|status| status.success()) {
        println!(
            "skipped: the routes are not fuzzed here: Python 3 with venv is missing (`cargo xtask install` brings it)"
        );
        return;
    }
    let schemathesis =
        crate::replay::venv("schemathesis", "tests/it/doors/requirements.txt").await.join("bin/schemathesis");
    let pipeline = Pipeline::with(Setup::keyed("")).await;
    pipeline.stock("SKU-0001", "a", 1_000).await;
    pipeline.place(&Order::of(&[("SKU-0001", 2, 450)])).await;
    pipeline.settle().await;
    let start = |program| {
        let shown = if program == "orders" { key("web") } else { key("root") };
        let mut command = Command::new(&schemathesis);
        command
            .arg("--config-file")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/it/doors/schemathesis.toml"))
            .args(["run", &pipeline.door(program, "/openapi.json"), "--header", &format!("X-Api-Key: {shown}")])
            .args(["--seed", SEED, "--max-time", SECONDS, "--phases", "coverage,fuzzing", "--checks", CHECKS])
            .args(["--continue-on-failure", "--no-color", "--suppress-health-check", "all", "--warnings", "off"])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        (program, command.spawn().expect("schemathesis starts"))
    };
    let runs: Vec<_> = programs().into_iter().map(start).collect(); // all of them run from here on
    let mut failed = Vec::new();
    for (program, run) in runs {
        let output = tokio::time::timeout(PATIENCE, run.wait_with_output()).await.expect("schemathesis ends").unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!(
            "{program}: {}",
            said.lines().filter(|line| line.contains("generated")).collect::<Vec<_>>().join("; ")
        );
        if !output.status.success() {
            failed.push(format!("{program}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    // Its last request to this route may have been that the sandbox be down.
    let up = Some(serde_json::json!({"down": false}));
    let answer = pipeline.ask(reqwest::Method::PUT, "payments", "/sandbox/outage", up).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    // What it had done is consistent all the same. (Orders that wait for people stay open.)
    pipeline.finish_with_dead_letters().await;
}
