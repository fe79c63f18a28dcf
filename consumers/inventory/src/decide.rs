//! The rules of inventory, pure. What each event does to an order's stock in each state (–: nothing, it came twice or was overtaken; ✗: a conflict,
//! the protocol excludes it):
//!
//! | | unknown | `Reserved` | `Held` | `Closed` | `Rejected` |
//! |---|---|---|---|---|---|
//! | `OrderAccepted` | `Reserved`, or `Rejected` if not all of it is there | – | – | a tombstone of an order that was paid before it was placed: `Rejected`, so that payments hears of its money | – |
//! | the reservation's timer | – | `ReservationExpired`, once; the stock stays | – | – | – |
//! | `PaymentAuthorized` | ✗ | `Held`: the timer is off | – | – | ✗ |
//! | `PaymentDeclined` | ✗ | all released, `Closed` | ✗ | – | ✗ |
//! | `PaymentVoided` | `Closed` (a tombstone) | all released, `Closed` | all released, `Closed` | – | – |
//! | `FulfillmentShortPicked` | ✗ | what is short is reserved elsewhere, or missing | the same | – | ✗ |
//! | `ShipmentDispatched` | ✗ | committed; `Closed` if nothing is reserved any more | the same | – | ✗ |
//! | `PaymentRefunded` | ✗ | what is listed is released; `Closed` if nothing is reserved any more | the same | – | ✗ |
//! | `ReturnReceived` | ✗ | on hand again, damaged units missing: once for each return, at most what was committed | the same | the same | ✗ |
//!
//! What people do with goods ([`goods`]) changes levels alone. Whatever changes a level stands in its ledger, and each level that a batch changed is
//! announced once.

mod accept;
mod bounds;
mod come_back;
mod decision;
mod goods;
mod hold;
mod let_go;
mod ship;
mod shortage;

use std::convert::Infallible;

use events::{OrderId, StockLevelChanged, Timestamp};
use runtime::{Conflict, Effects, Origin};

use crate::batch::BatchState;
use crate::input::{Input, RESERVATION, Reply};
use crate::reservation::Reservation;
use crate::settings::Inventory;
use crate::supply::Supply;

pub(crate) use come_back::returned;
pub(crate) use decision::Decision;
use decision::StockEvent;
pub(crate) use hold::expired;
pub(crate) use shortage::reallocated;

impl Inventory {
    pub(crate) fn apply(
        &self,
        world: &mut BatchState,
        input: &Input,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        let (cause, order_id) = (effects.cause().id, input.order_id());
        let order = order_id.and_then(|order_id| world.order(order_id));
        let supply = Supply { stock: &world.stock, warehouses: &world.warehouses, strategy: &*self.strategy };
        let decision = match input {
            Input::Accepted(event) => {
                let expires_at = now.plus(self.settings.reservation_ttl.0);
                accept::accepted(order, event, &supply, expires_at, effects.thread())?
            }
            Input::Expired(order_id) => expired(order, *order_id),
            Input::Authorized(order_id) => hold::authorized(order, *order_id)?,
            Input::Declined(event) => let_go::declined(order, event)?,
            Input::Voided(event) => let_go::voided(order, event, effects.thread()),
            Input::ShortPicked(event) => shortage::short_picked(order, event, &supply)?,
            Input::Dispatched(event) => ship::dispatched(order, event)?,
            Input::Refunded(event) => let_go::refunded(order, event)?,
            Input::Returned(event) => {
                let returned = come_back::returned(order, event.order_id, event.return_id, &event.lines)?;
                if returned.is_some() {
                    come_back::known_warehouses(&world.warehouses, event.order_id, &event.lines)?;
                }
                returned
            }
            Input::Receive(receipt) => return goods::receive(world, receipt, cause),
            Input::Count(count) => return goods::count(world, count, cause),
            Input::Load(load) => return goods::load(world, load, cause, now),
            Input::Build(id, warehouse) => return Ok(goods::build(world, id, warehouse)),
        };
        if let (Some(order_id), Some(decision)) = (order_id, decision) {
            carry_out(world, order_id, decision, effects)?;
        }
        Ok(Reply::Nothing)
    }
}

/// Changes stock first, as that alone can be refused; then the order's row, its clock, and what is said.
pub(crate) fn carry_out(
    world: &mut BatchState,
    order_id: OrderId,
    decision: Decision,
    effects: &mut Effects<'_, Infallible>,
) -> Result<(), Conflict> {
    let Decision { order, changes, emit } = decision;
    let clock_ran = world.order(order_id).is_some_and(Reservation::clock_runs);
    world.stock.apply(&changes, Some(order_id), effects.cause().id)?;
    effects.follow(&order.thread);
    match (clock_ran, order.clock_runs(), order.expires_at) {
        (false, true, Some(due)) => effects.schedule(RESERVATION, order_id, "", due),
        // A timer that fired is gone already.
        (true, false, _) if !matches!(effects.cause().origin, Origin::Timer(_)) => {
            effects.cancel_timer(RESERVATION, order_id, "");
        }
        (false | true, _, _) => {}
    }
    match emit {
        Some(StockEvent::Reserved(event)) => effects.emit(&*event, ""),
        Some(StockEvent::Rejected(event)) => effects.emit(&event, ""),
        Some(StockEvent::Expired(event)) => effects.emit(&event, ""),
        Some(StockEvent::Reallocated(event)) => effects.emit(&event, ""),
        Some(StockEvent::Committed(event)) => effects.emit(&event, ""),
        Some(StockEvent::Released(event)) => effects.emit(&event, ""),
        Some(StockEvent::Returned(event)) => effects.emit(&event, ""),
        None => {}
    }
    world.put(order_id, order);
    Ok(())
}

/// Announces each level that the batch touched, once, as the batch leaves it.
pub(crate) fn announce(world: &mut BatchState, effects: &mut Effects<'_, Infallible>) {
    world.stock.announce(|sku, warehouse, level| {
        let changed = StockLevelChanged {
            sku: sku.clone(),
            warehouse: warehouse.clone(),
            version: level.version,
            on_hand: level.on_hand,
            reserved: level.reserved,
            missing: level.missing,
            available: level.available(),
        };
        effects.emit(&changed, &format!("{sku}/{warehouse}/{}", level.version));
    });
}
