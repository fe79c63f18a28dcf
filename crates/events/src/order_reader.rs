//! An order read from JSON, or from Avro shown as JSON: everything that can't be read is named field by field, and no value of a record is
//! repeated. `null` and an empty text are the same as leaving the field out; a list is no record; `2.0` is a whole number and `"2"` is none.

use serde_json::{Map, Value};

use crate::order_placed::{Address, OrderPlaced};
use crate::parts::Fault;

/// The most lines of an order.
pub const MOST_LINES: usize = 500;

/// Up to here every whole number has a floating-point form of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a field must be, if it is there.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Whole,
    /// It must be there: a price that is left out is no gift.
    RequiredWhole,
    Record(KnownFields),
    Lines,
}

type KnownFields = &'static [(&'static str, Kind)];

const ORDER: KnownFields = &[
    ("source", Kind::Text),
    ("reference", Kind::Text),
    ("customer", Kind::Record(CUSTOMER)),
    ("lines", Kind::Lines),
    ("currency", Kind::Text),
    ("shipping", Kind::Whole),
    ("discount", Kind::Whole),
    ("tax", Kind::Whole),
    ("payment_method", Kind::Text),
    ("payment", Kind::Record(PAYMENT)),
    ("ship_to", Kind::Record(ADDRESS)),
    ("bill_to", Kind::Record(ADDRESS)),
    ("exchange_for", Kind::Text),
    ("subtotal", Kind::Whole),
    ("total", Kind::Whole),
];
const CUSTOMER: KnownFields = &texts(["id", "name", "email", "phone", "locale"]);
const PAYMENT: KnownFields =
    &[("kind", Kind::Text), ("provider", Kind::Text), ("reference", Kind::Text), ("amount", Kind::Whole)];
const LINE: KnownFields =
    &[("id", Kind::Text), ("sku", Kind::Text), ("quantity", Kind::RequiredWhole), ("unit_price", Kind::RequiredWhole)];
const ADDRESS: KnownFields = &texts(["name", "line1", "line2", "city", "region", "postal_code", "country"]);

const fn texts<const N: usize>(names: [&'static str; N]) -> [(&'static str, Kind); N] {
    let mut fields = [("", Kind::Text); N];
    let mut at = 0;
    while at < N {
        fields[at].0 = names[at];
        at += 1;
    }
    fields
}

/// An order as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderReading {
    /// The order; a field that can't be read is empty.
    pub order: OrderPlaced,
    /// What whoever placed it says that the lines come to.
    pub subtotal: Option<i64>,
    /// What whoever placed it says that is to be paid.
    pub total: Option<i64>,
    /// What can't be read, and what looks like a misspelt field.
    pub faults: Vec<Fault>,
}

impl From<OrderPlaced> for OrderReading {
    fn from(order: OrderPlaced) -> Self {
        Self { order, ..Self::default() }
    }
}

impl OrderPlaced {
    /// Reads an order. Never fails: what is wrong is in the reading's faults.
    pub fn read(value: &Value) -> OrderReading {
        let mut faults = Vec::new();
        let Value::Object(fields) = value else {
            let detail = format!("expected an object with the order's fields, got {}", kind(value));
            return OrderReading { faults: vec![fault("", "invalid_type", detail)], ..OrderReading::default() };
        };
        let mut read = record(fields, "", ORDER, &mut faults);
        let [subtotal, total] = ["subtotal", "total"].map(|name| read.remove(name)?.as_i64());
        let order: Self = serde_json::from_value(read.into()).expect("only what fits is left of its fields");
        let bill_to = order.bill_to.filter(|address| *address != Address::default());
        OrderReading { order: Self { bill_to, ..order }, subtotal, total, faults }
    }
}

/// Those fields of a record that can be read.
fn record(fields: &Map<String, Value>, at: &str, known: KnownFields, faults: &mut Vec<Fault>) -> Map<String, Value> {
    let mut read = Map::new();
    for (name, kind) in known {
        let at = format!("{at}/{name}");
        match (given(fields, name), kind) {
            (Some(value), kind) => {
                read.extend(field(value, &at, *kind, faults).map(|value| ((*name).to_owned(), value)))
            }
            (None, Kind::RequiredWhole) => faults.push(fault(&at, "required", "expected a whole number, got nothing")),
            (None, Kind::Text | Kind::Whole | Kind::Record(_) | Kind::Lines) => {}
        }
    }
    misspelt(fields, at, known, faults);
    read
}

fn field(value: &Value, at: &str, wanted: Kind, faults: &mut Vec<Fault>) -> Option<Value> {
    let expected = match (wanted, value) {
        (Kind::Text, Value::String(_)) => return Some(value.clone()),
        (Kind::Record(known), Value::Object(fields)) => return Some(record(fields, at, known, faults).into()),
        (Kind::Lines, Value::Array(given)) => return Some(lines(given, at, faults)),
        (Kind::Whole | Kind::RequiredWhole, value) => match whole(value) {
            Some(number) => return Some(number.into()),
            None => "a whole number",
        },
        (Kind::Text, _) => "a text",
        (Kind::Record(_), _) => "an object with named fields",
        (Kind::Lines, _) => "a list of lines",
    };
    faults.push(fault(at, "invalid_type", format!("expected {expected}, got {}", kind(value))));
    None
}

/// The lines, up to as many as an order may have; one that can't be read is empty.
fn lines(given: &[Value], at: &str, faults: &mut Vec<Fault>) -> Value {
    if given.len() > MOST_LINES {
        let detail = format!("expected at most {MOST_LINES} lines, got {}: split the order", given.len());
        faults.push(fault(at, "too_many", detail));
    }
    let line = |(index, given): (usize, &Value)| {
        let read = field(given, &format!("{at}/{index}"), Kind::Record(LINE), faults);
        read.unwrap_or_else(|| Map::new().into())
    };
    given.iter().take(MOST_LINES).enumerate().map(line).collect()
}

/// Names fields that nobody reads and that look like one that is missing. Others are ignored: a later version may know them.
fn misspelt(fields: &Map<String, Value>, at: &str, known: KnownFields, faults: &mut Vec<Fault>) {
    // Zero counts as nothing: who writes every field of a struct writes it where nobody meant it.
    let is_missing = |name: &str| given(fields, name).is_none_or(|value| whole(value) == Some(0));
    let missing: Vec<&str> = known.iter().map(|(name, _)| *name).filter(|name| is_missing(name)).collect();
    for (name, _) in fields.iter().filter(|(_, value)| !is_absent(value)) {
        if known.iter().any(|(known, _)| known == name) {
            continue;
        }
        if let Some(meant) = missing.iter().find(|known| looks_like(name, known)) {
            let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let detail = format!(
                "there is no such field: if it is meant as {meant}, name it so; else leave it out or rename it"
            );
            faults.push(fault(&pointer, "unknown_field", detail));
        }
    }
}

/// What a field has; nothing where it is absent, null or blank.
fn given<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f Value> {
    fields.get(name).filter(|value| !is_absent(value))
}

fn fault(field: &str, code: &str, detail: impl Into<String>) -> Fault {
    Fault { field: field.to_owned(), code: code.to_owned(), detail: detail.into() }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A whole number, also one written with a point or an exponent.
fn whole(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    let float =
        || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT).map(|float| float as i64);
    number.as_i64().or_else(float)
}

/// What came, for a message: never the value itself.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
            "a number with a fraction"
        }
        Value::Number(number) if number.as_i64().is_none() => "a number that is too large",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether `name` is likely meant as `known`: the same but for case and separators, a plural or singular, or a slip of the hand.
fn looks_like(name: &str, known: &str) -> bool {
    if name.len() > 40 {
        return false;
    }
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|one| one.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (name, known) = (plain(name), plain(known));
    let slips = match known.len() {
        0..=3 => 0,
        4..=5 => 1,
        _ => 2,
    };
    let plural =
        |one: &[char], many: &[char]| many.strip_prefix(one).is_some_and(|end| matches!(end, ['s'] | ['e', 's']));
    plural(&known, &name) || plural(&name, &known) || distance(&name, &known) <= slips
}

/// Levenshtein's distance.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, its) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != its);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order() -> Value {
        json!({
            "source": "shop", "reference": "r-1", "customer": {"id": "c-1", "name": "Ada", "email": "ada@example.org"},
            "lines": [{"sku": "TEA", "quantity": 2, "unit_price": 450}], "currency": "EUR", "payment_method": "tok",
            "ship_to": {"name": "Ada", "line1": "1 Main St", "city": "London", "country": "GB"},
        })
    }

    fn with(pointer: &str, value: Value) -> OrderReading {
        let mut order = order();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = order.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                parent[name] = value
            }
        }
        OrderPlaced::read(&order)
    }

    fn fault_at(pointer: &str, value: Value) -> String {
        let faults = with(pointer, value).faults;
        assert_eq!(faults.len(), 1, "{pointer}: {faults:?}");
        format!("{} {}", faults[0].field, faults[0].code)
    }

    /// Reports 09 and 10.
    #[test]
    fn null_and_empty_texts_are_as_if_left_out() {
        let plain = OrderPlaced::read(&order());
        assert_eq!(plain.faults, []);
        let names =
            ["/shipping", "/discount", "/tax", "/total", "/bill_to", "/note", "/customer/phone", "/customer/locale"];
        let more = ["/ship_to/line2", "/ship_to/region", "/ship_to/postal_code", "/lines/0/id"];
        for pointer in names.into_iter().chain(more) {
            for absent in [Value::Null, json!(""), json!("  ")] {
                assert_eq!(with(pointer, absent), plain, "{pointer}");
            }
        }
        let nobody = json!({"name": "", "line1": "", "line2": null, "city": " ", "region": "", "postal_code": "", "country": ""});
        assert_eq!(with("/bill_to", nobody), plain);
        assert_eq!(with("/payment_method", Value::Null).order.payment_method, "");
        assert_eq!(with("/reference", json!("")).order.reference, None);
    }

    /// Report 14.
    #[test]
    fn whole_numbers_are_taken_however_they_are_written_and_others_named() {
        for (number, value) in [(json!(2.0), 2), (json!(1.25e3), 1250), (json!(-3.0), -3)] {
            let read = with("/lines/0/quantity", number);
            assert_eq!((read.order.lines[0].quantity, read.faults.len()), (value, 0));
        }
        for wrong in
            [json!("2"), json!(2.5), json!(1_u64 << 63), json!(1e300), json!(true), json!([2]), json!({"n": 2})]
        {
            assert_eq!(fault_at("/lines/0/quantity", wrong.clone()), "/lines/0/quantity invalid_type", "{wrong}");
            assert_eq!(fault_at("/shipping", wrong), "/shipping invalid_type");
        }
    }

    #[test]
    fn a_price_that_is_left_out_is_no_gift() {
        for absent in [Value::Null, json!("")] {
            assert_eq!(fault_at("/lines/0/unit_price", absent), "/lines/0/unit_price required");
        }
        assert_eq!(with("/lines/0/unit_price", json!(0)).faults, []);
    }

    /// Report 15.
    #[test]
    fn a_list_is_no_record_and_a_record_no_list() {
        for pointer in ["/customer", "/ship_to", "/bill_to", "/lines/0"] {
            for other in [json!([null, "TEA", 1250, 2]), json!([]), json!("Ada Secret"), json!(7), json!(true)] {
                assert_eq!(fault_at(pointer, other), format!("{pointer} invalid_type"));
            }
        }
        assert_eq!(fault_at("/lines", json!({"0": {"sku": "TEA"}})), "/lines invalid_type");
        assert_eq!(OrderPlaced::read(&json!(["shop", "r-1"])).faults[0].code, "invalid_type");
    }

    /// Report 17: any text where something else is expected, with quotes in it or not.
    #[test]
    fn no_fault_repeats_what_came() {
        let secret = json!("Ada \"Secret\" Lovelace");
        for pointer in
            ["/customer", "/lines", "/lines/0", "/lines/0/quantity", "/shipping", "/total", "/ship_to", "/bill_to"]
        {
            let faults = format!("{:?}", with(pointer, secret.clone()).faults);
            assert!(faults.contains(pointer) && !faults.contains("Secret"), "{faults}");
        }
        let faults = with("/discounts", secret).faults;
        assert!(!format!("{faults:?}").contains("Secret"), "{faults:?}");
    }

    /// Report 34.
    #[test]
    fn a_field_that_looks_like_a_missing_one_is_named_and_others_are_ignored() {
        for (pointer, value) in [
            ("/discounts", json!(500)),
            ("/discout", json!(500)),
            ("/Shipping", json!(490)),
            ("/taxes", json!(1)),
            ("/billTo", json!({})),
            ("/customer/phones", json!("1")),
            ("/ship_to/postcode", json!("N1")),
            ("/ship_to/postalCode", json!("N1")),
            ("/ship_to/line_2", json!("Flat 3")),
            ("/lines/0/ids", json!("1")),
        ] {
            assert_eq!(fault_at(pointer, value), format!("{pointer} unknown_field"));
        }
        for pointer in [
            "/note",
            "/gift",
            "/ship_to/county",
            "/ship_to/note",
            "/customer/vat_id",
            "/lines/0/title",
            "/lines/0/weight",
        ] {
            assert_eq!(with(pointer, json!("x")).faults, [], "{pointer}");
        }
        assert_eq!(with("/discounts", json!(null)).faults, []);
    }

    #[test]
    fn no_more_lines_are_read_than_an_order_may_have() {
        let lines = vec![json!({"quantity": "x"}); MOST_LINES + 20];
        let read = with("/lines", json!(lines));
        assert_eq!(read.order.lines.len(), MOST_LINES);
        assert_eq!(read.faults[0].code, "too_many");
        assert!(read.faults[0].detail.contains("520"));
    }
}
