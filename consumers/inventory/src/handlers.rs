//! Which input meets which rule, and how a decision is carried out.

use std::convert::Infallible;

use events::{
    Event, FulfillmentShortPicked, OrderAccepted, OrderId, PaymentAuthorized, PaymentDeclined, PaymentRefunded,
    PaymentVoided, ShipmentDispatched, StockLevelChanged, Timestamp, WarehouseId,
};
use runtime::{Codec, Conflict, Effects, Message, Origin, Unreadable, Work};

use crate::decide::{self, Decision, Ruling, Said};
use crate::goods::{self, Count, Load, Receipt, Reply};
use crate::supply::{Supply, Warehouse};
use crate::world::BatchState;
use crate::{Inventory, RESERVATION};

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
    Count(Count),
    /// Levels as a file has them.
    Load(Load),
    /// A warehouse as it shall be.
    Build(WarehouseId, Warehouse),
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

/// The events that inventory hears.
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

impl Inventory {
    /// Meets one input with its rule.
    pub(crate) fn meet(
        &self,
        world: &mut BatchState,
        input: &Input,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        let cause = effects.cause().id;
        let Some(order_id) = input.order_id() else {
            return match input {
                Input::Receive(receipt) => goods::receive(world, receipt, cause),
                Input::Count(count) => goods::count(world, count, cause),
                Input::Load(load) => goods::load(world, load, cause, now),
                Input::Build(id, warehouse) => Ok(goods::build(world, id, warehouse)),
                Input::Accepted(_)
                | Input::Expired(_)
                | Input::Authorized(_)
                | Input::Declined(_)
                | Input::Voided(_)
                | Input::ShortPicked(_)
                | Input::Dispatched(_)
                | Input::Refunded(_) => Ok(Reply::Nothing),
            };
        };
        if let Some(decision) = self.rule(world, order_id, input, now, effects)? {
            carry_out(world, order_id, decision, effects)?;
        }
        Ok(Reply::Nothing)
    }

    fn rule(
        &self,
        world: &BatchState,
        order_id: OrderId,
        input: &Input,
        now: Timestamp,
        effects: &Effects<'_, Infallible>,
    ) -> Ruling {
        let order = world.order(order_id);
        let supply = Supply { stock: &world.stock, warehouses: &world.warehouses, strategy: &*self.strategy };
        match input {
            Input::Accepted(event) => {
                let expires_at = now.plus(self.settings.reservation_ttl.0);
                decide::accepted(order, event, &supply, expires_at, effects.thread())
            }
            Input::Expired(_) => Ok(decide::expired(order, order_id)),
            Input::Authorized(_) => decide::authorized(order, order_id),
            Input::Declined(event) => decide::declined(order, event),
            Input::Voided(event) => Ok(decide::voided(order, event, effects.thread())),
            Input::ShortPicked(event) => decide::short_picked(order, event, &supply),
            Input::Dispatched(event) => decide::dispatched(order, event),
            Input::Refunded(event) => decide::refunded(order, event),
            Input::Receive(_) | Input::Count(_) | Input::Load(_) | Input::Build(..) => Ok(None),
        }
    }
}

/// Changes stock first, as that alone can be refused; then the order's row, its clock, and what is said.
pub(crate) fn carry_out(
    world: &mut BatchState,
    order_id: OrderId,
    decision: Decision,
    effects: &mut Effects<'_, Infallible>,
) -> Result<(), Conflict> {
    let Decision { order, changes, emit } = decision;
    let clock_ran = world.order(order_id).is_some_and(crate::Reservation::clock_runs);
    world.stock.apply(&changes, Some(order_id), effects.cause().id)?;
    effects.follow(&order.thread);
    match (clock_ran, order.clock_runs(), order.expires_at) {
        (false, true, Some(due)) => effects.schedule(RESERVATION, order_id, "", due),
        // A timer that fired is gone already.
        (true, false, _) if !matches!(effects.cause().origin, Origin::Timer(_)) => {
            effects.cancel_timer(RESERVATION, order_id, "");
        }
        (false | true, _, _) => {}
    }
    match emit {
        Some(Said::Reserved(event)) => effects.emit(&*event, ""),
        Some(Said::Rejected(event)) => effects.emit(&event, ""),
        Some(Said::Expired(event)) => effects.emit(&event, ""),
        Some(Said::Reallocated(event)) => effects.emit(&event, ""),
        Some(Said::Committed(event)) => effects.emit(&event, ""),
        Some(Said::Released(event)) => effects.emit(&event, ""),
        None => {}
    }
    world.put(order_id, order);
    Ok(())
}

/// Announces each level that the batch touched, once, as the batch leaves it.
pub(crate) fn announce(world: &mut BatchState, effects: &mut Effects<'_, Infallible>) {
    world.stock.announce(|sku, warehouse, level| {
        let changed = StockLevelChanged {
            sku: sku.clone(),
            warehouse: warehouse.clone(),
            version: level.version,
            on_hand: level.on_hand,
            reserved: level.reserved,
            missing: level.missing,
            available: level.available(),
        };
        effects.emit(&changed, &format!("{sku}/{warehouse}/{}", level.version));
    });
}
