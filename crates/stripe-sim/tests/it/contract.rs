//! Against what Stripe publishes: the request shapes that stripe-mock accepts and refuses, and the shapes of answers in its OpenAPI description.
//! Both come from stripe-mock's Go module; without Go these tests say that they are skipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::harness::{LIMIT, Sim, encoded};

const MODULE: &str = "github.com/stripe/stripe-mock@v0.203.0";

async fn go(arguments: &[&str], bin: &Path) -> Option<String> {
    let output = Command::new("go").args(arguments).env("GOBIN", bin).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The binary of stripe-mock, and its OpenAPI description.
async fn stripe_mock() -> Option<(PathBuf, Value)> {
    static INSTALL: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = INSTALL.lock().await;
    let bin = &Path::new(env!("CARGO_TARGET_TMPDIR")).join("stripe-mock-v0.203.0"); // the tests of stripe-gateway install it there too
    let cache = match go(&["env", "GOMODCACHE"], bin).await {
        Some(cache) if bin.join("stripe-mock").exists() || go(&["install", MODULE], bin).await.is_some() => cache,
        Some(_) | None => {
            println!("skipped: `go install {MODULE}` needs Go and its module proxy");
            return None;
        }
    };
    let spec = Path::new(&cache).join(MODULE).join("embedded/openapi/spec3.json");
    let spec =
        serde_json::from_slice(&std::fs::read(&spec).unwrap_or_else(|error| panic!("{}: {error}", spec.display())))
            .unwrap();
    Some((bin.join("stripe-mock"), spec))
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

async fn start(binary: &Path) -> (Child, String) {
    let (http, https) = (free_address(), free_address());
    let process = Command::new(binary)
        .args(["-http-addr", &http, "-https-addr", &https])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("stripe-mock starts");
    let started = Instant::now();
    while tokio::net::TcpStream::connect(&http).await.is_err() {
        assert!(started.elapsed() < LIMIT, "stripe-mock listens");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process, format!("http://{http}"))
}

/// Who takes a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Takes {
    Both,
    Neither,
    /// stripe-mock does not look into hashes that may also be empty texts; Stripe does, and so does the simulator.
    OnlyMock,
}

use Takes::{Both, Neither, OnlyMock};

type Pairs = [(&'static str, &'static str)];

/// Requests, and who takes them. `{pi}`, `{held}`, … are objects of the simulator.
const SHAPES: &[(&str, &str, &Pairs, Takes)] = &[
    (
        "POST",
        "payment_intents",
        &[
            ("amount", "1000"),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("allowed_payment_method_types[0]", "card"),
            ("metadata[order_id]", "1"),
            ("expand[0]", "latest_charge"),
        ],
        Both,
    ),
    (
        "POST",
        "payment_intents",
        &[("amount", "1000"), ("currency", "eur"), ("payment_method_options[card][request_three_d_secure]", "any")],
        Both,
    ),
    (
        "POST",
        "payment_intents",
        &[
            ("amount", "1000"),
            ("currency", "eur"),
            ("shipping[name]", "Ada"),
            ("shipping[address][line1]", "1 Main St"),
        ],
        Both,
    ),
    (
        "POST",
        "payment_intents",
        &[("amount", "1000"), ("currency", "eur"), ("statement_descriptor_suffix", "SHOP")],
        Both,
    ),
    (
        "POST",
        "payment_intents",
        &[
            ("amount", "1000"),
            ("currency", "eur"),
            ("automatic_payment_methods[enabled]", "true"),
            ("automatic_payment_methods[allow_redirects]", "never"),
        ],
        Both,
    ),
    ("POST", "payment_intents", &[("currency", "eur")], Neither),
    ("POST", "payment_intents", &[("amount", "ten"), ("currency", "eur")], Neither),
    ("POST", "payment_intents", &[("amount", "1000"), ("currency", "eur"), ("capture_method", "later")], Neither),
    ("POST", "payment_intents", &[("amount", "1000"), ("currency", "eur"), ("amout", "1")], Neither),
    (
        "POST",
        "payment_intents",
        &[("amount", "1000"), ("currency", "eur"), ("payment_method_options[card][nonsense]", "1")],
        OnlyMock,
    ),
    (
        "POST",
        "payment_intents",
        &[("amount", "1000"), ("currency", "eur"), ("automatic_payment_methods[allow_redirects]", "never")],
        Neither,
    ),
    ("POST", "payment_intents/{pi}", &[("metadata[a]", "b"), ("description", "order 1")], Both),
    ("POST", "payment_intents/{pi}", &[("confirm", "true")], Neither),
    (
        "POST",
        "payment_intents/{pi}/confirm",
        &[("payment_method", "pm_card_visa"), ("return_url", "https://shop.example"), ("expand[]", "latest_charge")],
        Both,
    ),
    ("POST", "payment_intents/{pi}/confirm", &[("amount", "5")], Neither),
    ("POST", "payment_intents/{held}/capture", &[("amount_to_capture", "900"), ("final_capture", "true")], Both),
    ("POST", "payment_intents/{held}/capture", &[("amount", "900")], Neither),
    ("POST", "payment_intents/{open}/cancel", &[("cancellation_reason", "requested_by_customer")], Both),
    ("POST", "payment_intents/{open}/cancel", &[("cancellation_reason", "expired")], Neither),
    ("GET", "payment_intents/{pi}", &[("expand[]", "latest_charge.balance_transaction")], Both),
    ("GET", "payment_intents", &[("created[gte]", "1"), ("created[lte]", "2000000000"), ("limit", "100")], Both),
    ("GET", "payment_intents", &[("metadata[a]", "b")], Neither),
    (
        "POST",
        "refunds",
        &[
            ("payment_intent", "{captured}"),
            ("amount", "100"),
            ("reason", "requested_by_customer"),
            ("metadata[key]", "k"),
        ],
        Both,
    ),
    ("POST", "refunds", &[("payment_intent", "{captured}"), ("reason", "because")], Neither),
    ("GET", "refunds", &[("payment_intent", "{captured}"), ("limit", "100")], Both),
    ("GET", "charges", &[("payment_intent", "{captured}")], Both),
    ("GET", "disputes", &[("payment_intent", "{captured}")], Both),
    ("POST", "disputes/{du}", &[("evidence[uncategorized_text]", "winning_evidence"), ("submit", "false")], Both),
    ("POST", "disputes/{du}", &[("evidence[nonsense]", "a")], OnlyMock),
    ("GET", "balance", &[], Both),
    ("GET", "balance_transactions", &[("type", "charge"), ("created[gt]", "1")], Both),
    ("GET", "balance_transactions", &[("nonsense", "1")], Neither),
    ("GET", "events", &[("delivery_success", "false"), ("types[]", "refund.failed"), ("created[gte]", "1")], Both),
    ("GET", "events", &[("delivery_success", "maybe")], Neither),
    ("GET", "radar/early_fraud_warnings", &[("payment_intent", "{captured}")], Both),
    ("GET", "nowhere", &[], Neither),
];

#[tokio::test]
async fn requests_are_taken_and_refused_as_stripe_mock_does() {
    let Some((binary, _)) = stripe_mock().await else { return };
    let (_process, mock) = start(&binary).await;
    let sim = Sim::start().await;
    let [pi, held, open] =
        [sim.create("", 1_000).await, sim.hold("", 1_000, "pm_card_visa").await, sim.create("", 1_000).await];
    let captured = sim.captured("", 1_000, "pm_card_visa").await;
    let disputed = sim.captured("", 1_000, "pm_card_visa").await;
    let du = sim.control(Method::POST, &format!("payment_intents/{disputed}/dispute"), json!({})).await.ok().id();
    let fill = |text: &str| {
        let names = [("{pi}", &pi), ("{held}", &held), ("{open}", &open), ("{captured}", &captured), ("{du}", &du)];
        names.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    };
    for (method, path, form, takes) in SHAPES {
        let (path, form): (String, Vec<(&str, String)>) =
            (fill(path), form.iter().map(|(name, value)| (*name, fill(value))).collect());
        let pairs: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut answers = Vec::new();
        for base in [&mock, &sim.base] {
            let request = if *method == "POST" {
                let request = sim
                    .client
                    .post(format!("{base}/v1/{path}"))
                    .header("content-type", "application/x-www-form-urlencoded");
                request.body(encoded(&pairs))
            } else {
                sim.client.get(format!("{base}/v1/{path}?{}", encoded(&pairs)))
            };
            let answer = sim.send(request.bearer_auth("sk_test_51SimulatorTestsKey")).await;
            answers.push((answer.status == 200, answer.body));
        }
        assert_eq!(answers[0].0, *takes != Neither, "stripe-mock, {method} {path} {form:?}: {}", answers[0].1);
        assert_eq!(answers[1].0, *takes == Both, "the simulator, {method} {path} {form:?}: {}", answers[1].1);
    }
    sim.finish().await;
}

/// Where a value is not of a schema.
fn mismatches(spec: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = spec.pointer(reference.trim_start_matches('#')).expect("a schema");
        return mismatches(spec, schema, value, path, found);
    }
    if value.is_null() {
        if schema["nullable"] != true {
            found.push(format!("{path} is null"));
        }
        return;
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let errors: Vec<Vec<String>> = options
            .iter()
            .map(|option| {
                let mut found = Vec::new();
                mismatches(spec, option, value, path, &mut found);
                found
            })
            .collect();
        if let Some(best) = errors
            .iter()
            .filter(|errors| !errors.is_empty())
            .min_by_key(|errors| errors.len())
            .filter(|_| errors.iter().all(|errors| !errors.is_empty()))
        {
            found.extend(best.clone());
        }
        return;
    }
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(value)) {
        found.push(format!("{path}: {value} is none of {}", json!(values)));
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    };
    if !fits {
        found.push(format!("{path}: expected {kind}, got {value}"));
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(required).is_none() {
            found.push(format!("{path}.{required} is absent"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            mismatches(spec, schema, value, &format!("{path}.{name}"), found);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        mismatches(spec, &schema["items"], item, &format!("{path}[]"), found);
    }
}

#[tokio::test]
async fn answers_have_the_shape_of_stripes_description() {
    let Some((_, spec)) = stripe_mock().await else { return };
    let sim = Sim::start().await;
    let refunded = sim.captured("", 1_000, "pm_card_refundFail").await;
    let refund = sim.post("refunds", &[("payment_intent", &refunded), ("amount", "400")]).await.ok().id();
    sim.control(Method::POST, &format!("refunds/{refund}"), json!({"status": "failed"})).await.ok();
    let disputed = sim.captured("", 1_000, "pm_card_createDispute").await;
    let warned = sim.captured("", 1_000, "pm_card_createIssuerFraudRecord").await;
    let waits = sim.create("", 1_000).await;
    sim.confirm(&waits, "pm_card_authenticationRequired").await.ok();
    let declined = sim.create("", 1_000).await;
    let error = sim.confirm(&declined, "pm_card_chargeDeclined").await.body;
    let canceled = sim.hold("", 1_000, "pm_card_visa").await;
    sim.post(&format!("payment_intents/{canceled}/cancel"), &[]).await.ok();
    sim.advance(1).await;

    let mut checked = vec![("api_errors", error["error"].clone())];
    for (schema, path) in [
        ("payment_intent", "payment_intents?limit=100&expand[]=data.latest_charge&expand[]=data.payment_method"),
        ("charge", "charges?limit=100&expand[]=data.balance_transaction"),
        ("refund", "refunds?limit=100"),
        ("dispute", "disputes?limit=100"),
        ("balance_transaction", "balance_transactions?limit=100"),
        ("event", "events?limit=100"),
        ("radar.early_fraud_warning", "radar/early_fraud_warnings"),
    ] {
        let listed = sim.get(path).await.ok().body["data"].as_array().unwrap().clone();
        assert!(!listed.is_empty(), "{path}");
        checked.extend(listed.into_iter().map(|object| (schema, object)));
    }
    let events: Vec<Value> = checked
        .iter()
        .filter(|(schema, _)| *schema == "event")
        .map(|(_, event)| event["data"]["object"].clone())
        .collect();
    let named = ["payment_intent", "charge", "refund", "dispute", "radar.early_fraud_warning"];
    checked.extend(
        events
            .into_iter()
            .map(|object| (*named.iter().find(|name| object["object"] == **name).expect("a known object"), object)),
    );
    checked.push(("balance", sim.get("balance").await.ok().body));
    assert!(
        checked.iter().any(|(_, object)| object["payment_intent"] == json!(warned))
            && checked.iter().any(|(_, object)| object["payment_intent"] == json!(disputed))
    );

    let mut found = Vec::new();
    for (schema, object) in &checked {
        let definition = &spec["components"]["schemas"][schema];
        assert!(definition.is_object(), "{schema}");
        mismatches(&spec, definition, object, schema, &mut found);
    }
    found.sort();
    found.dedup();
    assert_eq!(found, Vec::<String>::new(), "of {} objects", checked.len());
    sim.finish().await;
}
