//! The rules for Avro schemas: only what our decoder reads in every version, and nothing that can't be understood.

use events::CatalogueEntry;
use serde_json::Value as Json;

use crate::model::EventRules;
use crate::problem::RuleBreach;

/// Checks one schema by itself: valid, of the right name, without what the decoder can't follow.
pub(crate) fn check_schema(entry: &CatalogueEntry, problems: &mut Vec<RuleBreach>) {
    let at = format!("schemas/{}/{}.avsc", entry.topic, entry.name);
    let schema = match apache_avro::Schema::parse_str(entry.schema) {
        Ok(schema) => schema,
        Err(error) => {
            problems.push(RuleBreach::new(at, "a valid Avro schema", format!("{error}"), "correct the file"));
            return;
        }
    };
    let name = schema.name().map(ToString::to_string).unwrap_or_default();
    let namespace = format!("quadrille.{}", entry.topic.replace('-', "_"));
    let expected = format!("{namespace}.{}", entry.name);
    if name != expected || name != entry.event_type {
        problems.push(RuleBreach::new(
            at.as_str(),
            format!("a record {expected}"),
            format!("{name}, known to the code as {}", entry.event_type),
            "correct name and namespace: ce_type and the registry's subject are made of them",
        ));
    }
    // The text is walked rather than the parsed schema: what the parser normalizes away must be seen, too.
    if let Ok(json) = serde_json::from_str::<Json>(entry.schema) {
        walk(&json, &at, problems);
    }
}

fn walk(schema: &Json, at: &str, problems: &mut Vec<RuleBreach>) {
    match schema {
        Json::String(name) => check_type_name(name, at, problems),
        Json::Array(variants) => check_union(variants, at, problems),
        Json::Object(object) => {
            refuse_aliases(schema, at, problems);
            match object.get("type") {
                Some(Json::String(kind)) if kind == "record" => walk_record(schema, at, problems),
                Some(Json::String(kind)) if kind == "array" => walk(&schema["items"], &format!("{at}[]"), problems),
                Some(Json::String(kind)) if kind == "map" => walk(&schema["values"], &format!("{at}{{}}"), problems),
                Some(inner) => walk(inner, at, problems),
                None => {}
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn walk_record(record: &Json, at: &str, problems: &mut Vec<RuleBreach>) {
    require_doc(record, at, problems);
    for field in record["fields"].as_array().map_or(&[][..], Vec::as_slice) {
        let at = format!("{at}, field {}", field["name"].as_str().unwrap_or_default());
        require_doc(field, &at, problems);
        refuse_aliases(field, &at, problems);
        walk(&field["type"], &at, problems);
    }
}

fn require_doc(described: &Json, at: &str, problems: &mut Vec<RuleBreach>) {
    if described["doc"].as_str().is_none_or(str::is_empty) {
        problems.push(RuleBreach::new(at, "a `doc`", "none", "say what it means, and in which unit"));
    }
}

fn refuse_aliases(named: &Json, at: &str, problems: &mut Vec<RuleBreach>) {
    if named.get("aliases").is_some() {
        problems.push(RuleBreach::new(
            at,
            "no aliases",
            "`aliases`",
            "add a field of the new name with a default, and leave the old one: the decoder does not resolve aliases",
        ));
    }
}

fn check_type_name(name: &str, at: &str, problems: &mut Vec<RuleBreach>) {
    let (expected, action) = match name {
        "enum" => {
            ("a string for a code", "make it a string: a symbol added later could not be read by programs of today")
        }
        "float" | "double" => {
            ("whole numbers", "use long, with the unit in the doc: no money is a float, and nothing else needs one")
        }
        _ => return,
    };
    let article = if name == "enum" { "an" } else { "a" };
    problems.push(RuleBreach::new(at, expected, format!("{article} {name}"), action));
}

fn check_union(variants: &[Json], at: &str, problems: &mut Vec<RuleBreach>) {
    if variants.len() != 2 || variants.first().and_then(Json::as_str) != Some("null") {
        problems.push(RuleBreach::new(
            at,
            "a union of null, first, and one type",
            Json::from(variants.to_vec()).to_string(),
            "make it optional in this form, or split it into fields",
        ));
    }
    variants.iter().for_each(|variant| walk(variant, at, problems));
}

/// Checks that the fields which `within` names exist and mean what it takes them for.
pub(crate) fn check_fields(entry: &CatalogueEntry, rules: &EventRules, problems: &mut Vec<RuleBreach>) {
    let Some(within) = &rules.within else { return };
    let schema: Json = serde_json::from_str(entry.schema).unwrap_or_default();
    let fields = schema["fields"].as_array().cloned().unwrap_or_default();
    let of = |name: &String| fields.iter().find(|field| field["name"] == **name).map(|field| &field["type"]);
    if let Some(name) = &within.after
        && of(name).is_none_or(|kind| kind["logicalType"] != "timestamp-millis")
    {
        problems.push(field_problem(entry, "after", "a moment (timestamp-millis)", name));
    }
    if let Some(name) = &within.only_if
        && of(name).is_none_or(|kind| !kind.is_array())
    {
        problems.push(field_problem(entry, "only_if", "optional", name));
    }
}

fn field_problem(entry: &CatalogueEntry, rule: &str, kind: &str, name: &str) -> RuleBreach {
    RuleBreach::new(
        format!("event {}, within.{rule}", entry.name),
        format!("a field of the event that is {kind}"),
        format!("{name:?}"),
        "name a field of its schema",
    )
}
