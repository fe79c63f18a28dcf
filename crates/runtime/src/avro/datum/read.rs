//! Reading: a deserializer that is asked by the struct for what it wants, and answers from the bytes by what the writer's schema has there.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever is not the kind that is asked for does not fit")]

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::cursor::DatumCursor;
use super::schema::{RecordField, SchemaKind};
use super::{DatumError, DatumSchema};

/// Reads a value that was written by this schema, to the last byte.
///
/// # Errors
/// When it costs too much, is cut, or does not fit what is asked for.
pub(crate) fn from_slice<'d, T: Deserialize<'d>>(schema: &DatumSchema, datum: &'d [u8]) -> Result<T, DatumError> {
    let mut cursor = DatumCursor::new(datum)?;
    let value = T::deserialize(Datum { schema, kind: schema.root(), cursor: &mut cursor, depth: 0 })?;
    cursor.end().map(|()| value)
}

/// A value that comes next.
struct Datum<'s, 'c, 'd> {
    schema: &'s DatumSchema,
    kind: &'s SchemaKind,
    cursor: &'c mut DatumCursor<'d>,
    depth: u32,
}

impl<'s, 'c, 'd> Datum<'s, 'c, 'd> {
    /// Goes into the branch of a union, and counts the value.
    fn enter(&mut self) -> Result<&'s SchemaKind, DatumError> {
        self.cursor.count_value(self.depth)?;
        while let SchemaKind::Union(branches) = self.kind {
            self.kind = self.schema.kind(branches[self.cursor.index(branches.len())?]);
        }
        Ok(self.kind)
    }

    fn misfit<T>(&self, expected: &str) -> Result<T, DatumError> {
        Err(DatumError::new(format!("expected {expected}, the writer's schema has {}", self.kind.name())))
    }

    fn inner(&mut self, kind: usize) -> Datum<'s, '_, 'd> {
        Datum { schema: self.schema, kind: self.schema.kind(kind), cursor: self.cursor, depth: self.depth + 1 }
    }

    fn items(self, kind: usize) -> Result<Items<'s, 'c, 'd>, DatumError> {
        let left = self.cursor.block()?;
        Ok(Items { of: self, kind, left, at: 0 })
    }

    fn fields(self, fields: &'s [RecordField], with_nulls: bool) -> RecordFields<'s, 'c, 'd> {
        RecordFields { of: self, fields: fields.iter(), field: None, with_nulls }
    }

    /// Goes past the value, whatever it is; texts may hold any bytes.
    fn skip(mut self) -> Result<(), DatumError> {
        match self.enter()? {
            SchemaKind::Null => {}
            SchemaKind::Boolean => drop(self.cursor.boolean()?),
            SchemaKind::Int | SchemaKind::Long => drop(self.cursor.long()?),
            SchemaKind::Float => drop(self.cursor.take(4)?),
            SchemaKind::Double => drop(self.cursor.take(8)?),
            SchemaKind::Bytes | SchemaKind::Text => drop(self.cursor.bytes()?),
            SchemaKind::Fixed(size) => drop(self.cursor.take(*size)?),
            SchemaKind::Enum(symbols) => drop(self.cursor.index(symbols.len())?),
            kind @ (SchemaKind::Array(items) | SchemaKind::Map(items)) => loop {
                let count = self.cursor.block()?;
                if count == 0 {
                    break;
                }
                for _ in 0..count {
                    if matches!(kind, SchemaKind::Map(_)) {
                        self.cursor.bytes()?;
                    }
                    self.inner(*items).skip()?;
                }
            },
            SchemaKind::Record(fields) => {
                for field in fields {
                    self.inner(field.kind).skip().map_err(|error| error.within(&field.name))?;
                }
            }
            SchemaKind::Union(_) => return self.misfit("a branch"),
        }
        Ok(())
    }

    /// What JSON shows of a value of this kind: all of it, bytes as a list of numbers.
    fn visit<V: Visitor<'d>>(self, kind: &'s SchemaKind, visitor: V) -> Result<V::Value, DatumError> {
        match kind {
            SchemaKind::Null => visitor.visit_unit(),
            SchemaKind::Boolean => visitor.visit_bool(self.cursor.boolean()?),
            SchemaKind::Int | SchemaKind::Long => visitor.visit_i64(self.cursor.long()?),
            SchemaKind::Float => visitor.visit_f64(f32::from_le_bytes(self.cursor.array()?).into()),
            SchemaKind::Double => visitor.visit_f64(f64::from_le_bytes(self.cursor.array()?)),
            SchemaKind::Bytes => visitor.visit_seq(numbers(self.cursor.bytes()?)),
            SchemaKind::Fixed(size) => visitor.visit_seq(numbers(self.cursor.take(*size)?)),
            SchemaKind::Text => visitor.visit_borrowed_str(self.cursor.text()?),
            SchemaKind::Enum(symbols) => visitor.visit_str(&symbols[self.cursor.index(symbols.len())?]),
            SchemaKind::Array(items) => visitor.visit_seq(self.items(*items)?),
            SchemaKind::Map(values) => visitor.visit_map(self.items(*values)?),
            SchemaKind::Record(fields) => visitor.visit_map(self.fields(fields, true)),
            SchemaKind::Union(_) => self.misfit("a branch"),
        }
    }

    /// The same, where the kind is one of those that fit.
    fn only<V: Visitor<'d>>(
        mut self,
        visitor: V,
        expected: &str,
        fits: impl Fn(&SchemaKind) -> bool,
    ) -> Result<V::Value, DatumError> {
        let kind = self.enter()?;
        if fits(kind) { self.visit(kind, visitor) } else { self.misfit(expected) }
    }

    fn whole<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        let fits = |kind: &SchemaKind| matches!(kind, SchemaKind::Int | SchemaKind::Long);
        self.only(visitor, "a whole number (int or long)", fits)
    }

    fn float<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        use SchemaKind::{Double, Float, Int, Long};
        self.only(visitor, "a number", |kind| matches!(kind, Float | Double | Int | Long))
    }

    fn list<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.only(visitor, "a list (array)", |kind| matches!(kind, SchemaKind::Array(_)))
    }

    fn record<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Record(fields) => visitor.visit_map(self.fields(fields, false)),
            _ => self.misfit("a record"),
        }
    }

    fn symbol<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        let symbol = match self.enter()? {
            SchemaKind::Enum(symbols) => &symbols[self.cursor.index(symbols.len())?],
            SchemaKind::Text => self.cursor.text()?,
            _ => return self.misfit("an enum"),
        };
        visitor.visit_enum(StrDeserializer::new(symbol))
    }
}

fn numbers(bytes: &[u8]) -> impl SeqAccess<'_, Error = DatumError> {
    SeqDeserializer::new(bytes.iter().copied())
}

/// What is read in the same way whatever width, length or name is asked for: the visitor says what is too large for it.
macro_rules! read_as {
    (one $how:ident($($unused:ty),*): $method:ident) => {
        fn $method<V: Visitor<'d>>(self, $(_: $unused,)* visitor: V) -> Result<V::Value, DatumError> {
            self.$how(visitor)
        }
    };
    ($how:ident $unused:tt: $($method:ident)*) => {
        $(read_as!(one $how $unused: $method);)*
    };
}

impl<'d> Deserializer<'d> for Datum<'_, '_, 'd> {
    type Error = DatumError;

    read_as!(whole(): deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    read_as!(float(): deserialize_f32 deserialize_f64);
    read_as!(deserialize_str(): deserialize_string deserialize_char deserialize_identifier);
    read_as!(deserialize_bytes(): deserialize_byte_buf);
    read_as!(list(): deserialize_seq);
    read_as!(list(usize): deserialize_tuple);
    read_as!(list(&'static str, usize): deserialize_tuple_struct);
    read_as!(record(&'static str, &'static [&'static str]): deserialize_struct);
    read_as!(symbol(&'static str, &'static [&'static str]): deserialize_enum);
    read_as!(deserialize_ignored_any(&'static str): deserialize_unit_struct);

    fn deserialize_any<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        let kind = self.enter()?;
        self.visit(kind, visitor)
    }

    fn deserialize_bool<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.only(visitor, "a boolean", |kind| matches!(kind, SchemaKind::Boolean))
    }

    fn deserialize_str<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Text | SchemaKind::Bytes => visitor.visit_borrowed_str(self.cursor.text()?),
            kind @ SchemaKind::Enum(_) => self.visit(kind, visitor),
            _ => self.misfit("a string"),
        }
    }

    fn deserialize_bytes<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Bytes | SchemaKind::Text => visitor.visit_borrowed_bytes(self.cursor.bytes()?),
            SchemaKind::Fixed(size) => visitor.visit_borrowed_bytes(self.cursor.take(*size)?),
            _ => self.misfit("bytes"),
        }
    }

    fn deserialize_option<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.only(visitor, "null", |kind| matches!(kind, SchemaKind::Null))
    }

    fn deserialize_newtype_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_map<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.only(visitor, "a map", |kind| matches!(kind, SchemaKind::Map(_) | SchemaKind::Record(_)))
    }

    fn deserialize_ignored_any<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The entries of a list or a map.
struct Items<'s, 'c, 'd> {
    of: Datum<'s, 'c, 'd>,
    kind: usize,
    /// Of the block.
    left: u64,
    at: usize,
}

impl<'d> Items<'_, '_, 'd> {
    fn value<T: DeserializeSeed<'d>>(&mut self, seed: T) -> Result<T::Value, DatumError> {
        let at = self.at;
        let value = seed.deserialize(self.of.inner(self.kind)).map_err(|error| error.within(&format!("[{at}]")))?;
        self.at += 1;
        self.left -= 1;
        if self.left == 0 {
            self.left = self.of.cursor.block()?;
        }
        Ok(value)
    }
}

impl<'d> SeqAccess<'d> for Items<'_, '_, 'd> {
    type Error = DatumError;

    fn next_element_seed<T: DeserializeSeed<'d>>(&mut self, seed: T) -> Result<Option<T::Value>, DatumError> {
        if self.left == 0 { Ok(None) } else { self.value(seed).map(Some) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.left as usize).min(self.of.cursor.rest.len()))
    }
}

impl<'d> MapAccess<'d> for Items<'_, '_, 'd> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'d>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        if self.left == 0 {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(self.of.cursor.text()?)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        self.value(seed)
    }
}

struct RecordFields<'s, 'c, 'd> {
    of: Datum<'s, 'c, 'd>,
    fields: std::slice::Iter<'s, RecordField>,
    /// Whose value comes next.
    field: Option<&'s RecordField>,
    /// A struct does not get nulls: they are fields that are not there.
    with_nulls: bool,
}

impl RecordFields<'_, '_, '_> {
    /// Whether the next value is null, which is passed by then.
    fn pass_null(&mut self, kind: usize) -> Result<bool, DatumError> {
        let Datum { schema, cursor, .. } = &mut self.of;
        let SchemaKind::Union(branches) = schema.kind(kind) else {
            return Ok(matches!(schema.kind(kind), SchemaKind::Null));
        };
        let before = cursor.rest;
        let branch = branches[cursor.index(branches.len())?];
        let is_null = matches!(schema.kind(branch), SchemaKind::Null);
        if !is_null {
            cursor.rest = before;
        }
        Ok(is_null)
    }
}

impl<'d> MapAccess<'d> for RecordFields<'_, '_, 'd> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'d>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        while let Some(field) = self.fields.next() {
            if self.with_nulls || !self.pass_null(field.kind).map_err(|error| error.within(&field.name))? {
                self.field = Some(field);
                return seed.deserialize(StrDeserializer::new(&field.name)).map(Some);
            }
            self.of.cursor.count_value(self.of.depth + 1)?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        let field =
            self.field.take().ok_or_else(|| DatumError::custom("a field's value was asked for before its name"))?;
        seed.deserialize(self.of.inner(field.kind)).map_err(|error| error.within(&field.name))
    }
}
