//! notifications: tells customers what they should know of their orders, each event once per channel, for ever, in the customer's language. Where to write
//! comes with `OrderAccepted`; what comes before it waits for it. Messages go to a sink: the table `message`, and, without personal data, the log.
#![allow(missing_docs)] // an inner crate: its names say it

mod contact;
mod decide;
mod decode;
mod input;
mod occasion;
mod restore;
mod row;
mod sent_log;
mod settings;
mod templates;
mod words;

use std::sync::Arc;

use events::{
    Event, NotificationFailed, NotificationRecorded, NotificationSent, OrderAccepted, OrderCancelled, OrderCompleted,
    OrderFailed, OrderId, OrderRejected, PaymentActionRequired, PaymentDeclined, PaymentRefunded, RefundCompleted,
    ReturnAnnounced, ReturnReceived, ReturnRefused, ShipmentDelivered, ShipmentDispatched, Timestamp,
};
use runtime::http::Routes;
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};

use crate::input::Input;
use crate::sent_log::SentLog;
pub use row::BatchState;
pub use settings::{NotificationSettings, Notifications, section};
pub use words::Locale;

impl Consumer for Notifications {
    const NAME: &'static str = "notifications";
    const TABLES: &'static [fn() -> Vec<String>] = &[<row::KnownCustomer as runtime::rows::TableRow>::statements];
    type Input = Input;
    type BatchState = BatchState;
    type Reply = ();
    type Call = SentLog;

    /// A customer does not see whether a mail went out a tenth of a second sooner. Who gets money back half a year later must still be told of it:
    /// as long as payments refunds or fulfillment takes returns, and some days for what follows.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings {
            linger: Span::millis(50),
            keep: Some(Span::secs(210 * 24 * 3_600)),
            ..ConsumerSettings::in_bundles()
        }
    }

    fn subscribes_to() -> Vec<&'static str> {
        vec![
            OrderAccepted::TYPE,
            OrderRejected::TYPE,
            OrderCompleted::TYPE,
            OrderCancelled::TYPE,
            OrderFailed::TYPE,
            PaymentActionRequired::TYPE,
            PaymentDeclined::TYPE,
            PaymentRefunded::TYPE,
            RefundCompleted::TYPE,
            ShipmentDispatched::TYPE,
            ShipmentDelivered::TYPE,
            ReturnAnnounced::TYPE,
            ReturnReceived::TYPE,
            ReturnRefused::TYPE,
        ]
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/notifications")
    }

    fn publishes() -> Vec<&'static str> {
        // NotificationSent is for the first channel that sends: none is connected yet.
        vec![NotificationRecorded::TYPE, NotificationSent::TYPE, NotificationFailed::TYPE]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        decode::decode(message, codec)
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Stray(timer.order_id)
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        BatchState::load(loader, batch.iter().map(|work| work.input.order_id()).collect()).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, SentLog>,
    ) -> Result<(), Conflict> {
        match &work.input {
            Input::Heard(heard) => {
                decide::on_heard(world, heard, &self.settings, now, effects);
                Ok(())
            }
            Input::Untold(_) => Ok(()),
            Input::Stray(order_id) => Err(Conflict(format!(
                "expected no timers, as notifications arms none; got one of order {order_id}: who put it there?"
            ))),
        }
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    fn retention(&self) -> Option<Retention> {
        Some(row::retention())
    }

    async fn save(&self, world: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        world.save(saver)
    }

    /// The log's half of the sink: after the commit, so that a batch that is tried again is logged once. A process that dies in between leaves
    /// the table, which is what counts.
    async fn call(&self, log: SentLog) -> Option<Work<Input>> {
        log.write();
        None
    }
}

/// Starts the consumer. Fails when its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let notifications = Arc::new(Notifications::new(host.settings().section(Notifications::NAME)?));
        host.start(notifications, |_| Routes::new()).await
    })
}
