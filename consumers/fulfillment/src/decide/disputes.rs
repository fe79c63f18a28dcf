//! What disputes of its payment do to an order: what has not been handed over is held. Picking goes on, as does a recall.
//!
//! | input | PICKING, CONFIRMED | RELEASED | CLOSED |
//! |---|---|---|---|
//! | `PaymentDisputed`, first of its dispute | held: nothing is handed over | the same | · |
//! | `DisputeClosed`: won, closed | held no more | held no more: a new hand-over deadline | · |
//! | `DisputeClosed`: lost | let go: CLOSED | recalled: each warehouse answers | · |
//! | an operator releases it | as `DisputeClosed`: closed, of all its disputes | the same | conflict |
//!
//! A dispute that was closed or released holds nothing again, whatever is heard of it later.

use events::{DisputeClosed, DisputeOutcome, PaymentDisputed, Reason, ReasonCode};
use runtime::Conflict;

use super::{InputRules, OrderChange};
use crate::input::HAND_OVER;
use crate::row::{Consignment, DisputeHold, State};
use crate::settings::WarehouseMode;

impl InputRules<'_, '_> {
    /// PaymentDisputed: what has not left stays in the house, until the dispute is closed or a person releases it.
    pub fn disputed(&mut self, order: &mut Consignment, event: &PaymentDisputed) -> OrderChange {
        if order.state == State::Closed || order.disputes.contains_key(&event.dispute_id) {
            return OrderChange::Nothing;
        }
        order.disputes.insert(event.dispute_id.clone(), DisputeHold::Held);
        OrderChange::Made
    }

    /// DisputeClosed: what was held for it goes on; where it was lost, what has not shipped is not paid for any more, and is cancelled.
    pub fn dispute_closed(&mut self, order: &mut Consignment, event: &DisputeClosed) -> OrderChange {
        let known = order.disputes.get(&event.dispute_id).copied();
        if order.state == State::Closed || known == Some(DisputeHold::Over) {
            return OrderChange::Nothing;
        }
        let was_held = order.is_held();
        order.disputes.insert(event.dispute_id.clone(), DisputeHold::Over);
        match event.outcome {
            DisputeOutcome::Lost => {
                let detail = format!("the dispute {} of its payment was lost ({})", event.dispute_id, event.reason);
                let _ = self.cancellation_requested(order, &Reason { code: ReasonCode::NothingToShip, detail });
            }
            DisputeOutcome::Won | DisputeOutcome::Closed | DisputeOutcome::Other(_) => self.go_on(order, was_held),
        }
        OrderChange::Made
    }

    /// A person has what is held shipped all the same.
    /// Fails when nothing is held.
    pub fn hold_released(&mut self, order: &mut Consignment) -> Result<OrderChange, Conflict> {
        if order.state == State::Closed || !order.is_held() {
            return Err(Conflict(
                "expected an order whose shipments are held because its payment is disputed, got one of which nothing is held: \
                 nothing is to be released"
                    .to_owned(),
            ));
        }
        for hold in order.disputes.values_mut().filter(|hold| **hold == DisputeHold::Held) {
            *hold = DisputeHold::Released;
        }
        self.go_on(order, true);
        Ok(OrderChange::Made)
    }

    /// Asks for the hand-over anew, once nothing holds it any more.
    fn go_on(&mut self, order: &mut Consignment, was_held: bool) {
        if !was_held || order.is_held() || order.state != State::Released {
            return;
        }
        let hand_over_by = self.now.plus(self.settings.hand_over_deadline.0);
        (order.hand_over_by, order.overdue_since) = (Some(hand_over_by), None);
        match self.settings.warehouse {
            WarehouseMode::BuiltIn => self.ask_to_leave(order),
            WarehouseMode::External => self.effects.schedule(HAND_OVER, self.order_id, "", hand_over_by),
        }
    }
}
