//! What inventory decides about, and what is replied.

use events::{
    Event, FulfillmentShortPicked, OrderAccepted, OrderId, PaymentAuthorized, PaymentDeclined, PaymentRefunded,
    PaymentVoided, ShipmentDispatched, WarehouseId,
};
use runtime::{Codec, Message, Unreadable, Work};

use crate::goods::{LevelView, Load, Loaded, Receipt, StockCount};
use crate::supply::Warehouse;

/// The timer of a reservation.
pub(crate) const RESERVATION: &str = "reservation";

/// What inventory decides about.
#[derive(Clone, Debug)]
pub enum Input {
    /// An order is accepted.
    Accepted(Box<OrderAccepted>),
    /// Its reservation's clock fired.
    Expired(OrderId),
    /// Its payment is authorized.
    Authorized(OrderId),
    /// Its payment is declined.
    Declined(PaymentDeclined),
    /// No money is held for it, and none will be.
    Voided(PaymentVoided),
    /// A warehouse is short of it.
    ShortPicked(FulfillmentShortPicked),
    /// A shipment of it left.
    Dispatched(ShipmentDispatched),
    /// Money of it was given back.
    Refunded(PaymentRefunded),
    /// A delivery came in.
    Receive(Receipt),
    /// Someone counted.
    Count(StockCount),
    /// Levels as a file has them.
    Load(Load),
    /// A warehouse as it shall be.
    Build(WarehouseId, Warehouse),
}

/// What a request's caller gets to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: it was an event.
    #[default]
    Nothing,
    /// The level as it is now.
    Level(LevelView),
    /// What became of a load.
    Loaded(Loaded),
    /// The warehouse is as was asked.
    Built,
    /// There is no such warehouse.
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

/// The event types that inventory subscribes to.
pub(crate) const SUBSCRIPTIONS: [&str; 7] = [
    OrderAccepted::TYPE,
    PaymentAuthorized::TYPE,
    PaymentDeclined::TYPE,
    PaymentVoided::TYPE,
    PaymentRefunded::TYPE,
    FulfillmentShortPicked::TYPE,
    ShipmentDispatched::TYPE,
];

/// Decodes a record of a topic.
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
