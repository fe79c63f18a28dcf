//! The bodies of a warehouse's answers, and what it gets in return.

use events::{AllocationId, Condition, ShipmentId, Why};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::input::Answer;
use crate::parcel::{Fate, ParcelState};
use crate::row::NextStep;

/// A warehouse's answer was taken, or was known already.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerTaken {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Where it stands now.
    pub state: ParcelState,
    /// What the warehouse should do next: `put_back` if the answer came too late.
    pub next: NextStep,
    /// The position of what was said because of it; a read model that has seen it has seen this answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
}

/// What was picked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"allocation_id": "01890a5d-ac96-774b-bcce-b302099a8057", "quantity": 2}]}))]
pub struct Picked {
    /// Units taken, by allocation; one that is not named was not taken.
    pub items: Vec<PickedItem>,
    /// Why the rest was not taken; default: `short`.
    #[serde(default)]
    pub rest: Option<Rest>,
}

/// Units taken of one allocation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PickedItem {
    /// The allocation, as on the picking list.
    pub allocation_id: AllocationId,
    /// How many units were taken.
    #[schema(minimum = 0)]
    pub quantity: i64,
}

/// What became of units that were not picked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Why.
    pub why: NotPicked,
    /// Whether they can be sold again; default: `intact` if refused, else `gone`.
    #[serde(default)]
    pub condition: Option<Goods>,
}

/// Why units were not picked.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotPicked {
    /// They were not there.
    Short,
    /// The warehouse can't take the work.
    Refused,
    /// They are broken.
    Damaged,
    /// They can't be found any more.
    Lost,
}

/// Why a shipment does not ship.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotShipped {
    /// The recall came in time.
    Recalled,
    /// It broke.
    Damaged,
    /// It can't be found any more.
    Lost,
    /// The warehouse can't ship it.
    Refused,
}

/// What became of goods.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goods {
    /// They can be sold again; the warehouse puts them back.
    Intact,
    /// They are not on sale until someone counts.
    Gone,
}

/// A shipment left with its carrier.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"carrier": "DHL", "tracking": "JD014600003"}))]
pub struct HandedOver {
    /// Who carries it.
    pub carrier: String,
    /// The carrier's tracking number.
    #[serde(default)]
    pub tracking: Option<String>,
    /// When (RFC 3339); default: now.
    #[serde(default)]
    pub at: Option<String>,
}

/// A shipment does not ship.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"why": "damaged"}))]
pub struct WillNotShip {
    /// Why.
    pub why: NotShipped,
    /// What became of the goods; default: `intact` if recalled or refused, else `gone`.
    #[serde(default)]
    pub condition: Option<Goods>,
}

/// A shipment arrived.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": "2026-11-28T09:30:00Z"}))]
pub struct Delivered {
    /// When (RFC 3339); default: now.
    #[serde(default)]
    pub at: Option<String>,
}

impl From<Picked> for Answer {
    fn from(picked: Picked) -> Self {
        let rest = picked.rest.unwrap_or(Rest { why: NotPicked::Short, condition: None });
        let why = match rest.why {
            NotPicked::Short => Why::Short,
            NotPicked::Refused => Why::Refused,
            NotPicked::Damaged => Why::Damaged,
            NotPicked::Lost => Why::Lost,
        };
        let items = picked.items.iter().map(|item| (item.allocation_id, item.quantity)).collect();
        Self::Picked { items, rest: fate(why, rest.condition) }
    }
}

impl From<WillNotShip> for Answer {
    fn from(body: WillNotShip) -> Self {
        let why = match body.why {
            NotShipped::Recalled => Why::Recalled,
            NotShipped::Damaged => Why::Damaged,
            NotShipped::Lost => Why::Lost,
            NotShipped::Refused => Why::Refused,
        };
        Self::WillNotShip(fate(why, body.condition))
    }
}

fn fate(why: Why, condition: Option<Goods>) -> Fate {
    let condition = match condition {
        Some(Goods::Intact) => Condition::Intact,
        Some(Goods::Gone) => Condition::Gone,
        None => why.condition(),
    };
    Fate { why, condition }
}
