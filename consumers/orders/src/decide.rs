//! The rules of orders, as docs/protocol.md's table has them: pure, each input against each state.
//!
//! | input | no row | PENDING | CANCELLING | ended |
//! |---|---|---|---|---|
//! | placed | accepted, or rejected | the stored answer, or a conflict | the same | the same; mended after a rejection: as no row |
//! | cancel | unknown | CANCELLING | asked again | ended |
//! | stock rejected | conflict | FAILED | CANCELLED | · |
//! | stock released or committed, not closed | conflict | · | · | · |
//! | the same, closed, nothing shipped | conflict | FAILED | CANCELLED | · |
//! | the same, closed, something shipped | conflict | COMPLETED | COMPLETED | · |

use std::sync::Arc;
use std::time::Duration;

use events::{
    Closed, OrderCancellationRequested, Reason, ReasonCode, StockCommitted, StockRejected, StockReleased, Timestamp,
};
use runtime::Conflict;

use crate::difference::{differences, is_same, listed, without_texts};
use crate::input::{Cancel, Reply};
use crate::placed::{IntakeAnswer, Placed};
use crate::row::{BatchState, CancellationAsked, Order, State};

mod ending;

use ending::{OrderRuling, Out};

/// How far a producer's clock may be ahead of ours.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3_600);

/// An order is placed. New and valid, it is accepted; new and invalid, it is rejected, or, at the door, refused without a trace.
/// The same one again gets the stored answer.
/// Fails with another order under the same source and reference, through the topic; at the door it is a reply.
pub fn on_placed(
    world: &mut BatchState,
    placed: &Placed,
    at_the_door: bool,
    now: Timestamp,
    out: Out<'_, '_>,
) -> OrderRuling {
    if let Some(order) = known(world, placed) {
        return placed_again(order, placed, at_the_door);
    }
    out.follow(&placed.thread);
    let thread = out.thread();
    let correlation_id = Arc::clone(&thread.correlation_id);
    // The key tells orders apart that a careless producer sent under one event id.
    match &placed.verdict {
        IntakeAnswer::Valid(accepted) => {
            out.emit(accepted, &placed.placement.to_string());
            world.add(Order::accepted(accepted, placed.placement, placed.body.clone(), thread, now));
            Ok(Reply::Placed { order_id: accepted.order_id, correlation_id, replayed: false })
        }
        IntakeAnswer::Invalid(rejected) if at_the_door => Ok(Reply::Invalid(rejected.faults.clone())),
        IntakeAnswer::Invalid(rejected) => {
            out.emit(rejected, &placed.rejection.to_string());
            world.add(Order::rejected(rejected, placed.rejection, placed.body.clone(), thread, now));
            Ok(Reply::Nothing)
        }
    }
}

/// The order that this one repeats; or, under its identity, differs from. One that was rejected is repeated by the same bytes, or by a record that
/// was there when it was rejected; mended, it is another order.
fn known<'w>(world: &'w BatchState, placed: &Placed) -> Option<&'w Order> {
    let written_at = placed.recorded_at.or(placed.said_at);
    let was_there = |order: &Order| written_at.is_some_and(|written_at| written_at <= order.placed_at);
    let is_same = |order: &Order| is_same(order.body.text.as_deref(), &placed.order);
    let rejected = world
        .placed_as(placed.rejection)
        .filter(|order| matches!(placed.verdict, IntakeAnswer::Invalid(_)) || was_there(order))
        .or_else(|| {
            let mut before = placed.rejected_before().filter_map(|key| world.placed_as(key));
            before.find(|order| was_there(order) || is_same(order))
        });
    // Accepted by an earlier version, which knew it by its place alone, or by what it read as its source and id; or restored from events, which say no more.
    let as_before = || {
        let at_most = |order: &Order| order.placed_at.plus(CLOCKS_DIFFER);
        let is_restored =
            |order: &Order| matches!(&placed.verdict, IntakeAnswer::Valid(event) if order.is_restored_from(event));
        let is_it = |order: &&Order| {
            (is_same(order) || is_restored(order)) && placed.said_at.is_none_or(|said_at| said_at <= at_most(order))
        };
        placed.former.iter().filter_map(|key| world.placed_as(*key)).find(is_it)
    };
    rejected.or_else(as_before).or_else(|| world.placed_as(placed.placement))
}

/// Whether an order that is not known was placed in time: one from behind the horizon may have been decided, ended and forgotten.
pub fn in_time(world: &BatchState, placed: &Placed, keep: Duration, now: Timestamp) -> Result<(), Conflict> {
    match placed.said_at {
        Some(said_at) if said_at < now.minus(keep) && known(world, placed).is_none() => Err(Conflict(format!(
            "expected an order of the last {:.1} days, as older ones are forgotten and can't be told from new ones; got one that was placed at \
                 {said_at}: place it again, as a new order, if it still stands",
            keep.as_secs_f64() / 86_400.0
        ))),
        Some(_) | None => Ok(()),
    }
}

/// The same order: what was answered then, whatever became of it since. Another one: a conflict.
fn placed_again(order: &Order, placed: &Placed, at_the_door: bool) -> OrderRuling {
    let order_id = order.order_id;
    let kept = order.body.text.as_deref();
    // Digests are of the JSON of the version that took the order; a later one may write the same order with more fields.
    let is_rejected_again = order.state == State::Rejected && order.placement != placed.placement;
    // Of one that was restored from events it is known what was agreed, not how it was placed.
    let is_restored = matches!(&placed.verdict, IntakeAnswer::Valid(event) if order.is_restored_from(event));
    if is_rejected_again || is_restored || order.body.digest == placed.body.digest || is_same(kept, &placed.order) {
        return Ok(match order.state {
            State::Rejected => Reply::Rejected { order_id, faults: order.details.faults.clone() },
            State::Pending | State::Cancelling | State::Completed | State::Cancelled | State::Failed => {
                let correlation_id = Arc::clone(&order.details.thread.correlation_id);
                Reply::Placed { order_id, correlation_id, replayed: true }
            }
        });
    }
    let differences = differences(kept, &placed.order);
    if at_the_door {
        return Ok(Reply::Differs { order_id, differences });
    }
    Err(Conflict(format!(
        "order {order_id} was placed under the same source and reference before, with another body: {}; expected the same order again, \
         or a reference of its own for another order",
        listed(&without_texts(differences)),
    )))
}

/// Someone asks for a cancellation. While the order is open it is never refused here: only fulfillment knows whether the goods have left.
pub fn on_cancel(world: &mut BatchState, cancel: &Cancel, out: Out<'_, '_>) -> Reply {
    let Some(order) = world.order(cancel.order_id) else { return Reply::Unknown };
    let (order_id, thread) = (order.order_id, &order.details.thread);
    let asked = Reply::Asked { order_id, correlation_id: Arc::clone(&thread.correlation_id) };
    match order.state {
        State::Pending => {
            out.follow(thread);
            let requested_by = cancel.requested_by.clone();
            let detail =
                if cancel.reason.is_empty() { format!("asked for by {requested_by}") } else { cancel.reason.clone() };
            let reason = Reason { code: ReasonCode::Cancelled, detail };
            out.emit(
                &OrderCancellationRequested { order_id, requested_by: requested_by.clone(), reason: reason.clone() },
                "",
            );
            world.change(order_id, |order| {
                order.state = State::Cancelling;
                order.asked = Some(CancellationAsked { requested_by, reason });
            });
            asked
        }
        State::Cancelling => asked,
        State::Rejected | State::Completed | State::Cancelled | State::Failed => Reply::Ended(order.state),
    }
}

/// Stock does not suffice: nothing is reserved, and the order ends.
pub fn on_stock_rejected(
    world: &mut BatchState,
    event: &StockRejected,
    now: Timestamp,
    out: Out<'_, '_>,
) -> OrderRuling {
    let closed = Closed { shipped: Vec::new(), unshipped: Vec::new(), reason: Some(event.reason.clone()) };
    ending::end(world, event.order_id, "StockRejected", Some((&closed, None)), now, out)
}

/// Reserved units were given back. If it was inventory's last word, the order ends.
pub fn on_stock_released(
    world: &mut BatchState,
    event: &StockReleased,
    now: Timestamp,
    out: Out<'_, '_>,
) -> OrderRuling {
    let closed = event.closed.as_ref().map(|closed| (closed, Some(&event.reason)));
    ending::end(world, event.order_id, "StockReleased", closed, now, out)
}

/// Units have left. If it was inventory's last word, the order ends.
pub fn on_stock_committed(
    world: &mut BatchState,
    event: &StockCommitted,
    now: Timestamp,
    out: Out<'_, '_>,
) -> OrderRuling {
    let closed = event.closed.as_ref().map(|closed| (closed, None));
    ending::end(world, event.order_id, "StockCommitted", closed, now, out)
}

#[cfg(test)]
pub(crate) mod tests;
