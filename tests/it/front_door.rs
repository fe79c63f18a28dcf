//! What others send as orders, over HTTP and over Kafka: the same rules at both routes, one order however often it is sent, and every order ends.

use std::time::Duration;

use quadrille_tests::{Order, Pipeline, Setup, produce, recreate};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use serde_json::{Value, json};

/// A name that no log, message or header may show.
const NAME: &str = "Ada \"Secretname\" Lovelace";

/// What becomes of a body at both doors.
enum Outcome {
    /// An order of this total.
    Taken(i64),
    /// Faults at these fields: 422 over HTTP, OrderRejected over Kafka.
    Faults(&'static [&'static str]),
    /// No order: this status over HTTP, a dead letter over Kafka, and both say this.
    Unreadable(u16, &'static str),
}
use Outcome::{Faults, Taken, Unreadable};

fn order(reference: &str) -> Value {
    let mut order = Order::of(&[("TEA", 2, 1250)]).with("reference", reference).with("source", "field").body();
    order["customer"]["name"] = NAME.into();
    order["ship_to"]["name"] = NAME.into();
    order.as_object_mut().unwrap().remove("bill_to");
    order
}

/// The case's order with one place set.
fn with(reference: &str, pointer: &str, value: Value) -> Vec<u8> {
    let mut order = order(reference);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(at) => parent[at] = value,
        Err(_) => parent[name] = value,
    }
    order.to_string().into_bytes()
}

/// Reports 09, 10, 14, 15, 16, 17, 34, the country ZZ, and one more of each kind: the body under its reference, and what is right.
fn bodies(reference: &str) -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let set = |pointer: &str, value: Value| with(reference, pointer, value);
    let nobody =
        json!({"name": "", "line1": "", "line2": "", "city": "", "region": "", "postal_code": "", "country": ""});
    let plain = order(reference).to_string();
    let mut blank = order(reference);
    for pointer in ["/customer/phone", "/customer/locale", "/ship_to/line2", "/ship_to/region"] {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        blank.pointer_mut(parent).unwrap()[name] = "".into();
    }
    let text_as_data = json!({"specversion": "1.0", "id": reference, "source": "/shop", "type": "com.example.shop.OrderPlaced",
        "time": "0001-01-01T00:00:00Z", "data": plain});
    let as_list = json!(["field", reference, ["c-1", NAME, "ada@example.com"], [[null, "TEA", 2, 1250]], "EUR"]);
    vec![
        ("null postal code", set("/ship_to/postal_code", Value::Null), Taken(2500)),
        ("null shipping", set("/shipping", Value::Null), Taken(2500)),
        ("null payment method", set("/payment_method", Value::Null), Faults(&["/payment_method"])),
        ("empty texts", blank.to_string().into_bytes(), Taken(2500)),
        ("a bill_to of nobody", set("/bill_to", nobody), Taken(2500)),
        ("2.0", set("/lines/0/quantity", json!(2.0)), Taken(2500)),
        ("1.25e3", set("/lines/0/unit_price", json!(1.25e3)), Taken(2500)),
        ("a number in quotes", set("/lines/0/quantity", json!("2")), Faults(&["/lines/0/quantity"])),
        ("2^63", set("/lines/0/quantity", json!(1_u64 << 63)), Faults(&["/lines/0/quantity"])),
        ("half a cent", set("/shipping", json!(4.5)), Faults(&["/shipping"])),
        ("no price", set("/lines/0/unit_price", Value::Null), Faults(&["/lines/0/unit_price"])),
        ("a line as list", set("/lines/0", json!([null, "TEA", 1250, 2])), Faults(&["/lines/0"])),
        ("lines as object", set("/lines", json!({"0": {"sku": "TEA"}})), Faults(&["/lines"])),
        ("bill_to as list", set("/bill_to", json!([])), Faults(&["/bill_to"])),
        ("customer as text", set("/customer", json!(NAME)), Faults(&["/customer"])),
        (
            "two faults",
            set("/customer", json!({"id": 7, "name": NAME, "email": "no"})),
            Faults(&["/customer/id", "/customer/email"]),
        ),
        ("discounts", set("/discounts", json!(500)), Faults(&["/discounts"])),
        ("shipTo", set("/billTo", json!({"name": NAME})), Faults(&["/billTo"])),
        ("another total", set("/total", json!(2499)), Faults(&["/total"])),
        ("the right total", set("/total", json!(2500)), Taken(2500)),
        ("an unknown field", set("/note", json!([{"gift": NAME}])), Taken(2500)),
        ("country ZZ", set("/ship_to/country", json!("ZZ")), Faults(&["/ship_to/country"])),
        ("country in words", set("/ship_to/country", json!(NAME)), Faults(&["/ship_to/country"])),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), plain.as_bytes()].concat(), Taken(2500)),
        ("an order as text in a CloudEvent", text_as_data.to_string().into_bytes(), Taken(2500)),
        (
            "half an emoji",
            plain.replace("\\\"Secretname\\\"", "\\ud83d").into_bytes(),
            Unreadable(400, "/customer/name"),
        ),
        ("a field twice", plain.replacen('{', "{\"tax\": 1,", 1).into_bytes(), Unreadable(400, "twice")),
        ("UTF-16", plain.encode_utf16().flat_map(u16::to_le_bytes).collect(), Unreadable(400, "UTF-16")),
        ("an order as list", as_list.to_string().into_bytes(), Unreadable(422, "a list")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_doors_read_an_order_by_the_same_rules_and_show_no_text_of_it() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay", "saga-tracker"], ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    // Over Kafka, all at once.
    for (number, (_, body, _)) in bodies("").into_iter().enumerate() {
        drop(body);
        let (_, body, outcome) = bodies(&format!("k-{number}")).swap_remove(number);
        let list = matches!(outcome, Unreadable(422, _));
        let headers: &[(&str, &str)] = if list { &[("content-type", "application/json")] } else { &[] };
        produce(&pipeline.topic("order-placed"), &[(Some(b"k"), &body, headers)]);
    }
    // Over HTTP, one by one.
    for (number, (name, _, _)) in bodies("").into_iter().enumerate() {
        let (_, body, outcome) = bodies(&format!("h-{number}")).swap_remove(number);
        let request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Content-Type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let (status, answer) = (response.status().as_u16(), response.json::<Value>().await.unwrap());
        match outcome {
            Taken(_) => assert_eq!(status, 202, "{name}: {answer}"),
            Faults(fields) => {
                assert_eq!(status, 422, "{name}: {answer}");
                let found: Vec<&str> =
                    answer["faults"].as_array().unwrap().iter().filter_map(|fault| fault["field"].as_str()).collect();
                assert_eq!(found, fields, "{name}: {answer}");
            }
            Unreadable(expected, publishes) => {
                assert_eq!(status, expected, "{name}: {answer}");
                assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains(publishes)), "{name}: {answer}");
            }
        }
        assert!(!answer.to_string().contains("Secretname"), "{name}: {answer}");
    }
    let unreadable = bodies("").iter().filter(|(_, _, outcome)| matches!(outcome, Unreadable(..))).count();
    pipeline.until(|| async { pipeline.dead_letters().await.len() == unreadable }, "the dead letters").await;
    pipeline.settle().await;
    let dead = pipeline.dead_letters().await;
    for (number, (name, _, outcome)) in bodies("").into_iter().enumerate() {
        let row = |column: &str| format!("select {column} from orders.\"order\" where reference = 'k-{number}'");
        match outcome {
            Taken(total) => {
                let totals = format!(
                    "select count(*) from orders.\"order\" where reference in ('k-{number}', 'h-{number}') and total = {total}"
                );
                assert_eq!(pipeline.count(&totals).await, 2, "{name}");
            }
            Faults(fields) => {
                let details: String = sqlx::query_scalar(sqlx::AssertSqlSafe(row("details")))
                    .fetch_one(&pipeline.database.pool)
                    .await
                    .unwrap();
                let details: Value = serde_json::from_str(&details).unwrap();
                let found: Vec<&str> =
                    details["faults"].as_array().unwrap().iter().filter_map(|fault| fault["field"].as_str()).collect();
                assert_eq!(found, fields, "{name}: {details}");
                assert!(!details.to_string().contains("Secretname"), "{name}: {details}");
            }
            Unreadable(_, publishes) => {
                let of = |header: &str| dead.iter().any(|letter| letter[header].contains(publishes));
                assert!(of("quadrille-error-message") && of("kafka_dlt-exception-message"), "{name}: {dead:#?}");
            }
        }
    }
    assert!(!format!("{dead:?}").contains("Secretname"), "{dead:#?}");
    let told = "select count(*) from orders.dead_letter where message like '%Secretname%'";
    assert_eq!(pipeline.count(told).await, 0);
    let letters = pipeline.get("saga-tracker", "/dead-letters").await;
    assert!(!letters.to_string().contains("Secretname"), "{letters}");
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Reports 11, 18 and 19, and what was mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_known_by_its_producers_id_at_both_doors_and_can_be_mended() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay"], ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    let topic = pipeline.topic("order-placed");
    let nameless = Order::of(&[("TEA", 2, 1250)]).body();
    let text = nameless.to_string();
    let place = |headers: &[(&str, &str)]| produce(&topic, &[(Some(b"k"), text.as_bytes(), headers)]);
    for _ in 0..2 {
        place(&[("id", "4d47e190"), ("eventType", "OrderPlaced")]);
        place(&[("ce_id", "19d"), ("ce_source", "/shop")]);
        place(&[("ce_id", "\"19d\""), ("ce_source", "\"/shop\""), ("ce_type", "\"com.example.OrderPlaced.v1\"")]);
    }
    place(&[("ce_id", "zero"), ("ce_time", "0001-01-01T00:00:00Z")]);
    // Seconds, where milliseconds are meant.
    let kafka = quadrille_tests::stack().kafka.as_str();
    let producer: ThreadedProducer<_> = ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    let seconds = order("seconds").to_string();
    let record = BaseRecord::to(&topic).key("k").payload(&seconds).timestamp(1_764_000_000);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();

    // Over HTTP: the id of a CloudEvent in its header, and around the order, which Kafka brings too.
    let structured =
        json!({"specversion": "1.0", "id": "event", "source": "/shop", "type": "OrderPlaced", "data": nameless})
            .to_string();
    let mut ids = Vec::new();
    for (content_type, body, header) in [
        ("application/json", &text, Some("19d")),
        ("application/cloudevents+json", &structured, None),
        ("application/cloudevents+json", &structured, None),
    ] {
        let mut request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Content-Type", content_type);
        if let Some(id) = header {
            request = request.header("ce-id", id).header("ce-source", "/shop");
        }
        let response = request.body(body.clone()).send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{answer}");
        ids.push(answer["order_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[1], ids[2]);
    produce(&topic, &[(Some(b"k"), structured.as_bytes(), &[("content-type", "application/cloudevents+json")])]);

    // Rejected, mended, and both read again, as after a crash.
    let bad = with("mended", "/lines/0/quantity", json!("2"));
    let good = order("mended").to_string().into_bytes();
    for body in [&bad, &bad, &good, &bad, &good] {
        produce(&topic, &[(Some(b"k"), body, &[])]);
    }
    let mended = "select count(*) from orders.\"order\" where reference = 'mended' and state = 'PENDING'";
    pipeline.until_count(mended, 1, "the mended order").await;
    pipeline.settle().await;
    for (reference, orders) in [("4d47e190", 1), ("19d", 1), ("zero", 1), ("seconds", 1), ("event", 1), ("mended", 2)] {
        let known = format!("select count(*) from orders.\"order\" where reference = '{reference}'");
        assert_eq!(pipeline.count(&known).await, orders, "{reference}");
    }
    assert!(pipeline.dead_letters().await.is_empty(), "{:#?}", pipeline.dead_letters().await);
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Report 12: what stands at the place of an earlier order in a topic that was made anew is another order; read again it is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_at_the_place_of_an_earlier_one_in_a_topic_made_anew_is_another_order() {
    let setup = Setup { consumers: Vec::new(), partitions: 1, ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    let (topic, group) = (pipeline.topic("order-placed"), pipeline.topic("orders"));
    let mut other = Order::of(&[("TEA", 1, 1250)]).body();
    let same = Order::of(&[("TEA", 2, 1250)]).body().to_string();
    other["tax"] = 1.into();
    for (number, body) in [(1, &same), (2, &same), (3, &other.to_string())] {
        produce(&topic, &[(Some(b"c-12"), body.as_bytes(), &[])]);
        for _ in 0..2 {
            let host = pipeline.host(&["orders", "outbox-relay"]).await;
            let orders = "select count(*) from orders.\"order\" where reference = 'order-placed/0@0'";
            pipeline.until_count(orders, number, "an order of its own").await;
            pipeline.settle().await;
            assert_eq!(pipeline.count(orders).await, number, "read again it is no other");
            pipeline.stop(&host).await;
            quadrille_tests::commit_beginning(&group, std::slice::from_ref(&topic));
        }
        recreate(&topic, 1, &group).await;
    }
    assert!(pipeline.dead_letters().await.is_empty());
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

/// Report 29: the most lines, over so many warehouses that it can be picked, and over too many. Report 26: a file that is loaded twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_the_most_lines_ends_and_a_file_loaded_twice_brings_nothing_back() {
    let pipeline = Pipeline::start().await;
    let stock = |prefix: &str, stores: usize| -> Vec<Value> {
        let level = |line: usize, store: usize| json!({"sku": format!("{prefix}-{line:03}"), "warehouse": format!("S{store:02}"), "on_hand": 1});
        (0..500).flat_map(|line| (0..stores).map(move |store| level(line, store))).collect()
    };
    let lines = |prefix: &str, units: i64| -> Vec<(String, i64, i64)> {
        (0..500).map(|line| (format!("{prefix}-{line:03}"), units, 100)).collect()
    };
    let mut orders = Vec::new();
    for (prefix, stores) in [("FEW", 4), ("FIELD-B2B-ASSEMBLY-KIT-ANODIZED-BLACK", 20)] {
        let (status, answer) = pipeline.post("inventory", "/stock/load", stock(prefix, stores).into()).await;
        assert_eq!(status, 200, "{answer}");
        let lines = lines(prefix, stores as i64);
        let lines: Vec<(&str, i64, i64)> =
            lines.iter().map(|(sku, units, price)| (sku.as_str(), *units, *price)).collect();
        orders.push(pipeline.place(&Order::of(&lines)).await);
    }
    // A file of ten, of which three are sold between its two loads.
    let file = json!([{"sku": "TEA", "warehouse": "A", "on_hand": 10}]);
    let (status, first) = pipeline.post("inventory", "/stock/load", file.clone()).await;
    assert_eq!((status, &first["changed"], first.get("loaded_before")), (200, &json!(1), None), "{first}");
    orders.push(pipeline.place(&Order::of(&[("TEA", 3, 450)])).await);
    pipeline.settle().await;
    let mut ends = Vec::new();
    for order in &orders {
        ends.push(pipeline.status(order).await);
    }
    assert_eq!(ends, ["COMPLETED", "FAILED", "COMPLETED"]);
    let failed = pipeline.get("orders", &format!("/orders/{}", orders[1])).await;
    assert!(
        failed["end"]["reason"]["detail"].as_str().is_some_and(|detail| detail.contains("split the order")),
        "{}",
        failed["end"]["reason"]
    );
    let (status, again) = pipeline.post("inventory", "/stock/load", file).await;
    assert_eq!((status, &again["changed"]), (200, &json!(0)), "{again}");
    assert!(again["loaded_before"].is_string(), "{again}");
    assert_eq!(pipeline.get("inventory", "/stock/TEA").await["on_hand"], 7);

    // A NUL in a path or a query asks for nothing that there is.
    for (consumer, path) in [
        ("inventory", "/stock/%00"),
        ("inventory", "/stock/a%00b"),
        ("orders", "/orders/%00"),
        ("payments", "/payments/%00"),
        ("fraud", "/fraud/reviews?after=%00"),
        ("fulfillment", "/warehouses/%00/parcels"),
        ("saga-tracker", "/orders?status=%00"),
        ("saga-tracker", "/dead-letters/%00"),
    ] {
        let status = pipeline.http.get(pipeline.door(consumer, path)).send().await.unwrap().status().as_u16();
        assert_eq!(status, 400, "{consumer} {path}");
    }
    pipeline.finish().await;
}
