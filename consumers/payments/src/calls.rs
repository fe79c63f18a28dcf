//! The calls to the gateway: what a batch decided to ask, made after its commit, and the answers as they come back.

use std::sync::Arc;

use events::OrderId;
use runtime::{Cause, Work};

use crate::attempt::key;
use crate::breaker::Breaker;
use crate::gateway::{Buyer, Gateway, Operation, Outcome, Request};
use crate::handlers::Input;
use crate::payment::Payment;
use crate::settings::PaymentsSettings;

/// How the gateway is asked about the open attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// By the call itself: under the same key it is done once.
    Make,
    /// By a look-up, which does nothing.
    LookUp,
}

/// One call to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub operation: Operation,
    /// How.
    pub ask: Ask,
    /// For what.
    pub request: Request,
    /// Who pays; needed to authorize, and only known until then.
    pub buyer: Option<Buyer>,
    /// The order's, for the log.
    pub correlation_id: Arc<str>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose money.
    pub order_id: OrderId,
    /// Which operation was asked for.
    pub operation: Operation,
    /// In which attempt.
    pub attempt: u32,
    /// What came of it.
    pub outcome: Outcome,
}

impl Call {
    /// The call that the payment's last attempt needs; none where there is no attempt.
    pub(crate) fn of(payment: &Payment, ask: Ask) -> Option<Self> {
        let attempt = payment.case.attempt.as_ref()?;
        let request = Request {
            order_id: payment.order_id,
            key: key(payment.order_id, attempt.operation, attempt.number),
            attempt: attempt.number,
            money: payment.money(attempt.amount).ok()?,
            payment_id: payment.payment_id.clone(),
        };
        let buyer = payment.case.purchase.as_ref().map(|purchase| purchase.buyer.clone());
        let correlation_id = payment.case.thread.as_ref().map(|thread| Arc::clone(&thread.correlation_id));
        Some(Self {
            operation: attempt.operation,
            ask,
            request,
            buyer,
            correlation_id: correlation_id.unwrap_or_default(),
        })
    }

    /// The answer to this call, as an input of its own.
    pub fn answered(&self, outcome: Outcome) -> Work<Input> {
        let Request { order_id, key, attempt, .. } = &self.request;
        let answer = Answer { order_id: *order_id, operation: self.operation, attempt: *attempt, outcome };
        Work { cause: Cause::answer(key), input: Input::Answer(answer) }
    }

    /// Makes the call, unless the gateway answers nobody. None when the outcome is not known: the attempt's timer asks again.
    pub(crate) async fn make(
        self,
        gateway: &impl Gateway,
        settings: &PaymentsSettings,
        breaker: &Breaker,
    ) -> Option<Work<Input>> {
        if breaker.is_open() {
            return None;
        }
        let began = tokio::time::Instant::now();
        let outcome = match tokio::time::timeout(settings.call_timeout.0, self.ask(gateway)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown { detail: format!("no answer within {:?}", settings.call_timeout.0) },
        };
        breaker.note(&outcome);
        let labels =
            [("gateway", gateway.name()), ("operation", self.operation.as_str()), ("outcome", outcome.as_str())];
        metrics::counter!("quadrille_gateway_calls_total", &labels).increment(1);
        metrics::histogram!("quadrille_gateway_call_seconds", &labels[..2]).record(began.elapsed().as_secs_f64());
        if let Outcome::Unknown { detail } = &outcome {
            let Request { order_id, key, .. } = &self.request;
            tracing::warn!(consumer = "payments", %order_id, correlation_id = &*self.correlation_id, key, detail, "the gateway's outcome is not known: it will be asked again");
            return None;
        }
        Some(self.answered(outcome))
    }

    async fn ask(&self, gateway: &impl Gateway) -> Outcome {
        match (self.ask, self.operation, &self.buyer) {
            (Ask::LookUp, operation, _) => gateway.look_up(operation, &self.request).await,
            (Ask::Make, Operation::Authorize, Some(buyer)) => gateway.authorize(&self.request, buyer).await,
            // Without a buyer there is nothing to authorize any more: only what was done can be found out.
            (Ask::Make, Operation::Authorize, None) => gateway.look_up(Operation::Authorize, &self.request).await,
            (Ask::Make, Operation::Capture, _) => gateway.capture(&self.request).await,
            (Ask::Make, Operation::Void, _) => gateway.void(&self.request).await,
            (Ask::Make, Operation::Refund, _) => gateway.refund(&self.request).await,
        }
    }
}
