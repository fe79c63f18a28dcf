//! Webhooks: signed, repeated, late, in another order, lost.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::task::TaskTracker;

use crate::harness::{LIMIT, Sim};

/// What the shop was sent: signature, body.
type Sent = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A shop that answers the first deliveries 500, and others 200.
pub struct Shop {
    pub url: String,
    sent: Sent,
}

#[derive(Clone)]
struct ShopState {
    sent: Sent,
    refuse: usize,
}

impl Shop {
    pub async fn open(refuse: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, sent) = (format!("http://{}/hook", listener.local_addr().unwrap()), Sent::default());
        let router = Router::new().fallback(take).with_state(ShopState { sent: sent.clone(), refuse });
        let serving = TaskTracker::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self { url, sent }
    }

    pub fn events(&self) -> Vec<Value> {
        self.sent.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn wait(&self, count: usize) {
        let started = Instant::now();
        while self.sent.lock().unwrap().len() < count {
            assert!(started.elapsed() < LIMIT, "{count} deliveries, got {:?}", self.types());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn take(State(shop): State<ShopState>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut sent = shop.sent.lock().unwrap();
    sent.push((headers["stripe-signature"].to_str().unwrap().to_owned(), body));
    if sent.len() <= shop.refuse { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}

async fn endpoint(sim: &Sim, shop: &Shop, more: Value) -> String {
    let mut body = json!({"url": shop.url, "secrets": ["whsec_one"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sim.control(Method::POST, "webhook_endpoints", body).await.ok().id()
}

/// All deliveries have come to their end.
pub async fn settled(sim: &Sim) -> Value {
    let started = Instant::now();
    loop {
        let counts = sim.control(Method::GET, "deliveries", json!({})).await.ok().body;
        if counts["pending"] == 0 {
            return counts;
        }
        assert!(started.elapsed() < LIMIT, "{counts}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn verify(signature: &str, body: &[u8], secret: &str) -> (i64, bool) {
    let time = signature.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let wanted: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (time.parse().unwrap(), signature.split(',').any(|part| part == format!("v1={wanted}")))
}

#[tokio::test]
async fn each_secret_signs_and_each_try_is_signed_anew() {
    let sim = Sim::start().await;
    let shop = Shop::open(2).await;
    endpoint(
        &sim,
        &shop,
        json!({"secrets": ["whsec_old", "whsec_new"], "retry_after": [2, 2, 2], "api_version": "2025-03-31.basil"}),
    )
    .await;
    sim.create("", 1_000).await;
    shop.wait(3).await;
    let counts = settled(&sim).await;
    assert_eq!((&counts["succeeded"], &counts["latest"][0]["attempts"]), (&json!(1), &json!(3)));
    let mut times = Vec::new();
    for (signature, body) in shop.sent.lock().unwrap().iter() {
        let (time, by_old) = verify(signature, body, "whsec_old");
        assert!(by_old && verify(signature, body, "whsec_new").1 && !verify(signature, body, "whsec_other").1);
        times.push(time);
    }
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
    let event = &shop.events()[0];
    assert_eq!(
        (&event["type"], &event["api_version"], &event["pending_webhooks"]),
        (&json!("payment_intent.created"), &json!("2025-03-31.basil"), &json!(1))
    );
    assert_eq!(event["id"], shop.events()[2]["id"]);
    sim.finish().await;
}

#[tokio::test]
async fn lost_events_are_listed_and_can_be_sent_again() {
    let sim = Sim::start().await;
    let shop = Shop::open(0).await;
    let id = endpoint(&sim, &shop, json!({"drop_share": 1})).await;
    sim.create("", 1_000).await;
    let lost = sim.get("events?delivery_success=false").await.ok().body["data"][0].clone();
    assert_eq!((&lost["type"], &lost["pending_webhooks"]), (&json!("payment_intent.created"), &json!(1)));
    sim.control(Method::PUT, &format!("webhook_endpoints/{id}"), json!({"drop_share": 0})).await.ok();
    sim.create("", 1_000).await;
    shop.wait(1).await;
    settled(&sim).await;
    assert_eq!(sim.get("events?delivery_success=true").await.ok().body["data"].as_array().map(Vec::len), Some(1));
    sim.control(Method::POST, &format!("events/{}/resend", lost["id"].as_str().unwrap()), json!({})).await.ok();
    shop.wait(2).await;
    assert_eq!(shop.events()[1]["id"], lost["id"]);
    sim.finish().await;
}

#[tokio::test]
async fn events_come_twice_and_the_youngest_first() {
    let sim = Sim::start().await;
    let shop = Shop::open(0).await;
    // They wait until the clock moves, so that several are due at once.
    let late = json!({"duplicate_share": 1, "delay_share": 1, "delay_ms": 60_000, "reversed": true, "concurrency": 1, "enabled_events": ["payment_intent.*"]});
    endpoint(&sim, &shop, late).await;
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    sim.post(&format!("payment_intents/{payment}/cancel"), &[]).await.ok();
    assert_eq!(shop.types(), Vec::<String>::new());
    sim.advance(61).await;
    shop.wait(6).await;
    settled(&sim).await;
    let events = ["payment_intent.canceled", "payment_intent.amount_capturable_updated", "payment_intent.created"];
    let twice: Vec<&str> = events.into_iter().flat_map(|kind| [kind, kind]).collect();
    assert_eq!(shop.types(), twice);
    sim.finish().await;
}

#[tokio::test]
async fn the_last_try_fails_for_good() {
    let sim = Sim::start().await;
    let shop = Shop::open(usize::MAX).await;
    endpoint(&sim, &shop, json!({"retry_after": [3_600]})).await;
    sim.create("", 1_000).await;
    shop.wait(1).await;
    // The second try is due an hour later.
    let started = Instant::now();
    loop {
        let counts = sim.control(Method::GET, "deliveries", json!({})).await.ok().body;
        if counts["latest"][0]["attempts"] == 1 {
            break;
        }
        assert!(started.elapsed() < LIMIT, "a first try: {counts}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sim.advance(3_601).await;
    shop.wait(2).await;
    let counts = settled(&sim).await;
    assert_eq!((&counts["failed"], &counts["latest"][0]["last_answer"]), (&json!(1), &json!("500")));
    assert_eq!(sim.get("events?delivery_success=false").await.ok().body["data"].as_array().map(Vec::len), Some(1));
    sim.finish().await;
}

#[tokio::test]
async fn endpoints_are_checked_and_show_no_secret() {
    let sim = Sim::start().await;
    let shop = Shop::open(0).await;
    let id = endpoint(&sim, &shop, json!({"secrets": ["whsec_hidden"]})).await;
    let listed = sim.control(Method::GET, "webhook_endpoints", json!({})).await.ok().body;
    assert!(!listed.to_string().contains("whsec_hidden") && listed["webhook_endpoints"][0]["secrets"] == 1, "{listed}");
    for bad in [
        json!({"url": shop.url, "secrets": [""]}),
        json!({"url": shop.url}),
        json!({"url": "x", "secrets": ["a"]}),
        json!({"url": shop.url, "secrets": ["a"], "drop": 1}),
    ] {
        assert_eq!(sim.control(Method::POST, "webhook_endpoints", bad.clone()).await.status, 400, "{bad}");
    }
    sim.control(Method::DELETE, &format!("webhook_endpoints/{id}"), json!({})).await.ok();
    assert_eq!(sim.control(Method::DELETE, &format!("webhook_endpoints/{id}"), json!({})).await.status, 404);
    sim.finish().await;
}
