//! `inventory` reserves, moves, commits and releases stock, and speaks last: what it closes, orders ends. At its routes deliveries, counts and stock
//! files come in.
//!
//! Stock of one SKU in one warehouse is one row, locked in the order (SKU, warehouse) after the orders' rows; a batch of hundreds of orders for
//! one SKU changes it once, and announces it once. Every change stands in a ledger from which the level can be computed again.
#![allow(missing_docs)] // an inner crate: its names say it

mod batch;
mod decide;
mod goods;
mod http;
mod input;
mod pruning;
mod reservation;
mod restore;
mod row;
mod settings;
mod stock;
mod strategy;
mod supply;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use events::{
    Event, FulfillmentShortPicked, OrderAccepted, OrderId, PaymentAuthorized, PaymentDeclined, PaymentRefunded,
    PaymentVoided, ReservationExpired, ReturnReceived, ShipmentDispatched, StockCommitted, StockLevelChanged,
    StockReallocated, StockRejected, StockReleased, StockReserved, StockReturned, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Host, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};

pub use batch::BatchState;
pub use goods::{LevelView, Load, LoadRow, Loaded, LoadedBefore, Receipt, StockCount};
pub use input::{Input, Reply};
pub use reservation::{Holding, Reservation, ReservedUnits, ReturnedUnits, State};
pub use restore::restore_levels;
pub use settings::{Inventory, Settings, section};
pub use stock::{Level, LevelChange, Movement, MovementKind, Stock};
pub use strategy::{FewestShipments, Pick, Priority, Shelves, Strategy, StrategyName, Want};
pub use supply::{USUAL_PRIORITY, Warehouse, Warehouses};

impl Consumer for Inventory {
    const NAME: &'static str = "inventory";
    const TABLES: &'static [fn() -> Vec<String>] =
        &[<Reservation as runtime::rows::TableRow>::statements, <Level as runtime::rows::TableRow>::statements];
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        vec![
            OrderAccepted::TYPE,
            PaymentAuthorized::TYPE,
            PaymentDeclined::TYPE,
            PaymentVoided::TYPE,
            PaymentRefunded::TYPE,
            FulfillmentShortPicked::TYPE,
            ShipmentDispatched::TYPE,
            ReturnReceived::TYPE,
        ]
    }

    /// As fulfillment: what it receives half a year later is of an order that is known.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(210 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/inventory")
    }

    fn publishes() -> Vec<&'static str> {
        vec![
            StockReserved::TYPE,
            StockRejected::TYPE,
            ReservationExpired::TYPE,
            StockReallocated::TYPE,
            StockCommitted::TYPE,
            StockReleased::TYPE,
            StockReturned::TYPE,
            StockLevelChanged::TYPE,
        ]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let input = match message.event_type().unwrap_or_default() {
            OrderAccepted::TYPE => Input::Accepted(Box::new(message.read(codec)?)),
            PaymentAuthorized::TYPE => Input::Authorized(message.read::<PaymentAuthorized>(codec)?.order_id),
            PaymentDeclined::TYPE => Input::Declined(message.read(codec)?),
            PaymentVoided::TYPE => Input::Voided(message.read(codec)?),
            PaymentRefunded::TYPE => Input::Refunded(message.read(codec)?),
            FulfillmentShortPicked::TYPE => Input::ShortPicked(message.read(codec)?),
            ShipmentDispatched::TYPE => Input::Dispatched(message.read(codec)?),
            ReturnReceived::TYPE => Input::Returned(message.read(codec)?),
            other => {
                let (place, expected) = (message.place(), Self::subscribes_to());
                return Err(Unreadable(format!("{place} has type `{other}`: expected one of {expected:?}")));
            }
        };
        Ok(Work { cause: message.cause()?, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Expired(timer.order_id)
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        row::load(loader, batch).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        self.apply(world, &work.input, now, effects)
    }

    fn order(input: &Input) -> Option<OrderId> {
        input.order_id()
    }

    fn retention(&self) -> Option<Retention> {
        Some(pruning::retention())
    }

    fn finish(&self, world: &mut BatchState, _now: Timestamp, effects: &mut Effects<'_, Infallible>) {
        decide::announce(world, effects);
    }

    async fn save(&self, world: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        row::save(world, saver)
    }
}

/// Starts inventory in this process. Fails when a setting can't be read, or something that it needs is missing; the message says what to run.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings: Settings = host.settings().section(Inventory::NAME)?;
        start_as(host, Inventory::new(settings)).await
    })
}

pub fn document() -> serde_json::Value {
    http::routes().document(Inventory::NAME)
}

/// Starts an inventory of the shop's own making, such as one with its own strategy. Fails as [`start`].
pub fn start_as(host: &Host, inventory: Inventory) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let pool = host.pool::<Inventory>()?;
        let routes = |requests| http::routes().with_state(http::InventoryRoutes { requests, pool });
        host.start(Arc::new(inventory), routes).await
    })
}
