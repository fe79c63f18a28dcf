//! What other consumers' events do to a payment.

use events::{
    FulfillmentCancelled, FulfillmentConfirmed, OrderPayment, PaymentKind, PaymentVoided, Reason, StockRejected,
    StockReserved, value,
};
use gateway::{Buyer, Operation};
use runtime::Conflict;

use super::PaymentStep;
use super::undoing::refund_amount;
use crate::attempt::{CallAttempt, Phase};
use crate::gateways::Reach;
use crate::input::AUTHORIZATION;
use crate::payment::State::*;
use crate::payment::{NO_GATEWAY, Purchase, Settlement, Undoing};

impl PaymentStep<'_, '_> {
    /// Everything is reserved: the money is asked for, once.
    pub fn reserved(&mut self, event: &StockReserved) -> Result<(), Conflict> {
        let placed = event.payment.as_ref().map(|placed| self.settlement_of(placed).map(|how| (placed, how)));
        let placed = placed.transpose()?;
        if let Some(((placed, settlement), stop)) = placed.zip(self.stopped_before()) {
            return self.take_over(placed, settlement, Some(stop));
        }
        if self.payment.state != New {
            return Ok(());
        }
        let gateway = if event.total == 0 { NO_GATEWAY } else { self.gateway };
        let payment = self.adopt();
        payment.state = Authorizing;
        payment.currency = Some(event.currency);
        payment.amount = event.total;
        payment.personal = Some(event.personal.clone());
        payment.case.lines = event.lines.clone();
        payment.case.purchase = Some(Purchase {
            buyer: Buyer { customer_id: event.customer_id.clone(), payment_method: event.payment_method.clone() },
            plan: event.plan.clone(),
            expires_at: event.expires_at,
        });
        payment.gateway = Some(gateway.to_owned());
        match placed {
            Some((placed, settlement)) => self.take_over(placed, settlement, None),
            None => self.begin(Operation::Authorize, event.total),
        }
    }

    /// Stock does not suffice: what was held or taken before the order was placed is let go, or given back.
    pub fn stock_rejected(&mut self, event: &StockRejected) -> Result<(), Conflict> {
        let Some(placed) = &event.payment else { return Ok(()) };
        let is_new = self.payment.state == New;
        let rejected = is_new.then(|| Undoing { given_up: Vec::new(), reason: event.reason.clone() });
        let Some(stop) = rejected.or_else(|| self.stopped_before()) else { return Ok(()) };
        let settlement = self.settlement_of(placed)?;
        self.take_over(placed, settlement, Some(stop))
    }

    /// Why the order was stopped before anything of it came here, if it was.
    fn stopped_before(&self) -> Option<Undoing> {
        let is_tombstone = self.payment.state == Voided && self.payment.currency.is_none();
        self.payment.case.undoing.clone().filter(|_| is_tombstone)
    }

    /// Where the money of a payment is that was made before the order was placed. Fails for a kind that a later version added.
    fn settlement_of(&self, placed: &OrderPayment) -> Result<Settlement, Conflict> {
        let is_reached = (self.gateways)(&placed.provider) != Reach::Absent;
        match &placed.kind {
            PaymentKind::Authorized => Ok(Settlement::Adopted),
            PaymentKind::Captured if is_reached => Ok(Settlement::Captured),
            PaymentKind::Captured => Ok(Settlement::CapturedElsewhere),
            PaymentKind::External => Ok(Settlement::External),
            PaymentKind::Other(kind) => {
                let expected =
                    format!("expected `payment.kind` authorized, captured or external, got {kind:?}: update payments");
                Err(self.contradiction("the payment", &expected))
            }
        }
    }

    /// A payment that was made before the order was placed: taken over if it is as the order says, and let go at once where the order was stopped.
    fn take_over(
        &mut self,
        placed: &OrderPayment,
        settlement: Settlement,
        stop: Option<Undoing>,
    ) -> Result<(), Conflict> {
        let OrderPayment { provider, reference, amount, currency, .. } = placed;
        let is_reached = (self.gateways)(provider) != Reach::Absent;
        let payment = self.adopt();
        (payment.state, payment.currency, payment.amount) = (Authorizing, Some(*currency), *amount);
        (payment.gateway, payment.payment_id) = (Some(provider.clone()), reference.clone());
        (payment.case.settlement, payment.case.stop) = (settlement, stop);
        if settlement == Settlement::Adopted && !is_reached {
            let detail = format!(
                "expected a gateway that payments has settings for, got {provider:?}: its hold is not taken over"
            );
            return self.declined("unknown_gateway", &detail);
        }
        self.begin(Operation::Authorize, *amount)
    }

    /// The reservation's clock fired. Money that is held, or may be, comes first; only an order that waits for its customer is given up,
    /// once the provider says that it still does.
    pub fn expired(&mut self) {
        match self.payment.state {
            New => self.adopt().case.expired = true,
            Authorizing => self.change().case.expired = true,
            ActionRequired if self.payment.case.expired => {}
            ActionRequired => self.look_before_giving_up(),
            Authorized | Capturing | Lapsed | Captured | Voiding | Refunding | Declined | Voided | Refunded => {}
        }
    }

    /// Fraud says no, or nothing can ship: what is held is let go.
    pub fn rejected(&mut self, event: &str, reason: &Reason) -> Result<(), Conflict> {
        match self.payment.state {
            Authorized | Lapsed => self.void(Undoing { given_up: Vec::new(), reason: reason.clone() }),
            New | Authorizing | ActionRequired | Capturing | Captured => {
                Err(self.unexpected(event, "before the money is held, or after fulfillment confirmed"))
            }
            Voiding | Refunding | Declined | Voided | Refunded => Ok(()),
        }
    }

    /// This ships: exactly its money is taken.
    pub fn confirmed(&mut self, event: &FulfillmentConfirmed) -> Result<(), Conflict> {
        match self.payment.state {
            Authorized => {}
            New | Authorizing | ActionRequired => {
                return Err(self.unexpected("FulfillmentConfirmed", "before the money is held"));
            }
            Capturing | Lapsed | Captured | Voiding | Refunding | Declined | Voided | Refunded => return Ok(()),
        }
        let items = || event.shipments.iter().flat_map(|shipment| &shipment.items);
        let payment = &**self.payment;
        let amount = value(&payment.case.lines, items().map(|item| (&item.line_id, item.quantity)))
            .map_err(|error| self.contradiction("FulfillmentConfirmed", &error))?;
        if amount > payment.authorized {
            let held = payment.money(payment.authorized)?;
            let confirmed = payment.money(amount)?;
            return Err(self.contradiction(
                "FulfillmentConfirmed",
                &format!("expected units worth at most {held}, which is held, got {confirmed}"),
            ));
        }
        let payment = self.change();
        payment.state = Capturing;
        payment.case.confirmed = items().cloned().collect();
        let rest = payment.authorized - amount;
        let is_captured = payment.case.settlement.is_captured();
        self.effects.cancel_timer(AUTHORIZATION, event.order_id, "");
        // Taken already: what does not ship goes back.
        if is_captured {
            let rest = self.within_returnable(rest);
            return self.begin(Operation::Refund, rest);
        }
        self.begin(Operation::Capture, amount)
    }

    /// Fulfillment lets go: what is held is let go, what was taken for these units is given back; while a call's outcome is not known it is
    /// only remembered.
    pub fn cancelled(&mut self, event: &FulfillmentCancelled) -> Result<(), Conflict> {
        let undoing = Undoing { given_up: event.items.clone(), reason: event.reason.clone() };
        match self.payment.state {
            New => self.never_mind(&undoing),
            Authorizing if self.unasked_yet() && !self.payment.case.settlement.is_taken_over() => {
                self.take_back();
                self.never_mind(&undoing);
            }
            Authorizing if self.payment.phase() == Some(Phase::Disputed) => return self.void(undoing),
            ActionRequired | Authorized | Lapsed => return self.void(undoing),
            Capturing if self.payment.phase() == Some(Phase::Disputed) => return self.void(undoing),
            Capturing if self.unasked_yet() => {
                self.take_back();
                return self.void(undoing);
            }
            Authorizing => self.stop(undoing),
            Capturing => {
                refund_amount(self.payment, &undoing)?;
                self.stop(undoing);
            }
            Captured => {
                let amount = refund_amount(self.payment, &undoing)?;
                return self.refund(undoing, amount);
            }
            Voiding | Refunding | Declined | Voided | Refunded => {}
        }
        Ok(())
    }

    /// Remembered until the open call's answer is recorded.
    fn stop(&mut self, undoing: Undoing) {
        if self.payment.case.stop.is_none() {
            self.go_on();
            self.change().case.stop = Some(undoing);
        }
    }

    /// Stopped before the gateway was asked: a tombstone, and the word is passed on.
    pub(super) fn never_mind(&mut self, undoing: &Undoing) {
        let payment = self.adopt();
        payment.state = Voided;
        payment.case.stop = None;
        payment.forget_purchase();
        payment.case.undoing = Some(undoing.clone());
        let event = PaymentVoided {
            order_id: payment.order_id,
            amount: 0,
            currency: payment.currency,
            announced: false,
            given_up: undoing.given_up.clone(),
            reason: undoing.reason.clone(),
        };
        self.effects.emit(&event, "");
    }

    /// Whether the open attempt is the first at its operation and was opened in this batch: nobody was asked yet.
    fn unasked_yet(&self) -> bool {
        let case = &self.payment.case;
        let is_first = |attempt: &CallAttempt| attempt.phase == Phase::Open && case.made.of(attempt.operation) == 1;
        self.call.fresh && !case.settlement.is_elsewhere() && case.attempt.as_ref().is_some_and(is_first)
    }
}
