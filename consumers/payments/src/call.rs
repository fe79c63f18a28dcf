//! A call to the gateway: decided by a batch, made after its commit, its answer an input of its own.

use std::sync::Arc;

use events::RefundId;
use gateway::{Buyer, ExistingPayment, Operation, Outcome, Request};
use runtime::{Cause, Work};

use crate::attempt::{Ask, key};
use crate::input::{Answer, Input};
use crate::payment::{Payment, State};
use crate::refunds::{self, CustomerRefund, RefundInput};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who is asked: the order's own gateway.
    pub gateway: String,
    pub operation: Operation,
    pub ask: Ask,
    pub request: Request,
    /// Which refund to the customer it is of; none: it is the saga's.
    pub refund: Option<RefundId>,
    /// How the payment stands that is taken over, where this call does that.
    pub existing: Option<ExistingPayment>,
    /// What the refund is known by to who holds the money, where no gateway does.
    pub elsewhere: Option<RefundId>,
    /// Who pays; needed to authorize, and only known until then.
    pub buyer: Option<Buyer>,
    pub correlation_id: Arc<str>,
}

impl Call {
    pub(crate) fn for_payment(payment: &Payment, ask: Ask) -> Option<Self> {
        let attempt = payment.case.attempt.as_ref()?;
        let request = Request {
            order_id: payment.order_id,
            key: key(payment.order_id, attempt.operation, attempt.number),
            attempt: attempt.number,
            since: attempt.since,
            money: payment.money(attempt.amount).ok()?,
            payment_id: payment.payment_id.clone(),
            refund_id: attempt.refund_id.clone(),
        };
        let buyer = payment.case.purchase.as_ref().map(|purchase| purchase.buyer.clone());
        let correlation_id = payment.case.thread.as_ref().map(|thread| Arc::clone(&thread.correlation_id));
        Some(Self {
            gateway: payment.gateway.clone()?,
            operation: attempt.operation,
            ask,
            request,
            refund: None,
            existing: payment.case.settlement.existing().filter(|_| payment.state == State::Authorizing),
            elsewhere: payment.case.settlement.is_elsewhere().then(|| payment.unshipped_refund()),
            buyer,
            correlation_id: correlation_id.unwrap_or_default(),
        })
    }

    /// Of a refund to the customer.
    pub(crate) fn for_refund(
        payment: &Payment,
        refund_id: RefundId,
        refund: &CustomerRefund,
        ask: Ask,
    ) -> Option<Self> {
        let number = refund.data.attempt.number;
        let request = Request {
            order_id: payment.order_id,
            key: refunds::key(payment.order_id, refund_id, number),
            attempt: number,
            since: refund.data.attempt.since,
            money: payment.money(refund.amount).ok()?,
            payment_id: payment.payment_id.clone(),
            refund_id: refund.data.attempt.provider_id.clone(),
        };
        let correlation_id = payment.case.thread.as_ref().map(|thread| Arc::clone(&thread.correlation_id));
        Some(Self {
            gateway: payment.gateway.clone()?,
            operation: Operation::Refund,
            ask,
            request,
            refund: Some(refund_id),
            existing: None,
            elsewhere: payment.case.settlement.is_elsewhere().then_some(refund_id),
            buyer: None,
            correlation_id: correlation_id.unwrap_or_default(),
        })
    }

    /// The answer where no gateway holds the money: who does is told by `RefundRequested`, and says how each attempt ended. None where a gateway is to be asked.
    pub(crate) fn answered_elsewhere(&self) -> Option<Outcome> {
        let refund_id = format!("{}:{}", self.elsewhere?, self.request.attempt);
        Some(Outcome::RefundPending { refund_id, money: self.request.money })
    }

    pub fn answered(&self, outcome: Outcome) -> Work<Input> {
        let Request { order_id, key, attempt, .. } = &self.request;
        if let Some(refund_id) = self.refund {
            let answer = RefundInput::Answer { order_id: *order_id, refund_id, attempt: *attempt, outcome };
            return Work { cause: Cause::answer(key), input: Input::Refund(answer) };
        }
        let answer = Answer { order_id: *order_id, operation: self.operation, attempt: *attempt, outcome };
        Work { cause: Cause::answer(key), input: Input::Answer(answer) }
    }
}
