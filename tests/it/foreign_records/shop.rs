//! A shop that writes orders in Avro by schemas of its own, and a registry that can be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use quadrille_tests::stack;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Registers a schema; its id.
pub(super) async fn register(subject: &str, schema: &Value, kind: &str, references: Value) -> u32 {
    let text = schema.as_str().map_or_else(|| schema.to_string(), ToOwned::to_owned);
    let body = json!({"schema": text, "schemaType": kind, "references": references});
    let url = format!("{}/subjects/{subject}/versions", stack().registry_url.trim_end_matches('/'));
    // Other tests delete theirs meanwhile, at which the registry may stumble over its own tables: asked again, it registers.
    for _ in 0..50 {
        let answer = reqwest::Client::new().post(&url).json(&body).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        if !status.is_server_error() {
            assert!(status.is_success(), "{subject}: {status}: {answer}");
            return answer["id"].as_u64().unwrap() as u32;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{subject}: the registry does not take it in 50 tries")
}

/// Leaves no subject of this test behind.
pub(super) async fn forget(prefix: &str) {
    let (url, http) = (stack().registry_url.trim_end_matches('/').to_owned(), reqwest::Client::new());
    let all: Vec<String> = http.get(format!("{url}/subjects")).send().await.unwrap().json().await.unwrap();
    let mut ours: Vec<&String> = all.iter().filter(|subject| subject.starts_with(prefix)).collect();
    ours.sort_by_key(|subject| subject.contains("address")); // what others refer to goes last
    for subject in ours {
        for how in ["", "?permanent=true"] {
            http.delete(format!("{url}/subjects/{subject}{how}")).send().await.unwrap();
        }
    }
}

/// An order by this schema, in registry framing.
pub(super) fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), datum].concat()
}

/// A value by a schema.
pub(super) fn written(schema: &Value, value: &Value) -> Vec<u8> {
    let schema = Schema::parse_str(&schema.to_string()).unwrap();
    let value = Avro::try_from(value.clone()).unwrap().resolve(&schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn record(name: &str, fields: &[(&str, Value)]) -> Value {
    let fields: Vec<Value> = fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({"type": "record", "name": name, "fields": fields})
}

/// A record of texts.
pub(super) fn texts(name: &str, fields: &[&str]) -> Value {
    record(name, &fields.iter().map(|field| (*field, json!("string"))).collect::<Vec<_>>())
}

/// Parts of an address.
pub(super) const ADDRESS: [&str; 5] = ["name", "line1", "city", "postal_code", "country"];

/// The lines of an order, of a record of this name whose numbers are of this type.
pub(super) fn lines(name: &str, number: &str) -> Value {
    let fields = [("sku", json!("string")), ("quantity", json!(number)), ("unit_price", json!(number))];
    json!({"type": "array", "items": record(name, &fields)})
}

/// The schema of an order as a shop writes it, with some fields otherwise, and more of them behind.
pub(super) fn schema(otherwise: &[(&str, Value)]) -> Value {
    let mut fields = vec![
        ("reference", json!(["null", "string"])),
        ("customer", texts("Customer", &["id", "name", "email"])),
        ("lines", lines("PlacedLine", "long")),
        ("currency", json!("string")),
        ("payment_method", json!("string")),
        ("ship_to", texts("Address", &ADDRESS)),
    ];
    for (name, kind) in otherwise {
        match fields.iter_mut().find(|field| field.0 == *name) {
            Some(field) => field.1 = kind.clone(),
            None => fields.push((name, kind.clone())),
        }
    }
    let mut schema = record("OrderPlaced", &fields);
    schema["namespace"] = json!("shop.example");
    schema
}

/// An order of one tea, by a customer of its own.
pub(super) fn order(reference: &str) -> Value {
    json!({
        "reference": reference, "customer": {"id": reference, "name": "Ada", "email": "ada@example.com"},
        "lines": [{"sku": "TEA", "quantity": 1, "unit_price": 450}], "currency": "EUR", "payment_method": "tok_approved",
        "ship_to": {"name": "Ada", "line1": "1 Main St", "city": "London", "postal_code": "N1 1AA", "country": "GB"},
    })
}

/// The stack's registry behind a door of the test's.
#[derive(Clone)]
pub(super) struct Registry {
    pub url: String,
    mode: Arc<AtomicU8>,
}

/// What the door does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    Open = 0,
    Closed = 1,
    Silent = 2,
    Unauthorized = 3,
    Unavailable = 4,
    /// A proxy that knows no such path: no word of the registry itself.
    NotFound = 5,
    /// A page of a proxy that asks who one is, in the place of an answer.
    LoggedOut = 6,
}

impl Registry {
    pub async fn behind_a_door() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let real = reqwest::Url::parse(&stack().registry_url).unwrap();
        let mut url = real.clone();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        let behind = format!("{}:{}", real.host_str().unwrap(), real.port_or_known_default().unwrap());
        let mode = Arc::new(AtomicU8::new(0));
        let door = Self { url: url.to_string(), mode: Arc::clone(&mode) };
        #[allow(clippy::disallowed_methods)] // ends with the test's runtime
        tokio::spawn(async move {
            // ends with the test's runtime
            while let Ok((mut caller, _)) = listener.accept().await {
                let (behind, mode) = (behind.clone(), Arc::clone(&mode));
                #[allow(clippy::disallowed_methods)]
                tokio::spawn(async move {
                    let status = match mode.load(Ordering::SeqCst) {
                        0 => {
                            let mut registry = TcpStream::connect(behind).await.unwrap();
                            let _ = tokio::io::copy_bidirectional(&mut caller, &mut registry).await;
                            return;
                        }
                        1 => return,
                        2 => {
                            let mut ignored = Vec::new();
                            let _ = caller.read_to_end(&mut ignored).await;
                            return;
                        }
                        3 => "401 Unauthorized",
                        4 => "503 Service Unavailable",
                        5 => "404 Not Found",
                        _ => "200 OK",
                    };
                    let mut ignored = [0; 4_096];
                    let _ = caller.read(&mut ignored).await;
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
                    let _ = caller.write_all(answer.as_bytes()).await;
                });
            }
        });
        door
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}
