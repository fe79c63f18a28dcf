//! Each format, each way to be none of them.

use runtime::Headers;
use serde_json::json;

use super::*;
use crate::decide::tests::{arrival, order};
use crate::placed::Placed;

fn codec() -> Codec {
    Codec::of_catalogue().unwrap()
}

fn message(headers: &[(&str, &str)], payload: impl Into<Vec<u8>>) -> Message {
    let mut all = Headers::default();
    headers.iter().for_each(|(name, value)| all.push(name, value));
    let payload = Some(payload.into());
    Message { topic: OrderPlaced::TOPIC, partition: 2, offset: 7, timestamp_ms: None, key: None, headers: all, payload }
}

fn plain() -> Vec<u8> {
    serde_json::to_vec(&order()).unwrap()
}

fn structured() -> serde_json::Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/shop", "type": OrderPlaced::TYPE, "time": "2026-01-01T00:00:00Z",
        "correlationid": "shop-17", "data": order(),
    })
}

#[test]
fn the_same_order_in_each_format_is_the_same_order() {
    let avro = codec().encode(&order()).unwrap();
    let json_event = structured().to_string();
    let bare = |payload: Vec<u8>| read(&message(&[], payload), &codec()).unwrap().order.order;
    let placed = [bare(avro.clone()), bare(plain()), bare(json_event.clone().into())];
    let digests = placed.map(|order| Placed::new(order, arrival(1)).body.digest);
    assert_eq!(digests, [digests[0]; 3]);
    for (content_type, payload) in [
        ("avro/binary", avro),
        ("application/json", plain()),
        ("application/cloudevents+json; charset=utf-8", json_event.into()),
        ("text/plain", [b" \n".to_vec(), plain(), b"\n".to_vec()].concat()),
    ] {
        assert_eq!(read(&message(&[("content-type", content_type)], payload), &codec()).unwrap().order, order().into());
    }
}

#[test]
fn headers_say_where_an_order_comes_from_and_a_structured_event_says_it_better() {
    let headers = [("ce_id", "h-1"), ("ce_source", "/header"), ("ce_correlationid", "c"), ("traceparent", "t")];
    let letter = read(&message(&headers, plain()), &codec()).unwrap();
    let said = |letter: &Letter| {
        [&letter.id, &letter.source, &letter.correlation, &letter.traceparent].map(|one| one.clone().unwrap())
    };
    assert_eq!(said(&letter), ["h-1", "/header", "c", "t"]);
    let letter = read(&message(&headers, structured().to_string()), &codec()).unwrap();
    assert_eq!(said(&letter), ["e-1", "/shop", "shop-17", "t"]);
}

#[test]
fn what_earlier_versions_read_as_source_and_id_is_told_where_it_is_something_else() {
    let former = |headers: &[(&str, &str)]| read(&message(headers, plain()), &codec()).unwrap().former;
    assert_eq!(former(&[("id", "17")]), Some((None, None)));
    assert_eq!(former(&[("ce_id", "\"19d\""), ("ce_source", "s")]), Some((Some("s".into()), Some("\"19d\"".into()))));
    assert_eq!(former(&[("ce_id", "19d"), ("id", "17")]), None);
}

#[test]
fn a_line_typed_into_a_console_tool_is_an_order_however_little_it_says() {
    let letter = read(&message(&[], "{}"), &codec()).unwrap();
    assert_eq!(letter, Letter::default());
    let letter = read(&message(&[], "{\"lines\": 3}"), &codec()).unwrap();
    assert_eq!(letter.order.faults[0].field, "/lines");
}

#[test]
fn what_is_no_order_is_unreadable_and_the_message_says_why() {
    let mut other_type = structured();
    other_type["type"] = "quadrille.orders.OrderAccepted".into();
    let mut without_data = structured();
    without_data["data"] = serde_json::Value::Null;
    let mut version_2 = structured();
    version_2["specversion"] = "2.0".into();
    let mut other_id = structured();
    other_id["id"] = 17.into();
    let header = ("ce_type", "quadrille.orders.OrderFailed");
    let other_event = codec().encode(&events::ShipmentDelivered {
        order_id: arrival(1).candidate,
        shipment_id: events::ShipmentId(arrival(2).candidate.as_uuid()),
        delivered_at: events::Timestamp::from_millis(0),
    });
    for (headers, payload, why) in [
        (vec![], b"hello".to_vec(), "0x68"),
        (vec![], Vec::new(), "no value"),
        (vec![], br#"{"customer": {"name": "\ud83d"}}"#.to_vec(), "/customer/name"),
        (vec![], br#"{"tax": 1, "tax": 2}"#.to_vec(), "twice"),
        (vec![], b"\xff\xfe{\0".to_vec(), "UTF-16"),
        (vec![("content-type", "application/json")], b"{\0\"\0".to_vec(), "UTF-16"),
        (vec![], b"{".to_vec(), "EOF"),
        (vec![("content-type", "application/json")], b"[]".to_vec(), "one JSON object"),
        (vec![("content-type", "avro/binary")], plain(), "registry framing"),
        (vec![header], plain(), "OrderFailed"),
        (vec![], other_type.to_string().into(), "OrderAccepted"),
        (vec![], without_data.to_string().into(), "data"),
        (vec![], version_2.to_string().into(), "/specversion"),
        (vec![], other_id.to_string().into(), "/id"),
        (vec![], other_event.unwrap(), "ShipmentDelivered"),
        (vec![], vec![0, 0, 0, 255, 255, 1], "schema id"),
    ] {
        let Unreadable(text) = read(&message(&headers, payload), &codec()).unwrap_err();
        assert!(text.contains(why) && text.contains("order-placed/2@7"), "{why}: {text}");
    }
}

/// Report 17: an order as a text is taken; what is none is told without what it holds.
#[test]
fn an_order_that_was_written_as_json_twice_is_taken() {
    let mut event = structured();
    event["data"] = serde_json::to_string(&order()).unwrap().into();
    let quoted = serde_json::to_string(&String::from_utf8(plain()).unwrap()).unwrap();
    for (headers, payload) in [(vec![], event.to_string()), (vec![("content-type", "application/json")], quoted)] {
        assert_eq!(read(&message(&headers, payload), &codec()).unwrap().order, order().into());
    }
}

#[test]
fn an_unreadable_order_is_reported_without_its_texts() {
    let mut event = structured();
    event["specversion"] = "Ada \"Secret\"".into();
    let mut named = structured();
    named["type"] = "Ada Secret".into();
    let mut data = structured();
    data["data"] = "{\"name\": \"Ada Secret\"".into();
    let broken = br#"{"customer": {"name": "Ada \"Secret\"", "phone": "#.to_vec();
    let cut = codec().encode(&order()).unwrap()[..40].to_vec();
    for payload in [
        event.to_string().into(),
        named.to_string().into(),
        data.to_string().into(),
        broken,
        cut,
        b"[\"Secret\"]".to_vec(),
    ] {
        let headers = if payload[0] == 0 { [("k", "v")] } else { [("content-type", "application/json")] };
        let Unreadable(text) = read(&message(&headers, payload), &codec()).unwrap_err();
        assert!(!text.contains("Secret") && !text.contains("Ada"), "{text}");
    }
}

/// Report 16: a byte order mark.
#[test]
fn a_byte_order_mark_is_skipped() {
    let marked = [b"\xef\xbb\xbf".to_vec(), plain()].concat();
    assert_eq!(read(&message(&[], marked), &codec()).unwrap().order, order().into());
}

/// Reports 11 and 19.
#[test]
fn the_producers_own_id_is_found_under_its_names_with_and_without_quotes() {
    for headers in [
        [("ce_id", "19d"), ("ce_source", "/shop")],
        [("ce_id", "\"19d\""), ("ce_source", "\"/shop\"")],
        [("id", "19d"), ("ce_source", "/shop")],
        [("id", "\"19d\""), ("ce_source", "/shop")],
    ] {
        let letter = read(&message(&headers, plain()), &codec()).unwrap();
        assert_eq!((letter.id.as_deref(), letter.source.as_deref()), (Some("19d"), Some("/shop")), "{headers:?}");
    }
    let both = read(&message(&[("id", "outbox"), ("ce_id", "event")], plain()), &codec()).unwrap();
    assert_eq!(both.id.as_deref(), Some("event"));
    assert_eq!(read(&message(&[("ce_id", ""), ("id", "")], plain()), &codec()).unwrap().id, None);
}

/// Report 19.
#[test]
fn a_type_is_an_order_by_its_name_however_it_is_spelt() {
    for name in [
        "OrderPlaced",
        "quadrille.order_placed.OrderPlaced",
        "com.example.shop.OrderPlaced.v1",
        "com.example.shop.order.placed",
        "com.example.order-placed.v2",
        "ORDER_PLACED",
    ] {
        assert!(is_order_placed(name), "{name}");
        assert!(read(&message(&[("ce_type", &format!("\"{name}\""))], plain()), &codec()).is_ok());
    }
    for name in ["", "v1", "quadrille.orders.OrderAccepted", "com.example.PreOrderPlaced", "placed", "order.replaced"] {
        assert!(!is_order_placed(name), "{name}");
    }
}

/// A UUID in its 16 bytes, as some producers send it.
#[test]
fn an_id_that_is_no_text_is_reported_and_not_left_out() {
    for name in ["id", "ce_id", "ce_source"] {
        let mut message = message(&[], plain());
        message.headers.push_bytes(name, Some(&[0xf8, 0x1d, 0x4f, 0xae]));
        let Unreadable(text) = read(&message, &codec()).unwrap_err();
        assert!(text.contains(&format!("header {name} as UTF-8")), "{text}");
    }
}

/// A producer's `ID` is no `id`: the order would be known by its place, and sent again be charged again.
#[test]
fn a_header_that_looks_like_an_identity_is_named_where_nothing_else_names_the_order() {
    let nameless = serde_json::to_vec(&OrderPlaced { source: None, reference: None, ..order() }).unwrap();
    let faults = |name: &str, payload: &[u8]| -> Vec<String> {
        let letter = read(&message(&[(name, "Ada Secret")], payload), &codec()).unwrap();
        assert!(!format!("{:?}", letter.order.faults).contains("Secret"));
        letter.order.faults.iter().map(|fault| format!("{} {}", fault.field, fault.code)).collect()
    };
    for (name, field) in [
        ("ID", "/reference"),
        ("Id", "/reference"),
        ("ce-id", "/reference"),
        ("CE_ID", "/reference"),
        ("ce-source", "/source"),
    ] {
        assert_eq!(faults(name, &nameless), [format!("{field} unknown_header")], "{name}");
        assert_eq!(faults(name, &plain()), [""; 0], "{name}: the order names itself");
    }
    for name in ["id", "ce_id", "ce_source", "message-id", "cid", "x"] {
        assert_eq!(faults(name, &nameless), [""; 0], "{name}");
    }
    let known = read(&message(&[("ce_id", "e-1"), ("ID", "7")], nameless.clone()), &codec()).unwrap();
    assert_eq!(known.order.faults, []);
}
