//! The rules: what becomes of an order when others say something of it, cell by cell.
//!
//! | input | no row | PICKING | CONFIRMED | RELEASED | CLOSED |
//! |---|---|---|---|---|---|
//! | `FraudCleared` | shipments are planned: PICKING; nothing to plan: CLOSED | · | · | · | · |
//! | `StockReallocated` | conflict | what was found elsewhere is picked there | · | · | · |
//! | `OrderCancellationRequested` | CLOSED, a tombstone | let go: CLOSED | let go: CLOSED | recalled: each warehouse answers | · |
//! | `PaymentCaptureFailed` | CLOSED, a tombstone | let go: CLOSED | let go: CLOSED | conflict | · |
//! | `PaymentCaptured` | conflict | conflict | RELEASED; CLOSED where nothing can leave | · | · |
//! | `PaymentDisputed`, `DisputeClosed` | · | held, let go again, or given up (disputes.rs) | the same | the same | · |
//! | picked, or the pick deadline | unknown | the first answer counts; the last shipment settles: CONFIRMED or CLOSED | · | · | · |
//! | handed over | unknown | conflict | conflict | dispatched, the last one: CLOSED; held: conflict | again: ·; given up: conflict |
//! | will not ship | unknown | as picked, with nothing; packed: kept until the release | kept until the release | dropped; the last one: CLOSED | left: conflict |
//! | the hand-over timer | · | · | · | asked again; past the deadline a person is alerted | · |
//! | delivered, put back | unknown | conflict | conflict | of a shipment that left, or was given up | the same |
//!
//! Returns are beside that: [`returns`].

mod answers;
mod disputes;
mod ends;
pub(crate) mod meet;
mod returns;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use events::{AllocationId, FraudCleared, OrderId, PaymentCaptured, Reason, ShipmentId, StockReallocated, Timestamp};
use runtime::{Conflict, Effects};

use crate::built_in::{WarehouseTask, answer};
use crate::input::{HAND_OVER, PICK};
use crate::parcel::{Parcel, ParcelState, Shortage};
use crate::plan::plan;
use crate::row::{Consignment, State};
use crate::settings::{Settings, WarehouseMode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderChange {
    Made,
    /// A duplicate, a replay, or something that was overtaken.
    Nothing,
}

pub struct InputRules<'r, 'c> {
    pub settings: &'r Settings,
    pub now: Timestamp,
    pub order_id: OrderId,
    pub effects: &'r mut Effects<'c, Overdue>,
    asks: Vec<(ShipmentId, WarehouseTask)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    pub order_id: OrderId,
    pub hand_over_by: Timestamp,
    pub shipments: Vec<ShipmentId>,
    pub correlation_id: Arc<str>,
}

impl<'r, 'c> InputRules<'r, 'c> {
    pub fn new(
        settings: &'r Settings,
        now: Timestamp,
        order_id: OrderId,
        effects: &'r mut Effects<'c, Overdue>,
    ) -> Self {
        Self { settings, now, order_id, effects, asks: Vec::new() }
    }

    /// Has the built-in warehouse answer what it was asked, and what follows from its answers; it is asked again later where it gives none.
    /// Panics when its answer contradicts the order, which is a defect of ours: it is asked about the order as it stands.
    pub fn let_built_in_answer(&mut self, order: &mut Consignment) -> OrderChange {
        let mut change = OrderChange::Nothing;
        for (shipment_id, task) in std::mem::take(&mut self.asks) {
            let Some(index) = order.parcels.iter().position(|parcel| parcel.shipment_id == shipment_id) else {
                continue;
            };
            let given = answer(self.settings, &order.parcels[index], task);
            match given.map(|answer| self.answered(order, index, &answer)) {
                Some(Ok(OrderChange::Nothing)) => {}
                Some(Ok(OrderChange::Made)) => change = OrderChange::Made,
                Some(Err(conflict)) => panic!("the built-in warehouse: {conflict}"),
                None => self.ask_again_later(&order.parcels[index], task),
            }
        }
        change
    }

    fn ask_again_later(&mut self, parcel: &Parcel, task: WarehouseTask) {
        let again = self.now.plus(self.settings.lease.0);
        match task {
            WarehouseTask::Pick => {
                let at = again.min(parcel.pick_by);
                self.effects.schedule(PICK, self.order_id, &parcel.shipment_id.to_string(), at);
            }
            WarehouseTask::HandOver | WarehouseTask::Recall => {
                self.effects.schedule(HAND_OVER, self.order_id, "", again);
            }
        }
    }

    /// Forgets a timer that a real warehouse's answer was waited for with. One of the built-in warehouse is left to fire, to no effect: it answers at once,
    /// so mostly there is none.
    fn forget(&mut self, kind: &str, discriminator: &str) {
        if self.settings.warehouse == WarehouseMode::External {
            self.effects.cancel_timer(kind, self.order_id, discriminator);
        }
    }

    /// FraudCleared, first heard: shipments are planned and picking lists go to the warehouses; or nothing can be planned, and the
    /// order is refused.
    /// Fails when countries are refused and the address can't be read.
    pub fn cleared(&mut self, cleared: &FraudCleared) -> Result<Consignment, Conflict> {
        let thread = self.effects.thread();
        if let Some(detail) = self.refusal(cleared)? {
            let mut order = Consignment { thread, ..Consignment::default() };
            self.reject(&mut order, detail);
            return Ok(order);
        }
        let mut order = Consignment {
            state: State::Picking,
            personal: Some(cleared.personal.clone()),
            thread,
            capture_before: Some(cleared.capture_before),
            ..Consignment::default()
        };
        order.parcels = plan(self.order_id, None, &cleared.plan, self.pick_by(&order));
        order.parcels.iter().for_each(|parcel| self.send_picking_list(parcel));
        Ok(order)
    }

    /// A cancellation, or a failed capture, of an order that is not known: FraudCleared will be too late, and payments is told all
    /// the same, so that the chain does not end here.
    pub fn stop_unknown(&mut self, reason: &Reason) -> Consignment {
        self.say_cancelled(Vec::new(), reason);
        Consignment::tombstone(self.effects.thread(), reason.clone())
    }

    /// StockReallocated: what was found elsewhere is picked there; what was not is missing.
    /// Fails when no shipment of the order was short.
    pub fn reallocated(&mut self, order: &mut Consignment, answer: &StockReallocated) -> Result<OrderChange, Conflict> {
        match order.state {
            State::Picking => {}
            State::Confirmed | State::Released | State::Closed => return Ok(OrderChange::Nothing),
        }
        let asked = order.parcels.iter_mut().find(|parcel| parcel.shipment_id == answer.shipment_id);
        let Some(asked) = asked.filter(|parcel| parcel.shortage != Shortage::None) else {
            return Err(Conflict(format!(
                "expected StockReallocated to name a shipment that was short, got {}: inventory answers what it was not asked",
                answer.shipment_id
            )));
        };
        if asked.shortage == Shortage::Answered {
            return Ok(OrderChange::Nothing);
        }
        asked.shortage = Shortage::Answered;
        let parcels = plan(self.order_id, Some(answer.shipment_id), &answer.moved, self.pick_by(order));
        parcels.iter().for_each(|parcel| self.send_picking_list(parcel));
        order.parcels.extend(parcels);
        self.settle(order);
        Ok(OrderChange::Made)
    }

    /// OrderCancellationRequested: before the release it is decided at once, since nothing may leave; after it, it is a request to
    /// the warehouses, and each shipment's answer counts.
    pub fn cancellation_requested(&mut self, order: &mut Consignment, reason: &Reason) -> OrderChange {
        match order.state {
            State::Picking | State::Confirmed => {
                self.let_go(order, reason);
                OrderChange::Made
            }
            State::Released if order.recall.is_none() => {
                order.recall = Some(reason.clone());
                if self.settings.warehouse == WarehouseMode::BuiltIn {
                    self.ask_to_leave(order);
                }
                OrderChange::Made
            }
            State::Released | State::Closed => OrderChange::Nothing,
        }
    }

    /// PaymentCaptureFailed: a parcel that is still in the house stays there.
    /// Fails when the order was released: then the capture had succeeded.
    pub fn capture_failed(&mut self, order: &mut Consignment, reason: &Reason) -> Result<OrderChange, Conflict> {
        match order.state {
            State::Picking | State::Confirmed => {
                self.let_go(order, reason);
                Ok(OrderChange::Made)
            }
            State::Released => Err(Conflict(
                "expected no PaymentCaptureFailed after PaymentCaptured, got one for an order whose parcels may leave: look \
                 the payment up, and recall the parcels if it is not paid"
                    .to_owned(),
            )),
            State::Closed => Ok(OrderChange::Nothing),
        }
    }

    /// PaymentCaptured: the warehouses may hand over. What a warehouse took back while the capture was open counts now.
    /// Fails when nothing was confirmed, or the money is for less than will ship.
    pub fn captured(&mut self, order: &mut Consignment, captured: &PaymentCaptured) -> Result<OrderChange, Conflict> {
        match order.state {
            State::Picking => return Err(captured_unasked()),
            State::Confirmed => {}
            State::Released | State::Closed => return Ok(OrderChange::Nothing),
        }
        paid_in_full(order, captured)?;
        order.state = State::Released;
        for parcel in &mut order.parcels {
            if parcel.state == ParcelState::Packed && parcel.will_not_ship.is_some() {
                parcel.state = ParcelState::Dropped;
            }
        }
        let hand_over_by = self.now.plus(self.settings.hand_over_deadline.0);
        order.hand_over_by = Some(hand_over_by);
        if !self.finish(order) {
            let delay = self.settings.hand_over_delay.0;
            match self.settings.warehouse {
                WarehouseMode::BuiltIn if delay.is_zero() => self.ask_to_leave(order),
                WarehouseMode::BuiltIn => self.effects.schedule(HAND_OVER, self.order_id, "", self.now.plus(delay)),
                WarehouseMode::External => self.effects.schedule(HAND_OVER, self.order_id, "", hand_over_by),
            }
        }
        Ok(OrderChange::Made)
    }

    /// The hand-over timer: asks the built-in warehouse again; past the deadline a person is alerted, once. Only the warehouse
    /// knows what left, so the clock decides nothing.
    pub fn hand_over_due(&mut self, order: &mut Consignment) -> OrderChange {
        let (State::Released, Some(hand_over_by)) = (order.state, order.hand_over_by) else {
            return OrderChange::Nothing;
        };
        if order.is_held() && order.recall.is_none() {
            // Armed anew once nothing holds it; a recall before that still has its deadline.
            if self.settings.warehouse == WarehouseMode::External {
                let again = self.now.plus(self.settings.hand_over_deadline.0);
                self.effects.schedule(HAND_OVER, self.order_id, "", again);
            }
            return OrderChange::Nothing;
        }
        let overdue = self.now >= hand_over_by;
        let first = overdue && order.overdue_since.is_none();
        if first {
            order.overdue_since = Some(self.now);
            let packed = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Packed);
            let shipments = packed.map(|parcel| parcel.shipment_id).collect();
            let correlation_id = Arc::clone(&order.thread.correlation_id);
            self.effects.call(Overdue { order_id: self.order_id, hand_over_by, shipments, correlation_id });
        }
        match self.settings.warehouse {
            WarehouseMode::BuiltIn => self.ask_to_leave(order),
            WarehouseMode::External if !overdue => self.effects.schedule(HAND_OVER, self.order_id, "", hand_over_by),
            WarehouseMode::External => {}
        }
        // A real warehouse that took over from the built-in one finds its work list written by this save.
        if first || self.settings.warehouse == WarehouseMode::External {
            OrderChange::Made
        } else {
            OrderChange::Nothing
        }
    }

    fn refusal(&self, cleared: &FraudCleared) -> Result<Option<String>, Conflict> {
        if !cleared.plan.iter().any(|allocation| allocation.quantity > 0) {
            return Ok(Some("no warehouse holds any unit of the order".to_owned()));
        }
        if self.settings.refused_countries.is_empty() {
            return Ok(None);
        }
        let person =
            cleared.personal.open().map_err(|error| Conflict(format!("the address can't be read: {error}")))?;
        let country = person.ship_to.country;
        let refused = self.settings.refused_countries.contains(&country);
        Ok(refused.then(|| format!("nothing is shipped to {country}: it is one of the refused countries")))
    }

    /// Until when a shipment must be picked: within the authorization, with a margin where there is time for one.
    fn pick_by(&self, order: &Consignment) -> Timestamp {
        let deadline = self.now.plus(self.settings.pick_deadline.0);
        let Some(capture_before) = order.capture_before else { return deadline };
        let with_margin = capture_before.minus(self.settings.capture_margin.0);
        deadline.min(if with_margin > self.now { with_margin } else { capture_before })
    }

    fn send_picking_list(&mut self, parcel: &Parcel) {
        let wait = match self.settings.warehouse {
            WarehouseMode::BuiltIn if self.settings.pick_delay.0.is_zero() => {
                self.asks.push((parcel.shipment_id, WarehouseTask::Pick));
                return;
            }
            WarehouseMode::BuiltIn => self.now.plus(self.settings.pick_delay.0),
            WarehouseMode::External => parcel.pick_by,
        };
        self.effects.schedule(PICK, self.order_id, &parcel.shipment_id.to_string(), wait.min(parcel.pick_by));
    }

    fn ask_to_leave(&mut self, order: &Consignment) {
        let packed = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Packed);
        let task = match order.recall {
            Some(_) => WarehouseTask::Recall,
            None if order.is_held() => return,
            None => WarehouseTask::HandOver,
        };
        self.asks.extend(packed.map(|parcel| (parcel.shipment_id, task)));
    }
}

pub fn captured_unasked() -> Conflict {
    Conflict(
        "expected PaymentCaptured after FulfillmentConfirmed, got it before: money was taken for what is not packed"
            .to_owned(),
    )
}

/// Nothing leaves unpaid: each confirmed unit must be among those that the capture pays for.
fn paid_in_full(order: &Consignment, captured: &PaymentCaptured) -> Result<(), Conflict> {
    let paid = |id: AllocationId| -> i64 {
        captured.items.iter().filter(|item| item.allocation_id == id).map(|item| item.quantity).sum()
    };
    let packed = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Packed).flat_map(Parcel::packed);
    for item in packed {
        let paid = paid(item.allocation_id);
        if paid < item.quantity {
            return Err(Conflict(format!(
                "expected PaymentCaptured to pay for {} confirmed units of allocation {}, got {paid}: the order is not released",
                item.quantity, item.allocation_id
            )));
        }
    }
    Ok(())
}
