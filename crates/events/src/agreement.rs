//! Proves that schemas and structs agree, and that today's structs read the next version and every published one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::catalogue::for_every_event;
use crate::sample::{Fill, sample};
use crate::*;

trait AgreementData: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug> AgreementData for T {}

fn encode(schema: &Schema, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    GenericDatumWriter::builder(schema).build().unwrap().write_value_ref(&mut bytes, value).unwrap();
    bytes
}

fn read<T: AgreementData>(schema: &Schema, bytes: &[u8]) -> T {
    let mut rest = bytes;
    let name = schema.name().unwrap();
    let value = GenericDatumReader::builder(schema).build().unwrap().read_deser(&mut rest);
    let value = value.unwrap_or_else(|error| panic!("{name} is not read by its struct: {error}"));
    assert!(rest.is_empty(), "{name} leaves bytes unread");
    value
}

fn write<T: AgreementData>(schema: &Schema, value: &T) -> Vec<u8> {
    let name = schema.name().unwrap();
    let bytes = GenericDatumWriter::builder(schema).build().unwrap().write_ser_to_vec(value);
    bytes.unwrap_or_else(|error| panic!("{name} is not written by its struct: {error}"))
}

/// Bytes → struct → the same bytes: the struct has each field, no other, of the same name and type.
fn agrees<T: AgreementData>(full_name: &str, text: &str) {
    let schema = Schema::parse_str(text).unwrap();
    assert_eq!(schema.name().unwrap().to_string(), full_name);
    for fill in [Fill::Everything, Fill::Nothing] {
        let bytes = encode(&schema, &sample(&schema, fill));
        let value: T = read(&schema, &bytes);
        assert_eq!(write(&schema, &value), bytes, "{full_name} ({fill:?}): the struct loses or changes a field");
        let through_json: T = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
        assert_eq!(through_json, value, "{full_name} ({fill:?}): JSON loses or changes a field");
    }
}

#[test]
fn every_struct_agrees_with_its_schema_field_by_field() {
    for_every_event!(agrees);
    agrees::<Person>("quadrille.Person", PERSON_SCHEMA);
}

/// Calls `change` on the field list of each record in the schema.
fn change_records(schema: &mut Json, change: &impl Fn(&mut Vec<Json>)) {
    match schema {
        Json::Object(object) => {
            if let Some(Json::Array(fields)) = object.get_mut("fields") {
                change(fields);
            }
            object.values_mut().for_each(|inner| change_records(inner, change));
        }
        Json::Array(variants) => variants.iter_mut().for_each(|variant| change_records(variant, change)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn changed(text: &str, change: impl Fn(&mut Vec<Json>)) -> Schema {
    let mut schema: Json = serde_json::from_str(text).unwrap();
    change_records(&mut schema, &change);
    Schema::parse_str(&schema.to_string()).unwrap()
}

/// Fields added in front, between and behind are skipped. (Samples are full of codes that no version knows.)
fn reads_the_next_version<T: AgreementData>(full_name: &str, text: &str) {
    let today = Schema::parse_str(text).unwrap();
    let next = changed(text, |fields| {
        fields.insert(0, json!({"name": "added_text", "type": ["null", "string"], "default": null}));
        let middle = fields.len() / 2;
        fields.insert(
            middle,
            json!({"name": "added_numbers", "type": {"type": "array", "items": "long"}, "default": []}),
        );
        fields.push(json!({"name": "added_flag", "type": "boolean", "default": false}));
    });
    for fill in [Fill::Everything, Fill::Nothing] {
        let from_next: T = read(&next, &encode(&next, &sample(&next, fill)));
        let from_today: T = read(&today, &encode(&today, &sample(&today, fill)));
        assert_eq!(from_next, from_today, "{full_name} ({fill:?})");
    }
}

#[test]
fn todays_structs_read_a_next_version_with_added_fields_and_new_codes() {
    for_every_event!(reads_the_next_version);
    reads_the_next_version::<Person>("quadrille.Person", PERSON_SCHEMA);
}

/// What an older writer leaves out may have held the definition of a record that is used again.
fn reads_an_older_writer<T: AgreementData>(_: &str, text: &str) {
    let older = changed(text, |fields| fields.retain(|field| field.get("default").is_none()));
    let _: T = read(&older, &encode(&older, &sample(&older, Fill::Everything)));
}

#[test]
fn todays_structs_read_a_writer_that_leaves_out_every_field_with_a_default() {
    for_every_event!(reads_an_older_writer);
}

#[test]
fn every_record_and_field_has_a_doc_and_one_name_is_one_shape() {
    let mut shapes = BTreeMap::new();
    for text in catalogue().iter().map(|entry| entry.schema).chain([PERSON_SCHEMA]) {
        let (schema, mut found) = (serde_json::from_str(text).unwrap(), Vec::new());
        records(&schema, &mut found);
        for record in found {
            let name = full_name(record);
            let fields = record["fields"].as_array().unwrap();
            for described in fields.iter().chain([record]) {
                let doc = described["doc"].as_str().unwrap_or_default();
                assert!(!doc.is_empty(), "{name}: {} has no doc", described["name"]);
            }
            let shape: Json = fields.iter().map(names_only).collect();
            let known = shapes.entry(name.clone()).or_insert_with(|| shape.clone());
            assert_eq!(*known, shape, "{name} has another shape elsewhere");
        }
    }
}

fn records<'s>(schema: &'s Json, found: &mut Vec<&'s Json>) {
    match schema {
        Json::Object(object) => {
            found.extend(object.contains_key("fields").then_some(schema));
            object.values().for_each(|inner| records(inner, found));
        }
        Json::Array(parts) => parts.iter().for_each(|inner| records(inner, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn full_name(record: &Json) -> String {
    format!("{}.{}", record["namespace"].as_str().unwrap(), record["name"].as_str().unwrap())
}

/// A schema with each record inside it reduced to its full name: the first use defines, later ones refer.
fn names_only(schema: &Json) -> Json {
    match schema {
        Json::Object(object) if object.contains_key("fields") => json!(full_name(schema)),
        Json::Object(object) => object.iter().map(|(key, value)| (key.clone(), names_only(value))).collect(),
        Json::Array(parts) => parts.iter().map(names_only).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => schema.clone(),
    }
}

fn kept(folder: &str, full_name: &str, version: usize, ending: &str) -> PathBuf {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    schemas.join(format!("{folder}/{full_name}.v{version}.{ending}"))
}

fn published_file(full_name: &str, version: usize) -> PathBuf {
    kept("published", full_name, version, "avsc")
}

fn sample_file(full_name: &str, version: usize) -> PathBuf {
    kept("samples", full_name, version, "bin")
}

/// All published versions, oldest first, as text.
fn published(full_name: &str) -> Vec<String> {
    (1..).map_while(|version| std::fs::read_to_string(published_file(full_name, version)).ok()).collect()
}

fn same_schema(left: &str, right: &str) -> bool {
    serde_json::from_str::<Json>(left).unwrap() == serde_json::from_str::<Json>(right).unwrap()
}

fn reads_published<T: AgreementData>(full_name: &str, text: &str) {
    let versions = published(full_name);
    assert!(
        versions.last().is_some_and(|newest| same_schema(newest, text)),
        "expected {full_name} to be as last published, got another schema: if the change is meant, publish it with \
         `cargo test -p quadrille-events publish_schemas -- --ignored`, and commit schemas/published and schemas/samples"
    );
    let today = Schema::parse_str(text).unwrap();
    for (version, text) in (1..).zip(versions) {
        let bytes = std::fs::read(sample_file(full_name, version)).unwrap();
        let value: T = read(&Schema::parse_str(&text).unwrap(), &bytes);
        let again: T = read(&today, &write(&today, &value));
        assert_eq!(again, value, "{full_name} v{version}");
    }
}

#[test]
fn kept_samples_of_every_published_version_are_still_read() {
    for_every_event!(reads_published);
    reads_published::<Person>("quadrille.Person", PERSON_SCHEMA);
}

/// Keeps a copy and a sample of each schema that differs from the version last published. Run it when a schema changes.
#[test]
#[ignore = "writes files: run it by name to publish changed schemas"]
fn publish_schemas() {
    let person = ("quadrille.Person", PERSON_SCHEMA);
    let events = catalogue().iter().map(|entry| (entry.event_type, entry.schema));
    for (full_name, text) in events.chain([person]) {
        let versions = published(full_name);
        if versions.last().is_some_and(|newest| same_schema(newest, text)) {
            continue;
        }
        let schema = Schema::parse_str(text).unwrap();
        let version = versions.len() + 1;
        std::fs::write(published_file(full_name, version), text).unwrap();
        std::fs::write(sample_file(full_name, version), encode(&schema, &sample(&schema, Fill::Everything))).unwrap();
    }
}
