//! The calls to the gateway and their circuit: when the gateway answers nobody, or takes nobody's calls, no call is made until it does again, and no
//! attempt uses up its tries meanwhile.
//!
//! A card that is never answered is one order's trouble; only the gateway's own probe tells whether it answers at all. A call that it could not execute
//! for a reason that is no order's opens the circuit at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use gateway::{Gateway, Obstacle, Operation, Outcome, Request};
use runtime::{Circuit, Clock, Health, Work};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::attempt::Ask;
use crate::call::Call;
use crate::input::Input;

/// Calls in a row without an answer, after which the gateway itself is asked whether it is there.
const SUSPICIOUS: u32 = 3;
/// The first pause between two questions whether it is back; doubled with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
pub(crate) struct GatewayCircuit {
    /// Of the consumer, which takes nothing while the gateway for new orders is away; none for a gateway that only has older orders.
    health: Option<Arc<Health>>,
    clock: Clock,
    open: Arc<AtomicBool>,
    unanswered: Arc<AtomicU32>,
    /// Calls in a row that opened it.
    refused: Arc<AtomicU32>,
    suspicion: Arc<Notify>,
}

impl GatewayCircuit {
    /// Of the gateway for new orders.
    pub fn new(health: Arc<Health>, clock: Clock) -> Self {
        Self { health: Some(health), ..Self::beside(clock) }
    }

    /// Of a gateway for orders that went there before another was chosen.
    pub fn beside(clock: Clock) -> Self {
        let (open, unanswered, refused) = Default::default();
        Self { health: None, clock, open, unanswered, refused, suspicion: Arc::default() }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn trip(&self, why: String) {
        let was_open = self.open.swap(true, Ordering::AcqRel);
        match &self.health {
            Some(health) => health.break_circuit(Circuit::Outside, why, self.clock.now()),
            None if !was_open => {
                tracing::error!(consumer = "payments", why, "orders that have their money at this gateway wait");
            }
            None => {}
        }
    }

    fn close(&self) {
        self.open.store(false, Ordering::Release);
        if let Some(health) = &self.health {
            health.close_circuit(Circuit::Outside, self.clock.now());
        }
    }

    /// Makes a call, unless the gateway answers nobody. None when the outcome is not known: the attempt's timer asks again.
    pub async fn call(&self, call: Call, gateway: &dyn Gateway, timeout: Duration) -> Option<Work<Input>> {
        if self.is_open() {
            return None;
        }
        let began = tokio::time::Instant::now();
        let outcome = match tokio::time::timeout(timeout, ask(&call, gateway)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown { detail: format!("no answer within {timeout:?}") },
        };
        self.note(&outcome);
        let labels =
            [("gateway", gateway.name()), ("operation", call.operation.as_str()), ("outcome", outcome.as_str())];
        metrics::counter!("quadrille_gateway_calls_total", &labels).increment(1);
        metrics::histogram!("quadrille_gateway_call_seconds", &labels[..2]).record(began.elapsed().as_secs_f64());
        if let Outcome::Unknown { detail } = &outcome {
            let Request { order_id, key, .. } = &call.request;
            tracing::warn!(consumer = "payments", %order_id, correlation_id = &*call.correlation_id, key, detail, "the gateway's outcome is not known: it will be asked again");
            return None;
        }
        Some(call.answered(outcome))
    }

    fn note(&self, outcome: &Outcome) {
        if let Outcome::NotExecuted { obstacle: Obstacle::Unreachable | Obstacle::Misconfigured, detail } = outcome {
            self.refused.fetch_add(1, Ordering::AcqRel);
            self.trip(detail.clone());
            self.suspicion.notify_one();
        } else if !matches!(outcome, Outcome::Unknown { .. }) {
            self.unanswered.store(0, Ordering::Release);
            self.refused.store(0, Ordering::Release);
        } else if self.unanswered.fetch_add(1, Ordering::AcqRel) + 1 >= SUSPICIOUS {
            self.suspicion.notify_one();
        }
    }

    /// Asks the gateway whether it is there, whenever calls give reason to, and from then on until it is.
    pub async fn watch(
        self,
        gateway: Arc<dyn Gateway>,
        patience: Duration,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.suspicion.notified() => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            // A probe that succeeds does not tell whether calls are taken: after each in a row that was not, the pause before the next is longer.
            let refused = self.refused.load(Ordering::Acquire);
            let mut pause = (FIRST_PAUSE * (1 << refused.saturating_sub(1).min(16))).min(LONGEST_PAUSE);
            let mut wait = refused > 0;
            loop {
                if wait {
                    tokio::select! {
                        () = self.clock.sleep_until(self.clock.now().plus(pause)) => {}
                        () = shutdown.cancelled() => return Ok(()),
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                let Err(why) = probe(&*gateway, patience).await else { break };
                self.trip(why);
                wait = true;
            }
            self.unanswered.store(0, Ordering::Release);
            self.close();
        }
    }
}

async fn ask(call: &Call, gateway: &dyn Gateway) -> Outcome {
    if let Some(existing) = call.existing {
        return gateway.adopt(&call.request, existing).await;
    }
    match (call.ask, call.operation, &call.buyer) {
        (Ask::Make, Operation::Authorize, Some(buyer)) => gateway.authorize(&call.request, buyer).await,
        (Ask::Make, Operation::Capture, _) => gateway.capture(&call.request).await,
        (Ask::Make, Operation::Void, _) => gateway.void(&call.request).await,
        (Ask::Make, Operation::Refund, _) => gateway.refund(&call.request).await,
        // Without a buyer there is nothing to authorize any more: only what was done can be found out.
        (Ask::LookUp, operation, _) | (Ask::Make, operation @ Operation::Authorize, None) => {
            gateway.look_up(operation, &call.request).await
        }
    }
}

async fn probe(gateway: &dyn Gateway, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, gateway.alive()).await {
        Ok(answer) => answer.map_err(|detail| format!("{} answers nobody: {detail}", gateway.name())),
        Err(_) => Err(format!("{} answers nobody: no answer to its probe within {patience:?}", gateway.name())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use events::{Currency, OrderId, Timestamp};
    use gateway::{Buyer, Money, PendingOutcome, PendingProbe};
    use uuid::Uuid;

    use super::*;

    /// A gateway that answers what the test says, or not.
    #[derive(Debug)]
    struct Scripted {
        outcome: Mutex<Outcome>,
        alive: Mutex<Result<(), String>>,
    }

    impl Scripted {
        fn new(outcome: Outcome) -> Arc<Self> {
            Arc::new(Self { outcome: Mutex::new(outcome), alive: Mutex::new(Ok(())) })
        }

        fn answer(&self) -> PendingOutcome<'_> {
            let outcome = self.outcome.lock().unwrap().clone();
            Box::pin(async move { outcome })
        }
    }

    impl Gateway for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn alive(&self) -> PendingProbe<'_> {
            let alive = self.alive.lock().unwrap().clone();
            Box::pin(async move { alive })
        }

        fn authorize<'c>(&'c self, _: &'c Request, _: &'c Buyer) -> PendingOutcome<'c> {
            self.answer()
        }

        fn capture<'c>(&'c self, _: &'c Request) -> PendingOutcome<'c> {
            self.answer()
        }

        fn void<'c>(&'c self, _: &'c Request) -> PendingOutcome<'c> {
            self.answer()
        }

        fn refund<'c>(&'c self, _: &'c Request) -> PendingOutcome<'c> {
            self.answer()
        }

        fn look_up<'c>(&'c self, _: Operation, _: &'c Request) -> PendingOutcome<'c> {
            self.answer()
        }
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    fn capture() -> Call {
        let request = Request {
            order_id: OrderId(Uuid::from_u128(7)),
            key: "order:7:capture:1".to_owned(),
            attempt: 1,
            since: Timestamp::from_millis(0),
            money: Money { amount: 700, currency: Currency::EUR },
            payment_id: Some("pi_1".to_owned()),
            refund_id: None,
        };
        let gateway = "scripted".to_owned();
        let (refund, buyer) = (None, None);
        Call {
            gateway,
            operation: Operation::Capture,
            ask: Ask::Make,
            request,
            refund,
            existing: None,
            elsewhere: None,
            buyer,
            correlation_id: "".into(),
        }
    }

    fn refused(obstacle: Obstacle) -> Outcome {
        Outcome::NotExecuted { obstacle, detail: "401: the key has expired".to_owned() }
    }

    /// Waits until it holds; time moves for whoever waits for a time.
    async fn until(clock: &Clock, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if holds() {
                return;
            }
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("expected that {what}");
    }

    #[tokio::test]
    async fn a_gateway_that_takes_nobodys_calls_opens_the_circuit_at_once_until_its_probe_and_calls_succeed() {
        let (clock, shutdown) = (Clock::default(), CancellationToken::new());
        let circuit = GatewayCircuit::new(Arc::new(Health::of("payments")), clock.clone());
        let gateway = Scripted::new(refused(Obstacle::Misconfigured));
        *gateway.alive.lock().unwrap() = Err("401".to_owned());
        let mut watch = tokio::task::JoinSet::new();
        watch.spawn(circuit.clone().watch(gateway.clone(), PATIENCE, shutdown.clone()));

        let answered = circuit.call(capture(), &*gateway, PATIENCE).await;
        assert!(answered.is_some(), "that it was not executed is an answer: it gives the try back");
        assert!(circuit.is_open());
        assert!(circuit.call(capture(), &*gateway, PATIENCE).await.is_none(), "no call is made");
        for _ in 0..20 {
            clock.advance(LONGEST_PAUSE);
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(circuit.is_open(), "its probe says no");
        }

        *gateway.alive.lock().unwrap() = Ok(());
        until(&clock, "the circuit closes", || !circuit.is_open()).await;
        circuit.call(capture(), &*gateway, PATIENCE).await;
        assert!(circuit.is_open(), "calls are still not taken: each closes it but for one");
        *gateway.outcome.lock().unwrap() = Outcome::Captured { money: Money { amount: 700, currency: Currency::EUR } };
        until(&clock, "the circuit closes", || !circuit.is_open()).await;
        circuit.call(capture(), &*gateway, PATIENCE).await;
        assert!(!circuit.is_open());
        assert_eq!(circuit.refused.load(Ordering::Acquire), 0);
        shutdown.cancel();
        watch.join_next().await;
    }

    #[tokio::test]
    async fn a_busy_gateway_and_one_order_without_an_answer_leave_the_circuit_closed() {
        let circuit = GatewayCircuit::new(Arc::new(Health::of("payments")), Clock::default());
        for outcome in [refused(Obstacle::Busy), Outcome::Unknown { detail: "no answer".to_owned() }] {
            circuit.call(capture(), &*Scripted::new(outcome), PATIENCE).await;
            assert!(!circuit.is_open());
        }
    }
}
