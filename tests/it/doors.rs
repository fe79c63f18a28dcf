//! The routes: who may call which, what is shown to whom, what is on record, what connections may cost, and that answers are as documented.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod answers;
mod connections;
mod fuzz;
mod roles;
mod table;

use quadrille_tests::Pipeline;
use reqwest::Method;
use serde_json::Value;

/// The programs that have routes.
fn programs() -> Vec<&'static str> {
    let all = pipeline::consumers().into_iter().filter(|consumer| consumer.document.is_some() && !consumer.is_optional);
    all.map(|consumer| consumer.name).collect()
}

/// Methods as documents spell them.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Every operation that a program documents: method, path and what is said of it.
async fn operations(pipeline: &Pipeline, program: &str) -> Vec<(Method, String, Value)> {
    let document = pipeline.get(program, "/openapi.json").await;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS.into_iter().filter(|method| item.get(method).is_some()) {
            found.push((method.to_uppercase().parse().unwrap(), path.clone(), item[method].clone()));
        }
    }
    found
}

/// A path with its parameters filled in: an order or thing that there is not, the warehouse `a`.
fn filled(path: &str) -> String {
    let nil = uuid::Uuid::nil().to_string();
    let with = |path: String, (name, value): &(&str, &str)| path.replace(&format!("{{{name}}}"), value);
    let values = [("warehouse", "a"), ("sku", "TEA")];
    let path = values.iter().fold(path.to_owned(), with);
    ["id", "order_id", "shipment_id", "refund_id", "return_id", "letter_id", "job_id"]
        .iter()
        .fold(path, |path, name| with(path, &(name, &nil)))
}
