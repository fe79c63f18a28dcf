//! What `fulfillment` publishes: does it ship.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ShipmentId, WarehouseId};
use crate::parts::{GivenUp, Item, Reason, Shipment};
use crate::time::Timestamp;

/// A warehouse can't give all units of a shipment: inventory may find them elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentShortPicked {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub warehouse: WarehouseId,
    /// The units it can't give, with why: `short`, `refused` or `late`.
    pub short: Vec<GivenUp>,
    /// All warehouses that were tried for these lines, this one included: none of them again.
    pub tried: Vec<WarehouseId>,
}

/// Every shipment is packed or given up: this will ship once it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentConfirmed {
    pub order_id: OrderId,
    pub shipments: Vec<Shipment>,
}

/// Nothing of the order can ship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentRejected {
    pub order_id: OrderId,
    /// Code `nothing_to_ship`.
    pub reason: Reason,
}

/// Fulfillment lets go: these units will not ship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentCancelled {
    pub order_id: OrderId,
    /// The units that will not ship, of those confirmed; empty if none were confirmed.
    pub items: Vec<GivenUp>,
    pub reason: Reason,
}

/// A shipment was handed over: the point of no return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentDispatched {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub warehouse: WarehouseId,
    pub items: Vec<Item>,
    pub carrier: String,
    pub tracking: Option<String>,
    pub dispatched_at: Timestamp,
}

/// A shipment arrived. After the end of the saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentDelivered {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub delivered_at: Timestamp,
}
