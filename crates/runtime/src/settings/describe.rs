//! What can be set: names, types, defaults and meaning of every setting, as their structs have them. From this unknown settings are told, values shown,
//! and the reference is written.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type,
};

use super::{Common, ConsumerSettings, Settings};
use crate::kafka_properties;

/// What a setting holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// One value of this type, in words.
    Value(&'static str),
    /// One of these words.
    OneOf(Vec<String>),
    /// A secret: shown nowhere, and also read from the file that `…_FILE` names.
    Secret,
    /// A list of these.
    List(Box<Shape>),
    /// Settings of its own.
    Table(Vec<Field>),
    /// Any names, each with a value of this shape.
    Map(Box<Shape>),
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name within its table.
    pub name: String,
    /// What it holds.
    pub shape: Shape,
    /// What it is for.
    pub meaning: String,
    /// What it is unless it is set; none: nothing.
    pub default: Option<Value>,
}

/// The settings of one part: a consumer's, or those that all share.
#[derive(Clone)]
pub struct Section {
    /// Its name, as in `[saga_tracker]`.
    pub name: String,
    /// What can be set.
    pub fields: Vec<Field>,
    check: fn(&Settings) -> anyhow::Result<()>,
    /// A consumer's: its doors are open where its settings say. The relay has none.
    has_doors: bool,
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("name", &self.name).field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl Section {
    /// A part without settings yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.replace('-', "_"), fields: Vec::new(), check: |_| Ok(()), has_doors: false }
    }

    /// What all parts share.
    pub fn common() -> Self {
        Self::new("common").with(&Common::default()).checked(|all| {
            crate::http::Keys::parse(all.common().keys.expose())?;
            crate::http::Serving::new(all.common()).map(drop)
        })
    }

    /// What the runtime lets be set for a consumer, over the defaults of its kind.
    pub fn consumer(name: &str, defaults: &ConsumerSettings) -> Self {
        Self { has_doors: name != "outbox-relay", ..Self::new(name).with(defaults) }
    }

    /// Adds settings, with these defaults.
    #[must_use]
    pub fn with<T: ToSchema + Serialize>(mut self, defaults: &T) -> Self {
        let mut known = Vec::new();
        T::schemas(&mut known);
        let defaults = serde_json::to_value(defaults).unwrap_or_default();
        if let Shape::Table(fields) = shape(&T::schema(), &known.into_iter().collect(), Some(&defaults)) {
            for field in fields {
                // Two structs may read one setting: the first says what it is.
                if self.fields.iter().all(|known| known.name != field.name) {
                    self.fields.push(field);
                }
            }
        }
        self
    }

    /// Adds what is checked when the settings are, beside that each can be read.
    #[must_use]
    pub fn checked(self, check: fn(&Settings) -> anyhow::Result<()>) -> Self {
        Self { check, ..self }
    }

    /// Checks this part's settings as its start would.
    ///
    /// # Errors
    /// What does not fit, is missing, or contradicts something else.
    pub fn check(&self, settings: &Settings) -> anyhow::Result<()> {
        (self.check)(settings)?;
        if self.fields.iter().any(|field| field.name == "kafka") {
            let own: ConsumerSettings = settings.section(&self.name)?;
            kafka_properties::check(&own.kafka).with_context(|| format!("KAFKA_… settings of {}", self.name))?;
        }
        if self.has_doors
            && let Some(address) = settings.section::<ConsumerSettings>(&self.name)?.http
        {
            crate::host::refuse_reachable(&self.name.replace('_', "-"), address, settings.common())?;
        }
        Ok(())
    }

    /// Every single setting with its path, the fields of tables each for itself.
    pub fn leaves(&self) -> Vec<(Vec<String>, &Field)> {
        let mut leaves = Vec::new();
        collect(std::slice::from_ref(&self.name), &self.fields, &mut leaves);
        leaves
    }
}

fn collect<'f>(path: &[String], fields: &'f [Field], leaves: &mut Vec<(Vec<String>, &'f Field)>) {
    for field in fields {
        let path: Vec<String> = path.iter().chain([&field.name]).cloned().collect();
        match &field.shape {
            Shape::Table(fields) => collect(&path, fields, leaves),
            Shape::Value(_) | Shape::OneOf(_) | Shape::Secret | Shape::List(_) | Shape::Map(_) => {
                leaves.push((path, field))
            }
        }
    }
}

type Known = BTreeMap<String, RefOr<Schema>>;

fn shape(schema: &RefOr<Schema>, known: &Known, defaults: Option<&Value>) -> Shape {
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
fn of_items(items: &[RefOr<Schema>], known: &Known, defaults: Option<&Value>) -> Shape {
    let is_null = |item: &&RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    let item = items.iter().find(|item| !is_null(item));
    item.map_or(Shape::Value("text"), |item| shape(item, known, defaults))
}

fn of_object(object: &Object, known: &Known, defaults: Option<&Value>) -> Shape {
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
            Field { name: name.clone(), shape, meaning: meaning(schema), default: default.cloned() }
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
