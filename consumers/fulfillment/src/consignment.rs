//! What fulfillment knows of one order: its shipments with their picking lists, what left, and what will not.

use events::{
    Allocation, AllocationId, Condition, GivenUp, Item, LineId, OrderId, Personal, Reason, ShipmentId, Sku, Timestamp,
    WarehouseId, Why, derive_id,
};
use runtime::Thread;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an order stands. Nothing leaves before `Released`; nothing changes after `Closed` but deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Warehouses pick; shortages are asked and answered.
    #[default]
    Picking,
    /// What will ship is said; the money is awaited.
    Confirmed,
    /// The money is there: warehouses may hand over.
    Released,
    /// All that will ever leave has left. Also the tombstone of an order that was stopped before it came here.
    Closed,
}

impl State {
    /// The state as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Picking => "picking",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Closed => "closed",
        }
    }

    /// The state that was stored under this name; none if this version does not know it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Picking, Self::Confirmed, Self::Released, Self::Closed].into_iter().find(|state| state.as_str() == name)
    }
}

/// Where one shipment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParcelState {
    /// The picking list is with the warehouse.
    Picking,
    /// Packed, in the house.
    Packed,
    /// Handed over: the point of no return.
    Dispatched,
    /// It does not ship.
    Dropped,
}

/// What the warehouse should do next with a shipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Pick it, by its picking list.
    Pick,
    /// Keep it in the house: the money is not taken yet.
    Wait,
    /// Hand it over to the carrier.
    HandOver,
    /// Hold it back if it has not left, and say which.
    Recall,
    /// Put the goods back on their shelves.
    PutBack,
    /// Nothing.
    Nothing,
}

impl Step {
    /// The step as it stands in a work list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pick => "pick",
            Self::Wait => "wait",
            Self::HandOver => "hand_over",
            Self::Recall => "recall",
            Self::PutBack => "put_back",
            Self::Nothing => "nothing",
        }
    }
}

/// Why units do not ship, and what became of the goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Why.
    pub why: Why,
    /// Whether they can be sold again.
    pub condition: Condition,
}

impl Fate {
    /// With the condition that goes with the reason, as PROTOCOL.md has it.
    pub fn of(why: Why) -> Self {
        Self { condition: why.condition(), why }
    }
}

/// Whether inventory was asked to find a shipment's missing units elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// There was no need.
    #[default]
    None,
    /// FulfillmentShortPicked was said, StockReallocated is awaited.
    Asked,
    /// StockReallocated came: once.
    Answered,
}

/// One entry of a picking list: units of one allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// The order line it serves.
    pub line_id: LineId,
    /// What to take.
    pub sku: Sku,
    /// How many units to take.
    pub quantity: i64,
    /// How many were taken; 0 until the warehouse answers.
    pub picked: i64,
    /// Where to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aisle: Option<String>,
    /// Where to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
    /// The allocation whose missing units these replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<AllocationId>,
}

impl Pick {
    fn given_up(&self, quantity: i64, fate: &Fate) -> GivenUp {
        GivenUp {
            allocation_id: self.allocation_id,
            line_id: self.line_id.clone(),
            sku: self.sku.clone(),
            quantity,
            condition: fate.condition.clone(),
            why: fate.why.clone(),
        }
    }
}

/// One shipment: what one warehouse packs for the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its id, derived from order, warehouse and the shortage that it makes good.
    pub shipment_id: ShipmentId,
    /// Where it leaves from.
    pub warehouse: WarehouseId,
    /// Where it stands.
    pub state: ParcelState,
    /// The picking list, in walking order.
    pub picks: Vec<Pick>,
    /// When picking must be done; after it nothing is picked, and the warehouse was late.
    pub pick_by: Timestamp,
    /// Whether inventory was asked for what could not be picked.
    #[serde(default)]
    pub shortage: Shortage,
    /// Why what was not picked was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Fate>,
    /// Why the packed units do not ship; on a shipment that is still packed, kept until the order is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will_not_ship: Option<Fate>,
    /// Whether the warehouse has yet to put goods back that it may hold in hand.
    #[serde(default)]
    pub put_back: bool,
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<Timestamp>,
    /// When it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

impl Parcel {
    /// The units that are packed, or were.
    pub fn packed(&self) -> Vec<Item> {
        let packed = self.picks.iter().filter(|pick| pick.picked > 0);
        packed
            .map(|pick| Item {
                allocation_id: pick.allocation_id,
                line_id: pick.line_id.clone(),
                sku: pick.sku.clone(),
                quantity: pick.picked,
            })
            .collect()
    }

    /// The packed units, given up.
    pub fn packed_given_up(&self, fate: &Fate) -> impl Iterator<Item = GivenUp> {
        self.picks.iter().filter(|pick| pick.picked > 0).map(move |pick| pick.given_up(pick.picked, fate))
    }

    /// The units that could not be picked.
    pub fn missing(&self, fate: &Fate) -> Vec<GivenUp> {
        let short = self.picks.iter().filter(|pick| pick.picked < pick.quantity);
        short.map(|pick| pick.given_up(pick.quantity - pick.picked, fate)).collect()
    }

    /// Units that left.
    pub fn units_dispatched(&self) -> i64 {
        match self.state {
            ParcelState::Dispatched => self.picks.iter().map(|pick| pick.picked).sum(),
            ParcelState::Picking | ParcelState::Packed | ParcelState::Dropped => 0,
        }
    }
}

/// All that fulfillment knows of one order. `state` and `personal` have columns of their own; the rest is the row's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consignment {
    /// Where the order stands.
    #[serde(skip)]
    pub state: State,
    /// Names and addresses, sealed; set when the order is planned, written once, and read for labels alone.
    #[serde(skip)]
    pub personal: Option<Personal>,
    /// The order's thread.
    pub thread: Thread,
    /// The shipments, in the order in which they were planned; empty for a tombstone.
    pub parcels: Vec<Parcel>,
    /// When the authorization lapses: picking must fit into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<Timestamp>,
    /// Why what has not left is called back; set by a cancellation after the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<Reason>,
    /// When all should be handed over; set by the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_by: Option<Timestamp>,
    /// Since when the hand-over is overdue and a person was alerted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Timestamp>,
    /// Why the order, or the rest of it, was let go; absent if all that was confirmed left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go: Option<Reason>,
}

impl Consignment {
    /// An order that was stopped before it came here: whatever comes later is too late.
    pub fn tombstone(thread: Thread, reason: Reason) -> Self {
        Self { state: State::Closed, thread, let_go: Some(reason), ..Self::default() }
    }

    /// One shipment of the order.
    pub fn parcel(&self, shipment_id: ShipmentId) -> Option<&Parcel> {
        self.parcels.iter().find(|parcel| parcel.shipment_id == shipment_id)
    }

    /// No shipment is being picked, and no shortage is unanswered.
    pub fn settled(&self) -> bool {
        let open = |parcel: &Parcel| parcel.state == ParcelState::Picking || parcel.shortage == Shortage::Asked;
        !self.parcels.iter().any(open)
    }

    /// All warehouses that were short of a line that this shipment is short of, its own included: none of them again.
    pub fn tried(&self, short: &Parcel) -> Vec<WarehouseId> {
        let lacks = |parcel: &Parcel, line: &LineId| {
            parcel.short.is_some()
                && parcel.picks.iter().any(|pick| pick.picked < pick.quantity && pick.line_id == *line)
        };
        let lines: Vec<&LineId> =
            short.picks.iter().filter(|pick| pick.picked < pick.quantity).map(|pick| &pick.line_id).collect();
        let tried = self.parcels.iter().filter(|parcel| lines.iter().any(|line| lacks(parcel, line)));
        let mut tried: Vec<WarehouseId> = tried.map(|parcel| parcel.warehouse.clone()).collect();
        tried.push(short.warehouse.clone());
        tried.sort();
        tried.dedup();
        tried
    }

    /// What the warehouse should do next with a shipment.
    pub fn next_step(&self, parcel: &Parcel) -> Step {
        match (parcel.state, self.state) {
            (ParcelState::Picking, _) => Step::Pick,
            (ParcelState::Packed, State::Released) if self.recall.is_some() => Step::Recall,
            (ParcelState::Packed, State::Released) => Step::HandOver,
            (ParcelState::Packed, State::Picking | State::Confirmed | State::Closed) => Step::Wait,
            (ParcelState::Dropped, _) if parcel.put_back => Step::PutBack,
            (ParcelState::Dropped | ParcelState::Dispatched, _) => Step::Nothing,
        }
    }

    /// Units that left, of all shipments.
    pub fn units_dispatched(&self) -> i64 {
        self.parcels.iter().map(Parcel::units_dispatched).sum()
    }
}

/// One shipment for each warehouse of a plan, with its picking list in walking order. `shortage` is the shipment whose missing
/// units the plan makes good: it makes the ids of these shipments others than those of the first plan.
pub fn plan(order_id: OrderId, shortage: Option<ShipmentId>, plan: &[Allocation], pick_by: Timestamp) -> Vec<Parcel> {
    let mut warehouses: Vec<&WarehouseId> =
        plan.iter().filter(|allocation| allocation.quantity > 0).map(|allocation| &allocation.warehouse).collect();
    warehouses.sort();
    warehouses.dedup();
    let makes_good = shortage.map(|shipment| shipment.to_string()).unwrap_or_default();
    let parcel = |warehouse: &WarehouseId| Parcel {
        shipment_id: ShipmentId(derive_id(order_id, crate::NAME, "shipment", &format!("{makes_good}/{warehouse}"))),
        warehouse: warehouse.clone(),
        state: ParcelState::Picking,
        picks: picking_list(plan, warehouse),
        pick_by,
        shortage: Shortage::None,
        short: None,
        will_not_ship: None,
        put_back: false,
        carrier: None,
        tracking: None,
        dispatched_at: None,
        delivered_at: None,
    };
    warehouses.into_iter().map(parcel).collect()
}

fn picking_list(plan: &[Allocation], warehouse: &WarehouseId) -> Vec<Pick> {
    let here = plan.iter().filter(|allocation| allocation.warehouse == *warehouse && allocation.quantity > 0);
    let mut picks: Vec<Pick> = here
        .map(|allocation| Pick {
            allocation_id: allocation.allocation_id,
            line_id: allocation.line_id.clone(),
            sku: allocation.sku.clone(),
            quantity: allocation.quantity,
            picked: 0,
            aisle: allocation.aisle.clone(),
            bin: allocation.bin.clone(),
            replaces: allocation.replaces,
        })
        .collect();
    picks.sort_by_cached_key(|pick| (walk(pick.aisle.as_deref()), walk(pick.bin.as_deref()), pick.allocation_id));
    picks
}

/// Sorts as people number shelves: `A2` before `A10`, and what has no place last.
fn walk(place: Option<&str>) -> (bool, Vec<(String, u64)>) {
    let mut parts = Vec::new();
    let mut rest = place.unwrap_or_default();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        parts.push((word.to_owned(), digits.parse().unwrap_or(if digits.is_empty() { 0 } else { u64::MAX })));
        rest = after;
    }
    (place.is_none(), parts)
}
