//! Orders: accepts or rejects what was placed (by the topic `order-placed`, in several formats, or by `POST /orders`), asks for cancellation, and ends
//! the order when inventory has spoken last.
//!
//! An order's identity is (source, reference): the same order placed again gets the stored answer, and another one under the
//! same identity is a conflict that names the difference.
#![allow(missing_docs)] // an inner crate: its names say it

mod decide;
mod decode;
mod difference;
mod http;
mod input;
mod intake;
mod placed;
mod restore;
mod row;
mod settings;
mod validate;

use std::convert::Infallible;
use std::sync::Arc;

use events::{
    Event, OrderAccepted, OrderCancellationRequested, OrderCancelled, OrderCompleted, OrderFailed, OrderId,
    OrderPlaced, OrderRejected, StockCommitted, StockRejected, StockReleased, Timestamp,
};
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Host, Loader, Message, Origin, Retention, Saver, Timer, Unreadable,
    Work,
};

use crate::input::Reply;
pub use input::{Cancel, Input};
pub use row::BatchState;
pub use settings::{NAME, Orders, Settings, section};

impl Consumer for Orders {
    const NAME: &'static str = NAME;
    const TABLES: &'static [fn() -> Vec<String>] = &[<row::Order as runtime::rows::TableRow>::statements];
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
        sqlx::migrate!("../../migrations/orders")
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
        decode::decode(message, codec, self.mint(), self.trace_share)
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::UnknownTimer(timer.clone())
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        let wanted = batch.iter().filter_map(|work| work.input.wanted()).collect();
        let placed = Vec::from_iter(batch.iter().filter_map(|work| {
            let Input::Placed(placed) = &work.input else { return None };
            Some((placed.candidate(), placed.keys().collect()))
        }));
        BatchState::load(loader, wanted, &placed).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        match &work.input {
            Input::Placed(placed) => {
                decide::in_time(world, placed, self.keep, now)?;
                let at_the_door = effects.cause().origin == Origin::Request;
                decide::on_placed(world, placed, at_the_door, now, effects)
            }
            Input::Cancel(cancel) => Ok(decide::on_cancel(world, cancel, effects)),
            Input::StockRejected(rejected) => decide::on_stock_rejected(world, rejected, now, effects),
            Input::StockReleased(released) => decide::on_stock_released(world, released, now, effects),
            Input::StockCommitted(committed) => decide::on_stock_committed(world, committed, now, effects),
            Input::UnknownTimer(timer) => Err(Conflict(format!(
                "orders arms no timers, got {} of order {}: it was armed by another version",
                timer.kind, timer.order_id
            ))),
        }
    }

    fn order(input: &Input) -> Option<OrderId> {
        input.order_id()
    }

    fn retention(&self) -> Option<Retention> {
        Some(row::retention())
    }

    async fn save(&self, world: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        world.rows.save(saver);
        Ok(())
    }
}

pub fn document() -> serde_json::Value {
    http::routes().document(NAME)
}

/// Starts the consumer. Fails when a setting does not fit, or something that it needs is missing; the message says what to run.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let settings: Settings = host.settings().section(NAME)?;
        let orders = Orders::new(host.clock().clone(), host.settings().common().trace_share);
        let orders = Arc::new(orders.keeping(host.settings().keep(NAME, &Orders::defaults())?));
        let pool = host.pool::<Orders>()?;
        let (at_the_door, api_client) = (Arc::clone(&orders), settings.api_client.into());
        host.start(orders, move |door| {
            http::routes().with_state(http::RouteState { door, pool, orders: at_the_door, api_client })
        })
        .await
    })
}
