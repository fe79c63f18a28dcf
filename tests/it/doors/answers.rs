//! Answers against the schemas that the documents give them.

use quadrille_tests::{Order, Pipeline, Setup, produce};
use serde_json::{Value, json};

use super::{filled, operations, programs};

/// What is wrong with a value by a schema of this document, with the path of it.
fn misfits(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointed = document.pointer(reference.trim_start_matches('#'));
        let pointed = pointed.unwrap_or_else(|| panic!("{at}: {reference} leads nowhere"));
        return misfits(document, pointed, value, at, found);
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        misfits(document, all, value, at, found);
    }
    for either in ["oneOf", "anyOf"] {
        let Some(choices) = schema[either].as_array() else { continue };
        let fits = choices.iter().filter(|choice| {
            let mut wrong = Vec::new();
            misfits(document, choice, value, at, &mut wrong);
            wrong.is_empty()
        });
        let fits = fits.count();
        if fits == 0 || either == "oneOf" && fits > 1 {
            found.push(format!("{at}: {value} fits {fits} of {either} {choices:?}"));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if !types.is_empty() && !types.iter().any(is) {
        found.push(format!("{at}: expected {types:?}, got {value}"));
    }
    if let Some(known) = schema["enum"].as_array().filter(|known| !known.contains(value)) {
        found.push(format!("{at}: expected one of {known:?}, got {value}"));
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                found.push(format!("{at}: {name} is required and missing"));
            }
        }
        for (name, member) in members {
            let below = format!("{at}/{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(property), _) => misfits(document, property, member, &below, found),
                (None, Some(others)) if others.is_object() => misfits(document, others, member, &below, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{below} is not in the schema")),
                (None, _) => {}
            }
        }
    }
    for (position, entry) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            misfits(document, &schema["items"], entry, &format!("{at}/{position}"), found);
        }
    }
}

/// Members of an answer that its schema does not name at all: what a document keeps silent about.
fn unnamed(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    fn names(document: &Value, schema: &Value) -> Vec<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            return names(document, document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null));
        }
        let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|several| schema[several].as_array()).flatten();
        own.chain(parts.flat_map(|part| names(document, part))).collect()
    }
    let known = names(document, schema);
    value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).filter(|name| !known.contains(name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_and_every_refusal_is_as_its_document_says() {
    let pipeline = Pipeline::with(Setup::keyed("")).await;
    pipeline.stock("TEA", "a", 10).await;
    let order = pipeline.place(&Order::of(&[("TEA", 2, 450)])).await;
    let declined = pipeline.place(&Order::of(&[("TEA", 1, 450)]).paid_with("tok_declined")).await;
    let abroad = json!({"name": "Ada", "line1": "1 Road", "city": "New York", "postal_code": "10001", "country": "US"});
    let reviewed = pipeline.place(&Order::of(&[("TEA", 2, 450_000)]).with("bill_to", abroad)).await;
    produce(&pipeline.topic("order-placed"), &[(None, b"{\"reference\": 17, ".as_slice(), &[])]);
    pipeline.settle().await;
    let letters = pipeline.get("saga-tracker", "/dead-letters?reveal=true").await;
    let letter = letters["dead_letters"][0]["letter_id"].as_str().expect("a dead letter").to_owned();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for program in programs() {
        let document = pipeline.get(program, "/openapi.json").await;
        for (method, path, operation) in operations(&pipeline, program).await {
            let is_read = method == reqwest::Method::GET;
            let with = |id: &str| path.replace("{letter_id}", &letter).replace("{id}", id).replace("{order_id}", id);
            let known = [&order, &declined, &reviewed].map(|id| filled(&with(id)));
            let asked: &[String] = if is_read { &known } else { &[] };
            for path in asked.iter().chain([&filled(&path)]) {
                let body = (!is_read).then(|| json!({"no": "such member"}));
                let (status, answer) = pipeline.ask(method.clone(), program, path, body).await;
                let context = format!("{program}: {method} {path}: {status}");
                let mut declared = &operation["responses"][status.to_string()];
                if let Some(reference) = declared["$ref"].as_str() {
                    declared = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
                }
                let kind = if status < 400 { "application/json" } else { "application/problem+json" };
                let schema = &declared["content"][kind]["schema"];
                if schema.is_null() {
                    wrong.push(format!("{context} is not declared as {kind}: {answer}"));
                    continue;
                }
                let mut found = Vec::new();
                misfits(&document, schema, &answer, "", &mut found);
                if status < 400 {
                    found.extend(
                        unnamed(&document, schema, &answer)
                            .into_iter()
                            .map(|name| format!("/{name} is not documented")),
                    );
                }
                wrong.extend(found.into_iter().map(|misfit| format!("{context}: {misfit}")));
                seen += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 100, "{seen} answers");

    // A row that this version can't read is told as such: whoever asks again gets no other answer.
    for (consumer, path, id, column) in [
        ("orders", "/orders/{id}", &order, "orders.\"order\" set details"),
        ("payments", "/payments/{id}", &order, "payments.payment set data"),
        ("fraud", "/reviews/{id}", &reviewed, "fraud.assessment set data"),
        ("fulfillment", "/orders/{id}/shipments", &order, "fulfillment.consignment set data"),
        ("saga-tracker", "/orders/{id}", &order, "saga_tracker.\"order\" set lines"),
    ] {
        let broken = format!("update {column} = '{{' where order_id = '{id}'");
        let done = sqlx::query(sqlx::AssertSqlSafe(broken)).execute(&pipeline.database.pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{column}");
        let path = path.replace("{id}", id);
        let (status, answer) = pipeline.ask(reqwest::Method::GET, consumer, &path, None).await;
        assert_eq!((status, answer["title"].as_str()), (500, Some("Unreadable data")), "{consumer} {path}: {answer}");
    }
    pipeline.finish_without_audit("rows were made unreadable").await;
}
