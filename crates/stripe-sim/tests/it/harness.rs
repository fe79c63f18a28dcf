//! A simulator of one test: its process, its database, and a client.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub const KEY: &str = "sk_test_51SimulatorTestsKey";
pub const VERSION: &str = "2026-09-30.endive";
/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Sim {
    pub base: String,
    pub client: reqwest::Client,
    process: Child,
    database: Database,
}

struct Database {
    name: String,
    url: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("an object with an id: {self:?}")).to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// Status, code and parameter of an error.
    pub fn error(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body["error"][name].as_str().unwrap_or_default();
        (self.status, text("code"), text("param"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's stack is named by the environment")]
fn server_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL names a PostgreSQL whose role may create databases: `cargo xtask up` starts one, .quadrille/env has it")
}

/// Databases of runs whose process is gone: a test that fails leaves its own.
async fn drop_stale(connection: &mut PgConnection) {
    let all: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where datname ~ '^qtest_[0-9]+_sim[0-9]+$'")
            .fetch_all(&mut *connection)
            .await
            .expect("pg_database");
    let alive =
        |name: &str| name.split('_').nth(1).is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
    for name in all.iter().filter(|name| !alive(name)) {
        let _ = sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .execute(&mut *connection)
            .await;
    }
}

impl Database {
    async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = server_url();
        let name = format!("qtest_{}_sim{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.expect("PostgreSQL of DATABASE_URL");
        drop_stale(&mut connection).await;
        let started = Instant::now();
        // Another run may be copying the template at this moment.
        while let Err(error) = sqlx::query(AssertSqlSafe(format!("create database {name} template template0")))
            .execute(&mut connection)
            .await
        {
            assert!(started.elapsed() < LIMIT, "create database: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (host, _) = server.rsplit_once('/').expect("DATABASE_URL names a database");
        Self { url: format!("{host}/{name}"), name }
    }

    async fn remove(&self) {
        if let Ok(mut connection) = PgConnection::connect(&server_url()).await {
            let _ = sqlx::query(AssertSqlSafe(format!("drop database if exists {} with (force)", self.name)))
                .execute(&mut connection)
                .await;
        }
    }
}

impl Sim {
    /// One without rate limits.
    pub async fn start() -> Self {
        let sim = Self::start_limited().await;
        sim.settings(json!({"endpoint_rate": null})).await;
        sim
    }

    /// One with the limits that it has by itself.
    pub async fn start_limited() -> Self {
        let database = Database::create().await;
        let (process, base) = run(&database.url, "127.0.0.1:0").await;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .unwrap();
        Self { base, client, process, database }
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("a process to kill");
    }

    /// Started again on its book, at the same address.
    pub async fn restart(&mut self) {
        let address = self.base.trim_start_matches("http://").to_owned();
        let (process, _) = run(&self.database.url, &address).await;
        self.process = process;
    }

    /// The end of a test: the ledger holds, the database goes.
    pub async fn finish(mut self) {
        let ledger = self.control(Method::GET, "ledger?metadata=order_id", json!({})).await;
        assert_eq!(ledger.body["violations"], json!([]), "{}", ledger.body);
        self.kill().await;
        self.database.remove().await;
    }

    pub async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.expect("the test's database")
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(KEY).header("stripe-version", VERSION)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, &format!("/v1/{path}"))).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.request(Method::POST, &format!("/v1/{path}")).body(encoded(form)).header("content-type", FORM))
            .await
    }

    pub async fn post_with_key(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Answer {
        let request =
            self.request(Method::POST, &format!("/v1/{path}")).body(encoded(form)).header("content-type", FORM);
        self.send(request.header("idempotency-key", key)).await
    }

    pub async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.client.request(method, format!("{}/_sim/{path}", self.base)).json(&body)).await
    }

    pub async fn settings(&self, settings: Value) {
        self.control(Method::PUT, "settings", settings).await.ok();
    }

    pub async fn fault(&self, rule: Value) {
        self.control(Method::POST, "faults", rule).await.ok();
    }

    pub async fn advance(&self, seconds: i64) {
        self.control(Method::PUT, "clock", json!({"advance_seconds": seconds})).await.ok();
    }

    pub async fn now(&self) -> i64 {
        self.control(Method::GET, "clock", json!({})).await.ok().body["now"].as_i64().unwrap()
    }

    /// A payment, not confirmed.
    pub async fn create(&self, order: &str, amount: i64) -> String {
        let amount = amount.to_string();
        let form = [
            ("amount", amount.as_str()),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("allowed_payment_method_types[0]", "card"),
            ("metadata[order_id]", order),
        ];
        self.post("payment_intents", &form).await.ok().id()
    }

    pub async fn confirm(&self, payment: &str, card: &str) -> Answer {
        let form = [
            ("payment_method", card),
            ("return_url", "https://shop.example/back?order=7"),
            ("expand[]", "latest_charge"),
        ];
        self.post(&format!("payment_intents/{payment}/confirm"), &form).await
    }

    /// A payment that is held.
    pub async fn hold(&self, order: &str, amount: i64, card: &str) -> String {
        let payment = self.create(order, amount).await;
        let held = self.confirm(&payment, card).await.ok();
        assert_eq!(held.body["status"], "requires_capture", "{}", held.body);
        payment
    }

    /// A payment that is captured whole.
    pub async fn captured(&self, order: &str, amount: i64, card: &str) -> String {
        let payment = self.hold(order, amount, card).await;
        self.post(&format!("payment_intents/{payment}/capture"), &[]).await.ok();
        payment
    }

    pub async fn status(&self, payment: &str) -> String {
        self.get(&format!("payment_intents/{payment}")).await.ok().body["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Types of all events, oldest first.
    pub async fn event_types(&self) -> Vec<String> {
        let events = self.get("events?limit=100").await.ok().body;
        events["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

pub fn encoded(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

async fn run(database_url: &str, listen: &str) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_stripe-sim"))
        .args(["--listen", listen])
        .env("DATABASE_URL", database_url)
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .expect("it listens in time")
        .unwrap()
        .expect("it says where it listens");
    let base = line.strip_prefix("stripe-sim listens on ").unwrap_or_else(|| panic!("an address: {line}")).to_owned();
    (process, base)
}
