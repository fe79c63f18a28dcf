//! A writer's schema in the form in which data are read by it: its types by number, so that one that holds itself is a number, too.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, UuidSchema};

/// A type of the schema.
#[derive(Debug)]
pub(super) enum Kind {
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
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub kind: usize,
}

impl Kind {
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
    kinds: Vec<Kind>,
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

    pub(super) fn root(&self) -> &Kind {
        &self.kinds[self.root]
    }

    pub(super) fn kind(&self, number: usize) -> &Kind {
        &self.kinds[number]
    }
}

struct Compiler {
    kinds: Vec<Kind>,
    named: HashMap<Name, usize>,
}

impl Compiler {
    fn add(&mut self, kind: Kind) -> usize {
        self.kinds.push(kind);
        self.kinds.len() - 1
    }

    fn named(&mut self, name: &Name, within: NamespaceRef<'_>, kind: Kind) -> usize {
        let number = self.add(kind);
        self.named.insert(name.fully_qualified_name(within).into_owned(), number);
        number
    }

    fn fixed(&mut self, fixed: &apache_avro::schema::FixedSchema, within: NamespaceRef<'_>) -> usize {
        self.named(&fixed.name, within, Kind::Fixed(fixed.size))
    }

    fn kind(&mut self, schema: &Schema, within: NamespaceRef<'_>) -> Result<usize, String> {
        Ok(match schema {
            Schema::Null => self.add(Kind::Null),
            Schema::Boolean => self.add(Kind::Boolean),
            Schema::Int | Schema::Date | Schema::TimeMillis => self.add(Kind::Int),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.add(Kind::Long),
            Schema::Float => self.add(Kind::Float),
            Schema::Double => self.add(Kind::Double),
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. })
            | Schema::Uuid(UuidSchema::Bytes) => self.add(Kind::Bytes),
            Schema::String | Schema::Uuid(UuidSchema::String) => self.add(Kind::Text),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.fixed(fixed, within)
            }
            Schema::Enum(of) => self.named(&of.name, within, Kind::Enum(of.symbols.clone())),
            Schema::Array(array) => {
                let items = self.kind(&array.items, within)?;
                self.add(Kind::Array(items))
            }
            Schema::Map(map) => {
                let values = self.kind(&map.types, within)?;
                self.add(Kind::Map(values))
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.kind(branch, within));
                let branches = branches.collect::<Result<_, _>>()?;
                self.add(Kind::Union(branches))
            }
            Schema::Record(record) => {
                // Its number is known before its fields are: they may refer to it.
                let number = self.named(&record.name, within, Kind::Null);
                let name = record.name.fully_qualified_name(within).into_owned();
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push(Field { name: field.name.clone(), kind: self.kind(&field.schema, name.namespace())? });
                }
                self.kinds[number] = Kind::Record(fields);
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
