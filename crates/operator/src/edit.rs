//! A dead letter's value as JSON that people can read and mend, and back: checked against the event's schema, in the form it came in.

use events::{Event, Fault, OrderPlaced, OrderReading, Person, Personal, WithEvent, entry_of, with_event};
use runtime::{Codec, CodecError};
use serde_json::Value;

use crate::schema::{Misfit, misfits};

const PERSONAL: &str = "personal";

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("expected a dead letter of a known event type, got {0}: only whole events can be edited; retry or skip it")]
    UnknownType(String),
    #[error("the new data does not fit the schema of {event_type}: {}", listed(.misfits))]
    Misfits { event_type: &'static str, misfits: Vec<Misfit> },
    #[error("the new data is no {event_type}: {detail}")]
    Unfit { event_type: &'static str, detail: String },
    #[error(
        "expected data with the key {expected:?}, as the record has it, got {came:?}: an edit can't move an event to another order"
    )]
    OtherKey { expected: String, came: String },
    #[error(transparent)]
    Codec(#[from] CodecError),
}

fn listed(misfits: &[Misfit]) -> String {
    misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(Clone, Copy, Debug)]
pub struct Original<'l> {
    pub topic: &'l str,
    pub event_type: Option<&'l str>,
    pub content_type: Option<&'l str>,
    pub key: Option<&'l [u8]>,
    pub value: Option<&'l [u8]>,
}

impl Original<'_> {
    fn at_the_front_door(&self) -> bool {
        self.topic == OrderPlaced::TOPIC
    }

    fn named(&self) -> Result<&'static str, EditError> {
        if self.at_the_front_door() {
            return Ok(OrderPlaced::TYPE);
        }
        let named = self.event_type.and_then(entry_of).map(|entry| entry.event_type);
        named.ok_or_else(|| EditError::UnknownType(self.event_type.unwrap_or("one without ce_type").to_owned()))
    }

    /// The value as JSON, if it is JSON: the front door takes that too.
    fn json(&self) -> Option<Value> {
        if self.at_the_front_door() { runtime::json::parse(self.value?).ok().filter(Value::is_object) } else { None }
    }
}

/// The value as JSON, without personal data; none: it can't be read.
pub fn data(original: Original<'_>, codec: &Codec) -> Option<Value> {
    if let Some(json) = original.json() {
        return Some(if json.get("specversion").is_some() { json.get("data")?.clone() } else { json });
    }
    let mut data = with_event(original.named().ok()?, Read { original, codec })??;
    if let Some(fields) = data.as_object_mut() {
        fields.remove(PERSONAL);
    }
    Some(data)
}

struct Read<'l> {
    original: Original<'l>,
    codec: &'l Codec,
}

impl WithEvent for Read<'_> {
    type Output = Option<Value>;

    fn with<E: Event>(self) -> Option<Value> {
        let event: E = self.codec.decode(self.original.value).ok()?;
        serde_json::to_value(event).ok()
    }
}

/// The mended value, in the form that its record has. `personal` may be left out: it stays as it was; or it may be given in the clear.
pub fn mended(original: Original<'_>, data: Value, codec: &Codec) -> Result<Vec<u8>, EditError> {
    let event_type = original.named()?;
    if original.at_the_front_door() {
        return front_door(original, data, codec);
    }
    let known = with_event(event_type, Mend { original, data, codec });
    known.unwrap_or_else(|| Err(EditError::UnknownType(event_type.to_owned())))
}

struct Mend<'l> {
    original: Original<'l>,
    data: Value,
    codec: &'l Codec,
}

impl WithEvent for Mend<'_> {
    type Output = Result<Vec<u8>, EditError>;

    fn with<E: Event>(self) -> Result<Vec<u8>, EditError> {
        let Self { original, data, codec } = self;
        let data = sealed::<E>(original, data, codec)?;
        let misfits = misfits(E::SCHEMA, &data).map_err(unfit::<E>)?;
        if !misfits.is_empty() {
            return Err(EditError::Misfits { event_type: E::TYPE, misfits });
        }
        let event: E = serde_json::from_value(data.clone()).map_err(unfit::<E>)?;
        let (expected, came) = (original.key.unwrap_or_default(), event.key());
        if came.as_bytes() != expected {
            return Err(EditError::OtherKey { expected: String::from_utf8_lossy(expected).into_owned(), came });
        }
        Ok(codec.encode(&event)?)
    }
}

/// What orders would read is taken, also with fields that it ignores. It reads a record as its content-type says, else by its first byte: JSON
/// wherever Avro is not asked for.
fn front_door(original: Original<'_>, data: Value, codec: &Codec) -> Result<Vec<u8>, EditError> {
    let OrderReading { order, faults, .. } = OrderPlaced::read(&data);
    if !faults.is_empty() {
        let misfits = faults.into_iter().map(misfit).collect();
        return Err(EditError::Misfits { event_type: OrderPlaced::TYPE, misfits });
    }
    if original.content_type.is_some_and(|text| text.to_ascii_lowercase().contains("avro")) {
        return Ok(codec.encode(&order)?);
    }
    let value = match original.json() {
        Some(mut envelope) if envelope.get("specversion").is_some() => {
            envelope["data"] = data;
            envelope
        }
        Some(_) | None => data,
    };
    serde_json::to_vec(&value).map_err(unfit::<OrderPlaced>)
}

fn misfit(Fault { field, detail, .. }: Fault) -> Misfit {
    let (expected, came) = detail.split_once(", got ").unwrap_or((detail.as_str(), "this field"));
    let expected = expected.strip_prefix("expected ").unwrap_or(expected).to_owned();
    Misfit { field, expected, came: came.to_owned() }
}

/// Puts the personal data back where the new data has none, and seals what is given in the clear.
fn sealed<E: Event>(original: Original<'_>, mut data: Value, codec: &Codec) -> Result<Value, EditError> {
    let Some(fields) = data.as_object_mut() else { return Ok(data) };
    match fields.get(PERSONAL) {
        None => {
            let before =
                Read { original, codec }.with::<E>().and_then(|mut event| Some(event.get_mut(PERSONAL)?.take()));
            if let Some(personal) = before {
                fields.insert(PERSONAL.to_owned(), personal);
            }
        }
        Some(clear @ Value::Object(of)) if !of.contains_key("data") => {
            let person: Person = serde_json::from_value(clear.clone()).map_err(unfit::<E>)?;
            let personal: Personal = person.seal();
            fields.insert(PERSONAL.to_owned(), serde_json::to_value(personal).map_err(unfit::<E>)?);
        }
        Some(_) => {}
    }
    Ok(data)
}

fn unfit<E: Event>(error: serde_json::Error) -> EditError {
    EditError::Unfit { event_type: E::TYPE, detail: error.to_string() }
}

/// Sets single fields of the data, each as JSON pointer and value.
pub fn with_fields(mut data: Value, fields: &[(String, Value)]) -> Result<Value, String> {
    for (pointer, value) in fields {
        let (parent, name) = pointer.rsplit_once('/').ok_or_else(|| {
            format!("expected a JSON pointer such as /lines/0/quantity, got {pointer:?}: it begins with a slash")
        })?;
        let name = name.replace("~1", "/").replace("~0", "~");
        let place = match data.pointer_mut(parent) {
            Some(Value::Object(fields)) => Some(fields.entry(name).or_insert(Value::Null)),
            Some(Value::Array(items)) => name.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => None,
        };
        *place.ok_or_else(|| format!("{pointer}: there is no such place in the data"))? = value.clone();
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use events::{OrderId, ReservationExpired, Timestamp};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const ORDER: OrderId = OrderId(Uuid::from_u128(7));

    fn codec() -> Codec {
        Codec::of_catalogue().unwrap()
    }

    fn original<'l>(topic: &'l str, event_type: &'l str, key: &'l [u8], value: &'l [u8]) -> Original<'l> {
        Original { topic, event_type: Some(event_type), content_type: None, key: Some(key), value: Some(value) }
    }

    #[test]
    fn a_value_is_read_mended_and_written_back() {
        let (codec, key) = (codec(), ORDER.to_string());
        let expired = ReservationExpired { order_id: ORDER, expired_at: Timestamp::from_millis(5) };
        let value = codec.encode(&expired).unwrap();
        let original = original("inventory", ReservationExpired::TYPE, key.as_bytes(), &value);
        let shown = data(original, &codec).unwrap();
        assert_eq!(shown, json!({"order_id": key, "expired_at": 5}));
        let new = with_fields(shown, &[("/expired_at".into(), json!(9))]).unwrap();
        let event: ReservationExpired = codec.decode(Some(&mended(original, new, &codec).unwrap())).unwrap();
        assert_eq!(event.expired_at, Timestamp::from_millis(9));
    }

    #[test]
    fn broken_bytes_are_mended_by_whole_new_data_and_what_does_not_fit_is_named() {
        let (codec, key) = (codec(), ORDER.to_string());
        let original = original("inventory", ReservationExpired::TYPE, key.as_bytes(), b"\xff broken");
        assert_eq!(data(original, &codec), None);
        assert!(mended(original, json!({"order_id": key, "expired_at": 9}), &codec).is_ok());
        let error = mended(original, json!({"order_id": key, "expired_at": "soon"}), &codec).unwrap_err().to_string();
        assert!(error.contains("/expired_at: expected a moment") && error.contains("got \"soon\""), "{error}");
        let other = json!({"order_id": Uuid::nil().to_string(), "expired_at": 9});
        let error = mended(original, other, &codec).unwrap_err();
        assert!(matches!(error, EditError::OtherKey { .. }), "{error}");
    }

    #[test]
    fn personal_data_that_is_left_out_stays_as_it_was_and_may_be_given_in_the_clear() {
        let (codec, key) = (codec(), ORDER.to_string());
        let sealed = json!({"key_id": "", "data": [1, 2, 3]});
        let line = json!({"line_id": "1", "sku": "TEA", "quantity": 1, "unit_price": 5, "amount": 5});
        let new = json!({"order_id": key, "customer_id": "c", "currency": "EUR", "total": 5, "lines": [line], "plan": [],
            "payment_method": "tok", "expires_at": 1, "personal": sealed});
        let reserved: events::StockReserved = serde_json::from_value(new.clone()).unwrap();
        let value = codec.encode(&reserved).unwrap();
        let original = original("inventory", events::StockReserved::TYPE, key.as_bytes(), &value);
        let shown = data(original, &codec).unwrap();
        assert!(shown.get("personal").is_none(), "{shown}");
        let read =
            |data| -> events::StockReserved { codec.decode(Some(&mended(original, data, &codec).unwrap())).unwrap() };
        assert_eq!(read(shown.clone()), reserved);
        let address =
            json!({"name": "Ada", "line1": "1 Main St", "city": "London", "postal_code": "N1", "country": "GB"});
        let person = json!({"name": "Ada", "email": "a@b.c", "ship_to": address, "bill_to": address});
        let clear = with_fields(shown, &[("/personal".into(), person)]).unwrap();
        assert_eq!(read(clear).personal.open().unwrap().ship_to.city, "London");
    }

    #[test]
    fn the_front_door_is_given_the_form_that_its_record_has() {
        let codec = codec();
        let order = json!({"lines": [{"sku": "TEA", "quantity": 1, "unit_price": 5}], "currency": "EUR"});
        let whole: Value = serde_json::to_value(serde_json::from_value::<OrderPlaced>(order).unwrap()).unwrap();
        let of =
            |content_type, value| Original { topic: "order-placed", event_type: None, content_type, key: None, value };
        let plain = mended(of(Some("application/json"), Some(&b"{cut"[..])), whole.clone(), &codec).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&plain).unwrap(), whole);
        let avro = mended(of(Some("application/avro"), None), whole.clone(), &codec).unwrap();
        assert_eq!(avro[0], 0);
        let event =
            br#"{"specversion": "1.0", "id": "i", "source": "s", "type": "OrderPlaced", "data": {"currency": 5}}"#;
        let original = of(None, Some(&event[..]));
        assert_eq!(data(original, &codec).unwrap(), json!({"currency": 5}));
        let structured: Value = serde_json::from_slice(&mended(original, whole.clone(), &codec).unwrap()).unwrap();
        assert_eq!((&structured["id"], &structured["data"]), (&json!("i"), &whole));
    }

    /// Report 32: what the front door ignores does not hinder a person who mends the rest; what it can't read does.
    #[test]
    fn an_order_is_mended_beside_fields_that_nobody_knows() {
        let codec = codec();
        let order = json!({"note": "please gift-wrap", "extras": [{"a": null}], "currency": "EUR", "shipping": "490",
            "ship_to": {"postal_code": null}, "lines": [{"sku": "TEA", "quantity": 1, "unit_price": 5, "weight": 1.5}]});
        let value = serde_json::to_vec(&order).unwrap();
        let original =
            Original { topic: "order-placed", event_type: None, content_type: None, key: None, value: Some(&value) };
        let shown = data(original, &codec).unwrap();
        let error = mended(original, shown.clone(), &codec).unwrap_err().to_string();
        assert!(error.contains("/shipping: expected a whole number") && !error.contains("490"), "{error}");
        let new = with_fields(shown, &[("/shipping".into(), json!(490)), ("/ship_to/postal_code".into(), json!(""))])
            .unwrap();
        let new: Value = serde_json::from_slice(&mended(original, new, &codec).unwrap()).unwrap();
        assert_eq!((&new["note"], &new["shipping"]), (&order["note"], &json!(490)));
    }

    #[test]
    fn a_pointer_that_names_nothing_is_refused() {
        let data = json!({"lines": [{"quantity": 1}], "a/b": 0});
        let set = |pointer: &str| with_fields(data.clone(), &[(pointer.to_owned(), json!(2))]);
        assert_eq!(set("/lines/0/quantity").unwrap()["lines"][0]["quantity"], 2);
        assert_eq!(set("/a~1b").unwrap()["a/b"], 2);
        for nothing in ["lines", "/lines/1", "/lines/x", "/no/such"] {
            assert!(set(nothing).is_err(), "{nothing}");
        }
    }
}
