//! The rows of refunds and of what shipped.

use events::{OrderId, RefundId, ShipmentId};
use runtime::Failure;
use runtime::rows::{Columns, StoredRow, TableRow};
use runtime::sql::JsonText;

use super::{CustomerRefund, Shipped};

impl TableRow for CustomerRefund {
    type Key = RefundId;
    const TABLE: &'static str = "payments.customer_refund";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("refund_id", |refund_id| refund_id.as_uuid())
            .fixed("order_id", |row| row.order_id.as_uuid())
            .fixed("amount", |row| row.amount)
            .changing_unread("state", |row| row.state().as_str())
            .changing_unread("stuck", Self::is_stuck)
            .changing("data", |row| JsonText(&row.data))
            .created_at("created_at")
            .changed_at("updated_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(RefundId, Self), Failure> {
        let refund =
            Self { order_id: OrderId(row.get("order_id")?), amount: row.get("amount")?, data: row.json("data")? };
        Ok((RefundId(row.get("refund_id")?), refund))
    }
}

impl TableRow for Shipped {
    type Key = ShipmentId;
    const TABLE: &'static str = "payments.shipped";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("shipment_id", |shipment_id| shipment_id.as_uuid())
            .fixed("order_id", |row| row.order_id.as_uuid())
            .fixed("items", |row| JsonText(&row.items))
    }

    fn read(row: &StoredRow<'_>) -> Result<(ShipmentId, Self), Failure> {
        let shipped = Self { order_id: OrderId(row.get("order_id")?), items: row.json("items")? };
        Ok((ShipmentId(row.get("shipment_id")?), shipped))
    }
}
