//! What can be set: names, types, defaults and meaning of every setting, as their structs have them. From this unknown settings are told, values shown,
//! and the reference is written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type,
};

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
    let defaults = serde_json::to_value(defaults).unwrap_or_default();
    match shape(&T::schema(), &known.into_iter().collect(), Some(&defaults)) {
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

type Definitions = BTreeMap<String, RefOr<Schema>>;

fn shape(schema: &RefOr<Schema>, known: &Definitions, defaults: Option<&Value>) -> Shape {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            known.get(name).map_or(Shape::Value("text"), |schema| shape(schema, known, defaults))
        }
        RefOr::T(Schema::Object(object)) => of_object(object, known, defaults),
        RefOr::T(Schema::Array(array)) => Shape::List(Box::new(match &array.items {
            ArrayItems::RefOrSchema(item) => shape(item, known, None),
            ArrayItems::False => Shape::Value("text"),
        })),
        RefOr::T(Schema::OneOf(one)) => of_items(&one.items, known, defaults),
        RefOr::T(Schema::AllOf(all)) => of_items(&all.items, known, defaults),
        RefOr::T(Schema::AnyOf(any)) => of_items(&any.items, known, defaults),
        RefOr::T(_) => Shape::Value("text"),
    }
}

/// What may be absent is its type or null.
fn of_items(items: &[RefOr<Schema>], known: &Definitions, defaults: Option<&Value>) -> Shape {
    let is_null = |item: &&RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    let item = items.iter().find(|item| !is_null(item));
    item.map_or(Shape::Value("text"), |item| shape(item, known, defaults))
}

fn of_object(object: &Object, known: &Definitions, defaults: Option<&Value>) -> Shape {
    if let Some(values) = &object.enum_values {
        return Shape::OneOf(values.iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect());
    }
    if let Some(values) = &object.additional_properties {
        return Shape::Map(Box::new(match &**values {
            AdditionalProperties::RefOr(value) => shape(value, known, None),
            AdditionalProperties::FreeForm(_) => Shape::Value("text"),
        }));
    }
    if !object.properties.is_empty() {
        let of = |(name, schema): (&String, &RefOr<Schema>)| {
            let default = defaults.and_then(|defaults| defaults.get(name)).filter(|value| !value.is_null());
            let shape = shape(schema, known, default);
            SettingField { name: name.clone(), shape, meaning: meaning(schema), default: default.cloned() }
        };
        return Shape::Table(object.properties.iter().map(of).collect());
    }
    let format = match &object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Password)) => return Shape::Secret,
        Some(SchemaFormat::KnownFormat(KnownFormat::Duration)) => "duration",
        Some(SchemaFormat::Custom(format)) if format == "address" => "address and port",
        Some(SchemaFormat::KnownFormat(_) | SchemaFormat::Custom(_)) | None => "text",
    };
    let has = |wanted: Type| match &object.schema_type {
        SchemaType::Type(of) => *of == wanted,
        SchemaType::Array(types) => types.contains(&wanted),
        SchemaType::AnyValue => false,
    };
    Shape::Value(match () {
        () if has(Type::Integer) => "whole number",
        () if has(Type::Number) => "number",
        () if has(Type::Boolean) => "true or false",
        () => format,
    })
}

fn meaning(schema: &RefOr<Schema>) -> String {
    let text = match schema {
        RefOr::Ref(reference) => Some(&reference.description),
        RefOr::T(Schema::Object(object)) => object.description.as_ref(),
        RefOr::T(Schema::Array(array)) => array.description.as_ref(),
        RefOr::T(Schema::OneOf(one)) => one.description.as_ref(),
        RefOr::T(Schema::AllOf(all)) => all.description.as_ref(),
        RefOr::T(Schema::AnyOf(any)) => any.description.as_ref(),
        RefOr::T(_) => None,
    };
    text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}
