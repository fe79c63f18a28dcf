//! Orders told again after a restore: from what was accepted and rejected, and what was asked for.

use events::{Event as _, OrderAccepted, OrderCancellationRequested, OrderId, OrderRejected};
use runtime::restore::{Restore, Retold};
use runtime::{Conflict, Effects};
use std::convert::Infallible;

use crate::order::{Body, Order, World};
use crate::placed::{Placed, placement, rejection_of_unknown_bytes};
use crate::{Cancel, Input, Orders, decide};

impl Restore for Orders {
    const FORCED: &'static [&'static str] = &[OrderAccepted::TYPE, OrderRejected::TYPE];

    fn about(&self, order_id: OrderId) -> Input {
        Input::Cancel(Cancel { order_id, requested_by: String::new(), reason: String::new() })
    }

    fn retell(
        &self,
        world: &mut World,
        event: &Retold<'_, Input>,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        match event.told.event_type() {
            OrderAccepted::TYPE => {
                let accepted: OrderAccepted = event.read()?;
                let known_as = placement(&accepted.source, &accepted.reference);
                let placed =
                    placed_as(event.input).filter(|placed| placed.place.unwrap_or(placed.placement) == known_as);
                let key = placed.map_or(known_as, |placed| placed.placement);
                let body = placed.map_or_else(Body::unknown, |placed| placed.body.clone());
                world.add(Order::accepted(&accepted, key, body, effects.thread(), event.told.at));
            }
            OrderRejected::TYPE => {
                let rejected: OrderRejected = event.read()?;
                // What was too long stands shortened in the event: then only the record says what it was placed as.
                let unknown = || {
                    let known_as = placement(&rejected.source, &rejected.reference);
                    (rejection_of_unknown_bytes(known_as), Body::unknown())
                };
                let placed = placed_as(event.input);
                let (key, body) = placed.map_or_else(unknown, |placed| (placed.rejection, placed.body.clone()));
                world.add(Order::rejected(&rejected, key, body, effects.thread(), event.told.at));
            }
            OrderCancellationRequested::TYPE => {
                let OrderCancellationRequested { order_id, requested_by, reason } = event.read()?;
                decide::on_cancel(world, &Cancel { order_id, requested_by, reason: reason.detail }, effects);
            }
            _ => return Err(event.untold()),
        }
        Ok(())
    }
}

fn placed_as(input: Option<&Input>) -> Option<&Placed> {
    match input {
        Some(Input::Placed(placed)) => Some(placed),
        Some(
            Input::Cancel(_)
            | Input::StockRejected(_)
            | Input::StockReleased(_)
            | Input::StockCommitted(_)
            | Input::UnknownTimer(_),
        )
        | None => None,
    }
}
