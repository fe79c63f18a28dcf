//! Which parameters each operation takes (`spec/parameters.json`, from Stripe's OpenAPI description), and what their texts mean.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// What a parameter may be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ParameterShape {
    Integer,
    Number,
    Boolean,
    String,
    Enum(Vec<String>),
    List(Box<ParameterShape>),
    Map(Box<ParameterShape>),
    Any(Vec<ParameterShape>),
    #[serde(untagged)]
    Object {
        object: BTreeMap<String, ParameterShape>,
        #[serde(default)]
        required: Vec<String>,
    },
}

static OPERATIONS: LazyLock<BTreeMap<String, ParameterShape>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../spec/parameters.json")).expect("parameters.json is well-formed")
});

/// Checks a form against what the operation takes, and gives its texts their types: integers and booleans are JSON's, lists are lists, what is
/// unset by an empty text is null.
///
/// # Errors
/// 400 as Stripe answers it: an unknown parameter, a missing one, a value of another type or not of the enumeration.
pub fn check(operation: &str, form: Map<String, Value>) -> Result<Value, ApiError> {
    refuse_payment_method_types(&form)?;
    let shape = OPERATIONS.get(operation).expect("each operation has its parameters in parameters.json");
    typed(shape, Value::Object(form), "")
}

/// Since 2026-09-30.endive.
fn refuse_payment_method_types(form: &Map<String, Value>) -> Result<(), ApiError> {
    if form.contains_key("payment_method_types") {
        return Err(ApiError::parameter(
            "payment_method_types_no_longer_supported",
            "payment_method_types",
            "The parameter payment_method_types is no longer supported as of API version 2026-09-30.endive. \
             Use allowed_payment_method_types, or automatic payment methods.",
        ));
    }
    Ok(())
}

fn typed(shape: &ParameterShape, value: Value, path: &str) -> Result<Value, ApiError> {
    match (shape, value) {
        (ParameterShape::Any(shapes), value) => {
            let mut refused = ApiError::bad_request(format!("Invalid {path}"));
            for shape in shapes {
                match typed(shape, value.clone(), path) {
                    Ok(value) => return Ok(value),
                    // What another option does not know says less than what this one misses.
                    Err(error) if error.code == Some("parameter_unknown") && refused.code.is_some() => {}
                    Err(error) => refused = error,
                }
            }
            Err(refused)
        }
        (
            ParameterShape::Object { .. } | ParameterShape::Map(_) | ParameterShape::List(_) | ParameterShape::Enum(_),
            Value::String(text),
        ) if text.is_empty() => Ok(Value::Null),
        (ParameterShape::Object { object, required }, Value::Object(form)) => {
            typed_object(object, required, form, path)
        }
        (ParameterShape::Map(inner), Value::Object(form)) => {
            let entries = form.into_iter().map(|(key, value)| {
                let value = typed(inner, value, &child(path, &key))?;
                Ok((key, value))
            });
            Ok(Value::Object(entries.collect::<Result<_, ApiError>>()?))
        }
        (ParameterShape::List(inner), Value::Object(form)) => {
            let mut items: Vec<(usize, Value)> = Vec::new();
            for (key, value) in form {
                let index = key
                    .parse()
                    .map_err(|_| wrong(path, &format!("Invalid array: the index '{key}' of {path} is no number")))?;
                items.push((index, typed(inner, value, &child(path, &key))?));
            }
            items.sort_by_key(|(index, _)| *index);
            Ok(Value::Array(items.into_iter().map(|(_, value)| value).collect()))
        }
        (ParameterShape::Object { .. } | ParameterShape::Map(_), Value::String(_)) => {
            Err(wrong(path, "Invalid object"))
        }
        (ParameterShape::List(_), Value::String(_)) => Err(wrong(path, "Invalid array")),
        (scalar, Value::String(text)) => typed_scalar(scalar, text, path),
        (_, _) => Err(wrong(path, "Invalid value: expected a text, got a hash")),
    }
}

fn typed_object(
    known: &BTreeMap<String, ParameterShape>,
    required: &[String],
    form: Map<String, Value>,
    path: &str,
) -> Result<Value, ApiError> {
    let unknown: Vec<String> =
        form.keys().filter(|key| !known.contains_key(*key)).map(|key| child(path, key)).collect();
    if let Some(first) = unknown.first() {
        let (plural, names) = (if unknown.len() > 1 { "s" } else { "" }, unknown.join(", "));
        return Err(ApiError::parameter(
            "parameter_unknown",
            first,
            format!("Received unknown parameter{plural}: {names}"),
        ));
    }
    if let Some(missing) = required.iter().find(|name| !form.contains_key(*name)) {
        let name = child(path, missing);
        return Err(ApiError::parameter("parameter_missing", &name, format!("Missing required param: {name}.")));
    }
    let mut typed_form = Map::new();
    for (key, value) in form {
        if let Some(shape) = known.get(&key) {
            let value = typed(shape, value, &child(path, &key))?;
            typed_form.insert(key, value);
        }
    }
    Ok(Value::Object(typed_form))
}

fn typed_scalar(shape: &ParameterShape, text: String, path: &str) -> Result<Value, ApiError> {
    let unset = || {
        let message = format!(
            "You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however '{path}' cannot be unset. \
             You should remove '{path}' from your request or supply a non-empty value."
        );
        Err(ApiError::parameter("parameter_invalid_empty", path, message))
    };
    match shape {
        ParameterShape::String => Ok(json!(text)),
        ParameterShape::Integer | ParameterShape::Number | ParameterShape::Boolean if text.is_empty() => unset(),
        ParameterShape::Integer => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| ApiError::parameter("parameter_invalid_integer", path, format!("Invalid integer: {text}"))),
        ParameterShape::Number => text
            .parse::<f64>()
            .map(|number| json!(number))
            .map_err(|_| wrong(path, &format!("Invalid decimal: {text}"))),
        ParameterShape::Boolean => {
            text.parse::<bool>().map(Value::from).map_err(|_| wrong(path, &format!("Invalid boolean: {text}")))
        }
        ParameterShape::Enum(values) if values.contains(&text) => Ok(json!(text)),
        ParameterShape::Enum(values) => {
            Err(wrong(path, &format!("Invalid {path}: must be one of {}, got '{text}'", values.join(", "))))
        }
        ParameterShape::List(_) | ParameterShape::Map(_) | ParameterShape::Any(_) | ParameterShape::Object { .. } => {
            Err(wrong(path, "Invalid value"))
        }
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}[{key}]") }
}

fn wrong(path: &str, message: &str) -> ApiError {
    ApiError { param: Some(path.to_owned()), ..ApiError::bad_request(message) }
}

/// Metadata as Stripe takes it: 50 keys of 40 characters without brackets, values of 500.
///
/// # Errors
/// 400 for what is longer.
pub fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if metadata.len() > 50 {
        return Err(wrong("metadata", &format!("Metadata can have up to 50 keys, got {}", metadata.len())));
    }
    for (key, value) in metadata {
        if key.chars().count() > 40 || key.contains(['[', ']']) {
            return Err(wrong(
                "metadata",
                &format!("Metadata keys can have up to 40 characters and no brackets; got '{key}'"),
            ));
        }
        if value.chars().count() > 500 {
            let message = format!(
                "Metadata values can have up to 500 characters, but you passed in a value for '{key}' that is longer"
            );
            return Err(wrong(&format!("metadata[{key}]"), &message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    fn checked(operation: &str, body: &str) -> Result<Value, (Option<&'static str>, String)> {
        check(operation, form::parse(body.as_bytes()).unwrap())
            .map_err(|error| (error.code, error.param.unwrap_or_default()))
    }

    #[test]
    fn texts_get_their_types() {
        let body = "amount=1250&currency=eur&confirm=false&allowed_payment_method_types[]=card&metadata[a]=1&payment_method_options[card][capture_method]=manual";
        let expected = json!({
            "amount": 1250, "currency": "eur", "confirm": false, "allowed_payment_method_types": ["card"], "metadata": {"a": "1"},
            "payment_method_options": {"card": {"capture_method": "manual"}},
        });
        assert_eq!(checked("payment_intents.create", body), Ok(expected));
        assert_eq!(
            checked("payment_intents.list", "created[gte]=5&limit=3"),
            Ok(json!({"created": {"gte": 5}, "limit": 3}))
        );
        assert_eq!(checked("payment_intents.list", "created=5"), Ok(json!({"created": 5})));
    }

    #[test]
    fn what_stripe_refuses_is_refused() {
        let create = |rest: &str| checked("payment_intents.create", &format!("amount=1250&currency=eur&{rest}"));
        let refused = |code: Option<&'static str>, param: &str| Err((code, param.to_owned()));
        assert_eq!(create("amout=1"), refused(Some("parameter_unknown"), "amout"));
        assert_eq!(
            create("payment_method_options[card][x]=1"),
            refused(Some("parameter_unknown"), "payment_method_options[card][x]")
        );
        assert_eq!(
            create("payment_method_types[]=card"),
            refused(Some("payment_method_types_no_longer_supported"), "payment_method_types")
        );
        assert_eq!(create("capture_method=later"), refused(None, "capture_method"));
        assert_eq!(create("confirm=yes"), refused(None, "confirm"));
        assert_eq!(create("expand=latest_charge"), refused(None, "expand"));
        assert_eq!(checked("payment_intents.create", "currency=eur"), refused(Some("parameter_missing"), "amount"));
        assert_eq!(
            checked("payment_intents.create", "amount=12.5&currency=eur"),
            refused(Some("parameter_invalid_integer"), "amount")
        );
        assert_eq!(
            checked("payment_intents.create", "amount=&currency=eur"),
            refused(Some("parameter_invalid_empty"), "amount")
        );
    }

    #[test]
    fn metadata_has_stripes_limits() {
        let one = |key: &str, value: &str| check_metadata(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert!(one("order_id", "7").is_ok());
        assert!(one(&"k".repeat(41), "7").is_err() && one("a[b]", "7").is_err() && one("a", &"v".repeat(501)).is_err());
        assert!(check_metadata(&(0..51).map(|n| (n.to_string(), String::new())).collect()).is_err());
    }
}
