//! A database that was restored from a dump: what the topics know and it does not is told again, and nobody is charged twice.

use quadrille_tests::{ALL, Order, Pipeline, produce};
use serde_json::{Value, json};

use crate::rebuild::{quadrille, text};

/// How orders end, whose first is approved: SKU and token.
const KINDS: [(&str, &str); 6] = [
    ("TEA", "tok_approved"),
    ("SHORT-1", "tok_approved"),
    ("TEA", "tok_declined"),
    ("TEA", "tok_capture_fails"),
    ("NONE", "tok_approved"),
    ("TEA", "tok_3ds_passes"),
];
/// Orders that no gateway here is asked about: SKU and kind of payment.
const PAID_ELSEWHERE: [(&str, &str); 3] = [("TEA", "external"), ("TEA", "captured"), ("NONE", "captured")];
/// Orders that are cancelled as soon as they are placed, or while their payment is under way: whichever comes first, they end.
const CANCELLED: [&str; 8] = [
    "tok_approved",
    "tok_approved",
    "tok_approved",
    "tok_slow",
    "tok_slow",
    "tok_3ds_abandoned",
    "tok_3ds_abandoned",
    "tok_declined",
];
/// The tables of the sandbox's book: a provider keeps its own, wherever our databases are restored to.
const BOOK: [&str; 4] = ["operation", "payment", "refund", "early_result"];

fn order(n: usize) -> Order {
    let (sku, token) = KINDS[n % KINDS.len()];
    Order::of(&[(sku, 2, 450), ("TEA", 1, 99)]).paid_with(token).by(&format!("c-{n}"))
}

async fn read<T: Send + Unpin>(pipeline: &Pipeline, query: &str) -> Vec<T>
where
    (T,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let rows: Vec<(T,)> =
        sqlx::query_as(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&pipeline.database.pool).await.expect(query);
    rows.into_iter().map(|(row,)| row).collect()
}

/// What must be after a restore as it was before: orders with their ends and money, holdings, levels, messages, and the gateway's calls.
async fn state(pipeline: &Pipeline) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    for (what, query) in [
        (
            "orders",
            "select format('%s %s %s %s %s', order_id, state, charged, source, reference) from orders.\"order\" order by 1",
        ),
        (
            "payments",
            // The gateway's id of what was never announced is told by no event.
            "select format('%s %s %s %s %s %s %s', order_id, state, case when announced then payment_id end, authorized, captured, voided, refunded) from payments.payment order by 1",
        ),
        (
            "reservations",
            "select format('%s %s %s %s %s %s %s', order_id, state, reserved, committed, released, missing, returned) from inventory.reservation order by 1",
        ),
        (
            "levels",
            "select format('%s/%s %s %s %s', sku, warehouse, on_hand, reserved, missing) from inventory.stock_level order by 1",
        ),
        (
            "assessments",
            "select format('%s %s %s %s', order_id, state, score, amount) from fraud.assessment order by 1",
        ),
        (
            "consignments",
            "select format('%s %s %s', order_id, state, units_dispatched) from fulfillment.consignment order by 1",
        ),
        (
            "returns",
            "select format('%s %s %s %s', order_id, return_id, state, received) from fulfillment.customer_return order by 1",
        ),
        (
            "refunds",
            "select format('%s %s %s %s', order_id, refund_id, state, amount) from payments.customer_refund order by 1",
        ),
        (
            "messages",
            "select format('%s %s %s %s', order_id, event_id, channel, state) from notifications.message order by 1",
        ),
        ("tracked", "select format('%s %s %s', order_id, outcome, captured) from saga_tracker.\"order\" order by 1"),
        ("calls", "select key || ' ' || operation from sandbox.operation order by 1"),
    ] {
        all.push((what, read::<String>(pipeline, query).await));
    }
    all
}

fn same(now: &[(&str, Vec<String>)], before: &[(&str, Vec<String>)]) {
    for ((what, now), (_, before)) in now.iter().zip(before) {
        let gone: Vec<_> = before.iter().filter(|row| !now.contains(row)).collect();
        let new: Vec<_> = now.iter().filter(|row| !before.contains(row)).collect();
        assert!(gone.is_empty() && new.is_empty(), "{what}: lost {gone:#?}, new {new:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_a_restored_database_does_not_know_are_told_again_and_nobody_is_charged_twice() {
    let pipeline = Pipeline::start().await;
    for sku in ["TEA", "SHORT-1"] {
        pipeline.stock(sku, "a", 500).await;
        pipeline.stock(sku, "b", 500).await;
    }
    // Known to the dump: some that have ended, and one that goes on after it.
    for n in 0..6 {
        pipeline.place(&order(n)).await;
    }
    let waiting = pipeline.place(&Order::of(&[("TEA", 3, 450)]).paid_with("tok_3ds_abandoned").by("c-wait")).await;
    pipeline.settle().await;
    stop(&pipeline).await;
    let dump = pipeline.database.copy().await;
    pipeline.host(&ALL).await;

    // After the dump: twelve over HTTP, eight that are cancelled, three that are paid elsewhere, ten over Kafka, a delivery, and what customers tell their banks.
    let mut keyed = Vec::new();
    for n in 0..12 {
        let (status, answer) = post(&pipeline, &format!("basket-{n}"), &order(n).body()).await;
        assert_eq!(status, 202, "{answer}");
        keyed.push(answer["order_id"].as_str().unwrap().to_owned());
    }
    let mut cancelled = Vec::new();
    for (n, token) in CANCELLED.iter().enumerate() {
        let order_id = pipeline.place(&Order::of(&[("TEA", 1, 450)]).paid_with(token).by(&format!("c-back-{n}"))).await;
        if n % 2 == 1 {
            let begun = format!("select order_id::text from payments.payment where order_id = '{order_id}'");
            pipeline.until(|| async { !read::<String>(&pipeline, &begun).await.is_empty() }, "the payment").await;
        }
        cancel(&pipeline, &order_id).await;
        cancelled.push(order_id);
    }
    for (n, (sku, kind)) in PAID_ELSEWHERE.into_iter().enumerate() {
        let payment = json!({"kind": kind, "provider": "elsewhere", "reference": format!("e-{n}")});
        let order = Order::of(&[(sku, 2, 450)]).paid_with("").with("payment", payment);
        pipeline.place(&order.by(&format!("c-paid-{n}"))).await;
    }
    let refuses = pipeline.place(&Order::of(&[("TEA", 1, 450)]).paid_with("tok_3ds_passes").by("c-refuses")).await;
    let bodies: Vec<Vec<u8>> = (0..10)
        .map(|n| {
            let order = if n % 2 == 0 { order(n).with("reference", format!("basket-k{n}")) } else { order(n) };
            order.body().to_string().into_bytes()
        })
        .collect();
    let records: Vec<_> = bodies.iter().map(|body| (None, body.as_slice(), &[][..])).collect();
    produce(&pipeline.topic("order-placed"), &records);
    pipeline.stock("SHORT-1", "b", 700).await;
    pipeline.settle().await;
    tell_bank(&pipeline, &refuses, "failed").await;
    let asked = "select order_id::text from payments.payment where state = 'ACTION_REQUIRED'";
    for order_id in read::<String>(&pipeline, asked).await {
        tell_bank(&pipeline, &order_id, "passed").await;
    }
    pipeline.settle().await;
    assert_eq!(read::<String>(&pipeline, asked).await, Vec::<String>::new(), "each confirmed");
    let still = pipeline.place(&Order::of(&[("TEA", 1, 450)]).paid_with("tok_3ds_abandoned").by("c-still")).await;
    pipeline.settle().await;
    for confirmed in [&waiting, &keyed[5], &keyed[11]] {
        assert_eq!(pipeline.status(confirmed).await, "COMPLETED");
    }
    for given_up in cancelled.iter().chain([&refuses]) {
        let status = pipeline.status(given_up).await;
        assert!(["CANCELLED", "COMPLETED", "FAILED"].contains(&status.as_str()), "{given_up} ends: {status}");
    }
    // Two returns of one of them: one comes back, broken in part, and is refunded, one is refused.
    for (key, how, body) in [
        ("back", "received", json!({"lines": [{"sku": "TEA", "intact": 1, "damaged": 1}], "warehouse": "b"})),
        ("not-back", "refused", json!({"reason": "worn"})),
    ] {
        let path = format!("/orders/{}/returns", keyed[0]);
        let request = pipeline.http.post(pipeline.door("fulfillment", &path)).header("Idempotency-Key", key);
        let units = if how == "received" { 2 } else { 1 };
        let announced = json!({"lines": [{"sku": "TEA", "quantity": units}], "reason": "too small"});
        let answer: Value = request.json(&announced).send().await.unwrap().json().await.unwrap();
        let path = format!("{path}/{}/{how}", answer["return_id"].as_str().unwrap_or_else(|| panic!("{answer}")));
        assert_eq!(pipeline.post("fulfillment", &path, body).await.0, 200);
    }
    pipeline.settle().await;
    let before = state(&pipeline).await;
    stop(&pipeline).await;

    // Restored; the gateway's own book is where it was.
    let mut book = Vec::new();
    for table in BOOK {
        let rows =
            read::<String>(&pipeline, &format!("select coalesce(json_agg(t), '[]')::text from sandbox.{table} t"))
                .await;
        book.push((table, rows[0].clone()));
    }
    pipeline.database.restore(&dump).await;
    for (table, rows) in book {
        let put = format!(
            "delete from sandbox.{table}; insert into sandbox.{table} select * from json_populate_recordset(null::sandbox.{table}, $rows${rows}$rows$)"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(put)).execute(&pipeline.database.pool).await.unwrap();
    }

    // It is noticed, and what can be told again is named.
    let audit = quadrille(&pipeline, &["audit", "--json"]).await;
    let said: Value = serde_json::from_slice(&audit.stdout).unwrap_or_else(|_| panic!("{}", text(&audit)));
    let known = said["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "known").unwrap();
    assert_eq!((known["asked"]["breaches"].as_i64(), audit.status.code()), (Some(35), Some(1)), "{known:#}");
    let check = quadrille(&pipeline, &["restore", "check", "--since", "beginning"]).await;
    assert_eq!(check.status.code(), Some(1), "{}", text(&check));
    assert!(
        keyed.iter().chain(&cancelled).chain([&waiting, &refuses, &still]).all(|id| text(&check).contains(id.as_str())),
        "{}",
        text(&check)
    );
    let applied = quadrille(&pipeline, &["restore", "apply", "--since", "beginning", "--json"]).await;
    let told: Value = serde_json::from_slice(&applied.stdout).unwrap_or_else(|_| panic!("{}", text(&applied)));
    let left: Vec<&Value> =
        told["consumers"].as_array().unwrap().iter().flat_map(|of| of["left"].as_array().unwrap()).collect();
    assert!(left.is_empty() && applied.status.success(), "{left:#?}");
    assert!(told["notes"].to_string().contains("SHORT-1 in b: +"), "the delivery is named: {told:#}");

    // The books hold at once; started again, everything is as it was: nothing is held or captured a second time.
    pipeline.host(&ALL).await;
    pipeline.settle().await;
    same(&state(&pipeline).await, &before);
    let audit = quadrille(&pipeline, &["audit", "--quiet"]).await;
    assert!(audit.status.success(), "{}", text(&audit));
    let dead = pipeline.dead_letters().await;
    assert!(dead.is_empty(), "{dead:#?}");

    // Orders keep their identity: the same again is the same order, another one under its key is refused.
    let (status, again) = post(&pipeline, "basket-3", &order(3).body()).await;
    assert_eq!((status, again["order_id"].as_str()), (202, Some(keyed[3].as_str())), "{again}");
    let (status, other) = post(&pipeline, "basket-3", &Order::of(&[("TEA", 9, 450)]).body()).await;
    assert_eq!(status, 409, "{other}");
    // Who waited goes on.
    tell_bank(&pipeline, &still, "passed").await;
    pipeline.until(|| async { pipeline.status(&still).await == "COMPLETED" }, "the end of who waited").await;
    let new = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    pipeline.settle().await;
    assert_eq!(pipeline.status(&new).await, "COMPLETED");
    let check = quadrille(&pipeline, &["restore", "check", "--since", "beginning"]).await;
    assert!(check.status.success(), "{}", text(&check));
    dump.drop_it().await;
    pipeline.finish().await;
}

async fn post(pipeline: &Pipeline, key: &str, body: &Value) -> (u16, Value) {
    let request = pipeline.http.post(pipeline.door("orders", "/orders")).header("Idempotency-Key", key).json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// What the customer says when the bank asks.
async fn tell_bank(pipeline: &Pipeline, order_id: &str, outcome: &str) {
    let path = format!("/payments/{order_id}/three-d-secure");
    let (status, answer) = pipeline.post("payments", &path, json!({"outcome": outcome})).await;
    assert!((200..300).contains(&status), "{status}: {answer}");
}

async fn cancel(pipeline: &Pipeline, order_id: &str) {
    let body = json!({"requested_by": "customer", "reason": "changed my mind"});
    let (status, answer) = pipeline.post("orders", &format!("/orders/{order_id}/cancel"), body).await;
    assert!(status == 202 || status == 409, "{status}: {answer}");
}

async fn stop(pipeline: &Pipeline) {
    for host in pipeline.hosts() {
        pipeline.stop(&host).await;
    }
}
