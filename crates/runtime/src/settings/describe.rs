//! What can be set: names, types, defaults and meaning of every setting, as their structs have them. From this unknown settings are told, values shown,
//! and the reference is written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::tree::{FILE, within};

/// What a setting holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A type, in words.
    Value(&'static str),
    OneOf(Vec<String>),
    /// Shown nowhere, and also read from the file that `…_FILE` names.
    Secret,
    List(Box<Shape>),
    Table(Vec<SettingField>),
    /// Any names, each with a value of this shape.
    Map(Box<Shape>),
}

impl Shape {
    pub(super) fn may_be_in_a_file(&self) -> bool {
        match self {
            Self::Secret => true,
            Self::Map(shape) | Self::List(shape) => shape.may_be_in_a_file(),
            Self::Value(_) | Self::OneOf(_) | Self::Table(_) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SettingField {
    /// Within its table.
    pub name: String,
    pub shape: Shape,
    pub meaning: String,
    pub default: Option<Value>,
}

pub(super) fn described<T: ToSchema + Serialize>(defaults: &T) -> Vec<SettingField> {
    let mut known = Vec::new();
    T::schemas(&mut known);
    let value = |schema: RefOr<Schema>| serde_json::to_value(schema).unwrap_or_default();
    let known: Definitions = known.into_iter().map(|(name, schema)| (name, value(schema))).collect();
    let defaults = serde_json::to_value(defaults).unwrap_or_default();
    match shape(&value(T::schema()), &known, Some(&defaults)) {
        Shape::Table(fields) => fields,
        Shape::Value(_) | Shape::OneOf(_) | Shape::Secret | Shape::List(_) | Shape::Map(_) => Vec::new(),
    }
}

/// Every single setting of a section with its path, the fields of tables each for itself.
pub(super) fn leaves<'f>(section: &str, fields: &'f [SettingField]) -> Vec<(Vec<String>, &'f SettingField)> {
    let mut leaves = Vec::new();
    collect(&[section.to_owned()], fields, &mut leaves);
    leaves
}

/// The paths of settings as people write them, those of secrets also with the ending of their files.
pub(super) fn names<'f>(
    leaves: impl IntoIterator<Item = (Vec<String>, &'f SettingField)>,
) -> impl Iterator<Item = Vec<String>> {
    leaves.into_iter().flat_map(|(path, field)| {
        let file = (field.shape == Shape::Secret).then(|| {
            let mut file = path.clone();
            file.last_mut().into_iter().for_each(|name| name.push_str(FILE));
            file
        });
        [Some(path), file].into_iter().flatten()
    })
}

fn collect<'f>(path: &[String], fields: &'f [SettingField], leaves: &mut Vec<(Vec<String>, &'f SettingField)>) {
    for field in fields {
        let path = within(path, &field.name);
        match &field.shape {
            Shape::Table(fields) => collect(&path, fields, leaves),
            Shape::Value(_) | Shape::OneOf(_) | Shape::Secret | Shape::List(_) | Shape::Map(_) => {
                leaves.push((path, field))
            }
        }
    }
}

/// The schemas that others refer to, by name.
type Definitions = BTreeMap<String, Value>;

fn shape(schema: &Value, known: &Definitions, defaults: Option<&Value>) -> Shape {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = reference.rsplit('/').next().and_then(|name| known.get(name));
        return named.map_or(Shape::Value("text"), |schema| shape(schema, known, defaults));
    }
    // What may be absent is its type or null.
    if let Some(items) = ["oneOf", "allOf", "anyOf"].iter().find_map(|of| schema[of].as_array()) {
        let item = items.iter().find(|item| item["type"] != "null");
        return item.map_or(Shape::Value("text"), |item| shape(item, known, defaults));
    }
    if let Some(item) = schema.get("items") {
        return Shape::List(Box::new(shape(item, known, None)));
    }
    if let Some(words) = schema["enum"].as_array() {
        return Shape::OneOf(words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect());
    }
    if let Some(value) = schema.get("additionalProperties") {
        return Shape::Map(Box::new(shape(value, known, None)));
    }
    if let Some(properties) = schema["properties"].as_object() {
        let of = |(name, schema): (&String, &Value)| {
            let default = defaults.and_then(|defaults| defaults.get(name)).filter(|value| !value.is_null());
            let meaning = schema["description"].as_str().unwrap_or_default().split_whitespace();
            let (shape, meaning) = (shape(schema, known, default), meaning.collect::<Vec<_>>().join(" "));
            SettingField { name: name.clone(), shape, meaning, default: default.cloned() }
        };
        return Shape::Table(properties.iter().map(of).collect());
    }
    let types = &schema["type"];
    let has =
        |wanted: &str| types == wanted || types.as_array().is_some_and(|types| types.iter().any(|of| of == wanted));
    Shape::Value(match schema["format"].as_str() {
        Some("password") => return Shape::Secret,
        _ if has("integer") => "whole number",
        _ if has("number") => "number",
        _ if has("boolean") => "true or false",
        Some("duration") => "duration",
        Some("address") => "address and port",
        Some(_) | None => "text",
    })
}
