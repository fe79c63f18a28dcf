//! Returns of what shipped, beside the saga: several an order, also long after its end. A unit comes back once.
//!
//! Each return is a row of its own; its order's consignment guards them all: a return is announced at the version of it that was read, so that two at
//! once can't take the same units.

use events::{OrderId, ReturnId, ReturnLine, ReturnedLine, Timestamp, WarehouseId};
use runtime::Failure;
use runtime::rows::{Columns, StoredRow, TableRow};
use runtime::sql::JsonText;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a return stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReturnState {
    /// It is on its way, or will be.
    Announced,
    /// It arrived; ended.
    Received,
    /// It is not taken back; ended.
    Refused,
}

runtime::names!(ReturnState { Announced: "ANNOUNCED", Received: "RECEIVED", Refused: "REFUSED" });

/// Units of one line that one warehouse shipped, and what came back of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnUnits {
    #[serde(flatten)]
    pub line: ReturnLine,
    #[serde(default)]
    pub intact: i64,
    #[serde(default)]
    pub damaged: i64,
}

impl ReturnUnits {
    pub fn came(&self) -> i64 {
        self.intact + self.damaged
    }
}

/// How a return ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnEnd {
    pub by: String,
    pub at: Timestamp,
    /// Where it was received, if not where it shipped from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<WarehouseId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A return. All but its order is the row's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerReturn {
    #[serde(skip, default = "nobody")]
    pub order_id: OrderId,
    pub units: Vec<ReturnUnits>,
    /// Whether what comes back is refunded.
    pub refund: bool,
    pub reason: String,
    pub requested_by: String,
    pub requested_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ReturnEnd>,
}

fn nobody() -> OrderId {
    OrderId(uuid::Uuid::nil())
}

impl CustomerReturn {
    pub fn state(&self) -> ReturnState {
        match &self.end {
            None => ReturnState::Announced,
            Some(end) if end.refused.is_none() => ReturnState::Received,
            Some(_) => ReturnState::Refused,
        }
    }

    /// Units that no other return may take: what is announced, or came.
    pub fn taken(&self) -> impl Iterator<Item = (&ReturnLine, i64)> {
        let taken = |units: &ReturnUnits| match self.state() {
            ReturnState::Announced => units.line.quantity,
            ReturnState::Received => units.came(),
            ReturnState::Refused => 0,
        };
        self.units.iter().map(move |units| (&units.line, taken(units)))
    }

    pub fn announced(&self) -> Vec<ReturnLine> {
        self.units.iter().map(|units| units.line.clone()).collect()
    }

    /// What came, and where it is.
    pub fn received(&self) -> Vec<ReturnedLine> {
        let elsewhere = self.end.as_ref().and_then(|end| end.warehouse.as_ref());
        let came = self.units.iter().filter(|units| units.came() > 0);
        came.map(|ReturnUnits { line, intact, damaged }| ReturnedLine {
            line_id: line.line_id.clone(),
            sku: line.sku.clone(),
            intact: *intact,
            damaged: *damaged,
            warehouse: elsewhere.unwrap_or(&line.warehouse).clone(),
        })
        .collect()
    }
}

impl TableRow for CustomerReturn {
    type Key = ReturnId;
    const TABLE: &'static str = "fulfillment.customer_return";

    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("return_id", |return_id| return_id.as_uuid())
            .fixed("order_id", |row| row.order_id.as_uuid())
            .changing_unread("state", |row| row.state().as_str())
            .changing_unread("received", |row| row.units.iter().map(ReturnUnits::came).sum::<i64>())
            .changing("data", JsonText)
            .created_at("created_at")
            .changed_at("updated_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(ReturnId, Self), Failure> {
        let returned = Self { order_id: OrderId(row.get("order_id")?), ..row.json("data")? };
        Ok((ReturnId(row.get("return_id")?), returned))
    }
}

/// What returns are decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnInput {
    Announce {
        order_id: OrderId,
        return_id: ReturnId,
        /// By SKU, each named once.
        units: Vec<(String, i64)>,
        refund: bool,
        reason: String,
        requested_by: String,
    },
    Receive {
        order_id: OrderId,
        return_id: ReturnId,
        /// By SKU, each named once.
        units: Vec<ReceivedUnits>,
        /// None: where each unit shipped from.
        warehouse: Option<WarehouseId>,
        received_by: String,
    },
    Refuse {
        order_id: OrderId,
        return_id: ReturnId,
        reason: String,
        refused_by: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedUnits {
    pub sku: String,
    pub intact: i64,
    pub damaged: i64,
}

impl ReturnInput {
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Announce { order_id, .. } | Self::Receive { order_id, .. } | Self::Refuse { order_id, .. } => {
                *order_id
            }
        }
    }

    pub fn return_id(&self) -> ReturnId {
        match self {
            Self::Announce { return_id, .. } | Self::Receive { return_id, .. } | Self::Refuse { return_id, .. } => {
                *return_id
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnReply {
    /// It stands so, now or since it was asked for first.
    Done {
        returned: Box<CustomerReturn>,
        replayed: bool,
    },
    /// Another one was announced under this key, or it was received or refused with another body.
    Differs(ReturnState),
    /// It can't be received or refused any more.
    Ended(ReturnState),
    Invalid(String),
    TooMuch(String),
    TooOld(String),
    Unknown,
}
