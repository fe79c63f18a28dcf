//! Giving back: the money is settled, so the stock is free.

use events::{
    Condition, GivenUp, OrderId, PaymentDeclined, PaymentRefunded, PaymentVoided, Reason, StockReleased, Why,
};
use runtime::TraceContext;

use super::decision::{Decision, RuleResult, StockEvent, conflict, give_up, listed, under_way};
use crate::reservation::{Reservation, State};

/// A declined payment gives all stock back and closes the order here. Fails when the order can't have been waiting for its payment.
pub fn declined(order: Option<&Reservation>, event: &PaymentDeclined) -> RuleResult {
    match order.map(|known| (known.state, known)) {
        Some((State::Reserved, known)) => Ok(Some(let_go(known, event.order_id, &event.reason, &[]))),
        Some((State::Closed, _)) => Ok(None),
        Some((State::Held | State::Rejected, _)) | None => Err(conflict("PaymentDeclined", event.order_id, order)),
    }
}

/// No money is held, and none will be: all stock is given back, and the order is closed here, even before it came.
pub fn voided(order: Option<&Reservation>, event: &PaymentVoided, thread: TraceContext) -> Option<Decision> {
    match order.map(|known| (known.state, known)) {
        None => {
            let tombstone = Reservation::without_stock(State::Reserved, event.reason.clone(), thread);
            Some(let_go(&tombstone, event.order_id, &event.reason, &[]))
        }
        Some((State::Reserved | State::Held, known)) => {
            Some(let_go(known, event.order_id, &event.reason, &event.given_up))
        }
        Some((State::Closed | State::Rejected, _)) => None,
    }
}

/// Gives up all that is reserved and closes. Units of which the warehouse said that they are gone do not go on sale again.
fn let_go(known: &Reservation, order_id: OrderId, reason: &Reason, given_up: &[GivenUp]) -> Decision {
    let mut order = Reservation { reason: Some(reason.clone()), ..known.clone() };
    let (mut items, mut changes) = (Vec::new(), Vec::new());
    for holding in &mut order.holdings {
        let allocation_id = holding.allocation_id;
        for item in given_up.iter().filter(|item| item.allocation_id == allocation_id) {
            let units = item.quantity.min(holding.reserved);
            give_up(holding, units, &item.condition, &item.why, &mut items, &mut changes);
        }
        let (rest, why) = (holding.reserved, Why::Order(reason.code.clone()));
        give_up(holding, rest, &Condition::Intact, &why, &mut items, &mut changes);
    }
    let closed = Some(order.close());
    let said = StockReleased { order_id, items, reason: reason.clone(), closed };
    Decision { order, changes, emit: Some(StockEvent::Released(said)) }
}

/// Money is given back: the listed units are released, and not the rest, whose dispatch may still be on its way.
pub fn refunded(order: Option<&Reservation>, event: &PaymentRefunded) -> RuleResult {
    let Some(known) = under_way("PaymentRefunded", event.order_id, order)? else { return Ok(None) };
    let given_back = |item: &&GivenUp| {
        known.holdings.iter().any(|holding| holding.allocation_id == item.allocation_id && holding.given_back)
    };
    let open: Vec<&GivenUp> = event.items.iter().filter(|item| !given_back(item)).collect();
    if open.is_empty() {
        return Ok(None);
    }
    let mut order = known.clone();
    let (mut items, mut changes) = (Vec::new(), Vec::new());
    for item in open {
        let holding = listed(&mut order, "PaymentRefunded", event.order_id, item.allocation_id, item.quantity)?;
        give_up(holding, item.quantity, &item.condition, &item.why, &mut items, &mut changes);
        holding.given_back = true;
    }
    order.reason.get_or_insert_with(|| event.reason.clone());
    let closed = order.close_if_empty();
    let said = StockReleased { order_id: event.order_id, items, reason: event.reason.clone(), closed };
    Ok(Some(Decision { order, changes, emit: Some(StockEvent::Released(said)) }))
}
