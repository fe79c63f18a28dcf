//! What loyalty knows: what each order is worth, and the account of each customer, which their orders share.

use events::{Currency, OrderId};
use runtime::Failure;
use runtime::rows::{Columns, Rows, StoredRow, TableRow};
use serde::Serialize;
use utoipa::ToSchema;

/// What is known of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPoints {
    /// In minor units of its currency, as is `refunded`.
    pub captured: i64,
    pub refunded: i64,
    /// Whose it is, and its currency; none: it is not completed, and nothing is granted.
    pub customer: Option<(String, Currency)>,
    /// Its points in the customer's account, and whether they can be spent.
    pub granted: i64,
    pub is_spendable: bool,
}

impl TableRow for OrderPoints {
    type Key = OrderId;
    const TABLE: &'static str = "loyalty.order_points";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing("captured", |row| row.captured)
            .changing("refunded", |row| row.refunded)
            .changing("customer_id", |row| row.customer.as_ref().map(|(customer_id, _)| customer_id.as_str()))
            .changing("currency", |row| row.customer.as_ref().map(|(_, currency)| currency.as_str()))
            .changing("granted", |row| row.granted)
            .changing("is_spendable", |row| row.is_spendable)
            .changed_at("changed_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        let customer = row.get::<Option<String>>("customer_id")?.zip(row.named("currency")?);
        let (captured, refunded, granted) = (row.get("captured")?, row.get("refunded")?, row.get("granted")?);
        let points = Self { captured, refunded, customer, granted, is_spendable: row.get("is_spendable")? };
        Ok((OrderId(row.get("order_id")?), points))
    }
}

/// A customer's points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// Granted, and not to be spent yet.
    pub pending: i64,
    /// To be spent.
    pub spendable: i64,
}

impl TableRow for Account {
    type Key = String;
    const TABLE: &'static str = "loyalty.account";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        let columns = columns.key("customer_id", String::as_str);
        columns.changing("pending", |row| row.pending).changing("spendable", |row| row.spendable)
    }

    fn read(row: &StoredRow<'_>) -> Result<(String, Self), Failure> {
        let account = Self { pending: row.get("pending")?, spendable: row.get("spendable")? };
        Ok((row.get("customer_id")?, account))
    }
}

/// What a batch was loaded into.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: Rows<OrderPoints>,
    pub(crate) accounts: Rows<Account>,
}
