//! A server that stands for Stripe: it records what it is asked, and answers what it was told to, or passes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use events::{Currency, CustomerId, OrderId, Timestamp};
use gateway::{Buyer, Money, Operation, Request};
use runtime::{Clock, Span};
use serde_json::Value;
use stripe_gateway::{StripeGateway, StripeSettings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const ORDER: &str = "018f0000-0000-7000-8000-000000000001";
pub const KEY: &str = "sk_test_hunter2";

/// What it answers.
pub enum Reply {
    /// This.
    Json(u16, Value),
    /// This, with headers.
    With(u16, &'static [(&'static str, &'static str)], Value),
    /// Something else than JSON.
    Text(u16, &'static str),
    /// A body that breaks off.
    CutOff,
    /// Nothing in time.
    Silence,
}

/// A request as it came, its parameters decoded.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
    pub from: SocketAddr,
    /// What was answered.
    pub status: u16,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request on a few lines, for people and for comparison.
    pub fn shown(&self) -> String {
        let mut lines = vec![self.line()];
        let shown = ["idempotency-key", "stripe-account", "stripe-version", "content-type"];
        lines.extend(shown.iter().filter_map(|name| Some(format!("{name}: {}", self.header(name)?))));
        lines.extend(self.parameters.iter().map(|(name, value)| format!("{name}={value}")));
        lines.join("\n")
    }
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Serving {
    script: Arc<Mutex<Script>>,
    /// Where everything is passed on to.
    upstream: Option<String>,
}

pub struct Double {
    pub base_url: String,
    script: Arc<Mutex<Script>>,
    _server: JoinSet<()>,
}

impl Double {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(replies.into_iter().collect(), None).await
    }

    /// One that passes everything on.
    pub async fn before(upstream: String) -> Self {
        Self::serve(VecDeque::new(), Some(upstream)).await
    }

    async fn serve(replies: VecDeque<Reply>, upstream: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script { replies, seen: Vec::new() }));
        let app = Router::new().fallback(answer).with_state(Serving { script: Arc::clone(&script), upstream });
        let mut server = JoinSet::new();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        server.spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { base_url, script, _server: server }
    }

    /// What it was asked, in order. Nothing it was told to answer may be left.
    pub fn seen(&self) -> Vec<Seen> {
        let script = self.script.lock().unwrap();
        assert!(script.replies.is_empty(), "{} answers were not asked for", script.replies.len());
        script.seen.clone()
    }

    /// What it was asked so far, whatever it was told to answer.
    pub fn so_far(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    /// The calls that it was asked, in order.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub fn connections(&self) -> usize {
        self.seen().iter().map(|seen| seen.from).collect::<BTreeSet<_>>().len()
    }

    pub fn settings(&self) -> StripeSettings {
        StripeSettings {
            api_key: KEY.into(),
            base_url: self.base_url.clone(),
            timeout: Span::millis(2_000),
            endpoint_rate: 1_000,
            account_rate: Some(1_000),
            ..StripeSettings::default()
        }
    }

    pub fn gateway(&self) -> StripeGateway {
        gateway(self.settings())
    }
}

pub fn gateway(settings: StripeSettings) -> StripeGateway {
    StripeGateway::new(settings, reqwest::Client::builder(), Clock::default()).unwrap()
}

async fn answer(
    State(serving): State<Serving>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let decoded = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<BTreeMap<_, _>>();
    let mut parameters = decoded(uri.query().unwrap_or_default().as_bytes());
    parameters.extend(decoded(&body));
    let mut seen = Seen {
        method: method.to_string(),
        path: uri.path().to_owned(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        parameters,
        body: body.to_vec(),
        from,
        status: 0,
    };
    if let Some(upstream) = &serving.upstream {
        let request = reqwest::Client::new().request(method, format!("{upstream}{uri}")).headers(headers).body(body);
        let answer = request.send().await.unwrap();
        seen.status = answer.status().as_u16();
        serving.script.lock().unwrap().seen.push(seen);
        let response = Response::builder().status(answer.status());
        return response.body(Body::from(answer.bytes().await.unwrap())).unwrap();
    }
    let reply = {
        let mut script = serving.script.lock().unwrap();
        let line = seen.line();
        script.seen.push(seen);
        script.replies.pop_front().unwrap_or_else(|| panic!("nothing to answer to {line}"))
    };
    let response = |status: u16, body: String| {
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header("request-id", "req_1")
            .body(Body::from(body))
            .unwrap()
    };
    match reply {
        Reply::Json(status, body) => response(status, body.to_string()),
        Reply::With(status, headers, body) => {
            let mut response = response(status, body.to_string());
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Reply::Text(status, text) => response(status, text.to_owned()),
        Reply::CutOff => {
            Response::builder().header("content-length", "5000").body(Body::from("{\"id\":\"pi_1\",")).unwrap()
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            response(200, String::new())
        }
    }
}

pub fn order() -> OrderId {
    ORDER.parse().unwrap()
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

/// The first attempt at an operation, just begun.
pub fn request(operation: Operation, amount: i64, payment_id: Option<&str>) -> Request {
    Request {
        order_id: order(),
        key: format!("order:{ORDER}:{operation}:1"),
        attempt: 1,
        since: Clock::default().now(),
        money: eur(amount),
        payment_id: payment_id.map(str::to_owned),
        refund_id: None,
    }
}

/// The same begun a day ago.
pub fn old(request: Request) -> Request {
    Request { since: request.since.minus(Duration::from_secs(23 * 3_600 + 1)), ..request }
}

pub fn at(request: Request, since: i64) -> Request {
    Request { since: Timestamp::from_millis(since * 1_000), ..request }
}

pub fn buyer(payment_method: &str) -> Buyer {
    Buyer { customer_id: CustomerId("ada".into()), payment_method: payment_method.into() }
}
