//! JSON as others write it: a byte order mark is skipped, a field that can't be read is named by its JSON pointer, and no message repeats a value.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value};

/// Up to here every whole number has a floating-point form of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why bytes are not the JSON that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}{}{detail}", if field.is_empty() { "" } else { ": " })]
pub struct JsonError {
    /// Where, as a JSON pointer; empty: the whole.
    pub field: String,
    /// What was expected and what came, without any value.
    pub detail: String,
    /// Whether it is JSON, of another shape than expected.
    pub is_json: bool,
}

/// Parses JSON text. A field that stands twice in one object is refused: nobody could tell which of the two counts.
///
/// # Errors
/// When it is not JSON in UTF-8; the error names the field in which it breaks off.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let not_json = |detail: String| JsonError { field: String::new(), detail, is_json: false };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if is_utf16(bytes) {
        return Err(not_json("expected JSON in UTF-8, got UTF-16: send it as UTF-8".into()));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    match Unambiguous::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)) {
        Ok(Unambiguous(value)) => Ok(value),
        // Read once more with its place in mind, which costs more than reading.
        Err(error) => {
            let mut again = serde_json::Deserializer::from_slice(text);
            Err(match serde_path_to_error::deserialize::<_, Unambiguous>(&mut again) {
                Ok(_) => not_json(format!("expected one JSON value: {error}")),
                Err(error) => {
                    let field = pointer(error.path());
                    JsonError { field, ..not_json(format!("expected JSON: {}", error.into_inner())) }
                }
            })
        }
    }
}

/// Whether it begins as JSON in UTF-16 does, with or without a byte order mark.
pub fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[' | b'"', 0, ..] | [0, b'{' | b'[' | b'"', 0, ..])
}

/// Reads JSON as a `T`. Where `T` has a record, a list is refused, and a field that is `null` is as if left out.
///
/// # Errors
/// When it is not JSON, or not a `T`; the error names the field.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    from_value(parse(bytes)?)
}

/// The same for what is parsed already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let field = pointer(error.path());
        JsonError { field, detail: error.into_inner().0, is_json: true }
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// A value whose objects have each field once.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

macro_rules! scalars {
    ($($method:ident($value:ty))*) => {$(
        fn $method<E>(self, value: $value) -> Result<Value, E> {
            Ok(value.into())
        }
    )*};
}

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    scalars! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) visit_string(String) }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unambiguous(value))) = fields.next_entry::<String, Unambiguous>()? {
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a field stands there twice: leave one out"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// Says what was expected and of what kind the value is, and not what it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mismatch(String);

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(came: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, got {}", kind(came)))
    }

    fn invalid_value(came: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, got another {}", kind(came).trim_start_matches("a ")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("expected one of {}, got another text", expected.join(", ")))
    }
}

fn kind(value: Unexpected<'_>) -> &'static str {
    match value {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::NewtypeStruct
        | Unexpected::Map
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant => "an object",
        Unexpected::Seq => "a list",
        Unexpected::Other(_) => "something else",
    }
}

struct Strict(Value);

impl Strict {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or_default()),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    /// `2.0` as 2, where a whole number is read.
    fn whole(self) -> Self {
        let whole = self.0.as_f64().filter(|float| self.0.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT);
        whole.map_or(self, |float| Self(Value::Number((float as i64).into())))
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn visit_object<'de, V: Visitor<'de>>(fields: Map<String, Value>, visitor: V) -> Result<V::Value, Mismatch> {
    let mut reader = MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, Strict(value))));
    let value = visitor.visit_map(&mut reader)?;
    reader.end()?;
    Ok(value)
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.whole().deserialize_any(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => visitor.visit_i64(number),
                (None, Some(number)) => visitor.visit_u64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => {
                let mut reader = SeqDeserializer::new(items.into_iter().map(Strict));
                let value = visitor.visit_seq(&mut reader)?;
                reader.end()?;
                Ok(value)
            }
            Value::Object(fields) => visit_object(fields, visitor),
        }
    }

    whole_numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Value::Object(mut fields) = self.0 else {
            return Err(de::Error::invalid_type(self.unexpected(), &"an object with named fields"));
        };
        fields.retain(|_, value| !value.is_null());
        visit_object(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Strict(value)));
                visitor.visit_enum(de::value::MapAccessDeserializer::new(MapDeserializer::new(fields)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(de::Error::invalid_type(self.unexpected(), &"a text"))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        inner: Vec<Inner>,
        #[serde(default)]
        why: String,
        data: Option<Value>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        count: i64,
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Good,
        Bad,
    }

    fn error(value: Value) -> String {
        from_value::<Outer>(value).unwrap_err().to_string()
    }

    #[test]
    fn what_fits_is_read_whole_numbers_with_a_point_and_null_as_left_out() {
        let given = json!({"inner": [{"count": 2.0, "kind": "good"}, {"count": 1, "kind": null}], "why": null, "data": {"a": null}, "else": []});
        let read: Outer = from_value(given).unwrap();
        let inner = vec![Inner { count: 2, kind: Some(Kind::Good) }, Inner { count: 1, kind: None }];
        assert_eq!(read, Outer { inner, why: String::new(), data: Some(json!({"a": null})) });
        assert_eq!(read.inner[0].kind, Some(Kind::Good));
        assert!(matches!(from_value::<Kind>(json!("bad")), Ok(Kind::Bad)));
    }

    #[test]
    fn a_list_is_no_record_anywhere_and_each_misfit_is_named_without_its_value() {
        for (value, expected) in [
            (json!([[], "secret"]), "expected an object with named fields, got a list"),
            (json!({"inner": [[2, "good"]]}), "/inner/0: expected an object with named fields, got a list"),
            (json!({"inner": [{"count": "secret"}]}), "/inner/0/count: expected i64, got a text"),
            (json!({"inner": [{"count": 2.5}]}), "/inner/0/count: expected i64, got a number with a fraction"),
            (
                json!({"inner": [{"count": 1, "kind": "secret"}]}),
                "/inner/0/kind: expected one of good, bad, got another text",
            ),
            (json!({"inner": "secret \"secret\""}), "/inner: expected a sequence, got a text"),
            (json!({}), "missing field `inner`"),
        ] {
            assert_eq!(error(value), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_told_by_where_they_break_off() {
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\": 1}").unwrap(), json!({"a": 1}));
        let why = |bytes: &[u8]| {
            let error = parse(bytes).unwrap_err();
            assert!(!error.is_json);
            error.to_string()
        };
        let half = why(br#"{"customer": {"name": "Ada \ud83d"}}"#);
        assert!(half.starts_with("/customer/name: ") && !half.contains("Ada"), "{half}");
        let half = why(b"{\"customer\": {\"name\": \"Ada \xed\xa0\xbd\"}}"); // the same, as bytes
        assert!(half.starts_with("/customer/name: ") && !half.contains("Ada"), "{half}");
        assert!(why(br#"{"lines": [{"quantity": 1, "quantity": 100}]}"#).contains("twice"));
        assert!(why(b"{\"a\": 1} tail").contains("trailing"));
        assert!(why(b"").contains("EOF"));
        for utf16 in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}", b"{\0\"\0", b"\0{\0\""] {
            assert!(why(utf16).contains("UTF-16"), "{utf16:?}");
        }
    }
}
