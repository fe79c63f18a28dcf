//! What payments relies on of any provider: the sandbox, Stripe on stripe-sim and, with a test key, Stripe itself pass the same tests.
//!
//! `STRIPE_CONFORMANCE_KEY=sk_test_… cargo test -p quadrille-stripe-gateway conformance` asks Stripe's own sandbox too, at five calls a second.

use std::sync::Arc;
use std::time::Duration;

use events::OrderId;
use gateway::{Gateway, Money, Operation, Outcome, Request};
use runtime::{Clock, Span, migrations, sql};
use sandbox_gateway::{Sandbox, SandboxSettings};
use stripe_gateway::StripeSettings;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::double::{buyer, eur, gateway, request};
use crate::simulated::{Simulated, database};

/// Tokens by what happens to whoever pays with them.
struct Tokens {
    approved: &'static str,
    declined: &'static str,
    asks: &'static str,
    pending_refund: &'static str,
}

const SANDBOX: Tokens = Tokens {
    approved: "tok_approved",
    declined: "tok_declined",
    asks: "tok_3ds_passes",
    pending_refund: "tok_refund_pending",
};
const STRIPE: Tokens = Tokens {
    approved: "pm_card_visa",
    declined: "pm_card_visa_chargeDeclined",
    asks: "pm_card_authenticationRequired",
    pending_refund: "pm_card_pendingRefund",
};

/// One order at a provider.
struct Provided<'p> {
    gateway: &'p dyn Gateway,
    order_id: OrderId,
    payment_id: Option<String>,
}

impl<'p> Provided<'p> {
    fn new(gateway: &'p dyn Gateway) -> Self {
        Self { gateway, order_id: OrderId(Clock::default().mint()), payment_id: None }
    }

    fn request(&self, operation: Operation, attempt: u32, amount: i64) -> Request {
        let key = format!("order:{}:{operation}:{attempt}", self.order_id);
        let payment_id = self.payment_id.as_deref();
        Request { order_id: self.order_id, key, attempt, ..request(operation, amount, payment_id) }
    }

    /// As payments does: what is not executed is called again, and so is what was opened, with its id.
    async fn authorize(&mut self, token: &str) -> Outcome {
        for _ in 0..10 {
            let request = self.request(Operation::Authorize, 1, 1_501);
            let outcome = self.gateway.authorize(&request, &buyer(token)).await;
            if let Outcome::Opened { payment_id } = outcome {
                self.payment_id = Some(payment_id);
                continue;
            }
            if matches!(outcome, Outcome::NotExecuted { .. }) {
                tokio::time::sleep(Duration::from_secs(1)).await; // its limits
                continue;
            }
            if let Outcome::Authorized(hold) = &outcome {
                self.payment_id = Some(hold.payment_id.clone());
            } else if let Outcome::ActionRequired { payment_id, .. } = &outcome {
                self.payment_id = Some(payment_id.clone());
            }
            return outcome;
        }
        panic!("{}: not executed in ten calls", self.gateway.name())
    }

    async fn call(&self, operation: Operation, attempt: u32, amount: i64) -> Outcome {
        let request = self.request(operation, attempt, amount);
        match operation {
            Operation::Capture => self.gateway.capture(&request).await,
            Operation::Void => self.gateway.void(&request).await,
            Operation::Refund => self.gateway.refund(&request).await,
            Operation::Authorize => panic!("by authorize()"),
        }
    }

    async fn look_up(&self, operation: Operation, attempt: u32, amount: i64) -> Outcome {
        self.gateway.look_up(operation, &self.request(operation, attempt, amount)).await
    }

    async fn held(gateway: &'p dyn Gateway, token: &str) -> Self {
        let mut order = Self::new(gateway);
        let outcome = order.authorize(token).await;
        assert!(matches!(&outcome, Outcome::Authorized(hold) if hold.money == eur(1_501)), "{outcome:?}");
        order
    }
}

async fn conforms(gateway: &dyn Gateway, tokens: &Tokens) {
    gateway.alive().await.unwrap();
    holds(gateway, tokens).await;
    takes(gateway, tokens).await;
    lets_go(gateway, tokens).await;
    gives_back(gateway, tokens).await;
    asks_the_customer(gateway, tokens).await;
}

async fn holds(gateway: &dyn Gateway, tokens: &Tokens) {
    let nobody = Provided::new(gateway);
    let found = nobody.look_up(Operation::Authorize, 1, 1_501).await;
    assert!(
        matches!(found, Outcome::NotFound | Outcome::Opened { .. }),
        "nothing is held that nobody asked for: {found:?}"
    );

    let mut order = Provided::new(gateway);
    let held = order.authorize(tokens.approved).await;
    let Outcome::Authorized(hold) = &held else { panic!("{held:?}") };
    assert!(hold.money == eur(1_501) && hold.capture_before.is_some() && hold.card.is_some(), "{hold:?}");
    assert_eq!(order.authorize(tokens.approved).await, held, "the same call is the same hold");
    assert_eq!(order.look_up(Operation::Authorize, 1, 1_501).await, held);

    let mut order = Provided::new(gateway);
    let declined = order.authorize(tokens.declined).await;
    assert!(matches!(declined, Outcome::Declined { .. }), "{declined:?}");
    let found = order.look_up(Operation::Authorize, 1, 1_501).await;
    assert!(matches!(found, Outcome::Declined { .. }), "{found:?}");
    let mut order = Provided::new(gateway);
    let strange = order.authorize("no such token").await;
    assert!(matches!(strange, Outcome::Declined { .. }), "{strange:?}");
}

async fn takes(gateway: &dyn Gateway, tokens: &Tokens) {
    let order = Provided::held(gateway, tokens.approved).await;
    assert_eq!(order.look_up(Operation::Capture, 1, 700).await, Outcome::NotFound);
    let taken = Outcome::Captured { money: eur(700) };
    let both = tokio::join!(order.call(Operation::Capture, 1, 700), order.call(Operation::Capture, 1, 700));
    for outcome in [both.0, both.1] {
        assert!(
            outcome == taken || matches!(outcome, Outcome::NotExecuted { .. }),
            "two at once take it once: {outcome:?}"
        );
    }
    assert_eq!(order.call(Operation::Capture, 1, 700).await, taken);
    assert_eq!(order.look_up(Operation::Capture, 1, 700).await, taken);
    let void = order.call(Operation::Void, 1, 1_501).await;
    assert!(void == taken || matches!(void, Outcome::VoidFailed { .. }), "what is taken can't be let go of: {void:?}");

    let order = Provided::held(gateway, tokens.approved).await;
    let nothing = Outcome::Captured { money: eur(0) };
    assert_eq!(order.call(Operation::Capture, 1, 0).await, nothing, "to take nothing lets go of all");
    assert_eq!(order.call(Operation::Capture, 1, 0).await, nothing);
}

async fn lets_go(gateway: &dyn Gateway, tokens: &Tokens) {
    let order = Provided::held(gateway, tokens.approved).await;
    assert_eq!(order.look_up(Operation::Void, 1, 1_501).await, Outcome::NotFound);
    let voided = Outcome::Voided { money: eur(1_501) };
    for _ in 0..2 {
        assert_eq!(order.call(Operation::Void, 1, 1_501).await, voided);
        assert_eq!(order.look_up(Operation::Void, 1, 1_501).await, voided);
    }
    let late = order.call(Operation::Capture, 1, 700).await;
    assert!(matches!(late, Outcome::CaptureFailed { .. }), "{late:?}");
}

async fn gives_back(gateway: &dyn Gateway, tokens: &Tokens) {
    let order = Provided::held(gateway, tokens.approved).await;
    order.call(Operation::Capture, 1, 1_501).await;
    assert_eq!(order.look_up(Operation::Refund, 1, 500).await, Outcome::NotFound);
    let given = order.call(Operation::Refund, 1, 500).await;
    let Outcome::Refunded { refund_id, money } = &given else { panic!("{given:?}") };
    assert_eq!(*money, eur(500));
    assert_eq!(order.call(Operation::Refund, 1, 500).await, given, "the same call gives back once");
    assert_eq!(order.look_up(Operation::Refund, 1, 500).await, given);
    let by_id = Request { refund_id: Some(refund_id.clone()), ..order.request(Operation::Refund, 1, 500) };
    assert_eq!(gateway.look_up(Operation::Refund, &by_id).await, given);
    let too_much = order.call(Operation::Refund, 2, 1_002).await;
    assert!(matches!(too_much, Outcome::RefundFailed { .. }), "{too_much:?}");
    let rest = order.call(Operation::Refund, 3, 1_001).await;
    assert!(matches!(rest, Outcome::Refunded { money: Money { amount: 1_001, .. }, .. }), "{rest:?}");

    let order = Provided::held(gateway, tokens.pending_refund).await;
    order.call(Operation::Capture, 1, 1_501).await;
    let pending = order.call(Operation::Refund, 1, 1_501).await;
    assert!(matches!(pending, Outcome::RefundPending { .. }), "{pending:?}");
    assert_eq!(order.look_up(Operation::Refund, 1, 1_501).await, pending);
}

async fn asks_the_customer(gateway: &dyn Gateway, tokens: &Tokens) {
    let mut order = Provided::new(gateway);
    let asked = order.authorize(tokens.asks).await;
    assert!(matches!(asked, Outcome::ActionRequired { .. }), "{asked:?}");
    assert_eq!(order.look_up(Operation::Authorize, 1, 1_501).await, asked, "while they have not acted");
    assert_eq!(order.call(Operation::Void, 1, 1_501).await, Outcome::Voided { money: eur(0) });
    let later = order.look_up(Operation::Authorize, 1, 1_501).await;
    assert!(!matches!(later, Outcome::Authorized(_)), "{later:?}");
}

#[tokio::test]
async fn the_sandbox_conforms() {
    let Some((url, name)) = database("sandbox").await else { return };
    let schemas = migrations::house().map(|(schema, migrator)| (schema, migrator));
    for (schema, migrator) in schemas.into_iter().chain([(sandbox_gateway::SCHEMA, sandbox_gateway::migrations())]) {
        migrations::run(&url, schema, migrator).await.unwrap();
    }
    let pool = sql::pool(&url, "conformance", 4).unwrap();
    let settings = SandboxSettings { latency: Span::millis(0), ..SandboxSettings::default() };
    let (sandbox, worker) = Sandbox::open(settings, Span::secs(7 * 24 * 3_600), pool.clone(), Clock::default());
    let (stop, mut working) = (CancellationToken::new(), JoinSet::new());
    working.spawn(worker.run(stop.clone()));
    conforms(&sandbox, &SANDBOX).await;
    stop.cancel();
    working.join_all().await;
    pool.close().await;
    crate::simulated::drop_database(&name).await;
}

#[tokio::test]
async fn stripe_on_the_simulator_conforms() {
    let Some(simulated) = Simulated::start().await else { return };
    conforms(&simulated.stripe, &STRIPE).await;
    simulated.end().await;
}

#[tokio::test]
async fn stripes_own_sandbox_conforms() {
    let Some(key) = crate::simulated::set("STRIPE_CONFORMANCE_KEY") else {
        eprintln!("SKIPPED: Stripe itself is not asked: set STRIPE_CONFORMANCE_KEY to a key of test mode");
        return;
    };
    let settings = StripeSettings {
        api_key: key.into(),
        return_url: Some("https://example.com/{order_id}".into()),
        endpoint_rate: 5,
        account_rate: Some(5),
        ..StripeSettings::default()
    };
    // A live key is refused here: the mode is test.
    let stripe = Arc::new(gateway(settings));
    conforms(&*stripe, &STRIPE).await;
}
