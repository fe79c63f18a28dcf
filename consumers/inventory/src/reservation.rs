//! What one order holds: its allocations, and what became of each of their units.

use events::{
    Allocation, AllocationId, Closed, Condition, GivenUp, LineId, Reason, ReasonCode, ReturnId, ShipmentId,
    ShippedLine, Sku, Timestamp, UnshippedLine, WarehouseId, Why,
};
use runtime::TraceContext;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stock is reserved, and the reservation's clock runs, or has fired once.
    #[default]
    Reserved,
    /// Money is authorized: the clock is off.
    Held,
    /// The last word was said. Also a tombstone: it was stopped before it came here.
    Closed,
    Rejected,
}

runtime::names!(State { Reserved: "reserved", Held: "held", Closed: "closed", Rejected: "rejected" });

/// Units of one line that one warehouse holds, and what became of them: reserved + committed + released + missing = quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    pub allocation_id: AllocationId,
    pub line_id: LineId,
    pub sku: Sku,
    pub warehouse: WarehouseId,
    pub quantity: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<AllocationId>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub committed: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: i64,
    /// Units that were given up and replaced nowhere, with why: the order's customer does not get them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unshipped: Vec<(Why, i64)>,
    /// Whether a refund gave its listed units back: it does so once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_back: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
const fn is_zero(units: &i64) -> bool {
    *units == 0
}

impl Holding {
    pub fn new(allocation: &Allocation) -> Self {
        Self {
            allocation_id: allocation.allocation_id,
            line_id: allocation.line_id.clone(),
            sku: allocation.sku.clone(),
            warehouse: allocation.warehouse.clone(),
            quantity: allocation.quantity,
            replaces: allocation.replaces,
            reserved: allocation.quantity,
            committed: 0,
            released: 0,
            missing: 0,
            unshipped: Vec::new(),
            given_back: false,
        }
    }

    /// Gives up `units` of what is reserved; `missing` ones are not on sale again.
    pub fn give_up(&mut self, units: i64, condition: &Condition) {
        self.reserved -= units;
        match condition {
            Condition::Intact => self.released += units,
            // What a later version may call it, nobody has seen the goods intact.
            Condition::Gone | Condition::Other(_) => self.missing += units,
        }
    }

    pub fn not_shipped(&mut self, units: i64, why: &Why) {
        match self.unshipped.iter_mut().find(|(other, _)| other == why) {
            _ if units == 0 => {}
            Some((_, sum)) => *sum += units,
            None => self.unshipped.push((why.clone(), units)),
        }
    }

    pub fn given_up(&self, units: i64, condition: Condition, why: Why) -> GivenUp {
        GivenUp {
            allocation_id: self.allocation_id,
            line_id: self.line_id.clone(),
            sku: self.sku.clone(),
            quantity: units,
            condition,
            why,
        }
    }
}

/// One order's row: the guard against everything that comes twice, late or out of order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub state: State,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// When the reservation's clock fires; none if nothing was ever reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Country the goods go to: a replacement may prefer a near warehouse.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ship_to_country: String,
    /// The allocations, in the order of the lines, replacements last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holdings: Vec<Holding>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<ShipmentId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<ShipmentId>,
    /// The returns that are in stock again, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<ReturnedUnits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    pub thread: TraceContext,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedUnits {
    pub return_id: ReturnId,
    pub units: i64,
}

impl Reservation {
    pub fn without_stock(state: State, reason: Reason, thread: TraceContext) -> Self {
        Self { state, reason: Some(reason), thread, ..Self::default() }
    }

    pub fn of_plan(plan: &[Allocation], expires_at: Timestamp, ship_to_country: String, thread: TraceContext) -> Self {
        let holdings = plan.iter().map(Holding::new).collect();
        Self { expires_at: Some(expires_at), ship_to_country, holdings, thread, ..Self::default() }
    }

    pub fn holding(&mut self, allocation_id: AllocationId) -> Option<&mut Holding> {
        self.holdings.iter_mut().find(|holding| holding.allocation_id == allocation_id)
    }

    pub fn units(&self) -> ReservedUnits {
        self.holdings.iter().fold(ReservedUnits::default(), |sum, holding| ReservedUnits {
            reserved: sum.reserved + holding.reserved,
            committed: sum.committed + holding.committed,
            released: sum.released + holding.released,
            missing: sum.missing + holding.missing,
        })
    }

    pub fn units_returned(&self) -> i64 {
        self.returned.iter().map(|returned| returned.units).sum()
    }

    pub fn clock_runs(&self) -> bool {
        self.state == State::Reserved && !self.expired
    }

    pub fn close_if_empty(&mut self) -> Option<Closed> {
        (self.units().reserved == 0).then(|| self.close())
    }

    pub fn close(&mut self) -> Closed {
        self.state = State::Closed;
        let (mut shipped, mut unshipped) = (Vec::<ShippedLine>::new(), Vec::<UnshippedLine>::new());
        for Holding { line_id, sku, committed, unshipped: not_shipped, .. } in &self.holdings {
            match shipped.iter_mut().find(|line| line.line_id == *line_id) {
                _ if *committed == 0 => {}
                Some(line) => line.quantity += committed,
                None => {
                    let (line_id, sku) = (line_id.clone(), sku.clone());
                    shipped.push(ShippedLine { line_id, sku, quantity: *committed });
                }
            }
            for (why, units) in not_shipped {
                match unshipped.iter_mut().find(|line| line.line_id == *line_id && line.why == *why) {
                    Some(line) => line.quantity += units,
                    None => {
                        let (line_id, sku, why) = (line_id.clone(), sku.clone(), why.clone());
                        unshipped.push(UnshippedLine { line_id, sku, quantity: *units, why });
                    }
                }
            }
        }
        if self.reason.is_none() && !unshipped.is_empty() {
            self.reason = Some(shortage(&unshipped));
        }
        Closed { shipped, unshipped, reason: self.reason.clone() }
    }
}

fn shortage(unshipped: &[UnshippedLine]) -> Reason {
    let units: i64 = unshipped.iter().map(|line| line.quantity).sum();
    let detail = format!("{units} of its units could not be picked, and no other warehouse had them");
    Reason { code: ReasonCode::OutOfStock, detail }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReservedUnits {
    pub reserved: i64,
    pub committed: i64,
    pub released: i64,
    pub missing: i64,
}
