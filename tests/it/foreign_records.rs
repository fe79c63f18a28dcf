//! Records of others can't hurt: each becomes an order or a dead letter, whatever its schema, bytes and headers are, and every program starts with it.

use std::time::Duration;

use events::Event as _;
use quadrille_tests::{ALL, Order, Pipeline, Setup, commit_beginning, lag, produce, stack};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use runtime::Correction;
use serde_json::{Value, json};

use programs::Programs;
use shop::{ADDRESS, Mode, Registry, framed, lines, order, register, schema, texts, written};

mod programs;
mod raw;
mod shop;

async fn ready(pipeline: &Pipeline, consumer: &str) -> (u16, String) {
    let response = pipeline.http.get(pipeline.door(consumer, "/readyz")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

const COMPLETED: &str = "select count(*) from orders.\"order\" where state = 'COMPLETED'";

/// References of orders that were accepted.
async fn accepted(pipeline: &Pipeline) -> Vec<String> {
    let select = "select reference from orders.\"order\" order by reference";
    sqlx::query_scalar(select).fetch_all(&pipeline.database.pool).await.unwrap()
}

/// Orders by schemas that a shop writes itself (reports 03 and 03x, and a schema in two parts): their names and values.
async fn shops(prefix: &str) -> Vec<(&'static str, Vec<u8>)> {
    let gift = || texts("Gift", &["text"]);
    let nullable = |kind: Value| json!(["null", kind]);
    let kinds: Vec<(&'static str, Value, (&str, Value))> = vec![
        ("03a", schema(&[("lines", lines("PlacedLine", "int"))]), ("", json!(null))),
        ("03c", schema(&[("reference", json!("string"))]), ("", json!(null))),
        (
            "03d",
            schema(&[
                ("customer", texts("Buyer", &["id", "name", "email"])),
                ("lines", lines("OrderLine", "long")),
                ("ship_to", texts("ShippingAddress", &ADDRESS)),
            ]),
            ("", json!(null)),
        ),
        ("03e", schema(&[("customer", nullable(texts("Customer", &["id", "name", "email"])))]), ("", json!(null))),
        ("03f", schema(&[("reference", json!(["string", "null"]))]), ("", json!(null))),
        ("03g", schema(&[("weight_kg", json!("double"))]), ("weight_kg", json!(1.5))),
        ("03x-record", schema(&[("extra", gift())]), ("extra", json!({"text": "hi"}))),
        ("03x-null", schema(&[("shipping", nullable(json!("long")))]), ("shipping", json!(null))),
        (
            "03x-list",
            schema(&[("extra", json!({"type": "array", "items": gift()}))]),
            ("extra", json!([{"text": "hi"}])),
        ),
    ];
    let mut all = Vec::new();
    for (name, schema, (more, value)) in kinds {
        let id = register(&format!("{prefix}{name}"), &schema, "AVRO", json!([])).await;
        let mut order = order(name);
        if !more.is_empty() {
            order[more] = value;
        }
        all.push((name, framed(id, &written(&schema, &order))));
    }
    // 01, REFERENCES: the address is a schema of its own.
    let mut address = texts("Address", &ADDRESS);
    address["namespace"] = json!("shop.example");
    let subject = format!("{prefix}address");
    register(&subject, &address, "AVRO", json!([])).await;
    let outer = schema(&[("ship_to", json!("shop.example.Address"))]);
    let references = json!([{"name": "shop.example.Address", "subject": subject, "version": 1}]);
    let id = register(&format!("{prefix}references"), &outer, "AVRO", references).await;
    all.push(("01-references", framed(id, &written(&schema(&[]), &order("01-references")))));
    all
}

/// What no order can be read from (reports 01 and 04, the array of nulls, and a string of two gigabytes): names and values.
async fn poison(prefix: &str) -> Vec<(&'static str, Vec<u8>)> {
    let json_schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": "OrderPlaced", "type": "object",
        "properties": {"reference": {"type": "string"}}});
    let protobuf = json!("syntax = \"proto3\"; package shop; message OrderPlaced { string reference = 1; }");
    let note = json!({"type": "record", "name": "Note", "fields": [{"name": "next", "type": ["null", "Note"]}]});
    let empty = json!({"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}});
    let long = |number: i64| written(&json!("long"), &json!(number));
    let begun = written(&schema(&[]), &order("poison"));
    let mut all = Vec::new();
    for (name, schema, kind, datum) in [
        ("01-json", json_schema, "JSON", b"{\"reference\": \"01\"}".to_vec()),
        ("01-protobuf", protobuf, "PROTOBUF", b"\x00\x0a\x0201".to_vec()),
        (
            "04-depth",
            schema(&[("note", json!(["null", note]))]),
            "AVRO",
            [begun.clone(), long(1).repeat(200_000), long(0)].concat(),
        ),
        ("04-bomb", schema(&[("extra", empty)]), "AVRO", [begun.clone(), long(20_000_000), long(0)].concat()),
        (
            "array-of-nulls",
            schema(&[("extra", json!({"type": "array", "items": "null"}))]),
            "AVRO",
            [begun.clone(), long(4_000_000_000_000_000_000), long(0)].concat(),
        ),
        ("long-string", schema(&[("extra", json!("string"))]), "AVRO", [begun, long(1 << 31)].concat()),
    ] {
        let id = register(&format!("{prefix}{name}"), &schema, kind, json!([])).await;
        all.push((name, framed(id, &datum)));
    }
    all
}

/// Has records of the front door keep the times that their producers gave them, as before the topic had the broker's.
async fn keep_times(topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &stack().kafka).create().unwrap();
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("message.timestamp.type", "CreateTime");
    admin.alter_configs(&[config], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
}

/// All groups read again from the beginning.
fn set_back(pipeline: &Pipeline) {
    let topics: Vec<String> =
        choreography::Choreography::embedded().topics.names().map(|name| pipeline.topic(name)).collect();
    for consumer in ALL.iter().filter(|name| **name != "outbox-relay") {
        commit_beginning(&pipeline.topic(consumer), &topics);
    }
}

/// Reports 01, 02, 03, 03x, 04, 18 and the array of nulls: on every topic, then again from the beginning, by programs that were started anew; then by
/// processes of bounded memory in a pod's environment (05), and by what an operator types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poisoned_records_are_orders_or_dead_letters_and_every_program_starts_with_them() {
    let pipeline = Pipeline::start().await;
    pipeline.stock("TEA", "a", 100).await;
    let front_door = pipeline.topic("order-placed");
    let (shops, poison) = (shops(&pipeline.prefix).await, poison(&pipeline.prefix).await);
    for (name, value) in &shops {
        produce(&front_door, &[(Some(name.as_bytes()), value, &[])]);
    }
    for (name, value) in &poison {
        let behind = order(&format!("behind-{name}")).to_string();
        produce(&front_door, &[(Some(b"k"), value, &[]), (Some(b"k"), behind.as_bytes(), &[])]);
    }
    // 02, and of the same kind: several such names, on every topic that a stranger may write.
    let now = pipeline.clock.now().as_millis();
    let names: [(&[u8], &[u8]); 3] = [(b"caf\xe9", b"1"), (b"\xff\xfe", b""), (b"plain", b"kept")];
    raw::produce(&front_door, b"02", order("02-header").to_string().as_bytes(), &names, now);
    for topic in choreography::Choreography::embedded().topics.names().filter(|topic| *topic != "order-placed") {
        raw::produce(&pipeline.topic(topic), b"02", b"nothing", &names, now);
    }
    // Each such name costs something: of many an order's id may be among what is not read, and its record is a dead letter. Many good ones are only many.
    let many: Vec<(&[u8], &[u8])> = vec![(b"\xe9", b""); 90_000];
    for topic in ["order-placed", "orders", "dead-letter-events"] {
        raw::produce(&pipeline.topic(topic), b"02", order("02-many").to_string().as_bytes(), &many, now);
    }
    let good: Vec<(&[u8], &[u8])> = vec![(b"a", b""); 90_000];
    raw::produce(&front_door, b"02", order("02-good").to_string().as_bytes(), &good, now);
    // 18, and of the same kind: what Go makes of a time that was never set.
    keep_times(&front_door).await;
    let times = [("18-zero", 0), ("18-seconds", now / 1_000), ("18-never", -62_135_596_800_000)];
    for (name, time) in times {
        raw::produce(&front_door, b"18", order(name).to_string().as_bytes(), &[], time);
    }
    let orders = (shops.len() + poison.len() + 2 + times.len()) as i64;
    pipeline.until_count(COMPLETED, orders, "all good orders").await;
    pipeline.settle().await;
    let accepted_first = accepted(&pipeline).await;
    let mut expected: Vec<String> = shops.iter().map(|(name, _)| (*name).to_owned()).collect();
    expected.extend(poison.iter().map(|(name, _)| format!("behind-{name}")));
    expected.extend(["02-header", "02-good"].map(ToOwned::to_owned));
    expected.extend(times.map(|(name, _)| name.to_owned()));
    expected.sort();
    assert_eq!(accepted_first, expected);
    let letters = pipeline.dead_letters().await;
    let ours: Vec<&str> = letters
        .iter()
        .filter(|letter| {
            letter["quadrille-consumer"] == "orders" && letter["kafka_dlt-original-topic"] == "order-placed"
        })
        .map(|letter| letter["quadrille-error-message"].as_str())
        .collect();
    assert_eq!(ours.len(), poison.len() + 1, "{ours:#?}");
    for why in [
        "JSON: expected an Avro schema",
        "PROTOBUF: expected an Avro schema",
        "nested more than 64 levels",
        "extra: its lists and maps have more than 100000 entries",
        "extra: expected 2147483648 bytes more",
        "too many that are none",
    ] {
        assert!(ours.iter().any(|message| message.contains(why)), "{why} is not among {ours:#?}");
    }
    let kept =
        "select count(*) from runtime.schema_id where definition like '%json-schema%' or definition like '%proto3%'";
    assert_eq!(pipeline.count(kept).await, 0, "what can't be read by is not stored");

    // What an earlier version stored, or a later, stricter parser refuses.
    for (id, text) in [(1_900_000_001, "{\"type\": \"object\"}"), (1_900_000_002, "syntax"), (1_900_000_003, "")] {
        let insert = sqlx::query("insert into runtime.schema_id values ($1, '', $2)").bind(id).bind(text);
        insert.execute(&pipeline.database.pool).await.unwrap();
    }
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    set_back(&pipeline);
    let host = pipeline.host(&ALL).await;
    let id = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&id).await, "COMPLETED");
    for consumer in ALL.iter() {
        assert_eq!(ready(&pipeline, consumer).await.0, 200, "{consumer}");
    }
    assert_eq!(pipeline.count(COMPLETED).await, orders + 1, "nothing twice");
    assert_eq!(pipeline.dead_letters().await.len(), letters.len(), "nothing dies twice");

    pipeline.stop(&host).await;
    set_back(&pipeline);
    let mut programs = Programs::start(&pipeline);
    programs.until_ready().await;
    programs.place(&Order::of(&[("TEA", 1, 450)]).by("c-processes").body()).await;
    pipeline.until_count(COMPLETED, orders + 2, "an order by the processes").await;
    for (consumer, topic) in [("orders", "order-placed"), ("inventory", "orders"), ("saga-tracker", "payments")] {
        let (group, topics) = (pipeline.topic(consumer), [pipeline.topic(topic)]);
        pipeline.until(|| async { lag(&group, &topics) == 0 }, "all read again").await;
    }
    pipeline.settle().await;
    for arguments in [
        &["migrate"][..],
        &["dead-letters", "list"],
        &["dead-letters", "groups"],
        &["deadlines", "list"],
        &["orders", "find", "--reference", "02-header"],
        &["relay", "status"],
        &["audit"],
    ] {
        let output = crate::rebuild::quadrille(&pipeline, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", crate::rebuild::text(&output));
    }
    programs.until_ready().await;
    programs.stop();
    assert_eq!(pipeline.count(COMPLETED).await, orders + 2, "nothing twice");
    assert_eq!(pipeline.dead_letters().await.len(), letters.len(), "nothing dies twice");
    shop::forget(&pipeline.prefix).await;
    pipeline.finish_with_dead_letters().await;
}

/// Reports 08 and 08b: what needs no registry flows, /readyz tells, a stop meanwhile decides nothing, and a good order is one in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_holds_up_the_lanes_that_need_it_and_nothing_else() {
    let registry = Registry::behind_a_door().await;
    let setup = Setup { registry: Some(registry.url.clone()), ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    pipeline.stock("TEA", "a", 100).await;
    let front_door = pipeline.topic("order-placed");
    let of = |name: &str| schema(&[("x", json!({"type": "record", "name": name, "fields": []}))]);
    let mut unknown = Vec::new();
    for (at, mode) in
        [Mode::Closed, Mode::Silent, Mode::Unauthorized, Mode::Unavailable, Mode::NotFound, Mode::LoggedOut]
            .into_iter()
            .enumerate()
    {
        registry.set(mode);
        let name = format!("away-{at}");
        let schema = of(&format!("X{at}"));
        let id = register(&format!("{}{name}", pipeline.prefix), &schema, "AVRO", json!([])).await;
        let mut avro = order(&name);
        avro["x"] = json!({});
        let (avro, json) = (framed(id, &written(&schema, &avro)), order(&format!("flows-{at}")).to_string());
        let behind = order(&format!("behind-{at}")).to_string();
        produce(&front_door, &[(Some(name.as_bytes()), &avro, &[]), (Some(name.as_bytes()), behind.as_bytes(), &[])]);
        produce(&front_door, &[(Some(b"other"), json.as_bytes(), &[])]);
        pipeline.until_count(COMPLETED, at as i64 + 1, &format!("JSON, {mode:?}")).await;
        let (status, why) = ready(&pipeline, "orders").await;
        assert!(status == 503 && why.contains("registry since"), "{mode:?}: {status}: {why}");
        assert_eq!(ready(&pipeline, "inventory").await.0, 200, "who does not need it does not wait for it");
        unknown.push(name);
    }
    // Ten minutes, and a deploy.
    for _ in 0..10 {
        pipeline.advance(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await; // for retries, which must come to nothing
    }
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
    pipeline.host(&ALL).await;
    let open = || async {
        pipeline.advance(Duration::from_secs(5));
        ready(&pipeline, "orders").await.0 == 503
    };
    pipeline.until(open, "the circuit, after a restart").await;
    let parked = "select count(*) from orders.parked";
    assert_eq!(pipeline.count(parked).await, 2 * unknown.len() as i64);
    let tried = "select max(attempts)::bigint from orders.parked";
    assert!(pipeline.count(tried).await <= 1, "no attempt is used up for it");
    assert_eq!(pipeline.dead_letters().await.len(), 0);
    registry.set(Mode::Open);
    let all = 3 * unknown.len() as i64;
    pipeline.until_count(COMPLETED, all, "all, when it is back").await;
    pipeline.until(|| async { ready(&pipeline, "orders").await.0 == 200 }, "the closed circuit").await;
    shop::forget(&pipeline.prefix).await;
    pipeline.finish().await;
}

/// Report 30: a registry that was built anew gives an id to another schema than the database has under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_a_rebuilt_registry_gave_to_another_schema_is_noticed_and_corrected() {
    let setup = Setup { consumers: vec!["orders", "outbox-relay"], ..Setup::default() };
    let pipeline = Pipeline::with(setup).await;
    let db = &pipeline.database.pool;
    let insert = async |id: u32, subject: &str, text: &str| {
        let insert = sqlx::query("insert into runtime.schema_id values ($1, $2, $3)").bind(id as i32);
        insert.bind(subject).bind(text).execute(db).await.unwrap();
    };
    let theirs = schema(&[("rebuilt", json!(["null", "long"]))]);
    let id = register(&format!("{}rebuilt", pipeline.prefix), &theirs, "AVRO", json!([])).await;
    // What the database has under it: another type, and then, of the same kind, an earlier schema of the same name.
    let former =
        [events::OrderCancellationRequested::SCHEMA.to_owned(), schema(&[("lines", json!("long"))]).to_string()];
    for (at, former) in former.iter().enumerate() {
        sqlx::query("delete from runtime.schema_id where schema_id = $1").bind(id as i32).execute(db).await.unwrap();
        insert(id, "orders-of-before", former).await;
        for host in pipeline.hosts() {
            pipeline.stop(&host).await;
        }
        pipeline.host(&["orders", "outbox-relay"]).await;
        let name = format!("rebuilt-{at}");
        let mut order = order(&name);
        order["rebuilt"] = json!(7);
        let value = framed(id, &written(&theirs, &order));
        produce(&pipeline.topic("order-placed"), &[(Some(b"k"), &value, &[])]);
        pipeline.until(|| async { accepted(&pipeline).await.contains(&name) }, &name).await;
        let kept = "select count(*) from runtime.schema_id_former where subject = 'orders-of-before'";
        assert_eq!(pipeline.count(kept).await, at as i64 + 1, "what it stood for can still be read by");
    }
    assert_eq!(pipeline.dead_letters().await.len(), 0);

    // `topics apply` compares all that is stored.
    let registry = runtime::Registry::new(&quadrille_tests::stack().registry_url, db.clone()).unwrap();
    assert_eq!(registry.reconcile().await.unwrap(), [], "our own schemas are as the registry has them");
    let other =
        register(&format!("{}other", pipeline.prefix), &schema(&[("other", json!("int"))]), "AVRO", json!([])).await;
    insert(other, "ours", events::OrderCancellationRequested::SCHEMA).await;
    insert(1_900_000_000, "ours too", events::OrderCompleted::SCHEMA).await;
    insert(1_900_000_001, "", "{\"type\": \"object\"}").await;
    let corrected = registry.reconcile().await.unwrap();
    let said: Vec<(u32, Correction)> = corrected.iter().map(|of| (of.id, of.correction)).collect();
    let gone = [1_900_000_000, 1_900_000_001].map(|id| (id, Correction::Gone));
    assert_eq!(said, [vec![(other, Correction::Replaced)], gone.to_vec()].concat());
    assert_eq!(registry.reconcile().await.unwrap(), [], "once");
    let codec = runtime::Registry::codec(db).await.unwrap();
    let completed = "select count(*) from runtime.schema_id_former where schema_id = 1900000000";
    assert_eq!(pipeline.count(completed).await, 1, "what was ours can still be read by");
    codec.check_writers(&[events::OrderCompleted::TYPE]).unwrap();
    shop::forget(&pipeline.prefix).await;
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}
