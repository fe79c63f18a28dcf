//! `quadrille openapi`: the one document of all routes. `docs/openapi.json` is its output, and every program serves that.

use std::process::ExitCode;

use serde_json::Value;

pub fn run() -> anyhow::Result<ExitCode> {
    print!("{}", text()?);
    Ok(ExitCode::SUCCESS)
}

/// The document, as it is kept in `docs/`.
fn text() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&document())? + "\n")
}

fn document() -> Value {
    let documents = pipeline::consumers().into_iter().filter(|consumer| !consumer.is_optional).filter_map(|consumer| {
        let address = format!("http://{}", runtime::default_address(consumer.name)?);
        Some((consumer.name, address, consumer.document?()))
    });
    runtime::http::merge(documents.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

    /// Every operation: its method and path, and what is said of it.
    fn operations(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| METHODS.into_iter().map(move |method| (format!("{method} {path}"), &item[method])))
            .filter(|(_, operation)| operation.is_object())
            .collect()
    }

    fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_document_in_docs_is_what_the_programs_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == text().unwrap(),
            "docs/openapi.json is not up to date: `quadrille openapi > docs/openapi.json`"
        );
    }

    /// What a linter complains of, for each document and for the one of all.
    #[test]
    fn no_document_has_what_a_linter_complains_of() {
        let of_each = pipeline::consumers().into_iter().filter_map(|consumer| Some(consumer.document?()));
        let mut complaints = Vec::new();
        for document in &[document()].into_iter().chain(of_each).collect::<Vec<_>>() {
            let title = &document["info"]["title"];
            let mut complain = |what: String| complaints.push(format!("{title}: {what}"));
            let mut found = BTreeSet::new();
            references(document, &mut found);
            for reference in
                found.iter().filter(|reference| document.pointer(reference.trim_start_matches('#')).is_none())
            {
                complain(format!("{reference} leads nowhere"));
            }
            for name in document["components"]["schemas"].as_object().unwrap().keys() {
                if !found.contains(format!("#/components/schemas/{name}").as_str()) {
                    complain(format!("nothing refers to the schema {name}"));
                }
            }
            let mut ids = BTreeMap::new();
            for (route, operation) in operations(document) {
                if let Some(other) = ids.insert(operation["operationId"].as_str().unwrap_or_default(), route.clone()) {
                    complain(format!("{route} and {other} have one operationId"));
                }
                let said = operation["description"].as_str().unwrap_or_default();
                let is_keyless = operation["security"].as_array().is_some_and(Vec::is_empty);
                if is_keyless
                    && !(said.contains("Without a key: callers are known by ")
                        && operation["x-roles"] == serde_json::json!([]))
                {
                    complain(format!("{route} has no key, and does not say what its callers are known by"));
                }
                let of_keys: &[&str] = if is_keyless { &[] } else { &["security", "x-roles"] };
                for needed in ["operationId", "summary", "description", "tags"].iter().chain(of_keys).copied() {
                    let value = &operation[needed];
                    if value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty) {
                        complain(format!("{route} has no {needed}"));
                    }
                }
                parameters(&route, operation, &mut complain);
                answers(&route, operation, &mut complain);
                let body = &operation["requestBody"]["content"]["application/json"];
                if !operation["requestBody"].is_null() && !has_example(document, body) {
                    complain(format!("{route}: its body has no example"));
                }
            }
        }
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    fn parameters(route: &str, operation: &Value, complain: &mut impl FnMut(String)) {
        let mut named = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !named.insert((name, parameter["in"].as_str())) {
                complain(format!("{route}: the parameter {name} is there twice"));
            }
            let in_path = route.contains(&format!("{{{name}}}"));
            if in_path != (parameter["in"] == "path") || in_path && parameter["required"] != true {
                complain(format!("{route}: the parameter {name} is declared in {}", parameter["in"]));
            }
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                complain(format!("{route}: the parameter {name} has no description"));
            }
        }
        for name in route.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            if !named.contains(&(name, Some("path"))) {
                complain(format!("{route}: the parameter {name} of the path is not declared"));
            }
        }
    }

    fn answers(route: &str, operation: &Value, complain: &mut impl FnMut(String)) {
        let responses = operation["responses"].as_object().unwrap();
        if !responses.keys().any(|status| status.starts_with('2')) {
            complain(format!("{route}: no success is declared"));
        }
        let mut wanted = vec!["400", "503"];
        if operation["security"].as_array().is_none_or(|needed| !needed.is_empty()) {
            wanted.extend(["401", "403", "429"]);
        }
        if !operation["requestBody"].is_null() {
            wanted.extend(["413", "415", "422"]);
        }
        for status in wanted.into_iter().filter(|status| !responses.contains_key(*status)) {
            complain(format!("{route}: {status} is not declared"));
        }
        for (status, response) in responses {
            let is_error = status.starts_with(['4', '5']);
            let kinds = response["content"].as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
            let wrong = |kind: &&str| (*kind == "application/problem+json") != is_error;
            if let Some(kind) = kinds.into_iter().find(wrong) {
                complain(format!("{route}: {status} is declared as {kind}"));
            }
        }
    }

    fn has_example(document: &Value, body: &Value) -> bool {
        let mut schema = &body["schema"];
        if schema["type"] == "array" {
            schema = &schema["items"];
        }
        if let Some(reference) = schema["$ref"].as_str() {
            schema = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        }
        [&body["example"], &schema["example"]].iter().any(|example| !example.is_null())
    }
}
