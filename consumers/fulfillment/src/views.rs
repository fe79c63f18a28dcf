//! What the routes show: an order's shipments, and a warehouse's work.

use events::{Address, AllocationId, LineId, OrderId, Reason, ShipmentId, Sku, Timestamp, WarehouseId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::parcel::{Fate, Parcel, ParcelState, PickLine};
use crate::row::{Consignment, NextStep};
use crate::work::Task;

/// All shipments of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderShipments {
    /// The order.
    pub order_id: OrderId,
    /// `picking`, `confirmed` (the money is awaited), `released` (parcels may leave) or `closed`.
    pub state: &'static str,
    /// Why the order, or the rest of it, was let go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub let_go: Option<Reason>,
    /// Why what has not left is called back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<Reason>,
    /// The gateway's ids of the disputes that hold what has not left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<String>,
    /// Until when all should be handed over (RFC 3339); set once the order is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over_by: Option<String>,
    /// Since when a person is asked to look, because the hand-over is overdue (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<String>,
    /// The shipments; empty if the order was stopped before it was planned.
    pub shipments: Vec<ShipmentView>,
}

impl OrderShipments {
    pub fn of(order_id: OrderId, order: &Consignment) -> Self {
        Self {
            order_id,
            state: order.state.as_str(),
            let_go: order.let_go.clone(),
            recall: order.recall.clone(),
            held_by: order.held_by(),
            hand_over_by: text(order.hand_over_by),
            overdue_since: text(order.overdue_since),
            shipments: order.parcels.iter().map(|parcel| ShipmentView::of(order, parcel)).collect(),
        }
    }
}

/// One shipment.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShipmentView {
    /// Its id.
    pub shipment_id: ShipmentId,
    /// Where it leaves from.
    pub warehouse: WarehouseId,
    /// Where it stands.
    pub state: ParcelState,
    /// What the warehouse should do next.
    pub next: NextStep,
    /// The picking list, in walking order.
    pub picks: Vec<PickView>,
    /// Until when it must be picked (RFC 3339).
    pub pick_by: String,
    /// Why what was not picked was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short: Option<Fate>,
    /// Why it does not ship; on a packed shipment it counts once the order is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will_not_ship: Option<Fate>,
    /// Who carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it was handed over (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<String>,
    /// When it arrived (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<String>,
}

impl ShipmentView {
    fn of(order: &Consignment, parcel: &Parcel) -> Self {
        Self {
            shipment_id: parcel.shipment_id,
            warehouse: parcel.warehouse.clone(),
            state: parcel.state,
            next: order.next_step(parcel),
            picks: parcel.picks.iter().map(PickView::of).collect(),
            pick_by: parcel.pick_by.to_string(),
            short: parcel.short.clone(),
            will_not_ship: parcel.will_not_ship.clone(),
            carrier: parcel.carrier.clone(),
            tracking: parcel.tracking.clone(),
            dispatched_at: text(parcel.dispatched_at),
            delivered_at: text(parcel.delivered_at),
        }
    }
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// One entry of a picking list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PickView {
    /// The allocation: answers name it.
    pub allocation_id: AllocationId,
    /// The order line it serves.
    pub line_id: LineId,
    /// What to take.
    pub sku: Sku,
    /// How many units to take.
    pub quantity: i64,
    /// How many were taken.
    pub picked: i64,
    /// Aisle of the warehouse, if mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aisle: Option<String>,
    /// Bin within the aisle, if mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin: Option<String>,
}

impl PickView {
    fn of(pick: &PickLine) -> Self {
        Self {
            allocation_id: pick.allocation_id,
            line_id: pick.line_id.clone(),
            sku: pick.sku.clone(),
            quantity: pick.quantity,
            picked: pick.picked,
            aisle: pick.aisle.clone(),
            bin: pick.bin.clone(),
        }
    }
}

/// A page of a warehouse's work, what is due first. Shipments leave it when they are answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkList {
    /// The shipments.
    pub shipments: Vec<WorkItem>,
    /// Give it as `after` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is shown of an address unless it is revealed: where it is about, not whose it is.
fn masked(address: Address) -> Address {
    let hidden = |text: &str| text.chars().take(1).chain("***".chars()).collect::<String>();
    Address { name: hidden(&address.name), line1: "***".to_owned(), line2: None, ..address }
}

/// One shipment that waits for its warehouse.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkItem {
    /// The order.
    pub order_id: OrderId,
    /// Until when it should be done (RFC 3339).
    pub due_at: String,
    /// Whether that has passed.
    pub overdue: bool,
    /// Where it goes, for the label; only on shipments that may be handed over. Masked unless `reveal=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<Address>,
    /// The shipment, with what to do next.
    pub shipment: ShipmentView,
}

impl WorkItem {
    /// What is shown of a task; none if its shipment moved on while the list was read.
    pub fn of(task: &Task, now: Timestamp, reveal: bool) -> Option<Self> {
        let shipment = ShipmentView::of(&task.order, task.order.parcel(task.shipment_id)?);
        let label = match shipment.next {
            NextStep::Wait | NextStep::Nothing => return None,
            NextStep::HandOver => task.order.personal.as_ref(),
            NextStep::Pick | NextStep::Hold | NextStep::Recall | NextStep::PutBack => None,
        };
        Some(Self {
            order_id: task.order_id,
            due_at: task.due_at.to_string(),
            overdue: task.due_at <= now,
            ship_to: label
                .and_then(|personal| personal.open().ok())
                .map(|person| if reveal { person.ship_to } else { masked(person.ship_to) }),
            shipment,
        })
    }
}
