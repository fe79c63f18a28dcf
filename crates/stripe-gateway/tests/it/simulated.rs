//! stripe-sim with a book of its own in the stack's PostgreSQL, and the gateway before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use events::OrderId;
use gateway::{Buyer, Gateway as _, Operation, Outcome, Request};
use runtime::Clock;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use stripe_gateway::webhook::parse;
use stripe_gateway::{StripeGateway, StripeSettings, WebhookNotice};
use stripe_sim::simulator::Simulator;
use stripe_sim::store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::double::{KEY, buyer, gateway, request};

/// The simulator, and the gateway that calls it.
pub struct Simulated {
    pub stripe: StripeGateway,
    pub base_url: String,
    client: reqwest::Client,
    stop: CancellationToken,
    server: JoinSet<anyhow::Result<()>>,
    database: String,
}

#[expect(clippy::disallowed_methods, reason = "the stack's address, as `cargo xtask` gives it to tests")]
pub fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn stack() -> Option<String> {
    set("DATABASE_URL")
}

/// A database of the test's own: its address and its name. None, and a line that says so, where there is no PostgreSQL.
pub async fn database(what: &str) -> Option<(String, String)> {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let Some(stack) = stack() else {
        eprintln!("SKIPPED: there is no PostgreSQL for the book: set DATABASE_URL, as .quadrille/env does");
        return None;
    };
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let name = format!("qtest_{}_{what}_{number}", std::process::id());
    on_server(&stack, format!("create database {name}")).await;
    let (server, _) = stack.rsplit_once('/').unwrap();
    Some((format!("{server}/{name}"), name))
}

pub async fn drop_database(name: &str) {
    let stack = stack().unwrap();
    on_server(&stack, format!("drop database if exists {name} with (force)")).await;
}

async fn on_server(stack: &str, statement: String) {
    let mut server = PgConnection::connect(stack).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.unwrap();
}

impl Simulated {
    /// None, and a line that says so, where there is no PostgreSQL for its book.
    pub async fn start() -> Option<Self> {
        let (url, database) = database("stripe").await?;
        let pool = store::open(&url).await.unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let simulator = Arc::new(Simulator::new(pool, &base_url));
        let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
        server.spawn(stripe_sim::serve(listener, simulator, stop.clone()));
        let stripe = gateway(StripeSettings {
            api_key: KEY.into(),
            base_url: base_url.clone(),
            return_url: Some(format!("{base_url}/_sim/health?order={{order_id}}")),
            endpoint_rate: 1_000,
            account_rate: Some(1_000),
            ..StripeSettings::default()
        });
        let simulated = Self { stripe, base_url, client: reqwest::Client::new(), stop, server, database };
        simulated.put("settings", json!({"endpoint_rate": null})).await;
        Some(simulated)
    }

    /// Ends the simulator, whose ledger must be sound: no order held twice, nothing taken twice or given back twice.
    pub async fn end(mut self) {
        let ledger = self.get("ledger?metadata=order_id").await;
        assert_eq!(ledger["ok"], json!(true), "{ledger}");
        self.stop.cancel();
        // ends with the one task, which was told to stop
        while let Some(ended) = self.server.join_next().await {
            ended.unwrap().unwrap();
        }
        drop_database(&self.database).await;
    }

    async fn control(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status}: {body}");
        serde_json::from_str(&body).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control(self.client.get(format!("{}/_sim/{path}", self.base_url))).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.control(self.client.put(format!("{}/_sim/{path}", self.base_url)).json(&body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.control(self.client.post(format!("{}/_sim/{path}", self.base_url)).json(&body)).await
    }

    /// The next request of this operation goes wrong so.
    pub async fn fault(&self, operation: &str, fault: Value) {
        let mut rule = json!({"operations": [operation], "times": 1});
        rule.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        self.post("faults", rule).await;
    }

    pub async fn advance(&self, days: i64) {
        self.put("clock", json!({"advance_seconds": days * 86_400})).await;
    }

    /// A payment as the API has it.
    pub async fn payment(&self, payment_id: &str) -> Value {
        let url = format!("{}/v1/payment_intents/{payment_id}?expand[]=latest_charge", self.base_url);
        let answer = self.client.get(url).bearer_auth(KEY).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// What the gateway reads of an event of this type about this object.
    pub async fn notice(&self, event_type: &str, object_id: &str) -> WebhookNotice {
        let body = json!({"id": "evt_1", "type": event_type, "created": 1, "livemode": false, "data": {"object": {"id": object_id}}});
        self.stripe.notice(&parse(body.to_string().as_bytes()).unwrap()).await.unwrap()
    }

    /// Authorizes as payments does: what was opened is called again with its id.
    pub async fn authorize(&self, request: &Request, buyer: &Buyer) -> (Option<String>, Outcome) {
        let outcome = self.stripe.authorize(request, buyer).await;
        let Outcome::Opened { payment_id } = outcome else { return (None, outcome) };
        let request = Request { payment_id: Some(payment_id.clone()), ..request.clone() };
        (Some(payment_id), self.stripe.authorize(&request, buyer).await)
    }

    /// The id of the order's payment of 15.01, which is held.
    pub async fn held(&self, method: &str) -> String {
        self.held_by(&request(Operation::Authorize, 1_501, None), method).await
    }

    /// The same of another order.
    pub async fn held_by_another(&self, method: &str) -> String {
        let order_id = OrderId(Clock::default().mint());
        let key = format!("order:{order_id}:authorize:1");
        self.held_by(&Request { order_id, key, ..request(Operation::Authorize, 1_501, None) }, method).await
    }

    async fn held_by(&self, request: &Request, method: &str) -> String {
        let (payment_id, outcome) = self.authorize(request, &buyer(method)).await;
        assert!(matches!(outcome, Outcome::Authorized(_)), "{outcome:?}");
        payment_id.unwrap()
    }

    /// The id of one of which 7.00 are captured.
    pub async fn captured(&self, method: &str) -> String {
        let payment_id = self.held(method).await;
        let outcome = self.stripe.capture(&request(Operation::Capture, 700, Some(&payment_id))).await;
        assert!(matches!(outcome, Outcome::Captured { .. }), "{outcome:?}");
        payment_id
    }
}
