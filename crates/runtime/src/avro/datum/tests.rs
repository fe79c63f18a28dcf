//! What is read, what is resolved, and what is refused before it costs.

use std::path::Path;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use events::{Event, OrderPlaced};
use events::{WithEvent, with_event};
use serde_json::{Value as Json, json};

use super::{DEPTH, DatumSchema, ITEMS, from_slice};

fn parsed(schema: &Json) -> Schema {
    Schema::parse_str(&schema.to_string()).unwrap()
}

fn compiled(schema: &Json) -> DatumSchema {
    DatumSchema::new(&parsed(schema)).unwrap()
}

fn written(schema: &Json, value: Json) -> Vec<u8> {
    let schema = parsed(schema);
    let value = Value::try_from(value).unwrap().resolve(&schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn long(number: i64) -> Vec<u8> {
    written(&json!("long"), json!(number))
}

fn placed(schema: &Json, datum: &[u8]) -> Result<OrderPlaced, String> {
    from_slice(&compiled(schema), datum).map_err(|error| error.to_string())
}

fn record(name: &str, fields: &[(&str, Json)]) -> Json {
    let fields: Vec<Json> = fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({"type": "record", "name": name, "fields": fields})
}

fn texts(name: &str, fields: &[&str]) -> Json {
    record(name, &fields.iter().map(|field| (*field, json!("string"))).collect::<Vec<_>>())
}

/// An order as a shop would write it, with some fields otherwise, and more of them behind.
fn shops(otherwise: &[(&str, Json)]) -> Json {
    let mut fields = vec![
        ("reference", json!(["null", "string"])),
        ("customer", texts("Customer", &["id", "name", "email"])),
        (
            "lines",
            json!({"type": "array", "items": record("PlacedLine", &[
                ("sku", json!("string")), ("quantity", json!("long")), ("unit_price", json!("long"))])}),
        ),
        ("currency", json!("string")),
        ("payment_method", json!("string")),
        ("ship_to", texts("Address", &["name", "line1", "city", "postal_code", "country"])),
    ];
    for (name, kind) in otherwise {
        match fields.iter_mut().find(|field| field.0 == *name) {
            Some(field) => field.1 = kind.clone(),
            None => fields.push((name, kind.clone())),
        }
    }
    record("OrderPlaced", &fields)
}

fn order() -> Json {
    json!({
        "reference": "r-1", "customer": {"id": "c-1", "name": "Ada", "email": "ada@example.com"},
        "lines": [{"sku": "TEA", "quantity": 2, "unit_price": 450}], "currency": "EUR", "payment_method": "tok",
        "ship_to": {"name": "Ada", "line1": "1 Main St", "city": "London", "postal_code": "N1", "country": "GB"},
    })
}

fn with(mut order: Json, name: &str, value: Json) -> Json {
    order[name] = value;
    order
}

/// Report 03, a to i, and of the same kind: floats that stand for whole numbers are not.
#[test]
fn schemas_that_a_shop_writes_itself_are_resolved_or_refused_by_the_name_of_the_field() {
    let line = |quantity: &str, price: &str| {
        let fields = [("sku", json!("string")), ("quantity", json!(quantity)), ("unit_price", json!(price))];
        json!({"type": "array", "items": record("OrderLine", &fields)})
    };
    let expected = placed(&shops(&[]), &written(&shops(&[]), order())).unwrap();
    assert_eq!((expected.lines[0].quantity, expected.reference.as_deref()), (2, Some("r-1")));
    let nullable = |name: &str| json!(["null", texts(name, &["id", "name", "email"])]);
    let same: [(&str, Json, Json); 8] = [
        ("a", shops(&[("lines", line("int", "long"))]), order()),
        ("b", shops(&[("lines", line("int", "int"))]), order()),
        ("c", shops(&[("reference", json!("string"))]), order()),
        (
            "d",
            shops(&[
                ("customer", texts("Buyer", &["id", "name", "email"])),
                ("ship_to", texts("ShippingAddress", &["name", "line1", "city", "postal_code", "country"])),
            ]),
            order(),
        ),
        ("e", shops(&[("customer", nullable("Customer"))]), order()),
        ("f", shops(&[("reference", json!(["string", "null"]))]), order()),
        ("h", shops(&[("currency", json!({"type": "enum", "name": "Currency", "symbols": ["USD", "EUR"]}))]), order()),
        ("i", shops(&[("reference", json!(["null", "string", "long"]))]), order()),
    ];
    for (case, schema, order) in same {
        assert_eq!(placed(&schema, &written(&schema, order)), Ok(expected.clone()), "{case}");
    }
    let number = shops(&[("reference", json!(["null", "string", "long"]))]);
    let refused = placed(&number, &written(&number, with(order(), "reference", json!(7)))).unwrap_err();
    assert_eq!(refused, "reference: expected a string, the writer's schema has long");
    let float = shops(&[("lines", line("double", "long"))]);
    let lines = json!([{"sku": "TEA", "quantity": 2.0, "unit_price": 450}]);
    let refused = placed(&float, &written(&float, with(order(), "lines", lines))).unwrap_err();
    assert_eq!(refused, "lines[0].quantity: expected a whole number (int or long), the writer's schema has double");
}

/// Report 03x, and of the same kind: lists of lists, a record that holds itself, and a logical type that nobody knows.
#[test]
fn a_field_that_nobody_knows_is_skipped_whatever_its_type() {
    let gift = || texts("Gift", &["text"]);
    let note = json!({"type": "record", "name": "Note", "fields": [
        {"name": "text", "type": "string"}, {"name": "next", "type": ["null", "Note"]}]});
    for (kind, value) in [
        (gift(), json!({"text": "hi"})),
        (json!({"type": "enum", "name": "Channel", "symbols": ["WEB", "STORE"]}), json!("STORE")),
        (json!({"type": "array", "items": "string"}), json!(["x", "y"])),
        (json!({"type": "array", "items": gift()}), json!([{"text": "hi"}, {"text": "ho"}])),
        (json!({"type": "array", "items": {"type": "array", "items": "int"}}), json!([[1, 2], [], [3]])),
        (json!({"type": "map", "values": "string"}), json!({"k": "v"})),
        (json!({"type": "map", "values": gift()}), json!({})),
        (json!(["null", gift()]), json!(null)),
        (json!(["null", gift()]), json!({"text": "hi"})),
        (json!(["string", "long"]), json!(9)),
        (json!("double"), json!(1.5)),
        (json!("boolean"), json!(true)),
        (json!({"type": "string", "logicalType": "uuid"}), json!("4d47e190-0402-4048-bc2c-89dd54343cdc")),
        (note, json!({"text": "a", "next": {"text": "b", "next": null}})),
    ] {
        let schema = shops(&[("extra", kind.clone()), ("tax", json!("int"))]);
        let datum = written(&schema, with(with(order(), "extra", value), "tax", json!(19)));
        let read = placed(&schema, &datum).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!((read.tax, read.lines.len()), (19, 1), "{kind}: what comes behind it is read");
    }
    // What JSON has no form for, by its bytes; each with a field behind it.
    for (kind, bytes) in [
        (json!({"type": "fixed", "name": "F", "size": 4}), b"abcd".to_vec()),
        (json!("bytes"), b"\x04ab".to_vec()),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4}), b"\x04\x04\xd2".to_vec()),
        (
            json!({"type": {"type": "fixed", "name": "D", "size": 2}, "logicalType": "decimal", "precision": 4}),
            b"\x04\xd2".to_vec(),
        ),
        (json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}), vec![0; 12]),
        (json!({"type": "long", "logicalType": "timestamp-millis"}), long(1_795_899_805_885)),
        (json!({"type": "long", "logicalType": "no-such-type"}), long(7)),
        (json!({"type": "int", "logicalType": "date"}), long(20_000)),
        (json!("float"), 1.5_f32.to_le_bytes().to_vec()),
        (json!(["null", {"type": "map", "values": ["null", "long"]}]), [long(1), long(0)].concat()),
    ] {
        let schema = shops(&[("extra", kind.clone()), ("tax", json!("int"))]);
        let datum = [written(&shops(&[]), order()), bytes, long(19)].concat();
        assert_eq!(placed(&schema, &datum).map(|order| order.tax), Ok(19), "{kind}");
    }
}

#[test]
fn null_is_as_if_the_field_were_left_out() {
    let schema =
        shops(&[("shipping", json!(["null", "long"])), ("tax", json!(["null", "int"])), ("bill_to", json!("null"))]);
    let nulls = with(with(order(), "shipping", json!(null)), "bill_to", json!(null));
    let datum = written(&schema, with(nulls, "tax", json!(7)));
    let read = placed(&schema, &datum).unwrap();
    assert_eq!((read.shipping, read.tax, read.bill_to), (0, 7, None));
}

/// The record of 87 bytes: an array of nulls, and a block count of 4e18; and of the same kind: a map, empty records, a negative count.
#[test]
fn counts_that_no_bytes_stand_behind_are_refused_before_they_are_counted() {
    let empty = json!({"type": "record", "name": "Nothing", "fields": []});
    for (kind, count) in [
        (json!({"type": "array", "items": "null"}), 4_000_000_000_000_000_000),
        (json!({"type": "array", "items": empty}), 20_000_000),
        (json!({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}), i64::MAX),
        (json!({"type": "map", "values": "null"}), 1 << 40),
        (json!({"type": "array", "items": "null"}), i64::MIN),
    ] {
        let schema = shops(&[("extra", kind.clone())]);
        let datum = [written(&shops(&[]), order()), long(count), long(0), long(0)].concat();
        let refused = placed(&schema, &datum).unwrap_err();
        assert!(refused.starts_with("extra: its lists and maps have more than 100000 entries"), "{kind}: {refused}");
    }
    let lines = shops(&[("lines", json!({"type": "array", "items": record("PlacedLine", &[])}))]);
    let datum = written(&lines, with(order(), "lines", json!([{}])));
    let one = [long(1), long(0)].concat();
    let at = datum.windows(2).position(|bytes| bytes == one).unwrap();
    let many = [&datum[..at], &long(2_000_000), &long(0), &datum[at + 2..]].concat();
    assert!(placed(&lines, &many).unwrap_err().starts_with("lines: its lists and maps have more"), "report 04");
    let blocks = [long(ITEMS as i64 / 2), long(ITEMS as i64 / 2), long(1), long(0)].concat();
    let nulls = compiled(&json!({"type": "array", "items": "null"}));
    assert!(from_slice::<Vec<()>>(&nulls, &blocks).is_err(), "all blocks count together");
}

/// Report 04, depth; and of the same kind: a record that holds itself and nothing else, and wide records in long lists.
#[test]
fn depth_and_number_of_values_are_bounded() {
    let note = json!({"type": "record", "name": "Note", "fields": [{"name": "next", "type": ["null", "Note"]}]});
    let schema = shops(&[("note", json!(["null", note]))]);
    let deep = |levels: usize| [written(&shops(&[]), order()), long(1).repeat(levels), long(0)].concat();
    assert!(placed(&schema, &deep(DEPTH as usize / 2)).is_ok());
    let refused = placed(&schema, &deep(200_000)).unwrap_err();
    assert!(refused.contains("nested more than 64 levels deep"), "{refused}");
    assert!(refused.len() < 1_000, "{}", refused.len());
    let endless = json!({"type": "record", "name": "Endless", "fields": [{"name": "self", "type": "Endless"}]});
    assert!(placed(&shops(&[("extra", endless)]), &deep(0)).unwrap_err().contains("nested more than"));
    let names: Vec<String> = (0..1_000).map(|at| format!("f{at}")).collect();
    let wide = record("Wide", &names.iter().map(|name| (name.as_str(), json!("null"))).collect::<Vec<_>>());
    let schema = shops(&[("extra", json!({"type": "array", "items": wide}))]);
    let datum = [written(&shops(&[]), order()), long(90_000), long(0)].concat();
    assert!(placed(&schema, &datum).unwrap_err().contains("more than 500000 values"));
}

#[test]
fn what_is_cut_too_long_or_not_text_is_refused_without_a_word_of_its_text() {
    let schema = shops(&[]);
    let datum = written(&schema, order());
    for length in 0..datum.len() {
        assert!(placed(&schema, &datum[..length]).is_err(), "{length} bytes");
    }
    let longer = [datum.clone(), vec![0]].concat();
    assert!(placed(&schema, &longer).unwrap_err().starts_with("1 bytes are left behind its end"));
    let text = compiled(&json!("string"));
    for (datum, expected) in [
        (long(4_000_000_000), "expected 4000000000 bytes more, got 0"),
        (long(-1), "expected a length, got -1"),
        (vec![0xff; 11], "expected a whole number"),
        ([long(1), vec![0xe9]].concat(), "expected text in UTF-8"),
        (vec![0; super::LARGEST + 1], "it has 4194305 bytes"),
    ] {
        let refused = from_slice::<String>(&text, &datum).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    #[derive(serde::Deserialize, Debug)]
    struct Ids {
        #[expect(dead_code, reason = "read only")]
        id: events::OrderId,
    }
    let ids = texts("Ids", &["id"]);
    let refused = from_slice::<Ids>(&compiled(&ids), &written(&ids, json!({"id": "Ada Example, 1 \"Main\" St"})));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("id: expected a UUID as OrderId") && !refused.contains("Ada"), "{refused}");
}

/// Each published version of each event, read as the Avro library reads it, as struct and as JSON.
#[test]
fn every_published_version_of_every_event_is_read_as_the_library_reads_it() {
    struct Read<'r>(&'r Schema, &'r [u8]);
    impl WithEvent for Read<'_> {
        type Output = ();
        fn with<E: Event>(self) {
            let Self(schema, datum) = self;
            let library = GenericDatumReader::builder(schema).human_readable(false).build().unwrap();
            let ours = DatumSchema::new(schema).unwrap();
            let expected: E = library.read_deser(&mut &*datum).unwrap();
            let event: E = from_slice(&ours, datum).unwrap_or_else(|error| panic!("{}: {error}", E::TYPE));
            assert_eq!(serde_json::to_value(&event).unwrap(), serde_json::to_value(&expected).unwrap(), "{}", E::TYPE);
            let expected: Json = library.read_value(&mut &*datum).unwrap().try_into().unwrap();
            assert_eq!(from_slice::<Json>(&ours, datum).unwrap(), expected, "{}", E::TYPE);
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut read = 0;
    for entry in events::catalogue() {
        for version in 1.. {
            let name = format!("{}.v{version}", entry.event_type);
            let Ok(datum) = std::fs::read(folder.join(format!("samples/{name}.bin"))) else { break };
            let text = std::fs::read_to_string(folder.join(format!("published/{name}.avsc"))).unwrap();
            with_event(entry.event_type, Read(&Schema::parse_str(&text).unwrap(), &datum)).unwrap();
            read += 1;
        }
    }
    assert!(read >= events::catalogue().len(), "{read}");
}
