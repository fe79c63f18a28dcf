//! Fulfillment plans, picks and dispatches shipments, and alone decides whether an order still ships. Warehouses answer through HTTP routes, or the
//! built-in one answers by itself.
//!
//! The point of no return is a shipment's hand-over: before the release nothing may leave, so a cancellation is decided at once; after it each
//! shipment's warehouse says what became of it.
#![allow(missing_docs)] // an inner crate: its names say it

mod bodies;
mod built_in;
mod decide;
mod http;
mod input;
mod parcel;
mod plan;
mod restore;
mod return_routes;
mod returns;
mod row;
mod settings;
mod views;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use events::{
    DisputeClosed, Event, FraudCleared, FulfillmentCancelled, FulfillmentConfirmed, FulfillmentRejected,
    FulfillmentShortPicked, OrderCancellationRequested, OrderId, PaymentCaptureFailed, PaymentCaptured,
    PaymentDisputed, ReturnAnnounced, ReturnReceived, ReturnRefused, ShipmentDelivered, ShipmentDispatched,
    StockReallocated, Timestamp,
};
use runtime::rows::{Rows, Select};
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Host, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};
use uuid::Uuid;

use decide::Overdue;
pub use input::{Input, Reply};
pub use returns::{CustomerReturn, ReceivedUnits, ReturnInput, ReturnReply, ReturnState, ReturnUnits};
pub use row::BatchState;
pub use settings::{BuiltInRule, Does, Fulfillment, NAME, Settings, WarehouseMode, read, section};

impl Consumer for Fulfillment {
    const NAME: &'static str = NAME;
    const TABLES: &'static [fn() -> Vec<String>] = &[
        <row::Consignment as runtime::rows::TableRow>::statements,
        <CustomerReturn as runtime::rows::TableRow>::statements,
    ];
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
            PaymentDisputed::TYPE,
            DisputeClosed::TYPE,
        ]
    }

    /// As long as a return may be announced, arrive, and come back from topics: 120, 30 and 60 days.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(210 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/fulfillment")
    }

    fn publishes() -> Vec<&'static str> {
        vec![
            FulfillmentShortPicked::TYPE,
            FulfillmentConfirmed::TYPE,
            FulfillmentRejected::TYPE,
            FulfillmentCancelled::TYPE,
            ShipmentDispatched::TYPE,
            ShipmentDelivered::TYPE,
            ReturnAnnounced::TYPE,
            ReturnReceived::TYPE,
            ReturnRefused::TYPE,
        ]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let input = match message.event_type() {
            Some(FraudCleared::TYPE) => Input::Cleared(Box::new(message.read(codec)?)),
            Some(StockReallocated::TYPE) => Input::Reallocated(Box::new(message.read(codec)?)),
            Some(PaymentCaptured::TYPE) => Input::Captured(Box::new(message.read(codec)?)),
            Some(PaymentDisputed::TYPE) => Input::Disputed(Box::new(message.read(codec)?)),
            Some(DisputeClosed::TYPE) => Input::DisputeClosed(Box::new(message.read(codec)?)),
            Some(OrderCancellationRequested::TYPE) => {
                let OrderCancellationRequested { order_id, reason, .. } = message.read(codec)?;
                Input::CancellationRequested(order_id, reason)
            }
            Some(PaymentCaptureFailed::TYPE) => {
                let PaymentCaptureFailed { order_id, reason, .. } = message.read(codec)?;
                Input::CaptureFailed(order_id, reason)
            }
            other => {
                let other = other.unwrap_or("an event without ce_type");
                return Err(Unreadable(format!("fulfillment does not hear {other}: {}", message.place())));
            }
        };
        Ok(Work { cause: message.cause()?, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        match (timer.kind.as_str(), timer.discriminator.parse()) {
            (input::PICK, Ok(shipment_id)) => Input::PickDue(timer.order_id, shipment_id),
            (input::HAND_OVER, _) => Input::HandOverDue(timer.order_id),
            _ => Input::UnknownTimer(timer.clone()),
        }
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        let inputs = || batch.iter().map(|work| &work.input);
        let orders = Rows::of_orders(loader, inputs().map(Input::order_id)).await?;
        // Returns are read where an input is about one, or, after a restore, may be.
        let of_returns = inputs().filter(|input| matches!(input, Input::Return(_) | Input::UnknownTimer(_)));
        let returned: BTreeSet<Uuid> = of_returns.map(|input| input.order_id().as_uuid()).collect();
        let mut returns = Rows::default();
        if !returned.is_empty() {
            returns = Rows::load(loader, Select::filter("order_id = any($1)").bind(Vec::from_iter(returned))).await?;
        }
        Ok(BatchState { orders, returns })
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Overdue>,
    ) -> Result<Reply, Conflict> {
        let mut rules = decide::InputRules::new(&self.settings, now, work.input.order_id(), effects);
        if let Input::Return(input) = &work.input {
            return Ok(Reply::Return(rules.returns(world, input)));
        }
        decide::meet::meet(&mut rules, &mut world.orders, &work.input)
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    fn retention(&self) -> Option<Retention> {
        Some(row::retention())
    }

    /// The work lists are written where a real warehouse works.
    async fn save(&self, BatchState { orders, returns }: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        if self.settings.warehouse == WarehouseMode::External {
            work::save(orders.changed(), saver.now, &mut saver.writes);
        }
        orders.save(saver);
        returns.save(saver);
        Ok(())
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

pub fn document() -> serde_json::Value {
    http::routes().merge(return_routes::routes()).document(NAME)
}

/// Starts the consumer. Fails when a setting can't be read, or something that it needs is missing; the message says what to do.
pub fn start(host: &Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let settings = settings::read(host.settings())?;
        if settings.warehouse == WarehouseMode::BuiltIn {
            host.health_of(NAME).simulates("built-in warehouse");
        }
        let (pool, clock) = (host.pool::<Fulfillment>()?, host.clock().clone());
        host.start(Arc::new(Fulfillment::new(settings)), |door| {
            http::routes().merge(return_routes::routes()).with_state(http::RouteState { door, pool, clock })
        })
        .await
    })
}
