//! What fulfillment knows of one order: where it stands, its shipments, and what its warehouses should do next.

use std::collections::{BTreeMap, BTreeSet};

use events::{LineId, OrderId, Personal, Reason, ReturnId, ShipmentId, Sku, Timestamp, WarehouseId};
use runtime::rows::{Columns, Rows, Select, StoredRow, TableRow};
use runtime::sql::JsonText;
use runtime::{Failure, Retention, TraceContext};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::parcel::{Parcel, ParcelState, Shortage};
use crate::returns::CustomerReturn;

/// Where an order stands. Nothing leaves before `Released`; nothing changes after `Closed` but deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Warehouses pick; shortages are asked and answered.
    #[default]
    Picking,
    /// What will ship is said; the money is awaited.
    Confirmed,
    /// The money is there: warehouses may hand over.
    Released,
    /// All that will ever leave has left. Also the tombstone of an order that was stopped before it came here.
    Closed,
}

runtime::names!(State { Picking: "picking", Confirmed: "confirmed", Released: "released", Closed: "closed" });

/// What the warehouse should do next with a shipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Pick it, by its picking list.
    Pick,
    /// Keep it in the house: the money is not taken yet.
    Wait,
    /// Hand it over to the carrier.
    HandOver,
    /// Keep it in the house: its payment is disputed.
    Hold,
    /// Hold it back if it has not left, and say which.
    Recall,
    /// Put the goods back on their shelves.
    PutBack,
    /// Nothing.
    Nothing,
}

runtime::names!(NextStep {
    Pick: "pick",
    Wait: "wait",
    HandOver: "hand_over",
    Hold: "hold",
    Recall: "recall",
    PutBack: "put_back",
    Nothing: "nothing",
});

/// What a dispute of the payment does to what has not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeHold {
    /// It holds it.
    Held,
    /// A person had it shipped all the same.
    Released,
    /// The dispute was closed.
    Over,
}

/// All that fulfillment knows of one order. `state` and `personal` have columns of their own; the rest is the row's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consignment {
    #[serde(skip)]
    pub state: State,
    /// Names and addresses, sealed; set when the order is planned, written once, and read for labels alone.
    #[serde(skip)]
    pub personal: Option<Personal>,
    pub thread: TraceContext,
    /// The shipments, in the order in which they were planned; empty for a tombstone.
    pub parcels: Vec<Parcel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<Timestamp>,
    /// Why what has not left is called back; set by a cancellation after the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over_by: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Timestamp>,
    /// Disputes of the payment, by the gateway's ids of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<String, DisputeHold>,
    /// Why the order, or the rest of it, was let go; absent if all that was confirmed left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go: Option<Reason>,
}

impl Consignment {
    /// An order that was stopped before it came here: whatever comes later is too late.
    pub fn tombstone(thread: TraceContext, reason: Reason) -> Self {
        Self { state: State::Closed, thread, let_go: Some(reason), ..Self::default() }
    }

    /// Whether a dispute of its payment holds what has not left.
    pub fn is_held(&self) -> bool {
        self.disputes.values().any(|hold| *hold == DisputeHold::Held)
    }

    pub fn held_by(&self) -> Vec<String> {
        let held = self.disputes.iter().filter(|(_, hold)| **hold == DisputeHold::Held);
        held.map(|(dispute_id, _)| dispute_id.clone()).collect()
    }

    pub fn parcel(&self, shipment_id: ShipmentId) -> Option<&Parcel> {
        self.parcels.iter().find(|parcel| parcel.shipment_id == shipment_id)
    }

    pub fn settled(&self) -> bool {
        let open = |parcel: &Parcel| parcel.state == ParcelState::Picking || parcel.shortage == Shortage::Asked;
        !self.parcels.iter().any(open)
    }

    /// All warehouses that were short of a line that this shipment is short of, its own included: none of them again.
    pub fn tried(&self, short: &Parcel) -> Vec<WarehouseId> {
        let lacks = |parcel: &Parcel, line: &LineId| {
            parcel.short.is_some()
                && parcel.picks.iter().any(|pick| pick.picked < pick.quantity && pick.line_id == *line)
        };
        let short_of = Vec::from_iter(short.picks.iter().filter(|pick| pick.picked < pick.quantity));
        let tried = self.parcels.iter().filter(|parcel| short_of.iter().any(|pick| lacks(parcel, &pick.line_id)));
        let tried: BTreeSet<&WarehouseId> = tried.chain([short]).map(|parcel| &parcel.warehouse).collect();
        tried.into_iter().cloned().collect()
    }

    pub fn next_step(&self, parcel: &Parcel) -> NextStep {
        match (parcel.state, self.state) {
            (ParcelState::Picking, _) => NextStep::Pick,
            (ParcelState::Packed, State::Released) if self.recall.is_some() => NextStep::Recall,
            (ParcelState::Packed, State::Released) if self.is_held() => NextStep::Hold,
            (ParcelState::Packed, State::Released) => NextStep::HandOver,
            (ParcelState::Packed, State::Picking | State::Confirmed | State::Closed) => NextStep::Wait,
            (ParcelState::Dropped, _) if parcel.put_back => NextStep::PutBack,
            (ParcelState::Dropped | ParcelState::Dispatched, _) => NextStep::Nothing,
        }
    }

    pub fn units_dispatched(&self) -> i64 {
        self.parcels.iter().map(Parcel::units_dispatched).sum()
    }

    pub fn shipped_skus(&self) -> impl Iterator<Item = &Sku> {
        let left = self.parcels.iter().filter(|parcel| parcel.state == ParcelState::Dispatched);
        left.flat_map(|parcel| &parcel.picks).filter(|pick| pick.picked > 0).map(|pick| &pick.sku)
    }
}

impl TableRow for Consignment {
    type Key = OrderId;
    const TABLE: &'static str = "fulfillment.consignment";

    /// Personal data comes with the first version and is not written again, so that an erasure lasts.
    fn columns<'c>(columns: Columns<'c, Self>) -> Columns<'c, Self> {
        columns
            .key("order_id", |order_id| order_id.as_uuid())
            .changing("state", |row| row.state.as_str())
            .changing_unread("units_dispatched", Self::units_dispatched)
            .changing("data", JsonText)
            .fixed_unread("personal_key", |row| row.personal.as_ref().map(|it| it.key_id.as_str()))
            .fixed_unread("personal_data", |row| row.personal.as_ref().map(|it| it.data.as_slice()))
            .created_at("created_at")
            .changed_at("updated_at")
    }

    fn read(row: &StoredRow<'_>) -> Result<(OrderId, Self), Failure> {
        Ok((OrderId(row.get("order_id")?), Self { state: row.named("state")?, ..row.json("data")? }))
    }
}

/// What a batch was loaded into. Empty, it is a world in which no order is known; kept over batches, it is a store in memory.
#[derive(Clone, Debug, Default)]
pub struct BatchState {
    pub(crate) orders: Rows<Consignment>,
    /// Those of orders of which something is returned, or may be now.
    pub(crate) returns: Rows<CustomerReturn>,
}

impl BatchState {
    pub fn order(&self, order_id: OrderId) -> Option<&Consignment> {
        self.orders.get(&order_id)
    }

    pub fn returns(&self) -> impl Iterator<Item = (&ReturnId, &CustomerReturn)> {
        self.returns.iter()
    }
}

/// Closed orders, with what their warehouses never said that they did.
pub(crate) fn retention() -> Retention {
    Retention {
        rows: Consignment::TABLE,
        ended: "state = 'closed'",
        changed_at: "updated_at",
        with: vec![
            "delete from fulfillment.task where order_id = any($1)",
            "delete from fulfillment.customer_return where order_id = any($1)",
        ],
        ..Retention::default()
    }
}

/// An order as it stands, without its personal data; none if it is not known.
pub(crate) async fn read(pool: &PgPool, order_id: OrderId) -> Result<Option<Consignment>, Failure> {
    Select::filter("order_id = $1").bind(order_id.as_uuid()).one(pool).await
}

/// An order's returns, the oldest first; none if the order is not known.
pub(crate) async fn returns(
    pool: &PgPool,
    order_id: OrderId,
) -> Result<Option<Vec<(ReturnId, CustomerReturn)>>, Failure> {
    if read(pool, order_id).await?.is_none() {
        return Ok(None);
    }
    let mut returns = Select::<CustomerReturn>::filter("order_id = $1").bind(order_id.as_uuid()).all(pool).await?;
    returns.sort_by_key(|(return_id, returned)| (returned.requested_at, *return_id));
    Ok(Some(returns))
}
