//! Orders: accepts or rejects what was placed, asks for cancellation, and ends the order when inventory has spoken last.
//!
//! Hears `OrderPlaced` (the public front door, in several formats), `StockRejected`, `StockReleased` and `StockCommitted`;
//! its doors take `POST /orders`, `GET /orders/{id}` and `POST /orders/{id}/cancel`.
//! Says `OrderAccepted`, `OrderRejected`, `OrderCancellationRequested`, `OrderCompleted`, `OrderCancelled` and `OrderFailed`.
//!
//! An order's identity is (source, reference): the same order placed again gets the stored answer, and another one under the
//! same identity is a conflict that names the difference.

pub mod decide;
pub mod difference;
mod handlers;
mod http;
pub mod intake;
pub mod order;
pub mod placed;
mod restore;
mod store;
pub mod validate;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use events::{
    Event, OrderAccepted, OrderCancellationRequested, OrderCancelled, OrderCompleted, OrderFailed, OrderId,
    OrderPlaced, OrderRejected, StockCommitted, StockRejected, StockReleased, Timestamp,
};
use runtime::settings::Section;
use runtime::{
    Clock, Codec, Conflict, Consumer, Effects, Failure, Host, Message, Reading, Recent, Retention, Timer, Unreadable,
    Work, WriteSet,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

pub use decide::Reply;
pub use order::{BatchState, Order, State};
pub use placed::{Arrival, Placed};

/// The consumer's name: its group, its schema, its source.
pub const NAME: &str = "orders";

/// What can be set, as `QUADRILLE_ORDERS__<FIELD>` or under `[orders]`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// The source of orders placed over HTTP by a caller that sends no `X-Api-Client`.
    pub api_client: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { api_client: "http".into() }
    }
}

/// The consumer.
#[derive(Debug)]
pub struct Orders {
    clock: Clock,
    trace_share: f64,
    keep: Duration,
    recent: Recent<Order>,
}

impl Orders {
    /// A consumer that mints ids by this clock and has this share of the traces that begin here recorded, from 0 to 1.
    pub fn new(clock: Clock, trace_share: f64) -> Self {
        Self { clock, trace_share, keep: Duration::MAX, recent: Recent::default() }
    }

    /// The same that forgets orders when they are this old: one that was placed longer ago, and is not known, is not taken.
    #[must_use]
    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// The id that an order which comes in now gets, if it is new.
    pub(crate) fn mint(&self) -> OrderId {
        OrderId(self.clock.mint())
    }
}

/// What is decided about.
#[derive(Clone, Debug)]
pub enum Input {
    /// An order was placed, through the topic or the door.
    Placed(Box<Placed>),
    /// Someone asks for an order to be cancelled.
    Cancel(Cancel),
    /// Stock does not suffice.
    StockRejected(StockRejected),
    /// Reserved units were given back; perhaps inventory's last word.
    StockReleased(StockReleased),
    /// Units have left; perhaps inventory's last word.
    StockCommitted(StockCommitted),
    /// A timer that is due: this version arms none.
    UnknownTimer(Timer),
}

/// A request to cancel an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Which order.
    pub order_id: OrderId,
    /// Who asks, as a role or an account's id; no personal data.
    pub requested_by: String,
    /// Why, for people; may be empty.
    pub reason: String,
}

impl Consumer for Orders {
    const NAME: &'static str = NAME;
    const OPTIMISTIC: bool = true;
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        vec![OrderPlaced::TYPE, StockRejected::TYPE, StockReleased::TYPE, StockCommitted::TYPE]
    }

    fn raw_topics() -> Vec<&'static str> {
        vec![OrderPlaced::TOPIC]
    }

    fn migrations() -> sqlx::migrate::Migrator {
        migrations()
    }

    fn publishes() -> Vec<&'static str> {
        vec![
            OrderAccepted::TYPE,
            OrderRejected::TYPE,
            OrderCancellationRequested::TYPE,
            OrderCompleted::TYPE,
            OrderCancelled::TYPE,
            OrderFailed::TYPE,
        ]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        handlers::decode(message, codec, self.mint(), self.trace_share)
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::UnknownTimer(timer.clone())
    }

    async fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Input>],
        now: Timestamp,
        reading: Reading,
    ) -> Result<BatchState, Failure> {
        let inputs: Vec<&Input> = batch.iter().map(|work| &work.input).collect();
        store::load(db, &inputs, &self.recent, now, reading).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        handlers::decide(world, &work.input, self.keep, now, effects)
    }

    fn order(input: &Input) -> Option<OrderId> {
        match input {
            Input::Placed(_) => None,
            Input::Cancel(cancel) => Some(cancel.order_id),
            Input::StockRejected(event) => Some(event.order_id),
            Input::StockReleased(event) => Some(event.order_id),
            Input::StockCommitted(event) => Some(event.order_id),
            Input::UnknownTimer(timer) => Some(timer.order_id),
        }
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::retention())
    }

    async fn save(
        &self,
        _: &mut PgConnection,
        world: &BatchState,
        _: Timestamp,
        writes: &mut WriteSet,
    ) -> Result<(), Failure> {
        let (new, changed) = world.changes()?;
        store::update(writes, &changed);
        store::insert(writes, &new);
        Ok(())
    }

    fn remember(&self, world: BatchState, now: Timestamp) {
        self.recent.remember(world.into_open(), now);
    }

    async fn call(&self, call: Infallible) -> Option<Work<Input>> {
        match call {}
    }
}

/// What can be set of orders.
pub fn section() -> Section {
    Section::consumer(NAME, &Orders::defaults()).with(&Settings::default()).checked(|all| {
        all.keep(NAME, &Orders::defaults())?;
        Ok(all.section::<Settings>(NAME).map(drop)?)
    })
}

/// The migrations of the schema `orders`.
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../../migrations/orders")
}

/// The OpenAPI document of its routes.
pub fn document() -> serde_json::Value {
    http::routes().document(NAME)
}

/// Starts the consumer in this host.
///
/// # Errors
/// When a setting does not fit, or something that it needs is missing; the message says what to run.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let settings: Settings = host.settings().section(NAME)?;
        let orders = Orders::new(host.clock().clone(), host.settings().common().trace_share);
        let orders = Arc::new(orders.keeping(host.settings().keep(NAME, &Orders::defaults())?));
        let pool = host.pool::<Orders>()?;
        let at_the_door = Arc::clone(&orders);
        host.start(orders, move |door| {
            http::routes().with_state(http::RouteState::new(door, pool, at_the_door, settings.api_client))
        })
        .await
    })
}
