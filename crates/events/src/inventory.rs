//! What `inventory` publishes: stock reserved, moved, committed and released, and the level of each SKU.
#![allow(missing_docs, reason = "its schema describes every field")]

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::{CustomerId, OrderId, ReturnId, ShipmentId, Sku, WarehouseId};
use crate::parts::{Allocation, Closed, GivenUp, Item, Line, OrderPayment, Reason, ReturnedLine, ShortLine};
use crate::personal::Personal;
use crate::time::Timestamp;

/// Every unit of the order is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReserved {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub currency: Currency,
    pub total: i64,
    pub lines: Vec<Line>,
    pub plan: Vec<Allocation>,
    pub payment_method: String,
    /// Money that was held or taken before, or is settled outside; none: it is to be authorized.
    #[serde(default)]
    pub payment: Option<OrderPayment>,
    /// Names, contact and addresses, sealed.
    pub personal: Personal,
    /// When the reservation's clock fires; it is the deadline of 3-D Secure too.
    pub expires_at: Timestamp,
}

/// Stock does not suffice: nothing is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockRejected {
    pub order_id: OrderId,
    /// Every line with what was wanted and what there is.
    pub lines: Vec<ShortLine>,
    /// Code `out_of_stock`.
    pub reason: Reason,
    /// Money that was held or taken before the order was placed: it is to be let go or given back.
    #[serde(default)]
    pub payment: Option<OrderPayment>,
}

/// The reservation's clock fired before money was authorized. The stock is still held: payments decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationExpired {
    pub order_id: OrderId,
    pub expired_at: Timestamp,
}

/// The answer to a shortage: what is held elsewhere instead, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReallocated {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    /// What is now held elsewhere; may be empty. Each names the allocation it replaces.
    pub moved: Vec<Allocation>,
    /// What was found nowhere; the order goes on without it.
    pub missing: Vec<GivenUp>,
}

/// Units left with a shipment and are no longer in stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockCommitted {
    pub order_id: OrderId,
    pub shipment_id: ShipmentId,
    pub warehouse: WarehouseId,
    pub items: Vec<Item>,
    /// Set if nothing is reserved for the order any more: inventory's last word.
    pub closed: Option<Closed>,
}

/// Reserved units are given back, or will never be reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReleased {
    pub order_id: OrderId,
    /// The units released; empty if none were reserved.
    pub items: Vec<GivenUp>,
    pub reason: Reason,
    /// Set if nothing is reserved for the order any more: inventory's last word.
    pub closed: Option<Closed>,
}

/// Units of a return are in stock again: intact ones on sale, damaged ones missing until counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReturned {
    pub order_id: OrderId,
    pub return_id: ReturnId,
    pub lines: Vec<ReturnedLine>,
}

/// The stock of one SKU in one warehouse, as it is now. Compacted: the latest of each key is the level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLevelChanged {
    /// What is in stock; with `warehouse` the key of the record, `sku/warehouse`.
    pub sku: Sku,
    pub warehouse: WarehouseId,
    /// Counts the changes of this level: a higher one is later.
    pub version: i64,
    /// Units in the building, reserved ones included, missing ones not.
    pub on_hand: i64,
    pub reserved: i64,
    /// Units that should be there and were not found; not on sale until counted.
    pub missing: i64,
    /// Units that can be reserved: on hand − reserved.
    pub available: i64,
}
