//! What becomes of a return (–: nothing):
//!
//! | | announced under its key | received | refused |
//! |---|---|---|---|
//! | no row | `Announced` **ReturnAnnounced**; more than shipped and is in no other return: refused | 404 | 404 |
//! | `Announced` | as it was answered | `Received` **ReturnReceived**; more than was announced: refused | `Refused` **ReturnRefused** |
//! | `Received` | as it was answered | the same again: as it was answered; else 409 | 409 |
//! | `Refused` | as it was answered | 409 | as it was answered |
//!
//! Only units that left count, by line and warehouse, in whatever state their order is: what shipped is never the saga's any more.

use std::time::Duration;

use events::{OrderId, ReturnAnnounced, ReturnId, ReturnLine, ReturnReceived, ReturnRefused, Timestamp, WarehouseId};
use runtime::rows::Rows;

use super::InputRules;
use crate::parcel::ParcelState;
use crate::returns::{CustomerReturn, ReceivedUnits, ReturnEnd, ReturnInput, ReturnReply, ReturnUnits};
use crate::row::{BatchState, Consignment};

/// How long after the last day on which it may be announced a return may arrive. Inventory and payments keep their orders for longer still.
pub const ARRIVES_WITHIN: Duration = Duration::from_secs(30 * 24 * 3_600);

impl InputRules<'_, '_> {
    pub fn returns(&mut self, world: &mut BatchState, input: &ReturnInput) -> ReturnReply {
        let BatchState { orders, returns } = world;
        let Some(order) = orders.get_mut(&self.order_id) else {
            return self.too_old(Duration::ZERO).unwrap_or(ReturnReply::Unknown);
        };
        self.effects.follow(&order.untracked().thread);
        let reply = match input {
            ReturnInput::Announce { return_id, units, refund, reason, requested_by, .. } => {
                let (reason, requested_by) = (reason.clone(), requested_by.clone());
                let asked = CustomerReturn {
                    order_id: self.order_id,
                    units: Vec::new(),
                    refund: *refund,
                    reason,
                    requested_by,
                    requested_at: self.now,
                    end: None,
                };
                self.announce(order, returns, (*return_id, asked), units)
            }
            ReturnInput::Receive { return_id, units, warehouse, received_by, .. } => {
                self.receive(returns, *return_id, units, warehouse.as_ref(), received_by)
            }
            ReturnInput::Refuse { return_id, reason, refused_by, .. } => {
                self.refuse(returns, *return_id, reason, refused_by)
            }
        };
        if matches!(reply, ReturnReply::Done { replayed: false, .. }) {
            order.mark_changed();
        }
        reply
    }

    fn announce(
        &mut self,
        order: &Consignment,
        returns: &mut Rows<CustomerReturn>,
        (return_id, asked): (ReturnId, CustomerReturn),
        units: &[(String, i64)],
    ) -> ReturnReply {
        if let Some(known) = returns.get(&return_id) {
            let of_sku = |sku: &str| -> i64 {
                let lines = known.units.iter().map(|units| &units.line).filter(|line| line.sku.as_str() == sku);
                lines.map(|line| line.quantity).sum()
            };
            let all: i64 = known.units.iter().map(|units| units.line.quantity).sum();
            let same = (known.refund, &known.reason) == (asked.refund, &asked.reason)
                && units.iter().all(|(sku, quantity)| of_sku(sku) == *quantity)
                && units.iter().map(|(_, quantity)| quantity).sum::<i64>() == all;
            return if same { replayed(known) } else { ReturnReply::Differs(known.state()) };
        }
        if let Some(too_old) = self.too_old(Duration::ZERO) {
            return too_old;
        }
        let left = left(self.order_id, order, returns);
        let mut found = Vec::new();
        for (sku, quantity) in units {
            let of_sku = || left.iter().filter(|line| line.sku.as_str() == sku);
            if of_sku().count() == 0 {
                let skus: Vec<&str> = left.iter().map(|line| line.sku.as_str()).collect();
                let expected = if skus.is_empty() { "none has yet".to_owned() } else { skus.join(", ") };
                let detail = format!("`lines`: expected SKUs of the order that have shipped ({expected}), got {sku:?}");
                return if skus.is_empty() { ReturnReply::TooMuch(detail) } else { ReturnReply::Invalid(detail) };
            }
            if *quantity <= 0 {
                return ReturnReply::Invalid(format!("`lines`: expected 1 or more units of {sku}, got {quantity}"));
            }
            let units: i64 = of_sku().map(|line| line.quantity).sum();
            if *quantity > units {
                return ReturnReply::TooMuch(format!(
                    "expected at most {units} units of {sku}, which shipped and are in no other return, got {quantity}: announce fewer"
                ));
            }
            let mut open = *quantity;
            for line in of_sku() {
                let quantity = open.min(line.quantity);
                open -= quantity;
                if quantity > 0 {
                    found.push(ReturnUnits { line: ReturnLine { quantity, ..line.clone() }, intact: 0, damaged: 0 });
                }
            }
        }
        if found.is_empty() {
            return ReturnReply::Invalid("`lines`: expected at least one unit, got none".to_owned());
        }
        let returned = CustomerReturn { units: found, ..asked };
        self.announced(returns, return_id, returned)
    }

    /// Writes a return down, and tells of it.
    pub fn announced(
        &mut self,
        returns: &mut Rows<CustomerReturn>,
        return_id: ReturnId,
        returned: CustomerReturn,
    ) -> ReturnReply {
        let event = ReturnAnnounced {
            order_id: self.order_id,
            return_id,
            lines: returned.announced(),
            refund: returned.refund,
            reason: returned.reason.clone(),
            requested_by: returned.requested_by.clone(),
        };
        self.effects.emit(&event, &return_id.to_string());
        returns.add(return_id, returned.clone());
        ReturnReply::Done { returned: Box::new(returned), replayed: false }
    }

    fn receive(
        &mut self,
        returns: &mut Rows<CustomerReturn>,
        return_id: ReturnId,
        units: &[ReceivedUnits],
        warehouse: Option<&WarehouseId>,
        received_by: &str,
    ) -> ReturnReply {
        let Some(known) = returns.get(&return_id).filter(|known| known.order_id == self.order_id) else {
            return ReturnReply::Unknown;
        };
        let counted = match counted(known, units) {
            Ok(counted) => counted,
            Err(refused) => return refused,
        };
        match &known.end {
            None => {}
            Some(ReturnEnd { refused: Some(_), .. }) => return ReturnReply::Ended(known.state()),
            Some(end) if end.warehouse.as_ref() == warehouse && known.units == counted => return replayed(known),
            Some(_) => return ReturnReply::Differs(known.state()),
        }
        if let Some(too_old) = self.too_old(ARRIVES_WITHIN) {
            return too_old;
        }
        let end = ReturnEnd { by: received_by.to_owned(), at: self.now, warehouse: warehouse.cloned(), refused: None };
        self.ended(returns, return_id, CustomerReturn { units: counted, end: Some(end), ..known.clone() })
    }

    fn refuse(
        &mut self,
        returns: &mut Rows<CustomerReturn>,
        return_id: ReturnId,
        reason: &str,
        refused_by: &str,
    ) -> ReturnReply {
        let Some(known) = returns.get(&return_id).filter(|known| known.order_id == self.order_id) else {
            return ReturnReply::Unknown;
        };
        match &known.end {
            None => {}
            Some(ReturnEnd { refused: Some(why), .. }) if why == reason => return replayed(known),
            Some(ReturnEnd { refused: Some(_), .. }) => return ReturnReply::Differs(known.state()),
            Some(_) => return ReturnReply::Ended(known.state()),
        }
        let refused = Some(reason.to_owned());
        let end = ReturnEnd { by: refused_by.to_owned(), at: self.now, warehouse: None, refused };
        self.ended(returns, return_id, CustomerReturn { end: Some(end), ..known.clone() })
    }

    /// Writes down how a return ended, and tells of it.
    pub fn ended(
        &mut self,
        returns: &mut Rows<CustomerReturn>,
        return_id: ReturnId,
        returned: CustomerReturn,
    ) -> ReturnReply {
        let (order_id, discriminator) = (self.order_id, return_id.to_string());
        let by = returned.end.as_ref().map(|end| end.by.clone()).unwrap_or_default();
        match returned.end.as_ref().and_then(|end| end.refused.clone()) {
            Some(reason) => {
                self.effects.emit(&ReturnRefused { order_id, return_id, reason, refused_by: by }, &discriminator);
            }
            None => {
                let (lines, reason) = (returned.received(), returned.reason.clone());
                let event =
                    ReturnReceived { order_id, return_id, lines, refund: returned.refund, reason, received_by: by };
                self.effects.emit(&event, &discriminator);
            }
        }
        returns.insert(return_id, returned.clone());
        ReturnReply::Done { returned: Box::new(returned), replayed: false }
    }

    /// Whether the order was placed too long ago; a return that arrives may be late by so much more.
    fn too_old(&self, more: Duration) -> Option<ReturnReply> {
        let limit = self.settings.returnable_for.0 + more;
        let is_over = |placed: Timestamp| self.now > placed.plus(limit);
        self.order_id.minted_at().is_some_and(is_over).then(|| {
            ReturnReply::TooOld(format!(
                "expected an order that was placed in the last {} days (fulfillment.returnable_for), got an older one: book its units as \
                 received at inventory, and pay back by other means",
                limit.as_secs() / 86_400
            ))
        })
    }
}

/// What left and is in no other return, by line and warehouse, in the order of the shipments.
fn left(order_id: OrderId, order: &Consignment, returns: &Rows<CustomerReturn>) -> Vec<ReturnLine> {
    let mut left: Vec<ReturnLine> = Vec::new();
    for parcel in order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Dispatched) {
        for item in parcel.packed() {
            match left.iter_mut().find(|line| line.line_id == item.line_id && line.warehouse == parcel.warehouse) {
                Some(line) => line.quantity += item.quantity,
                None => {
                    let (line_id, sku, quantity) = (item.line_id, item.sku, item.quantity);
                    left.push(ReturnLine { line_id, sku, quantity, warehouse: parcel.warehouse.clone() });
                }
            }
        }
    }
    for line in &mut left {
        let taken = returns.iter().filter(|(_, other)| other.order_id == order_id).flat_map(|(_, other)| other.taken());
        let same = taken.filter(|(taken, _)| taken.line_id == line.line_id && taken.warehouse == line.warehouse);
        line.quantity -= same.map(|(_, units)| units).sum::<i64>();
    }
    left
}

/// The units of a return with what came of them: those of a SKU are of its lines in their order, intact ones first.
fn counted(known: &CustomerReturn, came: &[ReceivedUnits]) -> Result<Vec<ReturnUnits>, ReturnReply> {
    let mut counted: Vec<ReturnUnits> =
        known.units.iter().map(|units| ReturnUnits { intact: 0, damaged: 0, ..units.clone() }).collect();
    for ReceivedUnits { sku, intact, damaged } in came {
        if *intact < 0 || *damaged < 0 {
            let detail =
                format!("`lines`: expected 0 or more units of {sku}, got {intact} intact and {damaged} damaged");
            return Err(ReturnReply::Invalid(detail));
        }
        let (mut intact, mut damaged) = (*intact, *damaged);
        for units in counted.iter_mut().filter(|units| units.line.sku.as_str() == sku) {
            units.intact = intact.min(units.line.quantity);
            units.damaged = damaged.min(units.line.quantity - units.intact);
            intact -= units.intact;
            damaged -= units.damaged;
        }
        let of_sku = known.units.iter().filter(|units| units.line.sku.as_str() == sku);
        let announced: i64 = of_sku.map(|units| units.line.quantity).sum();
        if intact.saturating_add(damaged) > 0 {
            return Err(ReturnReply::TooMuch(format!(
                "expected at most {announced} units of {sku}, as announced, got more: announce another return for what came besides"
            )));
        }
    }
    match counted.iter().any(|units| units.came() > 0) {
        true => Ok(counted),
        false => Err(ReturnReply::Invalid(
            "`lines`: expected at least one unit that came, got none: refuse the return if nothing did".to_owned(),
        )),
    }
}

fn replayed(known: &CustomerReturn) -> ReturnReply {
    ReturnReply::Done { returned: Box::new(known.clone()), replayed: true }
}
