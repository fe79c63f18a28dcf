//! What `fulfillment` publishes: does it ship.

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ShipmentId, WarehouseId};
use crate::parts::{GivenUp, Item, Reason, Shipment};
use crate::time::Timestamp;

/// A warehouse can't give all units of a shipment: inventory may find them elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentShortPicked {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The shipment that is short; its answer names it.
    pub shipment_id: ShipmentId,
    /// The warehouse that is short.
    pub warehouse: WarehouseId,
    /// The units it can't give, with why: `short`, `refused` or `late`.
    pub short: Vec<GivenUp>,
    /// All warehouses that were tried for these lines, this one included: none of them again.
    pub tried: Vec<WarehouseId>,
}

/// Every shipment is packed or given up: this will ship once it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentConfirmed {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// What will ship, by shipment; at least one.
    pub shipments: Vec<Shipment>,
}

/// Nothing of the order can ship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentRejected {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// Code `nothing_to_ship`.
    pub reason: Reason,
}

/// Fulfillment lets go: these units will not ship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentCancelled {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The units that will not ship, of those confirmed; empty if none were confirmed.
    pub items: Vec<GivenUp>,
    /// Why.
    pub reason: Reason,
}

/// A shipment was handed over: the point of no return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentDispatched {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Where it left from.
    pub warehouse: WarehouseId,
    /// The units in it.
    pub items: Vec<Item>,
    /// Who carries it.
    pub carrier: String,
    /// The carrier's tracking number.
    #[serde(default)]
    pub tracking: Option<String>,
    /// When the warehouse handed it over.
    pub dispatched_at: Timestamp,
}

/// A shipment arrived. After the end of the saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentDelivered {
    /// The order; the key of the record.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// When the carrier delivered it.
    pub delivered_at: Timestamp,
}
