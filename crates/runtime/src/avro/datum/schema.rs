//! A writer's schema in the form in which data are read by it: its types by number, so that one that holds itself is a number, too.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, UuidSchema};

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

#[derive(Debug)]
pub(crate) struct DatumSchema {
    kinds: Vec<SchemaKind>,
    root: usize,
}

impl DatumSchema {
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

    fn kind(&mut self, schema: &Schema, within: NamespaceRef<'_>) -> Result<usize, String> {
        let kind = match schema {
            Schema::Null => SchemaKind::Null,
            Schema::Boolean => SchemaKind::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => SchemaKind::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => SchemaKind::Long,
            Schema::Float => SchemaKind::Float,
            Schema::Double => SchemaKind::Double,
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. })
            | Schema::Uuid(UuidSchema::Bytes) => SchemaKind::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => SchemaKind::Text,
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                return Ok(self.named(&fixed.name, within, SchemaKind::Fixed(fixed.size)));
            }
            Schema::Enum(of) => return Ok(self.named(&of.name, within, SchemaKind::Enum(of.symbols.clone()))),
            Schema::Array(array) => SchemaKind::Array(self.kind(&array.items, within)?),
            Schema::Map(map) => SchemaKind::Map(self.kind(&map.types, within)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.kind(branch, within));
                SchemaKind::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                // Its number is known before its fields are: they may refer to it.
                let number = self.named(&record.name, within, SchemaKind::Null);
                let name = record.name.fully_qualified_name(within).into_owned();
                let fields = record.fields.iter().map(|field| {
                    Ok(RecordField { name: field.name.clone(), kind: self.kind(&field.schema, name.namespace())? })
                });
                self.kinds[number] = SchemaKind::Record(fields.collect::<Result<_, String>>()?);
                return Ok(number);
            }
            Schema::Ref { name } => {
                let full = name.fully_qualified_name(within);
                let found = self.named.get(full.as_ref()).or_else(|| self.named.get(name));
                return found.copied().ok_or_else(|| format!("it refers to {name}, which it does not define"));
            }
        };
        Ok(self.add(kind))
    }
}
