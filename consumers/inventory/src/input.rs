//! What inventory decides about, and what is replied.

use events::{
    FulfillmentShortPicked, OrderAccepted, OrderId, PaymentDeclined, PaymentRefunded, PaymentVoided, ReturnReceived,
    ShipmentDispatched, WarehouseId,
};

use crate::goods::{LevelView, Load, Loaded, Receipt, StockCount};
use crate::supply::Warehouse;

pub(crate) const RESERVATION: &str = "reservation";

#[derive(Clone, Debug)]
pub enum Input {
    Accepted(Box<OrderAccepted>),
    Expired(OrderId),
    Authorized(OrderId),
    Declined(PaymentDeclined),
    Voided(PaymentVoided),
    ShortPicked(FulfillmentShortPicked),
    Dispatched(ShipmentDispatched),
    Refunded(PaymentRefunded),
    Returned(ReturnReceived),
    Receive(Receipt),
    Count(StockCount),
    Load(Load),
    Build(WarehouseId, Warehouse),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    #[default]
    Nothing,
    Level(LevelView),
    Loaded(Loaded),
    Built,
    NoWarehouse(WarehouseId),
}

impl Input {
    /// Whose order it is about; none for what happens to goods alone.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Accepted(event) => Some(event.order_id),
            Self::Expired(order_id) | Self::Authorized(order_id) => Some(*order_id),
            Self::Declined(event) => Some(event.order_id),
            Self::Voided(event) => Some(event.order_id),
            Self::ShortPicked(event) => Some(event.order_id),
            Self::Dispatched(event) => Some(event.order_id),
            Self::Refunded(event) => Some(event.order_id),
            Self::Returned(event) => Some(event.order_id),
            Self::Receive(_) | Self::Count(_) | Self::Load(_) | Self::Build(..) => None,
        }
    }
}
