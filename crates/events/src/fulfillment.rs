//! What `fulfillment` publishes: does it ship.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ReturnId, ShipmentId, WarehouseId};
use crate::parts::{GivenUp, Item, Reason, ReturnLine, ReturnedLine, Shipment};
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

/// Units that shipped are to come back: beside the saga, also long after its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnAnnounced {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    /// Only what shipped, and is in no other return.
    pub lines: Vec<ReturnLine>,
    /// Whether what comes back is refunded to the customer.
    pub refund: bool,
    pub reason: String,
    /// The account whose key came; no personal data.
    pub requested_by: String,
}

/// A return arrived, in full or in part. What of it did not come is not refunded, and may be announced again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReceived {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    /// At least one unit.
    pub lines: Vec<ReturnedLine>,
    /// Whether what came back is refunded to the customer.
    pub refund: bool,
    /// As it was announced.
    pub reason: String,
    /// The account whose key came; no personal data.
    pub received_by: String,
}

/// An announced return is not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRefused {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    /// The customer is told.
    pub reason: String,
    /// The account whose key came; no personal data.
    pub refused_by: String,
}
