//! What a key may see and do of what its route shows: a shop its own orders, a warehouse its own parcels, personal data only on record.

use std::sync::Arc;

use quadrille_tests::{Order, Pipeline, Setup, key};
use reqwest::Method;
use runtime::{Clock, Host, Settings};
use serde_json::{Value, json};

async fn ask(
    pipeline: &Pipeline,
    name: &str,
    method: Method,
    program: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    pipeline.ask_as(key(name), method, program, path, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_places_sees_and_cancels_its_own_orders_only_and_by_is_its_key() {
    let pipeline = Pipeline::with(Setup::keyed("[fulfillment]\nwarehouse = 'external'\n")).await;
    pipeline.stock("TEA", "a", 10).await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    let (get, post) = (|| Method::GET, || Method::POST);
    let (path, cancel) = (format!("/orders/{order}"), format!("/orders/{order}/cancel"));
    let (status, shown) = ask(&pipeline, "web", get(), "orders", &path, None).await;
    assert_eq!((status, &shown["source"]), (200, &json!("web")), "{shown}");
    assert_eq!(ask(&pipeline, "app", get(), "orders", &path, None).await.0, 404, "another shop's");
    let why = json!({"reason": "changed my mind", "requested_by": "somebody else"});
    assert_eq!(ask(&pipeline, "app", post(), "orders", &cancel, Some(why.clone())).await.0, 404);
    assert_eq!(ask(&pipeline, "vera", post(), "orders", &cancel, Some(why.clone())).await.0, 403);
    for foreign in
        [Order::of(&[("TEA", 1, 450)]).with("source", "app"), Order::of(&[("TEA", 1, 450)]).with("source", "web ")]
    {
        let (status, problem) = ask(&pipeline, "web", post(), "orders", "/orders", Some(foreign.body())).await;
        assert_eq!((status, &problem["title"]), (403, &json!("Another source")), "{problem}");
    }
    pipeline.settle().await;
    assert_eq!(ask(&pipeline, "web", post(), "orders", &cancel, Some(why)).await.0, 202);
    pipeline.settle().await;
    let (_, shown) = ask(&pipeline, "eve", get(), "orders", &path, None).await;
    assert_eq!(shown["cancellation_asked"]["requested_by"], "web", "{shown}");
    let record: (String, String, String, Option<String>, Option<i32>) = sqlx::query_as(
        "select who, role, what, why, status from runtime.door_action where subject = $1 and status = 202",
    )
    .bind(&cancel)
    .fetch_one(&pipeline.database.pool)
    .await
    .unwrap();
    let expected = ("web", "shop", "POST /orders/{id}/cancel", Some("changed my mind"), Some(202));
    assert_eq!((record.0.as_str(), record.1.as_str(), record.2.as_str(), record.3.as_deref(), record.4), expected);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouse_works_on_its_own_parcels_only_and_addresses_are_shown_on_record() {
    let pipeline = Pipeline::with(Setup::keyed("[fulfillment]\nwarehouse = 'external'\n")).await;
    pipeline.stock("TEA", "a", 10).await;
    pipeline.stock("CUP", "b", 10).await;
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450), ("CUP", 1, 300)])).await;
    pipeline.settle().await;
    let path = format!("/orders/{order}/shipments");
    let all = pipeline.get("fulfillment", &path).await["shipments"].as_array().unwrap().clone();
    assert_eq!(all.len(), 2);
    let (status, own) = ask(&pipeline, "hall", Method::GET, "fulfillment", &path, None).await;
    let own = own["shipments"].as_array().unwrap();
    assert_eq!((status, own.len(), &own[0]["warehouse"]), (200, 1, &json!("a")));
    for shipment in &all {
        let pick = &shipment["picks"][0];
        let items = json!({"items": [{"allocation_id": pick["allocation_id"], "quantity": pick["quantity"]}]});
        let picked = format!("{path}/{}/picked", shipment["shipment_id"].as_str().unwrap());
        let is_own = shipment["warehouse"] == "a";
        let (status, answer) = ask(&pipeline, "hall", Method::POST, "fulfillment", &picked, Some(items.clone())).await;
        assert_eq!(status, if is_own { 200 } else { 404 }, "{answer}");
        if !is_own {
            assert_eq!(pipeline.post("fulfillment", &picked, items).await.0, 200);
        }
    }
    pipeline.settle().await;
    for (other, expected) in
        [("/warehouse/b/parcels", 403), ("/warehouse/b/picking-lists", 403), ("/warehouse/a/parcels", 200)]
    {
        assert_eq!(ask(&pipeline, "hall", Method::GET, "fulfillment", other, None).await.0, expected, "{other}");
    }
    let counted = |warehouse: &str| Some(json!({"sku": "TEA", "warehouse": warehouse, "on_hand": 10}));
    assert_eq!(ask(&pipeline, "hall", Method::POST, "inventory", "/stock/counted", counted("b")).await.0, 403);
    assert_eq!(ask(&pipeline, "hall", Method::POST, "inventory", "/stock/counted", counted("a")).await.0, 200);

    pipeline.stock("TEA", "b", 7).await;
    for (name, buildings) in [("hall", json!(["a"])), ("vera", json!(["a", "b"]))] {
        let (_, stock) = ask(&pipeline, name, Method::GET, "inventory", "/stock/TEA", None).await;
        let levels = stock["levels"].as_array().unwrap().iter().map(|level| level["warehouse"].clone());
        assert_eq!(Value::from(levels.collect::<Vec<_>>()), buildings, "{name}: {stock}");
    }
    assert_eq!(ask(&pipeline, "hall", Method::GET, "inventory", "/stock/CUP", None).await.0, 404, "another's");

    let revealed = "select count(*) from runtime.door_action where what like 'reveal %' and who = 'hall'";
    let (_, masked) = ask(&pipeline, "hall", Method::GET, "fulfillment", "/warehouse/a/parcels", None).await;
    let address = &masked["shipments"][0]["ship_to"];
    assert_eq!(
        (&address["name"], &address["line1"], &address["city"]),
        (&json!("A***"), &json!("***"), &json!("London"))
    );
    assert_eq!(pipeline.count(revealed).await, 0);
    let (_, label) = ask(&pipeline, "hall", Method::GET, "fulfillment", "/warehouse/a/parcels?reveal=true", None).await;
    assert_eq!(label["shipments"][0]["ship_to"]["name"], "Ada Lovelace", "{label}");
    assert_eq!(pipeline.count(revealed).await, 1);

    // What left comes back to its own building, while the other parcel is still in its house.
    let own = all.iter().find(|shipment| shipment["warehouse"] == "a").unwrap()["shipment_id"].as_str().unwrap();
    let left = Some(json!({"carrier": "DHL"}));
    let (post, handed_over) = (|| Method::POST, format!("{path}/{own}/handed-over"));
    assert_eq!(ask(&pipeline, "hall", post(), "fulfillment", &handed_over, left).await.0, 200);
    let returns = pipeline.door("fulfillment", &format!("/orders/{order}/returns"));
    let request = pipeline.http.post(returns).header("X-Api-Key", key("eve")).header("Idempotency-Key", "k");
    let body = json!({"lines": [{"sku": "TEA", "quantity": 1}], "reason": "late"});
    let announced: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    let received = format!("/orders/{order}/returns/{}/received", announced["return_id"].as_str().unwrap());
    let came = |warehouse: Value| Some(json!({"lines": [{"sku": "TEA", "damaged": 1}], "warehouse": warehouse}));
    assert_eq!(ask(&pipeline, "hall", post(), "fulfillment", &received, came("b".into())).await.0, 403);
    let (status, answer) = ask(&pipeline, "hall", post(), "fulfillment", &received, came(Value::Null)).await;
    assert_eq!((status, &answer["warehouse"], &answer["ended_by"]), (200, &json!("a"), &json!("hall")), "{answer}");
    pipeline.finish_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_dead_letters_are_shown_to_operators_on_record() {
    let setup = Setup { consumers: vec!["orders", "saga-tracker", "outbox-relay"], ..Setup::keyed("") };
    let pipeline = Pipeline::with(setup).await;
    quadrille_tests::produce(
        &pipeline.topic("order-placed"),
        &[(
            Some(b"Ada Lovelace".as_slice()),
            br#"{"customer": 7, "name": "Ada Lovelace""#.as_slice(),
            &[("x-mail", "ada@example.com")],
        )],
    );
    let one = || async { pipeline.count("select count(*) from saga_tracker.letter").await == 1 };
    pipeline.until(one, "the dead letter").await;
    for path in ["/dead-letters", "/dead-letters/LETTER"] {
        let id: uuid::Uuid = sqlx::query_scalar("select letter_id from saga_tracker.letter")
            .fetch_one(&pipeline.database.pool)
            .await
            .unwrap();
        let path = path.replace("LETTER", &id.to_string());
        for (name, query, expected, sees) in [
            ("vera", "", 200, false),
            ("eve", "", 200, false),
            ("vera", "?reveal=true", 403, false),
            ("eve", "?reveal=true", 200, true),
        ] {
            let (status, shown) =
                ask(&pipeline, name, Method::GET, "saga-tracker", &format!("{path}{query}"), None).await;
            assert_eq!(status, expected, "{name} {path}{query}: {shown}");
            let text = shown.to_string();
            assert_eq!(text.contains("Ada"), sees, "{name} {path}{query}: {text}");
            assert_eq!(text.contains("ada@example.com"), sees, "{name} {path}{query}: {text}");
        }
    }
    let revealed =
        "select count(*) from runtime.door_action where what = 'reveal records of dead letters' and who = 'eve'";
    assert_eq!(pipeline.count(revealed).await, 2);
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_keys_waits_and_bearer_tokens_are_keys() {
    let pipeline = Pipeline::with(Setup { consumers: vec!["orders"], ..Setup::keyed("") }).await;
    let url = pipeline.door("orders", &format!("/orders/{}", uuid::Uuid::nil()));
    let bearer = pipeline.http.get(&url).bearer_auth(key("vera")).send().await.unwrap();
    assert_eq!(bearer.status(), 404);
    let missing = pipeline.http.get(&url).send().await.unwrap();
    assert_eq!(
        (missing.status().as_u16(), missing.headers()["www-authenticate"].as_bytes()),
        (401, b"Bearer".as_slice())
    );
    for guess in 0..10 {
        let tried = pipeline.http.get(&url).header("X-Api-Key", format!("guess-{guess}")).send().await.unwrap();
        assert_eq!(tried.status(), 401, "{guess}");
    }
    let limited = pipeline.http.get(&url).header("X-Api-Key", "guess-10").send().await.unwrap();
    assert_eq!(limited.status(), 429);
    let wait: u64 = limited.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    let known = pipeline.http.get(&url).bearer_auth(key("vera")).send().await.unwrap();
    assert_eq!(known.status(), 404, "it was right from here before");
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_a_program_answers_this_machine_alone_and_starts_nowhere_else() {
    let pipeline = Pipeline::with(Setup { consumers: vec!["orders"], ..Setup::default() }).await;
    let url = pipeline.door("orders", &format!("/orders/{}", uuid::Uuid::nil()));
    assert_eq!(pipeline.http.get(&url).send().await.unwrap().status(), 404);
    for (name, value) in
        [("host", "shop.example"), ("origin", "https://shop.example"), ("x-forwarded-for", "192.0.2.7")]
    {
        let refused = pipeline.http.get(&url).header(name, value).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{name}");
        assert!(refused.text().await.unwrap().contains("QUADRILLE_KEYS"), "{name}");
    }
    let order = pipeline.place(&Order::of(&[("TEA", 1, 450)])).await;
    assert_eq!(pipeline.post("orders", &format!("/orders/{order}/cancel"), json!({"reason": "a"})).await.0, 202);
    let local = "select count(*) from runtime.door_action where who = 'local' and role = 'local'";
    assert_eq!(pipeline.count(local).await, 1);

    let settings = pipeline.settings_toml().replace("[orders]\nhttp = '127.0.0.1:0'", "[orders]\nhttp = '0.0.0.0:0'");
    let host = Host::new(Settings::from_toml(&settings).unwrap(), Clock::default());
    let error = orders::start(&Arc::new(host)).await.unwrap_err().to_string();
    assert!(
        error.contains("0.0.0.0:0") && error.contains("quadrille keys new") && error.contains("QUADRILLE_KEYS"),
        "{error}"
    );
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}
