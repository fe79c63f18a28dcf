//! `kill -9` in the middle of requests: the book goes on where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::harness::{LIMIT, Sim, encoded};
use crate::webhooks::{Shop, settled};

const WORKERS: usize = 6;
const ORDERS: usize = 12;
const KILLS: usize = 8;

/// Posts under a key until there is an answer: what a payment system does.
async fn until_answered(sim: &RwLock<Sim>, path: &str, key: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let (started, client, base) = {
        let sim = sim.read().await;
        (Instant::now(), sim.client.clone(), sim.base.clone())
    };
    loop {
        assert!(started.elapsed() < LIMIT, "{path} {key}: no answer");
        let request =
            client.post(format!("{base}/v1/{path}")).bearer_auth(crate::harness::KEY).header("idempotency-key", key);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(form))
            .timeout(Duration::from_secs(5));
        if let Ok(response) = request.send().await {
            let status = response.status().as_u16();
            // 409: the process that is gone may still hold the key for a moment.
            if let (Ok(text), false) = (response.text().await, matches!(status, 409 | 429)) {
                return (status, serde_json::from_str(&text).unwrap_or_default());
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

async fn order(sim: &RwLock<Sim>, order: usize) {
    let (order_id, key) = (order.to_string(), |step: &str| format!("order:{order}:{step}"));
    let create = [
        ("amount", "1000"),
        ("currency", "eur"),
        ("capture_method", "manual"),
        ("allowed_payment_method_types[]", "card"),
        ("metadata[order_id]", order_id.as_str()),
    ];
    let (status, created) = until_answered(sim, "payment_intents", &key("create"), &create).await;
    assert_eq!(status, 200, "{created}");
    let payment = created["id"].as_str().unwrap();
    let confirm = [("payment_method", "pm_card_visa"), ("return_url", "https://shop.example")];
    let (status, held) =
        until_answered(sim, &format!("payment_intents/{payment}/confirm"), &key("confirm"), &confirm).await;
    assert_eq!((status, &held["status"]), (200, &json!("requires_capture")), "{held}");
    let (status, captured) = until_answered(
        sim,
        &format!("payment_intents/{payment}/capture"),
        &key("capture"),
        &[("amount_to_capture", "900")],
    )
    .await;
    assert_eq!((status, &captured["amount_received"]), (200, &json!(900)), "{captured}");
    let (status, refund) =
        until_answered(sim, "refunds", &key("refund"), &[("payment_intent", payment), ("amount", "100")]).await;
    assert_eq!((status, &refund["amount"]), (200, &json!(100)), "{refund}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_survive_kills_in_the_middle_of_requests() {
    let sim = Sim::start().await;
    // Requests take a while, and half of them lose their answer: a kill hits some between commit and answer, and some before.
    sim.fault(json!({"fault": "slow", "ms": 20})).await;
    sim.fault(json!({"fault": "answer_dropped", "share": 0.3})).await;
    sim.control(Method::PUT, "clock", json!({"advance_seconds": 1_000_000})).await.ok();
    let shop = Shop::open(0).await;
    sim.control(
        Method::POST,
        "webhook_endpoints",
        json!({"url": shop.url, "secrets": ["whsec_one"], "retry_after": [0, 0, 0]}),
    )
    .await
    .ok();
    let sim = Arc::new(RwLock::new(sim));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let sim = Arc::clone(&sim);
        workers.spawn(async move {
            for nth in 0..ORDERS {
                order(&sim, worker * ORDERS + nth).await;
            }
        });
    }
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let mut sim = sim.write().await;
        sim.kill().await;
        sim.restart().await;
    }
    // ends with the last worker
    while let Some(done) = workers.join_next().await {
        done.expect("an order");
    }
    let sim = Arc::into_inner(sim).expect("the workers are done").into_inner();
    sim.control(Method::DELETE, "faults", json!({})).await.ok();
    let ledger = sim.control(Method::GET, "ledger?metadata=order_id", json!({})).await.ok().body;
    let orders = i64::try_from(WORKERS * ORDERS).unwrap();
    assert_eq!((&ledger["payments"], &ledger["violations"]), (&json!(orders), &json!([])));
    let expected = json!({"held": 0, "captured": 900 * orders, "refunded": 100 * orders, "disputed": 0, "fees": 39 * orders, "net": (900 - 100 - 39) * orders});
    assert_eq!(ledger["currencies"]["eur"], expected);
    settled(&sim).await;
    let mut delivered: Vec<String> =
        shop.events().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    delivered.sort_unstable();
    delivered.dedup();
    let mut sql = sim.sql().await;
    let events: Vec<String> =
        sqlx::query_scalar("select id from stripe_sim.objects where object = 'event' order by id collate \"C\"")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(delivered, events, "each event is delivered, at least once");
    assert_eq!(events.len(), 7 * WORKERS * ORDERS, "created, held, captured, refunded: none is written twice");
    let real = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert!((sim.now().await - real - 1_000_000).abs() < 5, "the clock is where it was");
    sim.finish().await;
}

#[tokio::test]
async fn what_was_to_happen_happens_after_a_kill() {
    let mut sim = Sim::start().await;
    let payment = sim.hold("", 1_000, "pm_card_visa").await;
    let key = sim.post_with_key("payment_intents", "k", &[("amount", "1000"), ("currency", "eur")]).await.ok();
    sim.fault(json!({"fault": "lock_timeout", "operations": ["charges.list"]})).await;
    sim.kill().await;
    sim.restart().await;
    assert_eq!(sim.status(&payment).await, "requires_capture");
    let replayed = sim.post_with_key("payment_intents", "k", &[("amount", "1000"), ("currency", "eur")]).await.ok();
    assert_eq!((&replayed.body, replayed.header("idempotent-replayed")), (&key.body, "true"));
    assert_eq!(sim.get("charges").await.status, 429, "rules are kept");
    sim.advance(7 * 86_400).await;
    assert_eq!(sim.status(&payment).await, "canceled");
    sim.finish().await;
}
