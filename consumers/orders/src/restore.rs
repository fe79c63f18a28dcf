//! Orders told again after a restore: from what was accepted and rejected, and what was asked for.

use std::convert::Infallible;

use events::{Event as _, OrderAccepted, OrderCancellationRequested, OrderId, OrderRejected, derive_id};
use runtime::restore::{Restore, RetoldEvent};
use runtime::{Conflict, Effects};
use uuid::Uuid;

use crate::decide;
use crate::input::{Cancel, Input};
use crate::placed::{Placed, placement, rejection_of_unknown_bytes};
use crate::row::{BatchState, Body, Order};
use crate::settings::{NAME, Orders};

impl Restore for Orders {
    const FORCED: &'static [&'static str] = &[OrderAccepted::TYPE, OrderRejected::TYPE];

    fn about(&self, order_id: OrderId) -> Input {
        Input::Cancel(Cancel { order_id, requested_by: String::new(), reason: String::new() })
    }

    fn retell(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        match event.told.event_type() {
            OrderAccepted::TYPE => {
                let accepted: OrderAccepted = event.read()?;
                // Of one that brought no reference, the record alone says by which key it is known.
                let unknown = || (placement(&accepted.source, &accepted.reference), Body::unknown());
                let (key, body) = placed_as(event, |placed| placed.placement).unwrap_or_else(unknown);
                world.add(Order::accepted(&accepted, key, body, effects.thread(), event.told.at));
            }
            OrderRejected::TYPE => {
                let rejected: OrderRejected = event.read()?;
                // What was too long stands shortened in the event: then only the record says what it was placed as.
                let unknown = || {
                    let known_as = placement(&rejected.source, &rejected.reference);
                    (rejection_of_unknown_bytes(known_as), Body::unknown())
                };
                let (key, body) = placed_as(event, |placed| placed.rejection).unwrap_or_else(unknown);
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

/// By which key an order is known, and its body: as its record has it, if the event follows from that.
fn placed_as(event: &RetoldEvent<'_, Input>, key: fn(&Placed) -> Uuid) -> Option<(Uuid, Body)> {
    let Input::Placed(placed) = event.input? else { return None };
    let (told, key) = (event.told, key(placed));
    let follows = derive_id(told.cause?, NAME, told.event_type(), &key.to_string()) == told.id;
    follows.then(|| (key, placed.body.clone()))
}
