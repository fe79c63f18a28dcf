//! Every request against stripe-mock, which validates it by Stripe's own OpenAPI description: an unknown parameter, or one of the wrong type, is a 400.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gateway::{ExistingPayment, Gateway as _, Operation, Outcome, Request};
use stripe_gateway::StripeSettings;
use stripe_gateway::webhook::{EVENT_TYPES, parse};

use crate::double::{Double, at, buyer, eur, gateway, old, request};

const VERSION: &str = "v0.203.0";

/// stripe-mock on a port of its own, ended with the test.
struct StripeMock {
    process: Child,
    base_url: String,
}

impl Drop for StripeMock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl StripeMock {
    /// None, and a line that says so, where there is no Go to install it by.
    async fn start() -> Option<Self> {
        static INSTALLED: LazyLock<Option<PathBuf>> = LazyLock::new(StripeMock::installed);
        let program = INSTALLED.as_ref()?;
        // Without an address for HTTPS it would open one to everybody.
        let [http, https] = [(), ()].map(|()| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        });
        let mut command = Command::new(program);
        command.args(["-http-addr", &http, "-https-addr", &https]).stdout(Stdio::null()).stderr(Stdio::null());
        let mock = Self { process: command.spawn().unwrap(), base_url: format!("http://{http}") };
        let until = Instant::now() + Duration::from_secs(60);
        // ends a minute later at the latest
        while reqwest::get(format!("{}/v1/balance", mock.base_url)).await.is_err() {
            assert!(Instant::now() < until, "stripe-mock does not answer on {http} within a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(mock)
    }

    fn installed() -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stripe-mock-{VERSION}"));
        let program = folder.join("stripe-mock");
        if program.exists() {
            return Some(program);
        }
        let module = format!("github.com/stripe/stripe-mock@{VERSION}");
        let output = Command::new("go").args(["install", &module]).env("GOBIN", &folder).output();
        let why = match output {
            Ok(output) if output.status.success() => return Some(program),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("no `go`: {error}"),
        };
        eprintln!("SKIPPED: requests are not checked against stripe-mock, as it could not be installed: {why}");
        None
    }
}

#[tokio::test]
async fn stripes_own_description_knows_every_request() {
    let Some(mock) = StripeMock::start().await else { return };
    let double = Double::before(mock.base_url.clone()).await;
    let stripe = gateway(StripeSettings {
        return_url: Some("https://shop.example/paid?order={order_id}".into()),
        statement_descriptor_suffix: Some("SHOES".into()),
        ..double.settings()
    });
    let of = |operation| request(operation, 700, Some("pi_1"));
    let Outcome::Opened { payment_id } =
        stripe.authorize(&request(Operation::Authorize, 700, None), &buyer("pm_1")).await
    else {
        panic!("stripe-mock creates a payment")
    };
    assert!(payment_id.starts_with("pi_"), "{payment_id}");
    for method in ["pm_1", "cus_1/pm_1", "ctoken_1"] {
        // Its payments are all of one state, whatever was asked: only the requests are checked.
        stripe.authorize(&of(Operation::Authorize), &buyer(method)).await;
    }
    stripe.adopt(&of(Operation::Authorize), ExistingPayment::Captured).await;
    stripe.capture(&of(Operation::Capture)).await;
    stripe.capture(&Request { money: eur(0), ..of(Operation::Capture) }).await;
    stripe.void(&of(Operation::Void)).await;
    stripe.refund(&of(Operation::Refund)).await;
    for operation in [Operation::Authorize, Operation::Capture, Operation::Void, Operation::Refund] {
        stripe.look_up(operation, &of(operation)).await;
    }
    stripe.look_up(Operation::Refund, &Request { refund_id: Some("re_1".into()), ..of(Operation::Refund) }).await;
    let unrecorded = Request { payment_id: None, ..of(Operation::Authorize) };
    stripe.look_up(Operation::Authorize, &old(unrecorded.clone())).await;
    stripe.void(&at(unrecorded, 1_700_000_000)).await;
    for event_type in EVENT_TYPES {
        let body = format!(r#"{{"id":"evt_1","type":"{event_type}","data":{{"object":{{"id":"x_1"}}}}}}"#);
        stripe.notice(&parse(body.as_bytes()).unwrap()).await.unwrap();
    }
    stripe.undelivered(events::Timestamp::from_millis(1_700_000_000_000)).await.unwrap();
    stripe.client_secret("pi_1").await.unwrap();
    stripe.alive().await.unwrap();
    for page in [None, Some("refunds/"), Some("fees/")] {
        stripe.ledger(events::Timestamp::from_millis(1_700_000_000_000), page).await.unwrap();
    }

    let seen = double.seen();
    for seen in &seen {
        assert_eq!(seen.status, 200, "{}", seen.shown());
    }
    let without_id = |line: String| line.replace("pi_1", "{id}").replace("x_1", "{id}").replace("re_1", "{id}");
    let calls: BTreeSet<String> = seen.iter().map(|seen| without_id(seen.line())).collect();
    assert_eq!(calls.len(), 15, "each kind of call was made: {calls:?}");
}

#[tokio::test]
async fn stripe_mock_would_tell() {
    let Some(mock) = StripeMock::start().await else { return };
    let wrong = reqwest::Client::new().post(format!("{}/v1/payment_intents", mock.base_url)).bearer_auth("sk_test_x");
    let answer =
        wrong.header("content-type", "application/x-www-form-urlencoded").body("amount=700&currency=eur&amuont=7");
    assert_eq!(answer.send().await.unwrap().status(), 400, "an unknown parameter");
}
