//! The OpenAPI documents: what every route has in common is written into each program's document here, and all documents are merged into one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::access::Accesses;

pub(super) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What any route may answer besides what it says itself: status, the name among the shared responses, what it means, whether only a route with a
/// body answers it.
const SHARED: [(&str, &str, &str, bool); 10] = [
    (
        "400",
        "BadRequest",
        "The path, the query, a header or the body can't be read: `detail` says what was expected.",
        false,
    ),
    ("401", "Unauthorized", "No key, or one that is not known.", false),
    ("403", "Forbidden", "The key's role, or whose it is, does not allow it.", false),
    ("408", "RequestTimeout", "The body did not come in time.", true),
    ("413", "PayloadTooLarge", "The body is larger than this route takes.", true),
    ("415", "UnsupportedMediaType", "The body is not declared as `application/json`.", true),
    ("422", "UnprocessableContent", "The body does not fit: `detail` says what was expected and what came.", true),
    (
        "429",
        "TooManyRequests",
        "Too many different wrong keys came from this address: ask again after `Retry-After` seconds.",
        false,
    ),
    (
        "500",
        "InternalServerError",
        "A fault of the program, or stored data that this version can't read: the same again fails again.",
        false,
    ),
    ("503", "ServiceUnavailable", "The database does not answer, or the program is stopping: ask again.", false),
];

const PROBLEM: &str = "application/problem+json";

pub(super) fn document(name: &str, api: &OpenApi, access: &Accesses) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    document["info"] = info(
        &format!("Quadrille: {name}"),
        "The routes of one program of the order pipeline. Errors are problem details (RFC 9457). \
         A key is shown in `X-Api-Key`, or as a bearer token; `x-roles` of an operation names the roles that may call it; where it is empty no key is asked for, and the description says what is.",
    );
    document["servers"] = json!([{"url": "/"}]);
    let components = document.as_object_mut().map(|whole| whole.entry("components").or_insert_with(|| json!({})));
    if let Some(components) = components.and_then(Value::as_object_mut) {
        components.insert("securitySchemes".into(), security_schemes());
        components.insert("responses".into(), shared_responses());
        components.entry("schemas").or_insert_with(|| json!({}))["Problem"] = problem();
    }
    for (path, method, operation) in operations(&mut document) {
        let Some(access) = access.get(&(path.clone(), method.to_owned())) else { continue };
        operation.insert("operationId".into(), json!(operation_id(name, method, &path)));
        operation.entry("tags").or_insert_with(|| json!([name]));
        let roles = access.admitted();
        let (security, who) = match access.known_by() {
            None => (json!([{"api_key": []}, {"bearer": []}]), format!("For keys of the role {}.", roles.join(" or "))),
            Some(known_by) => (json!([]), format!("Without a key: callers are known by {known_by}.")),
        };
        operation.insert("security".into(), security);
        let said = operation.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = format!("{said}\n\n{who}").trim().to_owned();
        operation.insert("description".into(), json!(description));
        operation.insert("x-roles".into(), json!(roles));
        answers(operation, roles.is_empty());
    }
    document
}

fn info(title: &str, description: &str) -> Value {
    let license = json!({"name": "Apache-2.0", "identifier": "Apache-2.0"});
    json!({"title": title, "version": env!("CARGO_PKG_VERSION"), "description": description, "license": license})
}

fn answers(operation: &mut Map<String, Value>, is_keyless: bool) {
    let has_body = operation.contains_key("requestBody");
    let Some(responses) = operation.entry("responses").or_insert_with(|| json!({})).as_object_mut() else { return };
    for (status, response) in responses.iter_mut() {
        let is_error = status.starts_with(['4', '5']);
        if let (true, Some(content)) = (is_error, response.get_mut("content").and_then(Value::as_object_mut))
            && let Some(declared) = content.remove("application/json")
        {
            content.insert(PROBLEM.into(), declared);
        }
        if response["description"].as_str().unwrap_or_default().is_empty() {
            response["description"] = json!(if is_error { "Refused: `detail` says why." } else { "Done." });
        }
    }
    for (status, name, _, only_with_body) in SHARED {
        let is_of_keys = ["401", "403", "429"].contains(&status);
        if (has_body || !only_with_body) && !(is_of_keys && is_keyless) {
            responses.entry(status).or_insert_with(|| json!({"$ref": format!("#/components/responses/{name}")}));
        }
    }
}

fn shared_responses() -> Value {
    let response = |(status, name, description, _): (&str, &str, &str, bool)| {
        let mut response = json!({
            "description": description,
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        });
        if ["429", "503"].contains(&status) {
            let header = json!({"description": "In how many seconds it is worth asking again.", "schema": {"type": "integer", "minimum": 0}});
            response["headers"] = json!({"Retry-After": header});
        }
        (name.to_owned(), response)
    };
    Value::Object(SHARED.into_iter().map(response).collect())
}

fn security_schemes() -> Value {
    json!({
        "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "Your key, as `quadrille keys new` printed it."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
    })
}

/// The schema of every error, whatever members a route adds.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error as RFC 9457 has it. Routes may add members of their own; each says which.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "description": "A URI reference that names the kind of problem."},
            "title": {"type": "string", "description": "The kind, for people."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What was expected, what came, what to do."},
        },
        "additionalProperties": true,
        "example": {
            "type": "/problems/not-for-this-key", "title": "Not for this key", "status": 403,
            "detail": "expected a key of the role operator or admin, got ada's of the role viewer",
        },
    })
}

/// As client generators name it: the program, the method and the path.
fn operation_id(name: &str, method: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    [&name.replace('-', "_"), method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn operations(document: &mut Value) -> Vec<(String, &'static str, &mut Map<String, Value>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let method = METHODS.into_iter().find(|known| known == method);
            if let (Some(method), Some(operation)) = (method, operation.as_object_mut()) {
                found.push((path.clone(), method, operation));
            }
        }
    }
    found
}

/// All programs' documents, by name and address, as one: each operation says which program answers it, and schemas of one name that differ are
/// named after their programs.
pub fn merge(mut documents: Vec<(&str, String, Value)>) -> Value {
    while let Some(names) = colliding(&documents) {
        for (program, _, document) in &mut documents {
            for name in &names {
                rename(document, name, &format!("{}{name}", pascal(program)));
            }
        }
    }
    let mut all = json!({
        "openapi": "3.1.0",
        "info": info(
            "Quadrille",
            "All routes of all programs of the order pipeline; `servers` of an operation names the program. Errors are problem \
             details (RFC 9457). A key is shown in `X-Api-Key`, or as a bearer token; `x-roles` names the roles that may call an operation; \
             where it is empty no key is asked for, and the description says what is.",
        ),
        "paths": {},
        "components": {"schemas": {}, "responses": shared_responses(), "securitySchemes": security_schemes()},
    });
    for (program, address, mut document) in documents {
        for (path, method, operation) in operations(&mut document) {
            operation.insert("servers".into(), json!([{"url": address, "description": program}]));
            let (path, operation) = (same_names(&path, operation), Value::Object(operation.clone()));
            let item = &mut all["paths"][path];
            item[method] = match item.get_mut(method).map(Value::take) {
                Some(other) => either(other, operation),
                None => operation,
            };
        }
        if let (Some(into), Some(schemas)) =
            (all["components"]["schemas"].as_object_mut(), document["components"]["schemas"].as_object_mut())
        {
            into.append(schemas);
        }
    }
    all
}

/// Names of schemas that mean different things in different programs.
fn colliding(documents: &[(&str, String, Value)]) -> Option<BTreeSet<String>> {
    let mut known: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (name, schema) in
        documents.iter().flat_map(|(_, _, document)| document["components"]["schemas"].as_object()).flatten()
    {
        if *known.entry(name).or_insert(schema) != schema {
            names.insert(name.clone());
        }
    }
    (!names.is_empty()).then_some(names)
}

fn rename(document: &mut Value, name: &str, new: &str) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let Some(schema) = schemas.remove(name) else { return };
    schemas.insert(new.to_owned(), schema);
    redirect(document, &format!("#/components/schemas/{name}"), &format!("#/components/schemas/{new}"));
}

fn redirect(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "$ref" && member == from {
                    *member = json!(to);
                } else {
                    redirect(member, from, to);
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| redirect(entry, from, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Two programs may call one thing in a path by two names: `/orders/{id}` is `/orders/{order_id}`.
fn same_names(path: &str, operation: &mut Map<String, Value>) -> String {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "path" && parameter["name"] == "id" && path.starts_with("/orders/") {
            parameter["name"] = json!("order_id");
        }
    }
    path.replace("/orders/{id}", "/orders/{order_id}")
}

/// One operation that two programs answer, each in its way.
fn either(mut one: Value, other: Value) -> Value {
    for list in ["servers", "parameters", "tags", "x-roles"] {
        let more: Vec<Value> = other[list].as_array().cloned().unwrap_or_default();
        let known = one[list].as_array().cloned().unwrap_or_default();
        let is_same = |one: &Value, other: &Value| {
            one == other || !one["name"].is_null() && one["name"] == other["name"] && one["in"] == other["in"]
        };
        let is_known = |entry: &Value| known.iter().any(|known| is_same(known, entry));
        let added: Vec<Value> = more.into_iter().filter(|entry| !is_known(entry)).collect();
        one[list] = known.into_iter().chain(added).collect();
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    for (name, between) in [("operationId", "_or_"), ("description", "\n\n")] {
        one[name] = json!(format!("{}{between}{}", text(&one, name), text(&other, name)));
    }
    for (status, response) in other["responses"].as_object().into_iter().flatten() {
        let schema = |response: &Value| response.pointer("/content/application~1json/schema").cloned();
        let Some(known) = one["responses"].get_mut(status) else {
            one["responses"][status] = response.clone();
            continue;
        };
        if let Some((first, second)) = schema(known).zip(schema(response))
            && first != second
        {
            known["content"]["application/json"]["schema"] = json!({"anyOf": [first, second]});
        }
    }
    one
}

fn pascal(name: &str) -> String {
    let capital =
        |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(schema: Value) -> Value {
        let answer = json!({"200": {"description": "It.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/View"}}}}});
        let id = json!([{"name": "id", "in": "path"}]);
        json!({
            "paths": {"/orders/{id}": {"get": {"operationId": "show", "parameters": id, "responses": answer}}},
            "components": {"schemas": {"View": {"properties": {"step": {"$ref": "#/components/schemas/Step"}}}, "Step": schema, "Same": {}}},
        })
    }

    #[test]
    fn schemas_that_differ_are_named_apart_with_all_that_refers_to_them() {
        let documents = vec![
            ("orders", "http://a".to_owned(), program(json!({"type": "string"}))),
            ("saga-tracker", "http://b".to_owned(), program(json!({"type": "integer"}))),
        ];
        let all = merge(documents);
        let names: Vec<_> = all["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["OrdersStep", "OrdersView", "SagaTrackerStep", "SagaTrackerView", "Same"]);
        let step = &all["components"]["schemas"]["SagaTrackerView"]["properties"]["step"]["$ref"];
        assert_eq!(step, "#/components/schemas/SagaTrackerStep");
        let show = &all["paths"]["/orders/{order_id}"]["get"];
        assert_eq!(show["servers"].as_array().unwrap().len(), 2);
        assert_eq!(show["parameters"].as_array().unwrap().len(), 1);
        let schema = &show["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(schema["anyOf"][1]["$ref"], "#/components/schemas/SagaTrackerView");
    }
}
