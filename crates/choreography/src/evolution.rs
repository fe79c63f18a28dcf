//! Versions of one schema: each must be readable by programs of every other, without resolution (FULL_TRANSITIVE).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::problem::RuleBreach;

/// Checks that programs of any published version and of the current one read each other's records.
///
/// `published` are the schemas of all versions, oldest first; `current` is today's. A problem is a field added or
/// removed without a default, a type that changed (a promotion too: the decoder does not resolve), or another name.
pub fn check_evolution(event_type: &str, published: &[&str], current: &str) -> Vec<RuleBreach> {
    let mut problems = Vec::new();
    let current = records(current);
    for (version, text) in (1..).zip(published) {
        let at = format!("{event_type}, version {version} against today's");
        let published = records(text);
        if published.keys().next().is_some() && !current.contains_key(event_type) {
            problems.push(RuleBreach::new(
                at.as_str(),
                format!("a record {event_type}"),
                current.keys().cloned().collect::<Vec<_>>().join(", "),
                "keep the name: it is the event's ce_type",
            ));
        }
        for (record, before) in &published {
            if let Some(now) = current.get(record) {
                compare(&format!("{at}, record {record}"), before, now, &mut problems);
            }
        }
    }
    problems
}

fn compare(
    at: &str,
    before: &BTreeMap<String, SchemaField>,
    now: &BTreeMap<String, SchemaField>,
    problems: &mut Vec<RuleBreach>,
) {
    for (name, field) in now {
        match before.get(name) {
            None if !field.has_default => problems.push(RuleBreach::new(
                at,
                format!("a default for the added field {name}"),
                "none",
                "give it one, and the Rust field #[serde(default)]: records without it are in flight",
            )),
            Some(older) if older.shape != field.shape => problems.push(RuleBreach::new(
                at,
                format!("field {name} to stay {}", older.shape),
                field.shape.to_string(),
                "add a field of another name with a default: the decoder does not promote types",
            )),
            None | Some(_) => {}
        }
    }
    for (name, field) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        if !field.has_default {
            problems.push(RuleBreach::new(
                at,
                format!("field {name}, which has no default"),
                "a version without it",
                "keep it: programs of yesterday can't read a record without it",
            ));
        }
    }
}

struct SchemaField {
    has_default: bool,
    /// The type with every record inside it reduced to its full name, and without docs.
    shape: Json,
}

/// All records of a schema, by full name, with their fields by name.
fn records(text: &str) -> BTreeMap<String, BTreeMap<String, SchemaField>> {
    let mut found = BTreeMap::new();
    collect(&serde_json::from_str(text).unwrap_or_default(), &mut found);
    found
}

fn collect(schema: &Json, found: &mut BTreeMap<String, BTreeMap<String, SchemaField>>) {
    match schema {
        Json::Array(variants) => variants.iter().for_each(|variant| collect(variant, found)),
        Json::Object(object) => {
            if let Some(fields) = object.get("fields").and_then(Json::as_array) {
                let field = |field: &Json| {
                    let name = field["name"].as_str().unwrap_or_default().to_owned();
                    (name, SchemaField { has_default: field.get("default").is_some(), shape: shape(&field["type"]) })
                };
                found.insert(full_name(schema), fields.iter().map(field).collect());
                fields.iter().for_each(|field| collect(&field["type"], found));
            }
            ["items", "values", "type"]
                .iter()
                .filter_map(|key| object.get(*key))
                .for_each(|inner| collect(inner, found));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn shape(schema: &Json) -> Json {
    match schema {
        Json::Array(variants) => variants.iter().map(shape).collect(),
        Json::Object(object) if object.contains_key("fields") => Json::String(full_name(schema)),
        Json::Object(object) => {
            let told = object.iter().filter(|(key, _)| *key != "doc");
            told.map(|(key, value)| (key.clone(), shape(value))).collect()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => schema.clone(),
    }
}

fn full_name(record: &Json) -> String {
    let name = record["name"].as_str().unwrap_or_default();
    record["namespace"].as_str().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}.{name}"))
}
