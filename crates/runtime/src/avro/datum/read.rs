//! Reading: a deserializer that is asked by the struct for what it wants, and answers from the bytes by what the writer's schema has there.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever is not the kind that is asked for does not fit")]

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

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

impl<'s, 'd> Datum<'s, '_, 'd> {
    /// Goes into the branch of a union, and counts the value.
    fn enter(&mut self) -> Result<&'s SchemaKind, DatumError> {
        self.cursor.count_value(self.depth)?;
        while let SchemaKind::Union(branches) = self.kind {
            self.kind = self.schema.kind(branches[self.cursor.index(branches.len())?]);
        }
        Ok(self.kind)
    }

    fn misfit(&self, expected: &str) -> DatumError {
        DatumError::new(format!("expected {expected}, the writer's schema has {}", self.kind.name()))
    }

    fn items<'b>(&'b mut self, kind: usize) -> Result<Items<'s, 'b, 'd>, DatumError> {
        let left = self.cursor.block()?;
        let kind = self.schema.kind(kind);
        Ok(Items { schema: self.schema, kind, cursor: self.cursor, depth: self.depth + 1, left, at: 0 })
    }

    fn fields<'b>(&'b mut self, fields: &'s [RecordField], with_nulls: bool) -> RecordFields<'s, 'b, 'd> {
        RecordFields {
            schema: self.schema,
            fields: fields.iter(),
            field: None,
            cursor: self.cursor,
            depth: self.depth + 1,
            with_nulls,
        }
    }

    /// Goes past the value, whatever it is.
    fn skip(&mut self) -> Result<(), DatumError> {
        match self.enter()? {
            SchemaKind::Null => {}
            SchemaKind::Boolean => drop(self.cursor.boolean()?),
            SchemaKind::Int | SchemaKind::Long => drop(self.cursor.long()?),
            SchemaKind::Float => drop(self.cursor.take(4)?),
            SchemaKind::Double => drop(self.cursor.take(8)?),
            SchemaKind::Bytes | SchemaKind::Text => drop(self.cursor.bytes()?),
            SchemaKind::Fixed(size) => drop(self.cursor.take(*size)?),
            SchemaKind::Enum(symbols) => drop(self.cursor.index(symbols.len())?),
            SchemaKind::Array(items) => self.skip_blocks(*items, false)?,
            SchemaKind::Map(values) => self.skip_blocks(*values, true)?,
            SchemaKind::Record(fields) => {
                for field in fields {
                    self.skip_one(field.kind).map_err(|error| error.within(&field.name))?;
                }
            }
            SchemaKind::Union(_) => return Err(self.misfit("a branch")),
        }
        Ok(())
    }

    fn skip_blocks(&mut self, kind: usize, keyed: bool) -> Result<(), DatumError> {
        loop {
            let count = self.cursor.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keyed {
                    self.cursor.bytes()?;
                }
                self.skip_one(kind)?;
            }
        }
    }

    fn skip_one(&mut self, kind: usize) -> Result<(), DatumError> {
        Datum { schema: self.schema, kind: self.schema.kind(kind), cursor: self.cursor, depth: self.depth + 1 }.skip()
    }

    fn number<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Int | SchemaKind::Long => visitor.visit_i64(self.cursor.long()?),
            _ => Err(self.misfit("a whole number (int or long)")),
        }
    }

    fn float<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Float => visitor.visit_f64(f32::from_le_bytes(self.cursor.array()?).into()),
            SchemaKind::Double => visitor.visit_f64(f64::from_le_bytes(self.cursor.array()?)),
            SchemaKind::Int | SchemaKind::Long => visitor.visit_f64(self.cursor.long()? as f64),
            _ => Err(self.misfit("a number")),
        }
    }
}

fn numbers(bytes: &[u8]) -> impl SeqAccess<'_, Error = DatumError> {
    SeqDeserializer::new(bytes.iter().copied())
}

/// Numbers of all widths: the visitor says what is too large for it.
macro_rules! numbers {
    ($how:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
            self.$how(visitor)
        })*
    };
}

/// What asks for a type by its name and the names in it, which say nothing here.
macro_rules! by_name {
    ($($name:ident $how:ident,)*) => {
        $(fn $name<V: Visitor<'d>>(
            self,
            _: &'static str,
            _: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, DatumError> {
            self.$how(visitor)
        })*
    };
}

impl<'d> Datum<'_, '_, 'd> {
    fn record<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Record(fields) => visitor.visit_map(self.fields(fields, false)),
            _ => Err(self.misfit("a record")),
        }
    }

    fn symbol<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Enum(symbols) => visitor.visit_enum(Symbol(&symbols[self.cursor.index(symbols.len())?])),
            SchemaKind::Text => visitor.visit_enum(Symbol(self.cursor.text()?)),
            _ => Err(self.misfit("an enum")),
        }
    }
}

impl<'d> Deserializer<'d> for Datum<'_, '_, 'd> {
    type Error = DatumError;

    numbers!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    numbers!(float: deserialize_f32 deserialize_f64);

    /// As JSON shows it: whole, bytes as a list of numbers.
    fn deserialize_any<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
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
            SchemaKind::Union(_) => Err(self.misfit("a branch")),
        }
    }

    fn deserialize_bool<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Boolean => visitor.visit_bool(self.cursor.boolean()?),
            _ => Err(self.misfit("a boolean")),
        }
    }

    fn deserialize_str<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Text | SchemaKind::Bytes => visitor.visit_borrowed_str(self.cursor.text()?),
            SchemaKind::Enum(symbols) => visitor.visit_str(&symbols[self.cursor.index(symbols.len())?]),
            _ => Err(self.misfit("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Bytes | SchemaKind::Text => visitor.visit_borrowed_bytes(self.cursor.bytes()?),
            SchemaKind::Fixed(size) => visitor.visit_borrowed_bytes(self.cursor.take(*size)?),
            _ => Err(self.misfit("bytes")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Null => visitor.visit_unit(),
            _ => Err(self.misfit("null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_ignored_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Array(items) => visitor.visit_seq(self.items(*items)?),
            _ => Err(self.misfit("a list (array)")),
        }
    }

    fn deserialize_tuple<V: Visitor<'d>>(self, _: usize, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DatumError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.enter()? {
            SchemaKind::Map(values) => visitor.visit_map(self.items(*values)?),
            SchemaKind::Record(fields) => visitor.visit_map(self.fields(fields, true)),
            _ => Err(self.misfit("a map")),
        }
    }

    by_name! {
        deserialize_struct record,
        deserialize_enum symbol,
    }

    fn deserialize_ignored_any<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The entries of a list or a map.
struct Items<'s, 'c, 'd> {
    schema: &'s DatumSchema,
    kind: &'s SchemaKind,
    cursor: &'c mut DatumCursor<'d>,
    depth: u32,
    /// Of the block.
    left: u64,
    at: usize,
}

impl<'d> Items<'_, '_, 'd> {
    fn value<T: DeserializeSeed<'d>>(&mut self, seed: T) -> Result<T::Value, DatumError> {
        let at = self.at;
        let datum = Datum { schema: self.schema, kind: self.kind, cursor: self.cursor, depth: self.depth };
        let value = seed.deserialize(datum).map_err(|error| error.within(&format!("[{at}]")))?;
        self.at += 1;
        self.left -= 1;
        if self.left == 0 {
            self.left = self.cursor.block()?;
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
        Some((self.left as usize).min(self.cursor.rest.len()))
    }
}

impl<'d> MapAccess<'d> for Items<'_, '_, 'd> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'d>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        if self.left == 0 {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(self.cursor.text()?)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        self.value(seed)
    }
}

/// The fields of a record.
struct RecordFields<'s, 'c, 'd> {
    schema: &'s DatumSchema,
    fields: std::slice::Iter<'s, RecordField>,
    /// Whose value comes next.
    field: Option<&'s RecordField>,
    cursor: &'c mut DatumCursor<'d>,
    depth: u32,
    /// A struct does not hear of nulls: they are fields that are not there.
    with_nulls: bool,
}

impl RecordFields<'_, '_, '_> {
    /// Whether the next value is null, which is passed by then.
    fn pass_null(&mut self, kind: usize) -> Result<bool, DatumError> {
        match self.schema.kind(kind) {
            SchemaKind::Null => Ok(true),
            SchemaKind::Union(branches) => {
                let before = self.cursor.rest;
                let branch = branches[self.cursor.index(branches.len())?];
                let is_null = matches!(self.schema.kind(branch), SchemaKind::Null);
                if !is_null {
                    self.cursor.rest = before;
                }
                Ok(is_null)
            }
            _ => Ok(false),
        }
    }
}

impl<'d> MapAccess<'d> for RecordFields<'_, '_, 'd> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'d>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        loop {
            let Some(field) = self.fields.next() else { return Ok(None) };
            if !self.with_nulls && self.pass_null(field.kind).map_err(|error| error.within(&field.name))? {
                self.cursor.count_value(self.depth)?;
                continue;
            }
            self.field = Some(field);
            return seed.deserialize(StrDeserializer::new(&field.name)).map(Some);
        }
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        let field =
            self.field.take().ok_or_else(|| DatumError::custom("a field's value was asked for before its name"))?;
        let kind = self.schema.kind(field.kind);
        let datum = Datum { schema: self.schema, kind, cursor: self.cursor, depth: self.depth };
        seed.deserialize(datum).map_err(|error| error.within(&field.name))
    }
}

/// A symbol of an enum: a variant without data.
struct Symbol<'t>(&'t str);

impl<'d> EnumAccess<'d> for Symbol<'_> {
    type Error = DatumError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'d>>(self, seed: V) -> Result<(V::Value, Self), DatumError> {
        Ok((seed.deserialize(StrDeserializer::<DatumError>::new(self.0))?, self))
    }
}

impl<'d> VariantAccess<'d> for Symbol<'_> {
    type Error = DatumError;

    fn unit_variant(self) -> Result<(), DatumError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'d>>(self, _: T) -> Result<T::Value, DatumError> {
        Err(DatumError::new("expected a variant with data, the writer's schema has enum"))
    }

    fn tuple_variant<V: Visitor<'d>>(self, _: usize, _: V) -> Result<V::Value, DatumError> {
        Err(DatumError::new("expected a variant with data, the writer's schema has enum"))
    }

    fn struct_variant<V: Visitor<'d>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, DatumError> {
        Err(DatumError::new("expected a variant with data, the writer's schema has enum"))
    }
}
