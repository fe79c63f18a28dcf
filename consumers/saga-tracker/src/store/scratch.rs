//! Temporary: SQL against a real database.
use std::collections::BTreeMap;
use ::events::*;
use runtime::Consumer as _;
use crate::decide::tests::{EVERYTHING, folded};
use crate::store::*;

async fn dump(pool: &sqlx::PgPool) -> String {
    let mut all = String::new();
    for table in ["\"order\"", "shipment", "level", "letter", "watermark", "position", "event"] {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select t::text from saga_tracker.{table} t order by 1"))).fetch_all(pool).await.unwrap();
        all += &format!("{table}: {rows:#?}\n");
    }
    all
}

#[tokio::test]
async fn sql() {
    let pool = runtime::sql::pool("postgres://quadrille:quadrille@127.0.0.1:15432/tracker_scratch", "x", 4).unwrap();
    let mut first: Option<String> = None;
    let all = &*EVERYTHING;
    let mut seed = 12345u64;
    let mut next = |n: usize| { seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (seed >> 33) as usize % n };
    for round in 0..60 {
        sqlx::query("truncate saga_tracker.\"order\", saga_tracker.shipment, saga_tracker.level, saga_tracker.letter, saga_tracker.watermark, saga_tracker.position, saga_tracker.event").execute(&pool).await.unwrap();
        let mut order: Vec<usize> = (0..all.len()).collect();
        for i in (1..order.len()).rev() { let j = next(i + 1); if round > 0 { order.swap(i, j); } }
        if round > 0 { for _ in 0..40 { let at = next(order.len()); let what = next(all.len()); order.insert(at, what); } }
        let mut at = 0;
        while at < order.len() {
            let n = 1 + next(30);
            let batch: Vec<_> = order[at..(at + n).min(order.len())].iter().map(|i| all[*i].clone()).collect();
            at += n;
            let mut tx = pool.begin().await.unwrap();
            crate::SagaTracker.save(&mut tx, folded(&batch), Timestamp::from_millis(0)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let now = dump(&pool).await;
        if let Some(first) = &first { assert_eq!(first, &now, "round {round}"); } else { println!("{now}"); first = Some(now); }
        // equals memory
        let world = folded(all);
        let rows = orders(&pool, &OrderFilter { limit: 10, ..OrderFilter::default() }).await.unwrap();
        let sql: BTreeMap<OrderId, crate::Facts> = rows.into_iter().map(|row| (row.order_id, row.facts)).collect();
        let mut memory = world.orders.clone();
        memory.values_mut().for_each(|facts| facts.shipments.clear());
        assert_eq!(sql, memory);
    }
    // every reading statement
    let id = OrderId(EVERYTHING.iter().find_map(|i| match i { crate::Input::Heard(h) => Some(h.record.order_id), _ => None }).unwrap().0);
    assert!(order(&pool, id).await.unwrap().is_some());
    assert_eq!(history(&pool, id, 100).await.unwrap().len(), 35);
    assert_eq!(shipments_of(&pool, id).await.unwrap()[0].status, "DELIVERED");
    for status in crate::Status::ALL {
        let filter = OrderFilter { status: Some(status), customer_id: Some("c-1".into()), placed_after: Some(Timestamp::from_millis(1_790_000_000_000)), placed_before: Some(Timestamp::from_millis(1_790_000_000_001)), behind: None, limit: 3 };
        assert_eq!(orders(&pool, &filter).await.unwrap().len(), if status == crate::Status::Completed { 2 } else { 0 });
    }
    assert_eq!(shipments(&pool, &ShipmentFilter { phase: Some("DELIVERED"), status: Some("DELIVERED"), warehouse: Some("w1".into()), limit: 9, ..Default::default() }).await.unwrap().len(), 2);
    assert_eq!(levels(&pool, &LevelFilter { sku: Some("TEA".into()), behind: Some(("TEA".into(), "a".into())), limit: 9, ..Default::default() }).await.unwrap().len(), 1);
    let found = letters(&pool, &LetterFilter { kind: Some(crate::Kind::Order), consumer: Some("payments".into()), class: Some("stuck".into()), shown: 5, limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!((found.len(), found[0].value.as_ref().unwrap().len()), (2, 5));
    assert!(letter(&pool, found[0].letter_id).await.unwrap().unwrap().value.unwrap().len() > 5);
    let (from, until) = (Timestamp::from_millis(1_790_000_000_000), Timestamp::from_millis(1_790_000_000_001));
    for c in counts(&pool, from, until).await.unwrap() { println!("{} {:?} {}", c.status, c.reason, c.orders); }
    for s in step_times(&pool, from, until).await.unwrap() { println!("{} {} {:?} {}", s.step, s.orders, s.quantiles, s.longest); }
    println!("{} {}", positions(&pool).await.unwrap().len(), watermarks(&pool).await.unwrap().len());
}

#[tokio::test]
async fn speed() {
    use crate::decide::tests::sample::{samples, message, own_key, order as order_of, work};
    let happy = ["OrderAccepted","StockReserved","PaymentAuthorized","FraudCleared","FulfillmentConfirmed","PaymentCaptured","ShipmentDispatched","StockCommitted","OrderCompleted","NotificationSent","NotificationSent"];
    let all = samples();
    let lines = |n: usize| serde_json::json!((0..n).map(|i| serde_json::json!({"line_id": format!("{i}"), "sku": format!("SKU-{i}"), "quantity": 2, "unit_price": 500, "amount": 1000})).collect::<Vec<_>>());
    let plan = serde_json::json!((0..2).map(|i| serde_json::json!({"allocation_id": uuid::Uuid::nil().to_string(), "line_id": format!("{i}"), "sku": format!("SKU-{i}"), "warehouse": "w1", "quantity": 2, "aisle": "A", "bin": "7", "replaces": null})).collect::<Vec<_>>());
    let chosen: Vec<_> = happy.iter().map(|n| { let mut s = all.iter().find(|s| s.name == *n).unwrap().clone();
        if s.value.get("lines").is_some() { s.value["lines"] = lines(2); }
        if s.value.get("plan").is_some() { s.value["plan"] = plan.clone(); }
        if s.value.get("personal").is_some() { s.value["personal"] = serde_json::json!({"key_id": "", "data": vec![7u8; 200]}); }
        s }).collect();
    let _ = (message, own_key, order_of);
    // hear
    let messages: Vec<_> = chosen.iter().zip(1..).map(|(s, seq)| crate::decide::tests::sample::record(s, 1, seq)).collect();
    let codec = runtime::Codec::of_catalogue().unwrap();
    let began = std::time::Instant::now();
    let n = 3000;
    for _ in 0..n { for m in &messages { std::hint::black_box(crate::SagaTracker.hear(m, &codec).unwrap()); } }
    println!("hear {:.2} us an event", began.elapsed().as_secs_f64() * 1e6 / (n * messages.len()) as f64);
    let began = std::time::Instant::now();
    for _ in 0..n { for m in &messages { std::hint::black_box(codec.decode_json(m.payload.as_deref()).unwrap().to_string()); } }
    println!("decode_json + text {:.2} us an event", began.elapsed().as_secs_f64() * 1e6 / (n * messages.len()) as f64);
    let event: OrderAccepted = messages[0].read(&codec).unwrap();
    let began = std::time::Instant::now();
    for _ in 0..n * 10 { std::hint::black_box(messages[0].read::<OrderAccepted>(&codec).unwrap()); }
    println!("typed decode OrderAccepted {:.2}", began.elapsed().as_secs_f64() * 1e6 / (n * 10) as f64);
    let began = std::time::Instant::now();
    for _ in 0..n * 10 { let mut v = serde_json::to_value(&event).unwrap(); v.as_object_mut().unwrap().remove("personal"); std::hint::black_box(v.to_string()); }
    println!("to_value, remove, to_string {:.2}", began.elapsed().as_secs_f64() * 1e6 / (n * 10) as f64);
    let began = std::time::Instant::now();
    for _ in 0..n * 10 { std::hint::black_box(crate::record::json::without_personal(&event).unwrap()); }
    println!("without_personal {:.2}", began.elapsed().as_secs_f64() * 1e6 / (n * 10) as f64);
    // save: 100 orders in 3 waves a batch
    let pool = runtime::sql::pool("postgres://quadrille:quadrille@127.0.0.1:15432/tracker_scratch", "x", 4).unwrap();
    sqlx::query("truncate saga_tracker.\"order\", saga_tracker.shipment, saga_tracker.event").execute(&pool).await.unwrap();
    let per = std::env::args().last().and_then(|a| a.parse::<u128>().ok()).unwrap_or(100);
    let rounds = 60u128;
    let mut inputs: Vec<Vec<crate::Input>> = Vec::new();
    for r in 0..rounds { for wave in [0..4usize, 4..7, 7..11] {
        let mut batch = Vec::new();
        for o in 0..per { for at in wave.clone() { batch.push(work(&chosen[at], r * per + o + 1, at as i64 + 1).input); } }
        inputs.push(batch); } }
    let mut took = std::time::Duration::ZERO; let mut fold = std::time::Duration::ZERO;
    for batch in &inputs {
        let b = std::time::Instant::now(); let world = folded(batch); fold += b.elapsed();
        let b = std::time::Instant::now();
        let mut tx = pool.begin().await.unwrap();
        crate::SagaTracker.save(&mut tx, world, Timestamp::from_millis(0)).await.unwrap();
        tx.commit().await.unwrap(); took += b.elapsed();
    }
    let orders = (rounds * per) as f64;
    println!("fold {:.1} us, save {:.1} us an order ({} batches of {})", fold.as_secs_f64() * 1e6 / orders, took.as_secs_f64() * 1e6 / orders, inputs.len(), inputs[0].len());
}
