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
    macro_rules! check {
        ($event:ident) => {
            agrees::<$event>($event::TYPE, $event::SCHEMA)
        };
    }
    for_every_event!(check);
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
    macro_rules! check {
        ($event:ident) => {
            reads_the_next_version::<$event>($event::TYPE, $event::SCHEMA)
        };
    }
    for_every_event!(check);
    reads_the_next_version::<Person>("quadrille.Person", PERSON_SCHEMA);
}

#[test]
fn todays_structs_read_a_writer_that_leaves_out_every_field_with_a_default() {
    macro_rules! check {
        ($event:ident) => {{
            let older = changed($event::SCHEMA, |fields| fields.retain(|field| field.get("default").is_none()));
            // What an older writer leaves out may have held the definition of a record that is used again.
            let _: $event = read(&older, &encode(&older, &sample(&older, Fill::Everything)));
        }};
    }
    for_every_event!(check);
}

#[test]
fn every_record_and_field_has_a_doc_and_one_name_is_one_shape() {
    let mut shapes = BTreeMap::new();
    for entry in catalogue() {
        let schema: Json = serde_json::from_str(entry.schema).unwrap();
        document(&schema, entry.name, &mut shapes);
    }
    document(&serde_json::from_str(PERSON_SCHEMA).unwrap(), "Person", &mut shapes);
}

fn document(schema: &Json, at: &str, shapes: &mut BTreeMap<String, Json>) {
    if let Json::Array(variants) = schema {
        variants.iter().for_each(|variant| document(variant, at, shapes));
    }
    let Some(object) = schema.as_object() else { return };
    if let Some(items) = object.get("items") {
        document(items, at, shapes);
    }
    let Some(fields) = object.get("fields").and_then(Json::as_array) else { return };
    assert!(object.get("doc").is_some_and(Json::is_string), "record {} in {at} has no doc", object["name"]);
    for field in fields {
        assert!(field["doc"].as_str().is_some_and(|doc| !doc.is_empty()), "{at}: field {} has no doc", field["name"]);
        document(&field["type"], at, shapes);
    }
    let full_name = format!("{}.{}", object["namespace"].as_str().unwrap(), object["name"].as_str().unwrap());
    let shape = names_only(schema);
    let known = shapes.entry(full_name.clone()).or_insert_with(|| shape.clone());
    assert_eq!(*known, shape, "{at}: {full_name} has another shape elsewhere");
}

/// The record with each record inside it reduced to its full name: the first use defines, later ones refer.
fn names_only(record: &Json) -> Json {
    fn reduce(schema: &Json) -> Json {
        match schema {
            Json::Object(object) if object.contains_key("fields") => {
                json!(format!("{}.{}", object["namespace"].as_str().unwrap(), object["name"].as_str().unwrap()))
            }
            Json::Object(object) => object.iter().map(|(key, value)| (key.clone(), reduce(value))).collect(),
            Json::Array(variants) => variants.iter().map(reduce).collect(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => schema.clone(),
        }
    }
    record["fields"].as_array().unwrap().iter().map(reduce).collect()
}

fn schemas_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn published_file(full_name: &str, version: usize) -> PathBuf {
    schemas_folder().join(format!("published/{full_name}.v{version}.avsc"))
}

fn sample_file(full_name: &str, version: usize) -> PathBuf {
    schemas_folder().join(format!("samples/{full_name}.v{version}.bin"))
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
    macro_rules! check {
        ($event:ident) => {
            reads_published::<$event>($event::TYPE, $event::SCHEMA)
        };
    }
    for_every_event!(check);
    reads_published::<Person>("quadrille.Person", PERSON_SCHEMA);
}

/// Keeps a copy and a sample of each schema that differs from the version last published. Run it when a schema changes.
#[test]
#[ignore = "writes files: run it by name to publish changed schemas"]
fn publish_schemas() {
    let person = ("quadrille.Person", PERSON_SCHEMA);
    let events = catalogue().iter().map(|entry| (entry.event_type, entry.schema));
    for folder in ["published", "samples"] {
        std::fs::create_dir_all(schemas_folder().join(folder)).unwrap();
    }
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
