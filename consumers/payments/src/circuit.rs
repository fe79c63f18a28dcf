//! The calls to the gateway and their circuit: when the gateway answers nobody, no call is made until it answers again, and no attempt uses up its tries meanwhile.
//!
//! A card that is never answered is one order's trouble; only a look-up of what nobody asked for tells whether the gateway answers at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use events::{Currency, OrderId};
use gateway::{Gateway, Money, Operation, Outcome, Request};
use runtime::{Circuit, Clock, Health, Work};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
    health: Arc<Health>,
    clock: Clock,
    unanswered: Arc<AtomicU32>,
    suspicion: Arc<Notify>,
}

impl GatewayCircuit {
    pub fn new(health: Arc<Health>, clock: Clock) -> Self {
        Self { health, clock, unanswered: Arc::default(), suspicion: Arc::default() }
    }

    pub fn is_open(&self) -> bool {
        self.health.is_broken(Circuit::Outside)
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
        if !matches!(outcome, Outcome::Unknown { .. }) {
            self.unanswered.store(0, Ordering::Release);
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
            let mut pause = FIRST_PAUSE;
            while let Err(why) = probe(&*gateway, patience).await {
                self.health.break_circuit(Circuit::Outside, why, self.clock.now());
                tokio::select! {
                    () = self.clock.sleep_until(self.clock.now().plus(pause)) => {}
                    () = shutdown.cancelled() => return Ok(()),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            self.unanswered.store(0, Ordering::Release);
            self.health.close_circuit(Circuit::Outside, self.clock.now());
        }
    }
}

async fn ask(call: &Call, gateway: &dyn Gateway) -> Outcome {
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

/// Looks up what nobody ever asked for: any answer will do.
async fn probe(gateway: &dyn Gateway, patience: Duration) -> Result<(), String> {
    let request = Request {
        order_id: OrderId(Uuid::nil()),
        key: "order:none:probe".to_owned(),
        attempt: 1,
        money: Money { amount: 0, currency: Currency::EUR },
        payment_id: None,
    };
    match tokio::time::timeout(patience, gateway.look_up(Operation::Authorize, &request)).await {
        Ok(Outcome::Unknown { detail }) => Err(format!("{} answers nobody: {detail}", gateway.name())),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{} answers nobody: no answer to a look-up within {patience:?}", gateway.name())),
    }
}
