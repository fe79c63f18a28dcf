//! A writer's schema in the form in which data are read by it: its types by number, so that one that holds itself is a number, too.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, UuidSchema};

/// A type of the schema.
#[derive(Debug)]
pub(super) enum SchemaKind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<RecordField>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct RecordField {
    pub name: String,
    pub kind: usize,
}

impl SchemaKind {
    /// As messages call it: Avro's own word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Text => "string",
            Self::Fixed(_) => "fixed",
            Self::Enum(_) => "enum",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
        }
    }
}

/// A schema that data can be read by.
#[derive(Debug)]
pub(crate) struct DatumSchema {
    kinds: Vec<SchemaKind>,
    root: usize,
}

impl DatumSchema {
    /// Takes a schema that was parsed.
    ///
    /// # Errors
    /// The name that it refers to and does not define.
    pub fn new(schema: &Schema) -> Result<Self, String> {
        let mut compiler = Compiler { kinds: Vec::new(), named: HashMap::new() };
        let root = compiler.kind(schema, None)?;
        Ok(Self { kinds: compiler.kinds, root })
    }

    pub(super) fn root(&self) -> &SchemaKind {
        &self.kinds[self.root]
    }

    pub(super) fn kind(&self, number: usize) -> &SchemaKind {
        &self.kinds[number]
    }
}

struct Compiler {
    kinds: Vec<SchemaKind>,
    named: HashMap<Name, usize>,
}

impl Compiler {
    fn add(&mut self, kind: SchemaKind) -> usize {
        self.kinds.push(kind);
        self.kinds.len() - 1
    }

    fn named(&mut self, name: &Name, within: NamespaceRef<'_>, kind: SchemaKind) -> usize {
        let number = self.add(kind);
        self.named.insert(name.fully_qualified_name(within).into_owned(), number);
        number
    }

    fn fixed(&mut self, fixed: &apache_avro::schema::FixedSchema, within: NamespaceRef<'_>) -> usize {
        self.named(&fixed.name, within, SchemaKind::Fixed(fixed.size))
    }

    fn kind(&mut self, schema: &Schema, within: NamespaceRef<'_>) -> Result<usize, String> {
        Ok(match schema {
            Schema::Null => self.add(SchemaKind::Null),
            Schema::Boolean => self.add(SchemaKind::Boolean),
            Schema::Int | Schema::Date | Schema::TimeMillis => self.add(SchemaKind::Int),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.add(SchemaKind::Long),
            Schema::Float => self.add(SchemaKind::Float),
            Schema::Double => self.add(SchemaKind::Double),
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. })
            | Schema::Uuid(UuidSchema::Bytes) => self.add(SchemaKind::Bytes),
            Schema::String | Schema::Uuid(UuidSchema::String) => self.add(SchemaKind::Text),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.fixed(fixed, within)
            }
            Schema::Enum(of) => self.named(&of.name, within, SchemaKind::Enum(of.symbols.clone())),
            Schema::Array(array) => {
                let items = self.kind(&array.items, within)?;
                self.add(SchemaKind::Array(items))
            }
            Schema::Map(map) => {
                let values = self.kind(&map.types, within)?;
                self.add(SchemaKind::Map(values))
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.kind(branch, within));
                let branches = branches.collect::<Result<_, _>>()?;
                self.add(SchemaKind::Union(branches))
            }
            Schema::Record(record) => {
                // Its number is known before its fields are: they may refer to it.
                let number = self.named(&record.name, within, SchemaKind::Null);
                let name = record.name.fully_qualified_name(within).into_owned();
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push(RecordField {
                        name: field.name.clone(),
                        kind: self.kind(&field.schema, name.namespace())?,
                    });
                }
                self.kinds[number] = SchemaKind::Record(fields);
                number
            }
            Schema::Ref { name } => {
                let full = name.fully_qualified_name(within);
                let found = self.named.get(full.as_ref()).or_else(|| self.named.get(name));
                *found.ok_or_else(|| format!("it refers to {name}, which it does not define"))?
            }
        })
    }
}
