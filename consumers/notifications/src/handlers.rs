//! Which event is told as what, and how the runtime sees this consumer.

use std::sync::Arc;

use events::{
    Event, EventId, NotificationFailed, NotificationRecorded, NotificationSent, OrderAccepted, OrderCancelled,
    OrderCompleted, OrderFailed, OrderId, OrderRejected, PaymentActionRequired, PaymentDeclined, PaymentRefunded,
    Personal, ShipmentDelivered, ShipmentDispatched, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Message, Reading, Retention, Span, Timer, Unreadable, Work, WriteSet,
};
use sqlx::PgConnection;

use crate::contact::Contact;
use crate::occasion::Occasion;
use crate::world::{self, BatchState, Delivery, Waiting};
use crate::{Notifications, decide, store};

/// What notifications decides about.
#[derive(Clone, Debug)]
pub enum Input {
    /// Something to tell.
    Heard(Box<Heard>),
    /// A timer of this schema. None is armed: it can only have been put there by hand.
    Stray(OrderId),
}

/// An event that a customer should know of.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The order.
    pub order_id: OrderId,
    /// What to tell.
    pub news: Waiting,
    /// Where to write, if the event says so.
    pub contact: Option<Contact>,
}

impl Input {
    /// The order that it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Heard(heard) => heard.order_id,
            Self::Stray(order_id) => *order_id,
        }
    }
}

/// What goes to the log once it is committed; no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLog {
    pub(crate) order_id: OrderId,
    pub(crate) correlation_id: Arc<str>,
    pub(crate) sent: Vec<SentLine>,
}

/// One message's line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentLine {
    event_id: EventId,
    channel: String,
    template: &'static str,
    failed: Option<&'static str>,
}

impl From<&world::Message> for SentLine {
    fn from(message: &world::Message) -> Self {
        let failed = match &message.delivery {
            Delivery::Recorded { .. } => None,
            Delivery::Failed { detail } => Some(*detail),
        };
        Self { event_id: message.event_id, channel: message.channel.to_string(), template: message.template, failed }
    }
}

impl SentLog {
    fn write(&self) {
        let SentLog { order_id, correlation_id, sent } = self;
        for SentLine { event_id, channel, template, failed } in sent {
            let consumer = Notifications::NAME;
            match failed {
                None => {
                    tracing::info!(consumer, %order_id, %event_id, %correlation_id, channel, template, "notification recorded: no channel is connected, nothing was sent")
                }
                Some(why) => tracing::warn!(
                    consumer, %order_id, %event_id, %correlation_id, channel, template, why,
                    "notification not recorded: the order has no usable address"
                ),
            }
        }
    }
}

/// An event as it is told, and the contact that it brings.
type Told = (OrderId, Occasion, Option<Contact>);

fn contact(personal: &Personal, reference: &str, message: &Message) -> Result<Contact, Unreadable> {
    let person = personal.open();
    let person = person.map_err(|error| Unreadable(format!("personal data of {}: {error}", message.place())))?;
    Ok(Contact::of(person, reference.to_owned()))
}

fn accepted(message: &Message, codec: &Codec) -> Result<Told, Unreadable> {
    let event: OrderAccepted = message.read(codec)?;
    let contact = contact(&event.personal, &event.reference, message)?;
    Ok((event.order_id, event.into(), Some(contact)))
}

/// A rejected order carries its own contact, as it was never accepted; one that named none is told to nobody, which is said.
fn rejected(message: &Message, codec: &Codec) -> Result<Told, Unreadable> {
    let event: OrderRejected = message.read(codec)?;
    let contact = match &event.personal {
        Some(personal) => contact(personal, &event.reference, message)?,
        None => Contact { reference: event.reference.clone(), ..Contact::default() },
    };
    Ok((event.order_id, event.into(), Some(contact)))
}

fn told<E: Event + Into<Occasion>>(
    message: &Message,
    codec: &Codec,
    order_id: fn(&E) -> OrderId,
) -> Result<Told, Unreadable> {
    let event: E = message.read(codec)?;
    Ok((order_id(&event), event.into(), None))
}

impl Consumer for Notifications {
    const NAME: &'static str = "notifications";
    const OPTIMISTIC: bool = true;
    type Input = Input;
    type BatchState = BatchState;
    type Reply = ();
    type Call = SentLog;

    /// A customer does not see whether a mail went out a tenth of a second sooner.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { linger: Span::millis(50), ..ConsumerSettings::in_bundles() }
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
            ShipmentDispatched::TYPE,
            ShipmentDelivered::TYPE,
        ]
    }

    fn migrations() -> sqlx::migrate::Migrator {
        crate::migrations()
    }

    fn publishes() -> Vec<&'static str> {
        // NotificationSent is for the first channel that sends: none is connected yet.
        vec![NotificationRecorded::TYPE, NotificationSent::TYPE, NotificationFailed::TYPE]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let cause = message.cause()?;
        let event_type = message.event_type().unwrap_or_default();
        let (order_id, occasion, contact) = match event_type {
            OrderAccepted::TYPE => accepted(message, codec)?,
            OrderRejected::TYPE => rejected(message, codec)?,
            OrderCompleted::TYPE => told::<OrderCompleted>(message, codec, |event| event.order_id)?,
            OrderCancelled::TYPE => told::<OrderCancelled>(message, codec, |event| event.order_id)?,
            OrderFailed::TYPE => told::<OrderFailed>(message, codec, |event| event.order_id)?,
            PaymentActionRequired::TYPE => told::<PaymentActionRequired>(message, codec, |event| event.order_id)?,
            PaymentDeclined::TYPE => told::<PaymentDeclined>(message, codec, |event| event.order_id)?,
            PaymentRefunded::TYPE => told::<PaymentRefunded>(message, codec, |event| event.order_id)?,
            ShipmentDispatched::TYPE => told::<ShipmentDispatched>(message, codec, |event| event.order_id)?,
            ShipmentDelivered::TYPE => told::<ShipmentDelivered>(message, codec, |event| event.order_id)?,
            other => {
                return Err(Unreadable(format!(
                    "notifications does not hear {other:?}, got it at {}",
                    message.place()
                )));
            }
        };
        let news = Waiting { event_id: EventId(cause.id), event_type: event_type.to_owned(), occasion };
        Ok(Work { cause, input: Input::Heard(Box::new(Heard { order_id, news, contact })) })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Stray(timer.order_id)
    }

    async fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Input>],
        _: Timestamp,
        reading: Reading,
    ) -> Result<BatchState, Failure> {
        let order_ids: Vec<OrderId> = batch.iter().map(|work| work.input.order_id()).collect();
        store::load(db, order_ids, reading).await
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
            Input::Stray(order_id) => Err(Conflict(format!(
                "expected no timers, as notifications arms none; got one of order {order_id}: who put it there?"
            ))),
        }
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
        _: Timestamp,
        writes: &mut WriteSet,
    ) -> Result<(), Failure> {
        store::save(writes, world);
        Ok(())
    }

    /// The log's half of the sink: after the commit, so that a batch that is tried again is logged once. A process that dies in between leaves
    /// the table, which is what counts.
    async fn call(&self, log: SentLog) -> Option<Work<Input>> {
        log.write();
        None
    }
}
