//! An event as JSON text without its field `personal`, written straight from the struct: on the way of every event there is.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeStruct, Serializer};

/// Where an event's personal data stands: at its top, nowhere else.
const PERSONAL: &str = "personal";

/// The JSON text of an event, without its personal data.
///
/// # Errors
/// When it is no record.
pub(super) fn without_personal(event: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(512);
    event.serialize(FieldsBut(&mut serde_json::Serializer::new(&mut text)))?;
    String::from_utf8(text).map(without_nul).map_err(serde_json::Error::custom)
}

/// The JSON text of an event that is JSON already, without its personal data.
///
/// # Errors
/// When it is no record.
pub(super) fn stripped(mut event: serde_json::Value) -> Result<String, serde_json::Error> {
    event.as_object_mut().map_or_else(no_record, |fields| {
        fields.remove(PERSONAL);
        Ok(())
    })?;
    Ok(without_nul(event.to_string()))
}

/// A NUL in a string can't be asked for in PostgreSQL: `\u0000` becomes U+FFFD, unless its backslash is itself escaped.
fn without_nul(text: String) -> String {
    const NUL: &str = "\\u0000";
    if !text.contains(NUL) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let (replaced, length) = if escape.starts_with(NUL) { ("\\ufffd", NUL.len()) } else { (&escape[..2], 2) };
        clean.push_str(replaced);
        rest = &escape[length..];
    }
    clean.push_str(rest);
    clean
}

/// Passes a record's fields on, all but one.
struct FieldsBut<S>(S);

/// The fields of a record.
struct Fields<S>(S);

impl<S: SerializeStruct> SerializeStruct for Fields<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        if key == PERSONAL { Ok(()) } else { self.0.serialize_field(key, value) }
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

fn no_record<T, E: serde::ser::Error>() -> Result<T, E> {
    Err(E::custom("expected an event, which is a record; got something else"))
}

/// What is not a record is refused.
macro_rules! refuse {
    ($($name:ident($($kind:ty),*);)*) => {
        $(fn $name(self, $(_: $kind),*) -> Result<S::Ok, S::Error> {
            no_record()
        })*
    };
}

impl<S: Serializer> Serializer for FieldsBut<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, len).map(Fields)
    }

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        no_record()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<S::Ok, S::Error> {
        no_record()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        no_record()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        no_record()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, S::Error> {
        no_record()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        no_record()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        no_record()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        no_record()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        no_record()
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        no_record()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Event {
        personal: &'static str,
        order_id: u32,
        lines: Vec<Part>,
        last: Option<u8>,
    }

    #[derive(Serialize)]
    struct Part {
        personal: &'static str,
    }

    #[test]
    fn the_field_personal_is_left_out_at_the_top_and_nothing_else_is() {
        let lines = vec![Part { personal: "a part's own" }];
        let text = without_personal(&Event { personal: "Ada", order_id: 1, lines, last: None }).unwrap();
        let expected = json!({"order_id": 1, "lines": [{"personal": "a part's own"}], "last": null});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn a_nul_is_replaced_and_what_only_looks_like_one_is_not() {
        let lines = vec![Part { personal: "a\0b\\u0000\\\0\"é" }];
        let text = without_personal(&Event { personal: "", order_id: 1, lines, last: None }).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["lines"][0]["personal"], "a\u{fffd}b\\u0000\\\u{fffd}\"é");
    }

    #[test]
    fn what_is_json_already_is_stripped_alike() {
        let event = json!({"personal": "Ada", "lines": [{"personal": "a part's own"}], "new": "a\0b"});
        assert_eq!(stripped(event).unwrap(), r#"{"lines":[{"personal":"a part's own"}],"new":"a\ufffdb"}"#);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(stripped(json!([1])).is_err());
        assert!(without_personal(&"text").is_err());
        assert!(without_personal(&[1, 2]).is_err());
    }
}
