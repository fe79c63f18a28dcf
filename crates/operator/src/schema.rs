//! JSON against an Avro schema: each field that does not fit, with what was expected and what came.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

const SHOWN: usize = 60;
const MOST: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// Where, as a JSON pointer; empty: the whole.
    pub field: String,
    pub expected: String,
    pub came: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "/" } else { &self.field };
        write!(f, "{field}: expected {}, got {}", self.expected, self.came)
    }
}

/// What of `data` does not fit this schema, up to twenty fields; nothing: it fits.
pub fn misfits(schema: &str, data: &Value) -> Result<Vec<Misfit>, serde_json::Error> {
    let schema: Value = serde_json::from_str(schema)?;
    let mut check = Check { named: BTreeMap::new(), found: Vec::new() };
    check.know(&schema);
    check.value(&schema, data, "");
    check.found.truncate(MOST);
    Ok(check.found)
}

struct Check<'s> {
    /// Records by their name without namespace: schemas here have one record of a name at most.
    named: BTreeMap<&'s str, &'s Value>,
    found: Vec<Misfit>,
}

impl<'s> Check<'s> {
    fn know(&mut self, schema: &'s Value) {
        if let (Some("record"), Some(name)) = (schema["type"].as_str(), schema["name"].as_str()) {
            self.named.insert(short(name), schema);
        }
        match schema {
            Value::Object(parts) => parts.values().for_each(|part| self.know(part)),
            Value::Array(parts) => parts.iter().for_each(|part| self.know(part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn misfit(&mut self, field: &str, expected: impl Into<String>, came: impl Into<String>) {
        self.found.push(Misfit { field: field.to_owned(), expected: expected.into(), came: came.into() });
    }

    fn value(&mut self, schema: &'s Value, data: &Value, field: &str) {
        match schema {
            Value::String(name) => match self.named.get(short(name)) {
                Some(record) => self.record(record, data, field),
                None => self.plain(name, None, data, field),
            },
            Value::Array(branches) => self.union(branches, data, field),
            Value::Object(parts) => match parts.get("type").and_then(Value::as_str) {
                Some("record") => self.record(schema, data, field),
                Some("array") => self.array(&schema["items"], data, field),
                Some(plain) => self.plain(plain, parts.get("logicalType").and_then(Value::as_str), data, field),
                None => self.value(&schema["type"], data, field),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn record(&mut self, record: &'s Value, data: &Value, field: &str) {
        let Value::Object(given) = data else {
            let name = record["name"].as_str().unwrap_or_default();
            return self.misfit(field, format!("an object ({name})"), shown(data));
        };
        let fields = record["fields"].as_array().map_or(&[][..], Vec::as_slice);
        for of in fields {
            let name = of["name"].as_str().unwrap_or_default();
            let path = format!("{field}/{name}");
            match given.get(name) {
                Some(value) => self.value(&of["type"], value, &path),
                None if of.get("default").is_some() => {}
                None => self.misfit(&path, kind(&of["type"]), "nothing: it is missing"),
            }
        }
        self.strangers(fields, given, field);
    }

    fn strangers(&mut self, fields: &[Value], given: &Map<String, Value>, field: &str) {
        let names: Vec<&str> = fields.iter().filter_map(|of| of["name"].as_str()).collect();
        for name in given.keys().filter(|name| !names.contains(&name.as_str())) {
            self.misfit(
                &format!("{field}/{name}"),
                format!("no such field, only {}", names.join(", ")),
                shown(&given[name]),
            );
        }
    }

    fn array(&mut self, items: &'s Value, data: &Value, field: &str) {
        let Value::Array(list) = data else { return self.misfit(field, "a list", shown(data)) };
        for (at, item) in list.iter().enumerate() {
            self.value(items, item, &format!("{field}/{at}"));
        }
    }

    /// Null where it may be; else the one other branch says what is wrong.
    fn union(&mut self, branches: &'s [Value], data: &Value, field: &str) {
        let nullable = branches.iter().any(|branch| branch.as_str() == Some("null"));
        if nullable && data.is_null() {
            return;
        }
        let others: Vec<&'s Value> = branches.iter().filter(|branch| branch.as_str() != Some("null")).collect();
        let before = self.found.len();
        for (tried, branch) in others.iter().enumerate() {
            self.found.truncate(before);
            self.value(branch, data, field);
            if self.found.len() == before || tried + 1 == others.len() {
                break;
            }
        }
    }

    /// A type that our schemas do not use fits: the struct's own reader has the last word.
    fn plain(&mut self, name: &str, logical: Option<&str>, data: &Value, field: &str) {
        if let Some((expected, fits)) = plain(name, logical)
            && !fits(data)
        {
            self.misfit(field, expected, shown(data));
        }
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// What a type is called in a message.
fn kind(schema: &Value) -> String {
    match schema {
        Value::String(name) => of_plain(short(name), None),
        Value::Array(branches) => branches.iter().map(kind).collect::<Vec<_>>().join(" or "),
        Value::Object(_) => match schema["type"].as_str() {
            Some("record") => format!("an object ({})", schema["name"].as_str().unwrap_or_default()),
            Some("array") => "a list".to_owned(),
            Some(plain) => of_plain(plain, schema["logicalType"].as_str()),
            None => kind(&schema["type"]),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => "nothing known".to_owned(),
    }
}

fn of_plain(name: &str, logical: Option<&str>) -> String {
    plain(name, logical).map_or_else(|| format!("an object ({name})"), |(called, _)| called.to_owned())
}

/// What a plain type is called in a message, and whether data fits it.
type PlainType = (&'static str, fn(&Value) -> bool);

fn plain(name: &str, logical: Option<&str>) -> Option<PlainType> {
    Some(match (name, logical) {
        ("null", _) => ("null", Value::is_null),
        ("boolean", _) => ("true or false", Value::is_boolean),
        ("int", _) => ("a whole number of 32 bits", |data| data.as_i64().is_some_and(|of| i32::try_from(of).is_ok())),
        ("long", Some("timestamp-millis")) => ("a moment, in whole milliseconds since 1970", Value::is_i64),
        ("long", _) => ("a whole number", Value::is_i64),
        ("float" | "double", _) => ("a number", Value::is_number),
        ("string", Some("uuid")) => {
            ("a UUID as text", |data| data.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()))
        }
        ("string", _) => ("text", Value::is_string),
        ("bytes", _) => ("bytes, as a list of numbers from 0 to 255", |data| {
            data.as_array().is_some_and(|list| list.iter().all(|of| of.as_u64().is_some_and(|byte| byte < 256)))
        }),
        _ => return None,
    })
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "Sample", "namespace": "q.s", "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "place", "type": "int"},
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "first", "type": {"type": "record", "name": "Line", "namespace": "q", "fields": [
            {"name": "quantity", "type": "long"}, {"name": "sealed", "type": "bytes"}]}},
        {"name": "lines", "type": {"type": "array", "items": "q.Line"}}]}"#;

    fn fitting() -> Value {
        let line = json!({"quantity": 2, "sealed": [0, 255]});
        json!({"id": uuid::Uuid::nil().to_string(), "at": 5, "place": 1, "note": "n", "first": line, "lines": [line, line]})
    }

    fn found(pointer: &str, value: Value) -> Vec<String> {
        let mut data = fitting();
        *data.pointer_mut(pointer).unwrap() = value;
        misfits(SCHEMA, &data).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fits_is_not_complained_of_and_a_field_with_a_default_may_be_absent() {
        let mut data = fitting();
        assert_eq!(misfits(SCHEMA, &data).unwrap(), []);
        data.as_object_mut().unwrap().remove("note");
        assert_eq!(misfits(SCHEMA, &data).unwrap(), []);
        assert_eq!(found("/note", Value::Null), [""; 0]);
    }

    #[test]
    fn each_misfit_names_the_field_what_was_expected_and_what_came() {
        for (pointer, value, message) in [
            ("/id", json!("x"), "/id: expected a UUID as text, got \"x\""),
            ("/at", json!("now"), "/at: expected a moment, in whole milliseconds since 1970, got \"now\""),
            ("/place", json!(1_i64 << 40), "/place: expected a whole number of 32 bits, got 1099511627776"),
            ("/note", json!(3), "/note: expected text, got 3"),
            ("/lines/1/quantity", json!(1.5), "/lines/1/quantity: expected a whole number, got 1.5"),
            (
                "/lines/0/sealed",
                json!([256]),
                "/lines/0/sealed: expected bytes, as a list of numbers from 0 to 255, got [256]",
            ),
            ("/lines", json!({}), "/lines: expected a list, got {}"),
            ("/first", json!([]), "/first: expected an object (Line), got []"),
        ] {
            assert_eq!(found(pointer, value), [message]);
        }
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_are_both_named() {
        let mut data = fitting();
        data["first"].as_object_mut().unwrap().remove("quantity");
        data["extra"] = json!(1);
        let messages: Vec<String> = misfits(SCHEMA, &data).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(messages[0], "/first/quantity: expected a whole number, got nothing: it is missing");
        assert!(messages[1].starts_with("/extra: expected no such field, only id, at,"), "{messages:?}");
    }

    #[test]
    fn every_schema_of_the_catalogue_can_be_checked_against() {
        for entry in events::catalogue() {
            let found = misfits(entry.schema, &json!({"nonsense": 1})).unwrap();
            assert!(found.iter().any(|misfit| misfit.field == "/nonsense"), "{}", entry.name);
        }
    }
}
