//! Which input meets which rule.

use events::OrderId;
use runtime::rows::Rows;
use runtime::{Conflict, Timer};

use super::{InputRules, OrderChange, captured_unasked};
use crate::input::{Answered, HAND_OVER, Input, PICK, Reply};
use crate::row::Consignment;

/// Meets an input with its rule. The order changes only where the rule succeeds.
pub fn meet(rules: &mut InputRules<'_, '_>, orders: &mut Rows<Consignment>, input: &Input) -> Result<Reply, Conflict> {
    let Some(row) = orders.get_mut(&rules.order_id) else {
        let (first, reply) = meet_unknown(rules, input)?;
        if let Some(mut order) = first {
            rules.let_built_in_answer(&mut order);
            orders.insert(rules.order_id, order);
        }
        return Ok(reply);
    };
    let order = row.untracked();
    rules.effects.follow(&order.thread);
    let change = match input {
        Input::Cleared(_) => OrderChange::Nothing,
        Input::Reallocated(event) => rules.reallocated(order, event)?,
        Input::CancellationRequested(_, reason) => rules.cancellation_requested(order, reason),
        Input::CaptureFailed(_, reason) => rules.capture_failed(order, reason)?,
        Input::Captured(event) => rules.captured(order, event)?,
        Input::Disputed(event) => rules.disputed(order, event),
        Input::DisputeClosed(event) => rules.dispute_closed(order, event),
        Input::HoldReleased(_) => rules.hold_released(order)?,
        Input::PickDue(_, shipment_id) => {
            let index = order.parcels.iter().position(|parcel| parcel.shipment_id == *shipment_id);
            index.map_or(OrderChange::Nothing, |index| rules.pick_due(order, index))
        }
        Input::HandOverDue(_) => rules.hand_over_due(order),
        Input::Answered(answered) => {
            let (change, reply) = meet_answer(rules, order, answered)?;
            if change == OrderChange::Made {
                row.mark_changed();
            }
            return Ok(reply);
        }
        // Decided on the rows of returns besides.
        Input::Return(_) => OrderChange::Nothing,
        Input::UnknownTimer(timer) => return Err(unknown_timer(timer)),
    };
    if change == OrderChange::Made {
        rules.effects.go_on(&mut order.thread);
    }
    if rules.let_built_in_answer(order) == OrderChange::Made || change == OrderChange::Made {
        row.mark_changed();
    }
    Ok(Reply::default())
}

/// The column "no row" of the table.
fn meet_unknown(rules: &mut InputRules<'_, '_>, input: &Input) -> Result<(Option<Consignment>, Reply), Conflict> {
    match input {
        Input::Cleared(event) => Ok((Some(rules.cleared(event)?), Reply::default())),
        Input::CancellationRequested(_, reason) | Input::CaptureFailed(_, reason) => {
            Ok((Some(rules.stop_unknown(reason)), Reply::default()))
        }
        Input::Captured(_) => Err(captured_unasked()),
        Input::Reallocated(event) => Err(unknown_order("StockReallocated", event.order_id)),
        Input::Answered(_) => Ok((None, Reply::default())),
        // Nothing of it can have been paid for here, or it is so old that it is forgotten.
        Input::Disputed(_) | Input::DisputeClosed(_) => Ok((None, Reply::default())),
        Input::HoldReleased(order_id) => Err(Conflict(format!(
            "expected an order that has come to fulfillment, got {order_id}: nothing of it is held"
        ))),
        Input::PickDue(..) | Input::HandOverDue(_) | Input::Return(_) => Ok((None, Reply::default())),
        Input::UnknownTimer(timer) => Err(unknown_timer(timer)),
    }
}

fn meet_answer(
    rules: &mut InputRules<'_, '_>,
    order: &mut Consignment,
    answered: &Answered,
) -> Result<(OrderChange, Reply), Conflict> {
    let Some(index) = order.parcels.iter().position(|parcel| parcel.shipment_id == answered.shipment_id) else {
        return Ok((OrderChange::Nothing, Reply::default()));
    };
    let change = rules.answered(order, index, &answered.answer)?;
    let parcel = &order.parcels[index];
    Ok((change, Reply::Shipment(parcel.state, order.next_step(parcel))))
}

fn unknown_order(what: &str, order_id: OrderId) -> Conflict {
    Conflict(format!(
        "expected FraudCleared of order {order_id} before {what}: was an event skipped, or the database restored?"
    ))
}

fn unknown_timer(timer: &Timer) -> Conflict {
    Conflict(format!(
        "expected a timer `{PICK}` (with a shipment id) or `{HAND_OVER}`, got `{}` with `{}`: was it armed by a newer version?",
        timer.kind, timer.discriminator
    ))
}
