//! What inventory decides about, and what is replied.

use events::{
    Event, FulfillmentShortPicked, OrderAccepted, OrderId, PaymentAuthorized, PaymentDeclined, PaymentRefunded,
    PaymentVoided, ShipmentDispatched, WarehouseId,
};
use runtime::{Codec, Message, Unreadable, Work};

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
            Self::Receive(_) | Self::Count(_) | Self::Load(_) | Self::Build(..) => None,
        }
    }
}

pub(crate) const SUBSCRIPTIONS: [&str; 7] = [
    OrderAccepted::TYPE,
    PaymentAuthorized::TYPE,
    PaymentDeclined::TYPE,
    PaymentVoided::TYPE,
    PaymentRefunded::TYPE,
    FulfillmentShortPicked::TYPE,
    ShipmentDispatched::TYPE,
];

pub(crate) fn decode(message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
    let input = match message.event_type().unwrap_or_default() {
        OrderAccepted::TYPE => Input::Accepted(Box::new(message.read(codec)?)),
        PaymentAuthorized::TYPE => Input::Authorized(message.read::<PaymentAuthorized>(codec)?.order_id),
        PaymentDeclined::TYPE => Input::Declined(message.read(codec)?),
        PaymentVoided::TYPE => Input::Voided(message.read(codec)?),
        PaymentRefunded::TYPE => Input::Refunded(message.read(codec)?),
        FulfillmentShortPicked::TYPE => Input::ShortPicked(message.read(codec)?),
        ShipmentDispatched::TYPE => Input::Dispatched(message.read(codec)?),
        other => {
            return Err(Unreadable(format!(
                "{} has type `{other}`: expected one of {SUBSCRIPTIONS:?}",
                message.place()
            )));
        }
    };
    Ok(Work { cause: message.cause()?, input })
}
