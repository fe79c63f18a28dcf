//! One shipment as fulfillment keeps it: its picking list, what was picked, and what became of it.

use events::{AllocationId, Condition, GivenUp, Item, LineId, ShipmentId, Sku, Timestamp, WarehouseId, Why};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// Why units do not ship, and what became of the goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FateView)]
pub struct Fate {
    /// `short`, `refused`, `late`, `damaged`, `lost`, `recalled`, or the code of the order's reason.
    pub why: Why,
    /// `intact`: can be sold again after put-back; `gone`: not on sale until counted.
    pub condition: Condition,
}

impl Fate {
    /// With the condition that goes with the reason, as docs/protocol.md has it.
    pub fn of(why: Why) -> Self {
        Self { condition: why.condition(), why }
    }
}

/// Whether inventory was asked to find a shipment's missing units elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    #[default]
    None,
    Asked,
    Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickLine {
    pub allocation_id: AllocationId,
    pub line_id: LineId,
    pub sku: Sku,
    pub quantity: i64,
    pub picked: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aisle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
    /// The allocation whose missing units these replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<AllocationId>,
}

impl PickLine {
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its id, derived from order, warehouse and the shortage that it makes good.
    pub shipment_id: ShipmentId,
    pub warehouse: WarehouseId,
    pub state: ParcelState,
    pub picks: Vec<PickLine>,
    /// When picking must be done; after it nothing is picked, and the warehouse was late.
    pub pick_by: Timestamp,
    #[serde(default)]
    pub shortage: Shortage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Fate>,
    /// Why the packed units do not ship; on a shipment that is still packed, kept until the order is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will_not_ship: Option<Fate>,
    /// Whether the warehouse has yet to put goods back that it may hold in hand.
    #[serde(default)]
    pub put_back: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

impl Parcel {
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

    pub fn packed_given_up(&self, fate: &Fate) -> impl Iterator<Item = GivenUp> {
        self.picks.iter().filter(|pick| pick.picked > 0).map(move |pick| pick.given_up(pick.picked, fate))
    }

    pub fn missing(&self, fate: &Fate) -> Vec<GivenUp> {
        let short = self.picks.iter().filter(|pick| pick.picked < pick.quantity);
        short.map(|pick| pick.given_up(pick.quantity - pick.picked, fate)).collect()
    }

    pub fn units_dispatched(&self) -> i64 {
        match self.state {
            ParcelState::Dispatched => self.picks.iter().map(|pick| pick.picked).sum(),
            ParcelState::Picking | ParcelState::Packed | ParcelState::Dropped => 0,
        }
    }
}
