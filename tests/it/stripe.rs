//! The pipeline paid through Stripe, which stripe-sim plays: webhooks of every kind, none at all, and another gateway meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use events::{FraudWarningReceived, PaymentDisputed, ShipmentDispatched};
use quadrille_tests::{ALL, Order, Pipeline, Setup, key};
use reqwest::Method;
use serde_json::{Value, json};
use stripe_sim::simulator::Simulator;
use stripe_sim::webhook::WebhookEndpoint;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const API_KEY: &str = "sk_test_hunter2ofthetests";
const SECRET: &str = "whsec_hunter3ofthetests";

/// A pipeline, and the simulator that it pays through, whose book is a schema of the same database.
pub(crate) struct Paid {
    pub pipeline: Pipeline,
    pub url: String,
    /// Where the key and the signing secrets stand.
    secrets: PathBuf,
    stop: CancellationToken,
    server: JoinSet<anyhow::Result<()>>,
}

impl Paid {
    pub async fn start(gateway: &str, keyed: bool) -> Self {
        Self::start_with(gateway, keyed, "").await
    }

    async fn start_with(gateway: &str, keyed: bool, more: &str) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let secrets = std::env::temp_dir().join(format!("quadrille-stripe-{}", listener.local_addr().unwrap().port()));
        std::fs::create_dir_all(&secrets).unwrap();
        std::fs::write(secrets.join("key"), API_KEY).unwrap();
        std::fs::write(secrets.join("webhook"), format!("whsec_older\n{SECRET}\n")).unwrap();
        let folder = secrets.display();
        // The tests' clock may be days ahead of the simulator's, by which webhooks are signed.
        let settings = format!(
            "[payments]\ngateway = '{gateway}'\n[payments.stripe]\napi_key_file = '{folder}/key'\nwebhook_secrets_file = '{folder}/webhook'\nbase_url = '{url}'\n\
             return_url = '{url}/_sim/health?order={{order_id}}'\nendpoint_rate = 1000\naccount_rate = 1000\nwebhook_tolerance = '30d'\n{more}"
        );
        let pipeline = Pipeline::with(Setup { settings, keyed, ..Setup::default() }).await;
        let pool = stripe_sim::store::open(&pipeline.database.url).await.unwrap();
        let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
        server.spawn(stripe_sim::serve(listener, Arc::new(Simulator::new(pool, &url)), stop.clone()));
        let paid = Self { pipeline, url, secrets, stop, server };
        paid.sim(Method::PUT, "settings", json!({"endpoint_rate": null})).await;
        paid.pipeline.stock("TEA", "a", 50).await;
        paid
    }

    pub async fn sim(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.pipeline.http.request(method, format!("{}/_sim/{path}", self.url)).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap_or_default()
    }

    /// Has Stripe's events sent to payments: twice, late and in any order.
    async fn webhooks(&self) {
        let url = self.pipeline.door("payments", "/webhooks/stripe");
        let endpoint = json!({"url": url, "secrets": [SECRET], "duplicate_share": 0.5, "delay_share": 0.5, "delay_ms": 200, "reversed": true});
        self.sim(Method::POST, "webhook_endpoints", endpoint).await;
    }

    pub async fn order(&self, method: &str) -> String {
        self.pipeline.place(&Order::of(&[("TEA", 2, 450)]).paid_with(method)).await
    }

    pub async fn payment(&self, order: &str) -> Value {
        let (_, payment) = self.pipeline.ask(Method::GET, "payments", &format!("/payments/{order}"), None).await;
        payment
    }

    pub async fn until_state(&self, order: &str, state: &str) {
        self.pipeline
            .until(|| async { self.payment(order).await["state"] == state }, &format!("payment {order} is {state}"))
            .await;
    }

    pub async fn until_status(&self, order: &str, status: &str) {
        self.pipeline
            .until(|| async { self.pipeline.status(order).await == status }, &format!("order {order} is {status}"))
            .await;
    }

    /// What a person at the dashboard, the cardholder or a bank does with an order's payment: the object that came of it.
    async fn at_stripe(&self, order: &str, act: &str, options: Value) -> Value {
        let payment = self.payment(order).await;
        let path = format!("payment_intents/{}/{act}", payment["payment_id"].as_str().unwrap());
        self.sim(Method::POST, &path, options).await
    }

    async fn until_payment(&self, order: &str, field: &str, value: Value) {
        let so = || async { self.payment(order).await[field] == value };
        self.pipeline.until(so, &format!("payment {order} has {field} {value}")).await;
    }

    /// The customer's choice on the page that the payment names.
    async fn chooses(&self, order: &str, choice: &str) {
        let payment = self.payment(order).await;
        let page = self.pipeline.http.post(payment["action"]["url"].as_str().unwrap());
        let page = page.header("content-type", "application/x-www-form-urlencoded").body(format!("outcome={choice}"));
        assert!(page.send().await.unwrap().status().is_success());
    }

    /// Posts a webhook as Stripe would, or as somebody else: its status.
    async fn posts(&self, header: Option<&str>, body: &str) -> u16 {
        let request = self.pipeline.http.post(self.pipeline.door("payments", "/webhooks/stripe")).body(body.to_owned());
        let request = if let Some(header) = header { request.header("Stripe-Signature", header) } else { request };
        request.send().await.unwrap().status().as_u16()
    }

    pub async fn end(self) {
        let dead = self.pipeline.dead_letters().await;
        assert!(dead.is_empty(), "unexpected dead letters: {dead:#?}");
        self.end_with_dead_letters().await;
    }

    pub async fn end_with_dead_letters(self) {
        let ledger = self.sim(Method::GET, "ledger?metadata=order_id", json!({})).await;
        assert_eq!(ledger["ok"], json!(true), "{ledger}");
        self.knows_no_secret().await;
        self.pipeline.settle().await;
        self.without_simulator().await.finish_with_dead_letters().await;
    }

    /// Ends a test whose books can't hold, and says why.
    pub async fn end_without_audit(self, why: &'static str) {
        self.knows_no_secret().await;
        self.without_simulator().await.finish_without_audit(why).await;
    }

    async fn without_simulator(self) -> Pipeline {
        let Self { pipeline, secrets, stop, mut server, .. } = self;
        std::fs::remove_dir_all(secrets).unwrap();
        stop.cancel();
        // ends with the one task, which was told to stop
        while let Some(ended) = server.join_next().await {
            ended.unwrap().unwrap();
        }
        pipeline
    }

    /// No table of ours, the outbox and dead letters among them, has a key, a signing secret or a client secret.
    async fn knows_no_secret(&self) {
        let tables: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema', 'stripe_sim')",
        )
        .fetch_all(&self.pipeline.database.pool)
        .await
        .unwrap();
        for table in tables {
            // Bytes are in hexadecimal.
            let found = format!(
                "select count(*) from {table} as row where row::text ~ 'hunter[23]|_secret_|qct_|68756e746572|5f7365637265745f'"
            );
            assert_eq!(self.pipeline.count(&found).await, 0, "{table} has a secret");
        }
    }
}

fn now() -> i64 {
    runtime::Clock::default().now().as_millis() / 1_000
}

/// A webhook's header, as Stripe makes it.
fn signed(secret: &str, at: i64, body: &str) -> String {
    let endpoint = json!({"url": "http://127.0.0.1", "secrets": [secret]});
    serde_json::from_value::<WebhookEndpoint>(endpoint).unwrap().sign(at, body.as_bytes())
}

fn event(kind: &str, object: &str) -> String {
    json!({"id": "evt_test", "type": kind, "created": now(), "livemode": false, "data": {"object": {"id": object, "status": "succeeded"}}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_paid_through_stripe_and_no_webhook_of_anybody_changes_what_is_so() {
    let paid = Paid::start("stripe", true).await;
    paid.webhooks().await;
    let orders = [paid.order("pm_card_visa").await, paid.order("pm_card_visa_chargeDeclined").await];
    paid.until_status(&orders[0], "COMPLETED").await;
    paid.until_status(&orders[1], "FAILED").await;
    let customer = paid.order("pm_card_authenticationRequired").await;
    paid.until_state(&customer, "ACTION_REQUIRED").await;
    paid.chooses(&customer, "pass").await;
    paid.until_status(&customer, "COMPLETED").await;
    paid.pipeline.settle().await;

    let payment = paid.payment(&orders[0]).await;
    let said = "select count(*) from outbox.event where topic <> 'operations'";
    let before = (payment.clone(), paid.pipeline.count(said).await);
    let payment_id = payment["payment_id"].as_str().unwrap();
    let body = event("payment_intent.canceled", payment_id);

    let good = signed(SECRET, now(), &body);
    assert_eq!(paid.posts(Some(&good), &body).await, 200, "what it says is not believed: Stripe's book is");
    assert_eq!(paid.posts(Some(&good), &body).await, 200, "twice");
    assert_eq!(
        paid.posts(Some(&signed("whsec_older", now(), &body)), &body).await,
        200,
        "by the secret that is being replaced"
    );
    let (one, other) = tokio::join!(paid.posts(Some(&good), &body), paid.posts(Some(&good), &body));
    assert_eq!((one, other), (200, 200), "two at once");
    for kind in ["payment_intent.created", "balance.available", "brand_new"] {
        let body = event(kind, payment_id);
        assert_eq!(paid.posts(Some(&signed(SECRET, now(), &body)), &body).await, 200, "{kind} is of no interest");
    }
    let foreign = event("payment_intent.succeeded", "pi_of_somebody_else");
    assert_eq!(paid.posts(Some(&signed(SECRET, now(), &foreign)), &foreign).await, 200, "a payment of another system");

    let month = 31 * 86_400;
    for (header, body, what) in [
        (None, body.as_str(), "unsigned"),
        (Some(signed("whsec_", now(), &body)), &body, "by a blank secret"),
        (Some(signed("whsec_guessed", now(), &body)), &body, "forged"),
        (Some(signed(SECRET, now() - month, &body)), &body, "old"),
        (Some(good.clone()), &body[..body.len() - 1], "cut off"),
        (Some(signed(SECRET, now(), "[]")), "[]", "no event"),
    ] {
        assert_eq!(paid.posts(header.as_deref(), body).await, 400, "{what}");
    }
    let large = "x".repeat(1_000_000);
    assert_eq!(paid.posts(Some(&signed(SECRET, now(), &large)), &large).await, 413);
    paid.sim(
        Method::POST,
        "faults",
        json!({"operations": ["payment_intents.retrieve"], "times": 1, "fault": "connection_closed"}),
    )
    .await;
    assert_eq!(paid.posts(Some(&good), &body).await, 503, "Stripe does not answer: the event is to be sent again");
    assert_eq!(paid.posts(Some(&good), &body).await, 200);
    assert_eq!(
        (paid.payment(&orders[0]).await, paid.pipeline.count(said).await),
        before,
        "nothing of it changed anything"
    );
    paid.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_webhooks_customers_who_confirmed_and_refunds_that_arrived_are_found_by_asking() {
    let paid = Paid::start("stripe", false).await;
    let [passes, fails, comes_late, never] = [
        paid.order("pm_card_authenticationRequired").await,
        paid.order("pm_card_threeDSecureRequired").await,
        paid.order("pm_card_authenticationRequired").await,
        paid.order("pm_card_authenticationRequired").await,
    ];
    for order in [&passes, &fails, &comes_late, &never] {
        paid.until_state(order, "ACTION_REQUIRED").await;
    }
    paid.chooses(&passes, "pass").await;
    paid.chooses(&fails, "fail").await;
    paid.pipeline.advance(Duration::from_secs(61));
    paid.until_status(&passes, "COMPLETED").await;
    paid.until_status(&fails, "FAILED").await;
    paid.pipeline.settle().await;
    // In the last moment: the reservation's end asks first.
    paid.chooses(&comes_late, "pass").await;
    paid.pipeline.advance(Duration::from_secs(15 * 60));
    paid.until_status(&comes_late, "COMPLETED").await;
    paid.until_status(&never, "FAILED").await;
    let why = paid.payment(&never).await;
    assert_eq!((&why["state"], &why["reason"]), (&json!("VOIDED"), &json!("reservation_expired")));
    paid.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_no_webhook_brought_are_found_and_a_dispute_is_told_once() {
    let paid = Paid::start("stripe", false).await;
    let url = paid.pipeline.door("payments", "/webhooks/stripe");
    let endpoint = json!({"url": url, "secrets": [SECRET], "drop_share": 1.0});
    paid.sim(Method::POST, "webhook_endpoints", endpoint).await;
    let order = paid.order("pm_card_createDispute").await;
    paid.until_status(&order, "COMPLETED").await;
    paid.at_stripe(&order, "warn_of_fraud", json!({})).await;
    paid.pipeline.settle().await;
    assert_eq!(paid.payment(&order).await["disputed"], 0, "nobody told of the dispute");
    paid.pipeline.advance(Duration::from_secs(301));
    paid.until_payment(&order, "disputed", json!(900)).await;
    // Listed again, and now brought by webhooks too.
    paid.pipeline.advance(Duration::from_secs(301));
    for delivery in paid.sim(Method::GET, "deliveries", json!({})).await["latest"].as_array().unwrap() {
        let path = format!("events/{}/resend", delivery["event"].as_str().unwrap());
        paid.sim(Method::POST, &path, json!({})).await;
    }
    let delivered = || async {
        let deliveries = paid.sim(Method::GET, "deliveries", json!({})).await;
        deliveries["pending"] == 0 && deliveries["succeeded"].as_i64() > Some(0)
    };
    paid.pipeline.until(delivered, "all webhooks are delivered").await;
    paid.pipeline.settle().await;
    let told: PaymentDisputed = paid.pipeline.the(&order).await;
    assert_eq!((told.amount, told.disputed, told.evidence_due_by.is_some()), (900, 900, true), "several tell of one");
    let warned: FraudWarningReceived = paid.pipeline.the(&order).await;
    assert_eq!(warned.payment_id, told.payment_id);
    let view = paid.pipeline.get("payments", &format!("/orders/{order}/refunds")).await;
    assert_eq!(
        (&view["disputed"], &view["left"]),
        (&json!(900), &json!(0)),
        "what the bank took does not go back again"
    );
    paid.end().await;
}

/// Webhooks come twice, late and in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_at_stripe_without_us_is_told_counted_and_holds_what_has_not_shipped() {
    let more = "[fulfillment]\nhand_over_delay = '1h'\n[saga_tracker]\nwatch_every = '100ms'\n";
    let paid = Paid::start_with("stripe", false, more).await;
    paid.webhooks().await;
    let pipeline = &paid.pipeline;
    let [won, lost, refunded] =
        [paid.order("pm_card_visa").await, paid.order("pm_card_visa").await, paid.order("pm_card_visa").await];
    // Dear enough for a person to look at it: held until they have.
    let dear = Order::of(&[("TEA", 2, 600_000)]).paid_with("pm_card_visa");
    let [ships, undone] = [pipeline.place(&dear).await, pipeline.place(&dear).await];
    for order in [&won, &lost, &refunded] {
        paid.until_state(order, "CAPTURED").await;
    }
    for order in [&ships, &undone] {
        paid.until_state(order, "AUTHORIZED").await;
    }
    pipeline.settle().await;
    let shipments = async |order: &str| pipeline.get("fulfillment", &format!("/orders/{order}/shipments")).await;
    let mut disputes = Vec::new();
    for order in [&won, &lost] {
        let dispute = paid.at_stripe(order, "dispute", json!({"reason": "fraudulent"})).await["id"].clone();
        let held = || async { shipments(order).await["held_by"] == json!([dispute]) };
        pipeline.until(held, "what is disputed is held").await;
        disputes.push(dispute.as_str().unwrap().to_owned());
    }
    let open = "select count(*) from saga_tracker.alert where kind = 'dispute_open' and resolved_at is null";
    pipeline.until_count(open, 2, "people are told of both").await;
    // Taken by hand: one of them ships, the other is undone.
    for (order, verdict) in [(&ships, "clear"), (&undone, "reject")] {
        paid.at_stripe(order, "capture", json!({})).await;
        paid.until_payment(order, "captured_outside", json!(1_200_000)).await;
        let verdict = json!({"verdict": verdict, "note": "looked at it"});
        let (status, answer) = pipeline.post("fraud", &format!("/reviews/{order}/verdict"), verdict).await;
        assert!((200..300).contains(&status), "{status}: {answer}");
    }
    paid.until_state(&ships, "CAPTURED").await;
    paid.until_status(&undone, "FAILED").await;
    let payment = paid.payment(&undone).await;
    assert_eq!((&payment["state"], &payment["captured"]), (&json!("VOIDED"), &payment["refunded"]), "{payment}");
    pipeline.settle().await;
    pipeline.advance(Duration::from_secs(3_601));
    for order in [&ships, &refunded] {
        paid.until_status(order, "COMPLETED").await;
    }
    pipeline.settle().await;
    for order in [&won, &lost] {
        assert_eq!(pipeline.all::<ShipmentDispatched>(order).await, [], "it is held");
    }
    for (dispute, outcome) in disputes.iter().zip(["won", "lost"]) {
        paid.sim(Method::POST, &format!("disputes/{dispute}"), json!({"outcome": outcome})).await;
    }
    paid.until_status(&won, "COMPLETED").await;
    paid.until_status(&lost, "FAILED").await;
    paid.until_payment(&won, "disputed", json!(0)).await;
    let payment = paid.payment(&lost).await;
    let sums = ["captured", "refunded", "disputed", "refund_shortfall"].map(|sum| payment[sum].as_i64().unwrap());
    assert_eq!(sums, [900, 0, 900, 900], "the bank has given it back: {payment}");
    // Given back by hand, and by us; both fail days later.
    let by_hand = paid.at_stripe(&refunded, "refund", json!({"amount": 300})).await["id"].clone();
    paid.until_payment(&refunded, "refunds_done", json!(300)).await;
    let url = pipeline.door("payments", &format!("/orders/{refunded}/refunds"));
    let body = json!({"all": true, "reason": "broken"});
    let ours = pipeline.http.post(url).header("Idempotency-Key", "k").json(&body).send().await.unwrap();
    assert_eq!(ours.json::<Value>().await.unwrap()["amount"], 600);
    paid.until_payment(&refunded, "refunds_done", json!(900)).await;
    let refunds = pipeline.get("payments", &format!("/orders/{refunded}/refunds")).await;
    let ids = refunds["refunds"].as_array().unwrap().iter().map(|refund| refund["provider_id"].as_str().unwrap());
    assert!(ids.clone().any(|id| json!(id) == by_hand), "{refunds}");
    for id in ids {
        paid.sim(Method::POST, &format!("refunds/{id}"), json!({"status": "failed"})).await;
    }
    paid.until_payment(&refunded, "refunds_done", json!(0)).await;
    let unsettled = "select count(*) from saga_tracker.alert where kind = 'refund_unsettled' and resolved_at is null";
    pipeline.until_count(unsettled, 2, "people are told of both").await;
    pipeline.settle().await;
    let opened: PaymentDisputed = pipeline.the(&won).await;
    assert_eq!((opened.status.as_str(), opened.disputed), ("needs_response", 900));
    let shown = pipeline.get("saga-tracker", &format!("/orders/{won}")).await;
    assert_eq!(
        (&shown["disputes"][0]["status"], &shown["disputes"][0]["funds"]),
        (&json!("won"), &json!("reinstated"))
    );
    for (kind, count) in [("dispute_open", 0), ("dispute_lost", 1), ("payment_changed_outside", 2)] {
        let open = format!("select count(*) from saga_tracker.alert where kind = '{kind}' and resolved_at is null");
        pipeline.until_count(&open, count, kind).await;
    }
    assert_eq!(pipeline.dead_letters().await.len(), 2, "the refunds that failed");
    paid.end_with_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_is_held_is_taken_where_it_is_whichever_gateway_new_orders_go_to() {
    for (first, method, second, other) in
        [("sandbox", "tok_approved", "stripe", "pm_card_visa"), ("stripe", "pm_card_visa", "sandbox", "tok_approved")]
    {
        let paid = Paid::start(first, false).await;
        // Dear enough for a person to look at it: held until they have.
        let dear = Order::of(&[("TEA", 2, 600_000)]);
        let held = paid.pipeline.place(&dear.clone().paid_with(method)).await;
        paid.until_state(&held, "AUTHORIZED").await;
        paid.pipeline.settle().await;
        let [all] = &paid.pipeline.hosts()[..] else { panic!("one host") };
        paid.pipeline.stop(all).await;
        let switched =
            paid.pipeline.settings_toml().replace(&format!("gateway = '{first}'"), &format!("gateway = '{second}'"));
        paid.pipeline.host_with(&switched, &ALL).await;
        let next = paid.order(other).await;
        paid.until_status(&next, "COMPLETED").await;
        let verdict = json!({"verdict": "clear", "note": "looked at it"});
        let (status, answer) = paid.pipeline.post("fraud", &format!("/reviews/{held}/verdict"), verdict).await;
        assert!((200..300).contains(&status), "{status}: {answer}");
        paid.until_status(&held, "COMPLETED").await;
        let (held, next) = (paid.payment(&held).await, paid.payment(&next).await);
        assert_eq!((&held["gateway"], &held["captured"]), (&json!(first), &json!(1_200_000)));
        assert_eq!((&next["gateway"], &next["captured"]), (&json!(second), &json!(900)));
        paid.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_a_signing_secret_are_rolled_without_a_restart_and_decline_no_order() {
    let paid = Paid::start("stripe", false).await;
    let ready = async || {
        let probe = paid.pipeline.http.get(paid.pipeline.door("payments", "/readyz")).send().await;
        probe.unwrap().status().is_success()
    };
    // Under load: orders are in each state when the key expires, and come while there is none that works.
    let mut orders = Vec::new();
    let places = async |orders: &mut Vec<String>| {
        for _ in 0..8 {
            orders.push(paid.order("pm_card_visa").await);
        }
    };
    places(&mut orders).await;
    paid.sim(Method::POST, "expired_keys", json!({"api_key": API_KEY})).await;
    places(&mut orders).await;
    paid.pipeline.until(|| async { !ready().await }, "the circuit opens: the key is not taken any more").await;
    std::fs::write(paid.secrets.join("key"), "sk_test_hunter2rolled\n").unwrap();
    std::fs::write(paid.secrets.join("webhook"), "whsec_hunter3rolled\n").unwrap();
    places(&mut orders).await;
    paid.pipeline.advance(Duration::from_secs(16));
    paid.pipeline.until(ready, "the circuit is closed, by the new key").await;
    let body = event("brand_new", "pi_1");
    for (secret, status) in [("whsec_hunter3rolled", 200), (SECRET, 400)] {
        assert_eq!(paid.posts(Some(&signed(secret, now(), &body)), &body).await, status);
    }
    // Each is asked for again after its own pause, which begins when it met the closed door.
    for _ in 0..3 {
        paid.pipeline.advance(Duration::from_secs(80));
        paid.pipeline.settle().await;
    }
    // So many orders by one card are a case for fraud's rules: what counts is that each was authorized.
    for order in &orders {
        let authorized = async || paid.pipeline.story(order).await.iter().any(|event| event == "PaymentAuthorized");
        paid.pipeline.until(authorized, &format!("{order} is authorized")).await;
        assert!(!paid.pipeline.story(order).await.iter().any(|event| event == "PaymentDeclined"));
    }
    paid.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_token_gives_the_client_secret_once_and_to_nobody_else() {
    let paid = Paid::start("stripe", true).await;
    let order = paid.order("pm_card_authenticationRequired").await;
    let other = paid.order("pm_card_authenticationRequired").await;
    for order in [&order, &other] {
        paid.until_state(order, "ACTION_REQUIRED").await;
    }
    let token_of = async |order: &str, customer: &str| {
        let path = format!("/payments/{order}/customer-token");
        paid.pipeline.ask_as(key("web"), Method::POST, "payments", &path, Some(json!({"customer_id": customer}))).await
    };
    let secret_for = async |order: &str, token: Option<&str>| {
        let url = paid.pipeline.door("payments", &format!("/payments/{order}/client-secret"));
        let request = paid.pipeline.http.post(url);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer = request.send().await.unwrap();
        let cache = answer.headers().get("cache-control").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), cache, answer.json::<Value>().await.unwrap())
    };
    assert_eq!(token_of(&order, "somebody-else").await.0, 404);
    let (status, minted) = token_of(&order, "c-1").await;
    assert_eq!(status, 201, "{minted}");
    let token = minted["token"].as_str().unwrap();
    assert_eq!(secret_for(&order, None).await.0, 401);
    assert_eq!(secret_for(&order, Some("qct_guessed")).await.0, 401);
    assert_eq!(secret_for(&other, Some(token)).await.0, 401, "of another order");
    let (status, cache, given) = secret_for(&order, Some(token)).await;
    assert_eq!((status, cache.as_deref()), (200, Some("no-store")), "{given}");
    assert_eq!(given["payment_id"], paid.payment(&order).await["payment_id"]);
    let secret = given["client_secret"].as_str().unwrap();
    assert!(secret.starts_with(given["payment_id"].as_str().unwrap()) && secret.contains("_secret_"));
    assert_eq!(secret_for(&order, Some(token)).await.0, 401, "once");
    let (_, late) = token_of(&order, "c-1").await;
    paid.pipeline.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(secret_for(&order, Some(late["token"].as_str().unwrap())).await.0, 401, "in time");
    for order in [&order, &other] {
        paid.until_status(order, "FAILED").await;
    }
    assert_eq!(token_of(&order, "c-1").await.0, 409, "nobody waits for the customer any more");
    paid.end().await;
}
