//! Role by route, over the documents that the programs serve.

use std::collections::BTreeSet;

use quadrille_tests::{ALL, KEYS, Pipeline, Setup};
use reqwest::Method;
use serde_json::{Value, json};

use super::{filled, operations, programs};

/// Every route there is, and who may call it. A new one belongs here: whoever adds it says for whom it is.
const TABLE: &[(&str, &str, &str)] = &[
    ("orders", "POST /orders", "shop"),
    ("orders", "GET /orders/{id}", "viewer shop operator admin"),
    ("orders", "POST /orders/{id}/cancel", "shop operator admin"),
    ("inventory", "POST /stock/received", "warehouse operator admin"),
    ("inventory", "POST /stock/counted", "warehouse operator admin"),
    ("inventory", "POST /stock/load", "admin"),
    ("inventory", "GET /stock/{sku}", "viewer shop warehouse operator admin"),
    ("inventory", "PUT /warehouses/{warehouse}", "admin"),
    ("inventory", "GET /warehouses", "viewer shop warehouse operator admin"),
    ("payments", "GET /payments/{order_id}", "viewer operator admin"),
    ("payments", "POST /payments/{order_id}/retry", "operator admin"),
    ("payments", "POST /orders/{order_id}/refunds", "operator admin"),
    ("payments", "GET /orders/{order_id}/refunds", "viewer operator admin"),
    ("payments", "POST /orders/{order_id}/refunds/{refund_id}/retry", "operator admin"),
    ("payments", "POST /orders/{order_id}/refunds/{refund_id}/settle", "operator admin"),
    ("payments", "POST /payments/{order_id}/three-d-secure", "operator admin"),
    ("payments", "POST /webhooks/sandbox", "operator admin"),
    ("payments", "PUT /sandbox/outage", "admin"),
    ("payments", "POST /payments/{order_id}/customer-token", "shop operator admin"),
    ("payments", "POST /payments/{order_id}/client-secret", ""),
    ("payments", "POST /webhooks/stripe", ""),
    ("fraud", "GET /reviews", "viewer operator admin"),
    ("fraud", "GET /reviews/{order_id}", "viewer operator admin"),
    ("fraud", "POST /reviews/{order_id}/verdict", "operator admin"),
    ("fulfillment", "GET /orders/{order_id}/shipments", "viewer warehouse operator admin"),
    ("fulfillment", "GET /warehouse/{warehouse}/picking-lists", "viewer warehouse operator admin"),
    ("fulfillment", "GET /warehouse/{warehouse}/parcels", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/shipments/{shipment_id}/picked", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/shipments/{shipment_id}/handed-over", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/shipments/{shipment_id}/will-not-ship", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/shipments/{shipment_id}/delivered", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/shipments/{shipment_id}/put-back", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/returns", "operator admin"),
    ("fulfillment", "GET /orders/{order_id}/returns", "viewer warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/returns/{return_id}/received", "warehouse operator admin"),
    ("fulfillment", "POST /orders/{order_id}/returns/{return_id}/refused", "operator admin"),
    ("fulfillment", "POST /orders/{order_id}/release-hold", "operator admin"),
    ("saga-tracker", "GET /orders", "viewer operator admin"),
    ("saga-tracker", "GET /orders/{order_id}", "viewer operator admin"),
    ("saga-tracker", "GET /orders/{order_id}/events", "viewer operator admin"),
    ("saga-tracker", "GET /inventory", "viewer operator admin"),
    ("saga-tracker", "GET /fulfillment", "viewer operator admin"),
    ("saga-tracker", "GET /dead-letters", "viewer operator admin"),
    ("saga-tracker", "GET /dead-letters/groups", "viewer operator admin"),
    ("saga-tracker", "GET /dead-letters/{letter_id}", "viewer operator admin"),
    ("saga-tracker", "POST /dead-letters/{letter_id}/retry", "operator admin"),
    ("saga-tracker", "POST /dead-letters/{letter_id}/skip", "operator admin"),
    ("saga-tracker", "POST /dead-letters/{letter_id}/edit", "operator admin"),
    ("saga-tracker", "POST /dead-letters/{letter_id}/compensate", "operator admin"),
    ("saga-tracker", "GET /actions", "viewer operator admin"),
    ("saga-tracker", "GET /dead-letters/jobs", "viewer operator admin"),
    ("saga-tracker", "POST /dead-letters/jobs", "operator admin"),
    ("saga-tracker", "GET /dead-letters/jobs/{job_id}", "viewer operator admin"),
    ("saga-tracker", "POST /dead-letters/jobs/{job_id}/stop", "operator admin"),
    ("saga-tracker", "POST /dead-letters/jobs/{job_id}/resume", "operator admin"),
    ("saga-tracker", "GET /stats", "viewer operator admin"),
    ("saga-tracker", "GET /deadlines", "viewer operator admin"),
    ("saga-tracker", "POST /orders/{order_id}/deadline", "operator admin"),
    ("saga-tracker", "GET /alerts", "viewer operator admin"),
    ("saga-tracker", "GET /audit", "viewer operator admin"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_answers_the_roles_of_the_table_and_nobody_else() {
    let stripe =
        "[payments.stripe]\napi_key = 'sk_test_1'\nwebhook_secrets = ['whsec_1']\nbase_url = 'http://127.0.0.1:9'\n";
    let pipeline = Pipeline::with(Setup::keyed(stripe)).await;
    let mut seen = BTreeSet::new();
    for program in programs() {
        for (method, path, operation) in operations(&pipeline, program).await {
            let route = format!("{method} {path}");
            let roles: Vec<&str> = operation["x-roles"]
                .as_array()
                .unwrap_or_else(|| panic!("{program}: {route} declares no role"))
                .iter()
                .filter_map(|role| role.as_str())
                .collect();
            let row = TABLE.iter().find(|row| (row.0, row.1) == (program, route.as_str()));
            let row = row.unwrap_or_else(|| panic!("{program}: {route} is not in the table: say there for whom it is"));
            assert_eq!(roles.join(" "), row.2, "{program}: {route}");
            seen.insert((program, row.1));
            if roles.is_empty() {
                no_key(&pipeline, program, &method, &path, &operation).await;
                continue;
            }
            assert_eq!(operation["security"], json!([{"api_key": []}, {"bearer": []}]), "{program}: {route}");
            every_key(&pipeline, program, &method, &path, &roles).await;
        }
    }
    let gone: Vec<_> = TABLE.iter().filter(|row| !seen.contains(&(row.0, row.1))).collect();
    assert!(gone.is_empty(), "routes of the table that no program has: {gone:?}");
    open_to_all(&pipeline).await;
    let unkeyed =
        "select count(*) from runtime.door_action where who not in ('vera', 'web', 'app', 'hall', 'eve', 'root')";
    assert_eq!(pipeline.count(unkeyed).await, 0);
    pipeline.finish().await;
}

/// A route without a key knows its callers by something else: it says by what, and refuses whoever shows keys.
async fn no_key(pipeline: &Pipeline, program: &str, method: &Method, path: &str, operation: &Value) {
    let said = operation["description"].as_str().unwrap();
    assert!(operation["security"] == json!([]) && said.contains("Without a key"), "{program}: {method} {path}: {said}");
    for (_, _, shown) in KEYS {
        let (status, problem) = pipeline.ask_as(shown, method.clone(), program, &filled(path), Some(json!({}))).await;
        assert!([400, 401].contains(&status), "{program}: {method} {path}: {status} {problem}");
    }
}

async fn every_key(pipeline: &Pipeline, program: &str, method: &Method, path: &str, roles: &[&str]) {
    // What is refused for its key is not looked at: a body that no route takes.
    let body = (*method != Method::GET).then(|| json!({}));
    let recorded = "select count(*) from runtime.door_action";
    let before = pipeline.count(recorded).await;
    for wrong in ["", "0123456789abcdef-adam"] {
        let (status, problem) = pipeline.ask_as(wrong, method.clone(), program, &filled(path), body.clone()).await;
        assert_eq!(status, 401, "{program}: {method} {path} with the key {wrong:?}: {problem}");
    }
    let mut admitted = 0;
    for (name, role, shown) in KEYS {
        let role = role.split(':').next().unwrap();
        let (status, problem) = pipeline.ask_as(shown, method.clone(), program, &filled(path), body.clone()).await;
        let context = format!("{program}: {method} {path} as {name}, {role}: {status} {problem}");
        if roles.contains(&role) {
            assert!(![401, 403, 429].contains(&status) && status < 500, "{context}");
            admitted += 1;
        } else {
            assert_eq!((status, &problem["title"]), (403, &json!("Not for this key")), "{context}");
        }
    }
    let is_recorded = *method != Method::GET && path != "/orders";
    let expected = if is_recorded { admitted } else { 0 };
    assert_eq!(pipeline.count(recorded).await - before, expected, "on record of {program}: {method} {path}");
}

/// What needs no key: probes, metrics and documents, which are only read.
async fn open_to_all(pipeline: &Pipeline) {
    for program in ALL.iter() {
        for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/openapi/all.json"] {
            // Under load a program may be behind, and not ready, for a moment.
            let get =
                || async { pipeline.http.get(pipeline.door(program, path)).send().await.unwrap().status() == 200 };
            pipeline.until(get, &format!("{program} {path} answers whoever has no key")).await;
            let post = pipeline.http.post(pipeline.door(program, path)).send().await.unwrap();
            assert_eq!(post.status(), 405, "{program} {path}");
        }
    }
}
