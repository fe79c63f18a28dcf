//! The reservation's clock, and the money that stops it.

use events::{OrderId, ReservationExpired};

use super::decision::{Decision, RuleResult, StockEvent, conflict};
use crate::reservation::{Reservation, State};

/// The reservation's clock fires, once: payments is asked which came first. The stock is still held.
pub fn expired(order: Option<&Reservation>, order_id: OrderId) -> Option<Decision> {
    let known = order?;
    match (known.state, known.expired, known.expires_at) {
        (State::Reserved, false, Some(expired_at)) => {
            let order = Reservation { expired: true, ..known.clone() };
            let said = ReservationExpired { order_id, expired_at };
            Some(Decision { order, changes: Vec::new(), emit: Some(StockEvent::Expired(said)) })
        }
        (State::Reserved | State::Held | State::Closed | State::Rejected, _, _) => None,
    }
}

/// Money is authorized: the hold has no clock of its own any more. Fails when there is no reservation that could be paid for.
pub fn authorized(order: Option<&Reservation>, order_id: OrderId) -> RuleResult {
    match order.map(|known| (known.state, known)) {
        Some((State::Reserved, known)) => {
            let order = Reservation { state: State::Held, ..known.clone() };
            Ok(Some(Decision { order, changes: Vec::new(), emit: None }))
        }
        Some((State::Held | State::Closed, _)) => Ok(None),
        Some((State::Rejected, _)) | None => Err(conflict("PaymentAuthorized", order_id, order)),
    }
}
