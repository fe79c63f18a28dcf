//! `inventory` reserves, moves, commits and releases stock, and speaks last: what it closes, orders ends.
//!
//! It hears OrderAccepted, PaymentAuthorized, PaymentDeclined, PaymentVoided, PaymentRefunded, FulfillmentShortPicked and
//! ShipmentDispatched; at its doors deliveries, counts and stock files come in. It says StockReserved, StockRejected, ReservationExpired,
//! StockReallocated, StockCommitted and StockReleased, the latter two `closed` when nothing is reserved any more, and StockLevelChanged
//! once for each level that a batch changed.
//!
//! Stock of one SKU in one warehouse is one row, locked in the order (SKU, warehouse) after the orders' rows; a batch of hundreds of orders for
//! one SKU changes it once. Every change stands in a ledger from which the level can be computed again.

pub mod decide;
pub mod goods;
mod handlers;
mod http;
mod reservation;
mod restore;
mod stock;
mod store;
pub mod strategy;
mod supply;
#[cfg(test)]
mod tests;
mod world;

use std::convert::Infallible;
use std::sync::Arc;

use events::{
    Event, OrderId, ReservationExpired, StockCommitted, StockLevelChanged, StockReallocated, StockRejected,
    StockReleased, StockReserved, Timestamp,
};
use runtime::settings::Section;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Host, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::goods::Reply;
pub use self::handlers::Input;
pub use self::reservation::{Holding, Reservation, State, Units};
pub use self::restore::restore_levels;
pub use self::stock::{Change, Kind, Level, Movement, Stock};
pub use self::strategy::{FewestShipments, Pick, Priority, Shelves, Strategy, StrategyName, Want};
use self::supply::RecentWarehouses;
pub use self::supply::{Supply, USUAL_PRIORITY, Warehouse, Warehouses};
pub use self::world::{Slot, World};

/// The timer of a reservation.
pub const RESERVATION: &str = "reservation";

/// Settings of inventory: `QUADRILLE_INVENTORY__…`, or the section `inventory` of the settings file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// How long stock is held for an order whose payment is not authorized; 3-D Secure must be passed within it.
    pub reservation_ttl: Span,
    /// How units are spread over warehouses: `priority`, or `fewest_shipments`.
    pub strategy: StrategyName,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reservation_ttl: Span::secs(15 * 60), strategy: StrategyName::default() }
    }
}

/// The consumer.
#[derive(Debug)]
pub struct Inventory {
    settings: Settings,
    strategy: Box<dyn Strategy>,
    warehouses: Arc<RecentWarehouses>,
}

impl Inventory {
    /// An inventory with these settings.
    pub fn new(settings: Settings) -> Self {
        let strategy = settings.strategy.strategy();
        Self { settings, strategy, warehouses: Arc::default() }
    }

    /// The same with a strategy of the shop's own.
    #[must_use]
    pub fn with_strategy(self, strategy: Box<dyn Strategy>) -> Self {
        Self { strategy, ..self }
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Consumer for Inventory {
    const NAME: &'static str = "inventory";
    type Input = Input;
    type World = World;
    type Reply = Reply;
    type Call = Infallible;

    fn hears() -> Vec<&'static str> {
        handlers::HEARS.to_vec()
    }

    fn migrations() -> sqlx::migrate::Migrator {
        migrations()
    }

    fn says() -> Vec<&'static str> {
        vec![
            StockReserved::TYPE,
            StockRejected::TYPE,
            ReservationExpired::TYPE,
            StockReallocated::TYPE,
            StockCommitted::TYPE,
            StockReleased::TYPE,
            StockLevelChanged::TYPE,
        ]
    }

    fn hear(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        handlers::hear(message, codec)
    }

    fn due(&self, timer: &Timer) -> Input {
        Input::Expired(timer.order_id)
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<World, Failure> {
        store::load(loader, batch, &self.warehouses).await
    }

    fn decide(
        &self,
        world: &mut World,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        self.meet(world, &work.input, now, effects)
    }

    fn order(input: &Input) -> Option<OrderId> {
        input.order_id()
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::pruning::retention())
    }

    fn finish(&self, world: &mut World, _now: Timestamp, effects: &mut Effects<'_, Infallible>) {
        handlers::announce(world, effects);
    }

    async fn save(&self, world: World, saver: &mut Saver<'_>) -> Result<(), Failure> {
        store::save(&mut saver.writes, &world, saver.now);
        if !world.rebuilt.is_empty() {
            let warehouses = Arc::clone(&self.warehouses);
            saver.after_commit(move || warehouses.forget());
        }
        Ok(())
    }
}

/// The migrations of the schema `inventory`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/inventory")
}

/// What can be set of inventory.
pub fn section() -> Section {
    Section::consumer(Inventory::NAME, &Inventory::defaults()).with(&Settings::default()).checked(|all| {
        all.keep(Inventory::NAME, &Inventory::defaults())?;
        Ok(all.section::<Settings>(Inventory::NAME).map(drop)?)
    })
}

/// Starts inventory in this process.
///
/// # Errors
/// When a setting can't be read, or something that it needs is missing; the message says what to run.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings: Settings = host.settings().section(Inventory::NAME)?;
        start_as(host, Inventory::new(settings)).await
    })
}

/// The OpenAPI document of its routes.
pub fn document() -> serde_json::Value {
    http::routes().document(Inventory::NAME)
}

/// Starts an inventory of the shop's own making, such as one with its own strategy.
///
/// # Errors
/// As [`start`].
pub fn start_as(host: &Host, inventory: Inventory) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let pool = host.pool::<Inventory>()?;
        host.start(Arc::new(inventory), |door| http::routes().with_state(http::Doors::new(door, pool))).await
    })
}
