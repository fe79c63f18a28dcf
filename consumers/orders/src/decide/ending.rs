//! How an order ends: what shipped, what did not and why, what that is worth, and which event says so.

use std::convert::Infallible;

use events::{
    Cancellation, Closed, Line, LineId, OrderCancelled, OrderCompleted, OrderFailed, OrderId, Reason, ReasonCode,
    ShippedLine, Timestamp, UnshippedLine, Why, value,
};
use runtime::{Conflict, Effects};

use crate::input::Reply;
use crate::row::{BatchState, Ending, Order, State, Terms};

pub(super) type Out<'e, 'c> = &'e mut Effects<'c, Infallible>;
pub(super) type OrderRuling = Result<Reply, Conflict>;

/// Inventory has said `event` of an order. Its last word, with a reason to fall back on, ends the order if it is open; anything else
/// changes nothing.
pub(super) fn end(
    world: &mut BatchState,
    order_id: OrderId,
    event: &str,
    last_word: Option<(&Closed, Option<&Reason>)>,
    now: Timestamp,
    out: Out<'_, '_>,
) -> OrderRuling {
    let Some(order) = world.order(order_id) else {
        return Err(Conflict(format!(
            "expected {event} only of orders that were accepted here, got it of order {order_id}, which is unknown: check that its \
             database is the one the order was accepted in"
        )));
    };
    let (Some((closed, reason)), false) = (last_word, order.state.has_ended()) else { return Ok(Reply::Nothing) };
    let Some(terms) = &order.details.terms else { return Ok(Reply::Nothing) };
    let mut ending = ending(order_id, terms, closed, reason)?;
    let state = match (order.state, ending.shipped.is_empty()) {
        (_, false) => State::Completed,
        (State::Cancelling, true) => State::Cancelled,
        (State::Pending, true) => State::Failed,
        (State::Rejected | State::Completed | State::Cancelled | State::Failed, true) => return Ok(Reply::Nothing),
    };
    if state == State::Completed {
        ending.cancellation = Some(cancellation(order.state, &ending));
    }
    out.follow(&order.details.thread);
    emit(order, terms, state, &ending, out);
    world.change(order_id, |order| {
        order.state = state;
        order.ending = Some(ending);
        order.ended_at = Some(now);
    });
    Ok(Reply::Nothing)
}

/// Completes inventory's last word: each unit of the order shipped, or did not for a reason that is named. An inventory that heard of
/// the order's end before it heard of its lines names none of them.
fn ending(order_id: OrderId, terms: &Terms, closed: &Closed, fallback: Option<&Reason>) -> Result<Ending, Conflict> {
    let conflict = |what: String| Conflict(format!("the last word on order {order_id} contradicts its lines: {what}"));
    let shipped: Vec<ShippedLine> = closed.shipped.iter().filter(|line| line.quantity != 0).cloned().collect();
    let mut unshipped: Vec<UnshippedLine> =
        closed.unshipped.iter().filter(|line| line.quantity != 0).cloned().collect();
    let charged = value(&terms.lines, shipped.iter().map(|line| (&line.line_id, line.quantity)));
    let charged = charged.map_err(|error| conflict(error.to_string()))?;
    let named = || {
        let shipped = shipped.iter().map(|line| (&line.line_id, line.quantity));
        shipped.chain(closed.unshipped.iter().map(|line| (&line.line_id, line.quantity)))
    };
    value(&terms.lines, named()).map_err(|error| conflict(error.to_string()))?;
    let rest: Vec<(&Line, i64)> = terms.lines.iter().filter_map(|line| rest(line, named())).collect();
    let complete = rest.is_empty() && unshipped.is_empty();
    let reason = closed.reason.as_ref().or_else(|| fallback.filter(|_| !complete)).cloned();
    for (line, quantity) in rest {
        let Some(reason) = &reason else {
            let id = &line.line_id;
            return Err(conflict(format!(
                "expected all units of line {id:?} to be named, or a reason for the rest, got {quantity} without one"
            )));
        };
        let (line_id, sku, why) = (line.line_id.clone(), line.sku.clone(), Why::from(reason.code.clone()));
        unshipped.push(UnshippedLine { line_id, sku, quantity, why });
    }
    if shipped.is_empty() && reason.is_none() {
        return Err(conflict("expected a reason why nothing shipped, got none".into()));
    }
    Ok(Ending { charged, shipped, unshipped, reason, cancellation: None })
}

/// How many units of a line are not named, if any.
fn rest<'l, 'n>(line: &'l Line, named: impl Iterator<Item = (&'n LineId, i64)>) -> Option<(&'l Line, i64)> {
    let named: i64 = named.filter(|(id, _)| **id == line.line_id).map(|(_, quantity)| quantity).sum();
    (named < line.quantity).then(|| (line, line.quantity - named))
}

/// What became of the wish to cancel an order of which something shipped. What is missing because it could not be picked was not
/// cancelled: then all that could leave had left.
fn cancellation(before: State, ending: &Ending) -> Cancellation {
    let by_wish = |why: &Why| matches!(why, Why::Recalled | Why::Order(ReasonCode::Cancelled));
    let cancelled = ending.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::Cancelled);
    match before {
        State::Cancelling if !ending.unshipped.is_empty() && cancelled => Cancellation::InPart,
        State::Cancelling if ending.unshipped.iter().any(|line| by_wish(&line.why)) => Cancellation::InPart,
        State::Cancelling => Cancellation::TooLate,
        State::Pending | State::Rejected | State::Completed | State::Cancelled | State::Failed => Cancellation::None,
    }
}

fn emit(order: &Order, terms: &Terms, state: State, ending: &Ending, out: Out<'_, '_>) {
    let (order_id, source, reference) = (order.order_id, order.source.clone(), order.reference.clone());
    let Terms { customer_id, currency, total, .. } = terms.clone();
    let Ending { charged, shipped, unshipped, reason, cancellation } = ending.clone();
    macro_rules! say {
        ($event:ident { $($more:ident),+ }) => {
            out.emit(
                &$event { order_id, source, reference, customer_id, currency, total, charged, shipped, unshipped, $($more),+ },
                "",
            )
        };
    }
    match (state, reason) {
        (State::Completed, reason) => {
            let cancellation = cancellation.unwrap_or(Cancellation::None);
            say!(OrderCompleted { reason, cancellation });
        }
        (State::Cancelled, Some(reason)) => say!(OrderCancelled { reason }),
        (State::Failed, Some(reason)) => say!(OrderFailed { reason }),
        // Not an end, or an end without the reason that `ending` insists on.
        (State::Pending | State::Cancelling | State::Rejected | State::Cancelled | State::Failed, _) => {}
    }
}
