//! Fulfillment plans, picks and dispatches shipments, and alone decides whether an order still ships.
//!
//! It hears FraudCleared (the order may go on), StockReallocated (a shortage is answered), PaymentCaptured (parcels may leave),
//! PaymentCaptureFailed and OrderCancellationRequested (let go, if anything is left to let go). It says FulfillmentShortPicked,
//! FulfillmentConfirmed, FulfillmentRejected, FulfillmentCancelled, ShipmentDispatched and ShipmentDelivered.
//!
//! Warehouses answer through HTTP doors, or the built-in one answers by itself. The point of no return is a shipment's hand-over:
//! before the release nothing may leave, so a cancellation is decided at once; after it each shipment's warehouse says what became of it.

mod bodies;
mod built_in;
mod consignment;
mod decide;
mod handlers;
mod http;
mod parcel;
mod plan;
mod restore;
mod settings;
mod store;
mod views;

use std::sync::Arc;

use events::{
    Event, FraudCleared, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected, FulfillmentShortPicked,
    OrderCancellationRequested, OrderId, PaymentCaptureFailed, PaymentCaptured, ShipmentDelivered, ShipmentDispatched,
    StockReallocated, Timestamp,
};
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Host, Meets, Message, Reading, Recent, Retention, Timer, Unreadable,
    Work, WriteSet,
};
use sqlx::PgConnection;

pub use consignment::{Consignment, State, Step};
pub use decide::{HAND_OVER, Overdue, PICK};
pub use handlers::{Answer, Answered, Input, Reply};
pub use parcel::{Fate, Parcel, ParcelState, Pick, Shortage};
pub use settings::{Does, Rule, Settings, Warehouse, read, section};
pub use store::{BatchState, Slot};

/// The consumer's name: its group, its schema, the source of its events.
pub const NAME: &str = "fulfillment";

/// The consumer.
#[derive(Debug, Default)]
pub struct Fulfillment {
    settings: Settings,
    recent: Recent<Consignment>,
}

impl Fulfillment {
    /// A consumer with these settings; without a host it decides in memory.
    pub fn new(settings: Settings) -> Self {
        Self { settings, recent: Recent::default() }
    }
}

impl Consumer for Fulfillment {
    const NAME: &'static str = NAME;
    const OPTIMISTIC: bool = true;
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Overdue;

    fn subscribes_to() -> Vec<&'static str> {
        vec![
            FraudCleared::TYPE,
            StockReallocated::TYPE,
            OrderCancellationRequested::TYPE,
            PaymentCaptureFailed::TYPE,
            PaymentCaptured::TYPE,
        ]
    }

    fn migrations() -> sqlx::migrate::Migrator {
        migrations()
    }

    fn publishes() -> Vec<&'static str> {
        vec![
            FulfillmentShortPicked::TYPE,
            FulfillmentConfirmed::TYPE,
            FulfillmentRejected::TYPE,
            FulfillmentCancelled::TYPE,
            ShipmentDispatched::TYPE,
            ShipmentDelivered::TYPE,
        ]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        Ok(Work { cause: message.cause()?, input: Input::decode(message, codec)? })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::on_timer(timer)
    }

    async fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Input>],
        now: Timestamp,
        reading: Reading,
    ) -> Result<BatchState, Failure> {
        let orders = batch.iter().map(|work| {
            let meets = if matches!(work.input, Input::Cleared(_)) { Meets::New } else { Meets::Known };
            (work.input.order_id(), meets)
        });
        store::load(db, self.recent.recall(orders, now, reading), reading).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Overdue>,
    ) -> Result<Reply, Conflict> {
        let order_id = work.input.order_id();
        let mut rules = decide::Rules::new(&self.settings, now, order_id, effects);
        handlers::meet(&mut rules, world.orders.entry(order_id).or_default(), &work.input)
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::retention())
    }

    async fn save(
        &self,
        _: &mut PgConnection,
        world: &BatchState,
        now: Timestamp,
        writes: &mut WriteSet,
    ) -> Result<(), Failure> {
        store::save(writes, world, now, self.settings.warehouse == Warehouse::External)
    }

    fn remember(&self, world: BatchState, now: Timestamp) {
        self.recent.remember(world.into_open(), now);
    }

    async fn call(
        &self,
        Overdue { order_id, hand_over_by, shipments, correlation_id }: Overdue,
    ) -> Option<Work<Input>> {
        metrics::counter!("quadrille_fulfillment_overdue_total").increment(shipments.len() as u64);
        let shipments: Vec<String> = shipments.iter().map(ToString::to_string).collect();
        tracing::warn!(
            consumer = NAME, %order_id, %correlation_id, %hand_over_by, shipments = shipments.join(","),
            "hand-over is overdue: ask the warehouse whether the shipments left, and report it at their doors"
        );
        None
    }
}

/// The migrations of its schema.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/fulfillment")
}

/// The OpenAPI document of its routes.
pub fn document() -> serde_json::Value {
    http::routes().document(NAME)
}

/// Starts the consumer in a host, with its doors.
///
/// # Errors
/// When a setting can't be read, or something that it needs is missing; the message says what to do.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings = settings::read(host.settings())?;
        match settings.warehouse {
            Warehouse::BuiltIn => host.health_of(NAME).simulates("built-in warehouse"),
            Warehouse::External => {}
        }
        let (pool, clock) = (host.pool::<Fulfillment>()?, host.clock().clone());
        host.start(Arc::new(Fulfillment::new(settings)), |door| {
            http::routes().with_state(http::RouteState::new(door, pool, clock))
        })
        .await
    })
}
