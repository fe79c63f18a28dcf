//! Alerts: a webhook that a real HTTP server takes, or refuses; and the rules for Prometheus, as its own tool sees them.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use quadrille_tests::Pipeline;
use serde_json::{Value, json};

use super::{HOUR, MINUTE, QUICK, looked, order, without};

/// What came, and whether it was taken.
#[derive(Clone, Debug)]
struct Call {
    id: String,
    signature: String,
    body: Value,
    taken: bool,
}

#[derive(Clone, Default)]
struct Calls {
    refuse: Arc<AtomicUsize>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A receiver of alerts: an HTTP server of the test's.
pub(super) struct Receiver {
    /// Where it listens.
    pub url: String,
    calls: Calls,
}

impl Receiver {
    /// One that answers its first calls with 500.
    pub async fn that_refuses(first: usize) -> Self {
        let calls = Calls { refuse: Arc::new(AtomicUsize::new(first)), calls: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(calls.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, calls }
    }

    /// The calls of this kind that were taken.
    pub fn taken(&self, kind: &str) -> Vec<Value> {
        let calls = self.calls.calls.lock().unwrap();
        calls.iter().filter(|call| call.taken && call.body["kind"] == kind).map(|call| call.body.clone()).collect()
    }

    /// Whether what was refused has been taken since.
    pub fn has_got_again_what_it_refused(&self) -> bool {
        let calls = self.calls.calls.lock().unwrap();
        let mut refused = calls.iter().filter(|call| !call.taken).peekable();
        refused.peek().is_some() && refused.all(|call| calls.iter().any(|other| other.taken && other.id == call.id))
    }

    /// One call was refused: it came again, under its id; and all are signed, or, without a secret, none.
    pub fn refused_one_and_got_it_again(&self, signed: bool) {
        let calls = self.calls.calls.lock().unwrap();
        let refused: Vec<&Call> = calls.iter().filter(|call| !call.taken).collect();
        assert_eq!(refused.len(), 1, "{calls:?}");
        assert!(calls.iter().any(|call| call.taken && call.id == refused[0].id), "{calls:?}");
        for call in calls.iter() {
            assert_eq!(call.body["id"], call.id, "{call:?}");
            assert_eq!(call.signature.starts_with("t=") && call.signature.contains(",v1="), signed, "{call:?}");
        }
    }
}

async fn take(State(state): State<Calls>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let refused = state.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let (id, signature) = (text("Quadrille-Alert-Id"), text("Quadrille-Signature"));
    let body = serde_json::from_slice(&body).unwrap_or_default();
    state.calls.lock().unwrap().push(Call { id, signature, body, taken: !refused });
    if refused { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

async fn open_alerts(pipeline: &Pipeline, kind: &str) -> Vec<Value> {
    let alerts = pipeline.get("saga-tracker", "/alerts").await;
    alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["kind"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_was_not_taken_before_a_restart_is_delivered_after_it() {
    let receiver = Receiver::that_refuses(1).await;
    let pipeline = without(&["saga-tracker", "outbox-relay"], &format!("alert_url = '{}'\n", receiver.url)).await;
    let tracker = pipeline.host(&["saga-tracker"]).await;
    let mut db = pipeline.database.pool.acquire().await.unwrap();
    let (kind, now) = (saga_tracker::alerts::AlertKind::InvariantBreach, pipeline.clock.now());
    for repeated in [false, true] {
        let is_new = saga_tracker::alerts::raise(&mut db, kind, "ledger", "3 units too many", now).await.unwrap();
        assert_eq!(is_new, !repeated, "raised again while it is open, it is the same");
    }
    let refused = "select count(*) from saga_tracker.alert where attempts = 1 and last_error like '%500%'";
    pipeline.until_count(refused, 1, "a try that failed").await;
    pipeline.stop(&tracker).await;
    pipeline.advance(MINUTE);
    pipeline.host(&["saga-tracker"]).await;
    pipeline.until(|| async { receiver.taken("invariant_breach").len() == 1 }, "the alert, taken").await;
    receiver.refused_one_and_got_it_again(false);
    drop(db);
    pipeline.finish_without_audit("a breach was raised that is none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_is_about_to_time_out_is_an_alert_and_so_is_a_relay_that_does_not_publish() {
    let pipeline = without(&["outbox-relay"], "").await;
    let relay = pipeline.host(&["outbox-relay"]).await;
    let abroad = json!({"name": "Ada", "line1": "1 Road", "city": "New York", "postal_code": "10001", "country": "US"});
    let suspicious =
        order(1).with("lines", json!([{"sku": "TEA", "quantity": 2, "unit_price": 450_000}])).with("bill_to", abroad);
    let order = pipeline.place(&suspicious).await;
    pipeline.settle().await;
    for _ in 0..22 {
        pipeline.advance(HOUR);
        looked(&pipeline).await;
    }
    assert!(open_alerts(&pipeline, "review_expiring").await.is_empty(), "there is time");
    pipeline.advance(HOUR + MINUTE);
    let alerted =
        || async { open_alerts(&pipeline, "review_expiring").await.iter().any(|alert| alert["order_id"] == order) };
    pipeline.until(alerted, "the alert of the review").await;

    pipeline.stop(&relay).await;
    pipeline.advance(Duration::from_secs(120));
    pipeline.until(|| async { open_alerts(&pipeline, "relay_lag").await.len() == 1 }, "the alert of the relay").await;
    pipeline.host(&["outbox-relay"]).await;
    pipeline.until(|| async { open_alerts(&pipeline, "relay_lag").await.is_empty() }, "the end of that alert").await;
    pipeline.settle().await;
    pipeline.finish_with_dead_letters().await;
}

async fn is_open(pipeline: &Pipeline, kind: &str, key: &str) -> bool {
    open_alerts(pipeline, kind).await.iter().any(|alert| alert["key"] == key)
}

/// A consumer that says that it is not ready.
async fn not_ready() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let publishes =
        || async { (StatusCode::SERVICE_UNAVAILABLE, "fraud waits for its database since noon: no answer") };
    let router = Router::new().route("/readyz", axum::routing::get(publishes));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Each thing that needs a person is told by default, by itself, and until it is so no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refund_capture_hold_hand_over_row_circuit_and_dead_letter_that_needs_a_person_is_an_alert() {
    let receiver = Receiver::that_refuses(0).await;
    let probe = not_ready().await;
    let more =
        format!("alert_url = '{}'\nprobes = {{fraud = '{probe}'}}\nalerts_off = ['review_expiring']\n", receiver.url);
    let tracker = QUICK.replacen("[saga_tracker]\n", &format!("[saga_tracker]\n{more}"), 1);
    let settings = format!("[payments]\nexpiring_margin = '167h'\n{tracker}");
    let pipeline = Pipeline::with_settings(&settings).await;
    pipeline.stock("TEA", "a", 10).await;
    for sku in ["DAMAGED-1", "HOLD-1"] {
        pipeline.stock(sku, "a", 10).await;
    }
    let of = |number, sku: &str, token: &str| {
        order(number).with("lines", json!([{"sku": sku, "quantity": 1, "unit_price": 450}])).paid_with(token)
    };
    let refund = pipeline.place(&of(1, "DAMAGED-1", "tok_refund_fails")).await;
    let capture = pipeline.place(&of(2, "TEA", "tok_capture_fails")).await;
    let held = pipeline.place(&of(3, "HOLD-1", "tok_approved")).await;
    let abroad = json!({"name": "Ada", "line1": "1 Road", "city": "New York", "postal_code": "10001", "country": "US"});
    let lines = json!([{"sku": "TEA", "quantity": 2, "unit_price": 450_000}]);
    let review = pipeline.place(&order(4).with("lines", lines).with("bill_to", abroad)).await;
    quadrille_tests::produce(&pipeline.topic("order-placed"), &[(Some(b"k"), b"{ no JSON", &[])]);
    sqlx::raw_sql(
        "insert into outbox.set_aside (seq, event_id, topic, headers, shard, error) values (1, gen_random_uuid(), 'orders', '', 0, 'too large')",
    )
    .execute(&pipeline.database.pool)
    .await
    .unwrap();
    pipeline.settle().await;
    let database = pipeline.database.name.clone();
    for (kind, key) in [("refund_failed", &refund), ("set_aside", &database)] {
        pipeline.until(|| is_open(&pipeline, kind, key), kind).await;
    }
    // That order is undone by now; it is told all the same.
    pipeline
        .until(
            || async { receiver.taken("capture_failed").iter().any(|alert| alert["order_id"] == capture) },
            "capture_failed",
        )
        .await;
    pipeline
        .until(|| async { open_alerts(&pipeline, "dead_letter").await.len() >= 2 }, "a dead letter, and the refund's")
        .await;
    let letters = open_alerts(&pipeline, "dead_letter").await;
    assert!(
        letters.iter().all(|alert| !alert["text"].as_str().unwrap().contains("no JSON")),
        "no text of a record: {letters:?}"
    );

    pipeline.advance(2 * HOUR);
    for (kind, key) in [("hold_expiring", review.as_str()), ("circuit_open", "fraud")] {
        pipeline.until(|| is_open(&pipeline, kind, key), kind).await;
    }
    let circuit = open_alerts(&pipeline, "circuit_open").await;
    assert!(circuit[0]["text"].as_str().unwrap().contains("fraud waits for its database"), "{circuit:?}");
    assert!(open_alerts(&pipeline, "hand_over_overdue").await.is_empty(), "there is time");
    for _ in 0..23 {
        pipeline.advance(HOUR);
        looked(&pipeline).await;
    }
    pipeline.until(|| is_open(&pipeline, "hand_over_overdue", &held), "hand_over_overdue").await;
    let review_told = "select count(*) from saga_tracker.alert where kind = 'review_expiring'";
    assert_eq!(pipeline.count(review_told).await, 0, "turned off");
    // The review ended, and the hold with it; the row was released; the parcel was recalled.
    sqlx::raw_sql("delete from outbox.set_aside").execute(&pipeline.database.pool).await.unwrap();
    let cancel = json!({"requested_by": "customer", "reason": "too late"});
    assert_eq!(pipeline.post("orders", &format!("/orders/{held}/cancel"), cancel).await.0, 202);
    for (kind, key) in [
        ("hold_expiring", &review),
        ("set_aside", &database),
        ("hand_over_overdue", &held),
        ("capture_failed", &capture),
    ] {
        pipeline.until(|| async { !is_open(&pipeline, kind, key).await }, &format!("the end of {kind}")).await;
    }
    assert!(is_open(&pipeline, "refund_failed", &refund).await, "nobody has dealt with it");
    for kind in ["refund_failed", "set_aside", "hold_expiring", "circuit_open", "hand_over_overdue", "dead_letter"] {
        pipeline.until(|| async { !receiver.taken(kind).is_empty() }, "the webhook").await;
    }
    pipeline.finish_with_dead_letters().await;
}

fn rules(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts").join(file).to_string_lossy().into_owned()
}

#[test]
fn prometheus_own_tool_takes_the_rules_and_their_tests_pass() {
    for (what, file) in [("check", "quadrille.rules.yml"), ("test", "quadrille.rules.test.yml")] {
        let run = Command::new("promtool").args([what, "rules", &rules(file)]).output();
        let run = run.expect("promtool, of Debian's package prometheus: `cargo xtask test` installs it");
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{what} {file}: {said}");
    }
}

/// Every program's metrics: here all of them are one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_own_tool_has_nothing_to_say_of_the_metrics() {
    let pipeline = without(&[], "").await;
    let page = || async {
        let url = pipeline.door("saga-tracker", "/metrics");
        pipeline.http.get(url).send().await.unwrap().text().await.unwrap()
    };
    for token in ["tok_approved", "tok_capture_fails", "tok_wrong_amount"] {
        pipeline.place(&order(1).paid_with(token)).await;
    }
    pipeline.settle().await;
    for name in ["quadrille_step_seconds_bucket", "quadrille_alerts_open", "quadrille_relay_published_total"] {
        pipeline.until(|| async { page().await.contains(name) }, name).await;
    }
    let mut lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus: `cargo xtask test` installs it");
    std::io::Write::write_all(&mut lint.stdin.take().unwrap(), page().await.as_bytes()).unwrap();
    let run = lint.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.trim().is_empty(), "{said}");
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tracker_exports_every_metric_that_the_rules_ask_of_it() {
    let text = std::fs::read_to_string(rules("quadrille.rules.yml")).unwrap();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.split(|c| !is_part(c)).filter(|word| word.starts_with("quadrille_"));
    let mut asked: Vec<&str> = names.collect();
    asked.sort_unstable();
    asked.dedup();
    assert!(asked.len() >= 6, "{asked:?}");
    let pipeline = without(&[], "").await;
    let page = || async {
        let url = pipeline.door("saga-tracker", "/metrics");
        pipeline.http.get(url).send().await.unwrap().text().await.unwrap()
    };
    page().await; // the recorder of a process begins with the first question
    let order = pipeline.place(&order(1)).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&order).await, "COMPLETED");
    // What there is only of trouble has no value yet, unless another test of this process had it, and is named here instead.
    let of_trouble = ["quadrille_lost_records_total", "quadrille_money_at_risk", "quadrille_parked_oldest_seconds"];
    let described = include_str!("../../../crates/runtime/src/telemetry/described.rs");
    for name in asked {
        assert!(described.contains(&format!("\"{name}\"")), "the rules ask for {name}, which no program describes");
        if !of_trouble.contains(&name) {
            pipeline.until(|| async { page().await.contains(name) }, name).await;
        }
    }
    pipeline.finish().await;
}
