//! The rules of what warehouses answer: picked, handed over, will not ship, delivered, put back; and of their silence.

use events::{AllocationId, FulfillmentShortPicked, ShipmentDelivered, ShipmentDispatched, Timestamp, Why};
use runtime::Conflict;

use super::{InputRules, OrderChange};
use crate::built_in::WarehouseTask;
use crate::input::{Answer, PICK};
use crate::parcel::{Fate, Parcel, ParcelState, Shortage};
use crate::row::{Consignment, State};
use crate::settings::WarehouseMode;

impl InputRules<'_, '_> {
    /// A warehouse's answer about the shipment at `index` of the order.
    /// Fails when it can't be true: units that were not on the list, a parcel that left without release, or that both left and did not.
    pub fn answered(
        &mut self,
        order: &mut Consignment,
        index: usize,
        answer: &Answer,
    ) -> Result<OrderChange, Conflict> {
        match answer {
            Answer::Picked { items, rest } => self.picked(order, index, items, rest),
            Answer::HandedOver { carrier, tracking, at } => {
                let change = may_leave(order.state, &order.parcels[index])?;
                if change == OrderChange::Made && order.is_held() && order.recall.is_none() {
                    return Err(held(&order.parcels[index]));
                }
                if change == OrderChange::Made {
                    self.dispatch(order, index, carrier, tracking.clone(), at.unwrap_or(self.now));
                }
                Ok(change)
            }
            Answer::WillNotShip(fate) => self.will_not_ship(order, index, fate),
            Answer::Delivered { at } => self.delivered(&mut order.parcels[index], at.unwrap_or(self.now)),
            Answer::PutBack => put_back(&mut order.parcels[index]),
        }
    }

    /// The pick timer of the shipment at `index`: the built-in warehouse is asked again; at the deadline nothing was picked, and the
    /// warehouse was late. What it picked all the same, it must put back.
    pub fn pick_due(&mut self, order: &mut Consignment, index: usize) -> OrderChange {
        let parcel = &order.parcels[index];
        if order.state != State::Picking || parcel.state != ParcelState::Picking {
            return OrderChange::Nothing;
        }
        if self.now >= parcel.pick_by {
            order.parcels[index].put_back = true;
            self.pick_result(order, index, &[], &Fate::of(Why::Late));
            return OrderChange::Made;
        }
        match self.settings.warehouse {
            WarehouseMode::BuiltIn => {
                self.asks.push((parcel.shipment_id, WarehouseTask::Pick));
                OrderChange::Nothing
            }
            // It took over from the built-in one: its work list is written by this save.
            WarehouseMode::External => {
                self.effects.schedule(PICK, self.order_id, &parcel.shipment_id.to_string(), parcel.pick_by);
                OrderChange::Made
            }
        }
    }

    /// The first answer to a picking list counts; whatever comes after it, or after the order moved on, is put back.
    fn picked(
        &mut self,
        order: &mut Consignment,
        index: usize,
        items: &[(AllocationId, i64)],
        rest: &Fate,
    ) -> Result<OrderChange, Conflict> {
        if order.state != State::Picking || order.parcels[index].state != ParcelState::Picking {
            return Ok(OrderChange::Nothing);
        }
        on_the_list(&order.parcels[index], items)?;
        self.pick_result(order, index, items, rest);
        Ok(OrderChange::Made)
    }

    fn pick_result(&mut self, order: &mut Consignment, index: usize, items: &[(AllocationId, i64)], rest: &Fate) {
        let parcel = &mut order.parcels[index];
        for pick in &mut parcel.picks {
            let taken = items.iter().filter(|(id, _)| *id == pick.allocation_id).map(|(_, quantity)| quantity);
            pick.picked = taken.sum();
        }
        let anything = parcel.picks.iter().any(|pick| pick.picked > 0);
        parcel.state = if anything { ParcelState::Packed } else { ParcelState::Dropped };
        self.forget(PICK, &order.parcels[index].shipment_id.to_string());
        let parcel = &mut order.parcels[index];
        let short = parcel.missing(rest);
        if !short.is_empty() {
            parcel.short = Some(rest.clone());
            parcel.shortage = Shortage::Asked;
            let parcel = &order.parcels[index];
            let short = FulfillmentShortPicked {
                order_id: self.order_id,
                shipment_id: parcel.shipment_id,
                warehouse: parcel.warehouse.clone(),
                short,
                tried: order.tried(parcel),
            };
            self.effects.emit(&short, &parcel.shipment_id.to_string());
        }
        self.settle(order);
    }

    fn dispatch(
        &mut self,
        order: &mut Consignment,
        index: usize,
        carrier: &str,
        tracking: Option<String>,
        at: Timestamp,
    ) {
        let parcel = &mut order.parcels[index];
        parcel.state = ParcelState::Dispatched;
        parcel.carrier = Some(carrier.to_owned());
        parcel.tracking.clone_from(&tracking);
        parcel.dispatched_at = Some(at);
        let dispatched = ShipmentDispatched {
            order_id: self.order_id,
            shipment_id: parcel.shipment_id,
            warehouse: parcel.warehouse.clone(),
            items: parcel.packed(),
            carrier: carrier.to_owned(),
            tracking,
            dispatched_at: at,
        };
        self.effects.emit(&dispatched, &parcel.shipment_id.to_string());
        self.finish(order);
    }

    /// While it is being picked it is a refusal of the whole list; packed, it is kept until the release; after the release it counts.
    fn will_not_ship(&mut self, order: &mut Consignment, index: usize, fate: &Fate) -> Result<OrderChange, Conflict> {
        let parcel = &mut order.parcels[index];
        match (parcel.state, order.state) {
            (ParcelState::Picking, State::Picking) => {
                self.pick_result(order, index, &[], fate);
                Ok(OrderChange::Made)
            }
            (ParcelState::Packed, State::Picking | State::Confirmed) if parcel.will_not_ship.is_none() => {
                parcel.will_not_ship = Some(fate.clone());
                Ok(OrderChange::Made)
            }
            (ParcelState::Packed, State::Released) => {
                parcel.will_not_ship = Some(fate.clone());
                parcel.state = ParcelState::Dropped;
                self.finish(order);
                Ok(OrderChange::Made)
            }
            (ParcelState::Dispatched, _) => Err(Conflict(format!(
                "shipment {} was handed over already: expected will-not-ship before that; a parcel that comes back is a return",
                parcel.shipment_id
            ))),
            (ParcelState::Picking | ParcelState::Packed | ParcelState::Dropped, _) => Ok(OrderChange::Nothing),
        }
    }

    /// After the saga's end; a shipment arrives once.
    fn delivered(&mut self, parcel: &mut Parcel, at: Timestamp) -> Result<OrderChange, Conflict> {
        if parcel.state != ParcelState::Dispatched {
            return Err(Conflict(format!(
                "shipment {} was not handed over: expected handed-over before delivered; report that first",
                parcel.shipment_id
            )));
        }
        if parcel.delivered_at.is_some() {
            return Ok(OrderChange::Nothing);
        }
        parcel.delivered_at = Some(at);
        let delivered =
            ShipmentDelivered { order_id: self.order_id, shipment_id: parcel.shipment_id, delivered_at: at };
        self.effects.emit(&delivered, &parcel.shipment_id.to_string());
        Ok(OrderChange::Made)
    }
}

/// Whether a hand-over counts: only a packed shipment of a released order may leave, once. A warehouse that says otherwise contradicts itself, or ships what is
/// not paid.
fn may_leave(state: State, parcel: &Parcel) -> Result<OrderChange, Conflict> {
    let id = parcel.shipment_id;
    match (state, parcel.state) {
        (State::Released, ParcelState::Packed) => Ok(OrderChange::Made),
        (_, ParcelState::Dispatched) => Ok(OrderChange::Nothing),
        (State::Picking | State::Confirmed, _) => Err(Conflict(format!(
            "shipment {id} is not released: expected its hand-over after the payment was captured; get the parcel back and wait"
        ))),
        (State::Released | State::Closed, ParcelState::Picking | ParcelState::Packed | ParcelState::Dropped) => {
            Err(Conflict(format!(
                "shipment {id} was given up: expected it to stay in the house; get the parcel back, or settle it with the customer"
            )))
        }
    }
}

fn held(parcel: &Parcel) -> Conflict {
    Conflict(format!(
        "shipment {} is held, as its payment is disputed: expected its hand-over once the dispute is closed; keep it in the house, or have an \
         operator release it (POST /orders/{{order_id}}/release-hold) and report it again",
        parcel.shipment_id
    ))
}

/// An answer may only name units of the picking list, each allocation once.
fn on_the_list(parcel: &Parcel, items: &[(AllocationId, i64)]) -> Result<(), Conflict> {
    for (at, (id, quantity)) in items.iter().enumerate() {
        let Some(pick) = parcel.picks.iter().find(|pick| pick.allocation_id == *id) else {
            return Err(Conflict(format!(
                "expected allocations of the picking list of shipment {}, got {id}: read the list again",
                parcel.shipment_id
            )));
        };
        if !(0..=pick.quantity).contains(quantity) || items[..at].iter().any(|(other, _)| other == id) {
            return Err(Conflict(format!(
                "expected 0 to {} units of allocation {id} ({}), named once, got {quantity}: report what was taken for this order",
                pick.quantity, pick.sku
            )));
        }
    }
    Ok(())
}

fn put_back(parcel: &mut Parcel) -> Result<OrderChange, Conflict> {
    match parcel.state {
        ParcelState::Dropped if parcel.put_back => {
            parcel.put_back = false;
            Ok(OrderChange::Made)
        }
        ParcelState::Dropped => Ok(OrderChange::Nothing),
        ParcelState::Picking | ParcelState::Packed | ParcelState::Dispatched => Err(Conflict(format!(
            "shipment {} was not given up: expected put-back only of goods that do not ship; report will-not-ship if they can't",
            parcel.shipment_id
        ))),
    }
}
