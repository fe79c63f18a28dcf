//! How fulfillment ends with an order: confirmed, refused, let go, or finished when every warehouse has answered.

use events::{
    FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, GivenUp, Reason, ReasonCode, Shipment, Why,
};

use super::InputRules;
use crate::input::{HAND_OVER, PICK};
use crate::parcel::{Fate, ParcelState};
use crate::row::{Consignment, State};

impl InputRules<'_, '_> {
    /// Once no shipment is being picked and no shortage is open: what is packed is confirmed; if nothing is, the order is refused.
    pub(super) fn settle(&mut self, order: &mut Consignment) {
        if order.state != State::Picking || !order.settled() {
            return;
        }
        let packed = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Packed);
        let shipments: Vec<Shipment> = packed
            .map(|parcel| Shipment {
                shipment_id: parcel.shipment_id,
                warehouse: parcel.warehouse.clone(),
                items: parcel.packed(),
            })
            .collect();
        if shipments.is_empty() {
            self.reject(order, "no warehouse could pick any unit of the order".to_owned());
            return;
        }
        order.state = State::Confirmed;
        self.effects.emit(&FulfillmentConfirmed { order_id: self.order_id, shipments }, "");
    }

    pub(super) fn reject(&mut self, order: &mut Consignment, detail: String) {
        let reason = Reason { code: ReasonCode::NothingToShip, detail };
        order.state = State::Closed;
        order.let_go = Some(reason.clone());
        self.effects.emit(&FulfillmentRejected { order_id: self.order_id, reason }, "");
    }

    /// Before the release nothing may leave: the order is closed, and the warehouses put back what they hold. Only confirmed units
    /// are listed: others were never promised.
    pub(super) fn let_go(&mut self, order: &mut Consignment, reason: &Reason) {
        let fate = Fate::of(Why::Order(reason.code.clone()));
        let mut items = Vec::new();
        for parcel in &mut order.parcels {
            match parcel.state {
                ParcelState::Picking => self.forget(PICK, &parcel.shipment_id.to_string()),
                ParcelState::Packed if order.state == State::Confirmed => {
                    items.extend(parcel.packed_given_up(parcel.will_not_ship.as_ref().unwrap_or(&fate)));
                }
                ParcelState::Packed => {}
                ParcelState::Dispatched | ParcelState::Dropped => continue,
            }
            parcel.state = ParcelState::Dropped;
            parcel.put_back = parcel.will_not_ship.is_none(); // else the warehouse knows
            parcel.will_not_ship.get_or_insert_with(|| fate.clone());
        }
        order.state = State::Closed;
        order.let_go = Some(reason.clone());
        self.say_cancelled(items, reason);
    }

    /// Once every shipment's warehouse has answered: closed, and what was confirmed but did not leave is given up. Says whether it is so.
    pub(super) fn finish(&mut self, order: &mut Consignment) -> bool {
        if order.parcels.iter().any(|parcel| parcel.state == ParcelState::Packed) {
            return false;
        }
        order.state = State::Closed;
        self.forget(HAND_OVER, "");
        let dropped = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Dropped);
        let fated = dropped.filter_map(|parcel| parcel.will_not_ship.as_ref().map(|fate| (parcel, fate)));
        let items: Vec<GivenUp> = fated.flat_map(|(parcel, fate)| parcel.packed_given_up(fate)).collect();
        if let Some(first) = items.first() {
            let lost = || Reason {
                code: ReasonCode::NothingToShip,
                detail: format!(
                    "{} of {} packed units did not leave: {}",
                    count(&items),
                    count(&items) + order.units_dispatched(),
                    first.why
                ),
            };
            let reason = order.recall.clone().unwrap_or_else(lost);
            order.let_go = Some(reason.clone());
            self.say_cancelled(items, &reason);
        }
        true
    }

    pub(super) fn say_cancelled(&mut self, items: Vec<GivenUp>, reason: &Reason) {
        let reason = reason.clone();
        self.effects.emit(&FulfillmentCancelled { order_id: self.order_id, items, reason }, "");
    }
}

fn count(items: &[GivenUp]) -> i64 {
    items.iter().map(|item| item.quantity).sum()
}
