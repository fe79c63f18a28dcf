//! Consignments told again after a restore: what warehouses answered, from what was said of it.

use events::{
    AllocationId, Event as _, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentShortPicked, ReturnAnnounced,
    ReturnReceived, ReturnRefused, ReturnedLine, Shipment, ShipmentDelivered, ShipmentDispatched, ShipmentId,
};
use runtime::restore::{Restore, RetoldEvent};
use runtime::rows::Rows;
use runtime::{Conflict, Effects};

use crate::decide::{InputRules, OrderChange, Overdue};
use crate::input::{Answer, Input};
use crate::parcel::{Fate, Parcel, ParcelState};
use crate::returns::{CustomerReturn, ReturnEnd, ReturnUnits};
use crate::row::{BatchState, Consignment};
use crate::settings::Fulfillment;

impl Restore for Fulfillment {
    fn retell(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Overdue>,
    ) -> Result<(), Conflict> {
        let BatchState { orders, returns } = world;
        let row = orders.get_mut(&event.order_id).ok_or_else(|| event.untold())?;
        let order = row.untracked();
        effects.follow(&order.thread);
        if [ReturnAnnounced::TYPE, ReturnReceived::TYPE, ReturnRefused::TYPE].contains(&event.told.event_type()) {
            let mut rules = InputRules::new(&self.settings, event.told.at, event.order_id, effects);
            returned(&mut rules, returns, event)?;
            row.mark_changed();
            return Ok(());
        }
        let (answers, mut changed) = (answers(order, event)?, false);
        let mut rules = InputRules::new(&self.settings, event.told.at, event.order_id, effects);
        if event.told.event_type() == ShipmentDispatched::TYPE && order.is_held() && order.recall.is_none() {
            rules.hold_released(order)?; // by a person
        }
        for (shipment_id, answer) in answers {
            let index = order.parcels.iter().position(|parcel| parcel.shipment_id == shipment_id);
            let index = index.ok_or_else(|| event.untold())?;
            changed |= rules.answered(order, index, &answer)? == OrderChange::Made;
        }
        if changed {
            row.mark_changed();
        }
        Ok(())
    }
}

/// What was asked for of a return.
fn returned(
    rules: &mut InputRules<'_, '_>,
    returns: &mut Rows<CustomerReturn>,
    event: &RetoldEvent<'_, Input>,
) -> Result<(), Conflict> {
    let (order_id, at) = (event.order_id, event.told.at);
    let known = |return_id| returns.get(&return_id).cloned().ok_or_else(|| event.untold());
    match event.told.event_type() {
        ReturnAnnounced::TYPE => {
            let ReturnAnnounced { return_id, lines, refund, reason, requested_by, .. } = event.read()?;
            let units = lines.into_iter().map(|line| ReturnUnits { line, intact: 0, damaged: 0 }).collect();
            let returned =
                CustomerReturn { order_id, units, refund, reason, requested_by, requested_at: at, end: None };
            rules.announced(returns, return_id, returned);
        }
        ReturnReceived::TYPE => {
            let ReturnReceived { return_id, lines, received_by, .. } = event.read()?;
            let mut returned = known(return_id)?;
            let fit = |elsewhere: bool| {
                let mut came = lines.clone();
                let count = |units: &ReturnUnits| {
                    let is_of = |line: &ReturnedLine| {
                        line.line_id == units.line.line_id && (elsewhere || line.warehouse == units.line.warehouse)
                    };
                    let line = came.iter().position(is_of).map(|at| came.remove(at));
                    let (intact, damaged) = line.map_or((0, 0), |line| (line.intact, line.damaged));
                    ReturnUnits { line: units.line.clone(), intact, damaged }
                };
                let counted: Vec<ReturnUnits> = returned.units.iter().map(count).collect();
                came.is_empty().then_some(counted)
            };
            let (units, warehouse) = match fit(false) {
                Some(units) => (units, None),
                // It was received elsewhere than it shipped from: all of it in one place.
                None => {
                    let elsewhere = lines.first().map(|line| line.warehouse.clone());
                    (fit(true).ok_or_else(|| event.untold())?, elsewhere)
                }
            };
            returned.units = units;
            returned.end = Some(ReturnEnd { by: received_by, at, warehouse, refused: None });
            rules.ended(returns, return_id, returned);
        }
        _ => {
            let ReturnRefused { return_id, reason, refused_by, .. } = event.read()?;
            let end = ReturnEnd { by: refused_by, at, warehouse: None, refused: Some(reason) };
            let returned = CustomerReturn { end: Some(end), ..known(return_id)? };
            rules.ended(returns, return_id, returned);
        }
    }
    Ok(())
}

/// What the warehouses must have answered for this to be said.
fn answers(order: &Consignment, event: &RetoldEvent<'_, Input>) -> Result<Vec<(ShipmentId, Answer)>, Conflict> {
    Ok(match event.told.event_type() {
        FulfillmentShortPicked::TYPE => {
            let FulfillmentShortPicked { shipment_id, short, .. } = event.read()?;
            let parcel = order.parcel(shipment_id).ok_or_else(|| event.untold())?;
            let lacks = |id: AllocationId| -> i64 {
                short.iter().filter(|item| item.allocation_id == id).map(|item| item.quantity).sum()
            };
            let items = parcel.picks.iter().map(|pick| (pick.allocation_id, pick.quantity - lacks(pick.allocation_id)));
            let first = short.first().ok_or_else(|| event.untold())?;
            let rest = Fate { why: first.why.clone(), condition: first.condition.clone() };
            vec![(shipment_id, Answer::Picked { items: items.filter(|(_, units)| *units > 0).collect(), rest })]
        }
        FulfillmentConfirmed::TYPE => {
            let FulfillmentConfirmed { shipments, .. } = event.read()?;
            let picking = |shipment: &&Shipment| {
                order.parcel(shipment.shipment_id).is_some_and(|of| of.state == ParcelState::Picking)
            };
            let picked = |shipment: &Shipment| {
                let items = shipment.items.iter().map(|item| (item.allocation_id, item.quantity)).collect();
                (shipment.shipment_id, Answer::Picked { items, rest: Fate::of(events::Why::Short) })
            };
            shipments.iter().filter(picking).map(picked).collect()
        }
        ShipmentDispatched::TYPE => {
            let ShipmentDispatched { shipment_id, carrier, tracking, dispatched_at, .. } = event.read()?;
            vec![(shipment_id, Answer::HandedOver { carrier, tracking, at: Some(dispatched_at) })]
        }
        ShipmentDelivered::TYPE => {
            let ShipmentDelivered { shipment_id, delivered_at, .. } = event.read()?;
            vec![(shipment_id, Answer::Delivered { at: Some(delivered_at) })]
        }
        FulfillmentCancelled::TYPE => {
            let FulfillmentCancelled { items, .. } = event.read()?;
            let given_up = |parcel: &&Parcel| parcel.state == ParcelState::Packed;
            let fate = |parcel: &Parcel| {
                let of = |id: AllocationId| items.iter().find(|item| item.allocation_id == id);
                let item = parcel.picks.iter().find_map(|pick| of(pick.allocation_id))?;
                let fate = Fate { why: item.why.clone(), condition: item.condition.clone() };
                Some((parcel.shipment_id, Answer::WillNotShip(fate)))
            };
            order.parcels.iter().filter(given_up).filter_map(fate).collect()
        }
        _ => return Err(event.untold()),
    })
}
