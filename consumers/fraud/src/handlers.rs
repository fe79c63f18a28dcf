//! Which input meets which rule, and how the runtime sees this consumer.

use std::convert::Infallible;

use events::{
    Event, FraudCleared, FraudRejected, FraudReviewRequested, OpenError, OrderId, PaymentAuthorized, PaymentVoided,
    Person, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Message, Reading, Retention, Span, Timer, Unreadable, Work, WriteSet,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::velocity::{Kind, Subject, subjects};
use crate::world::{BatchState, State};
use crate::{Fraud, decide, store};

/// What fraud decides about.
#[derive(Clone, Debug)]
pub enum Input {
    /// Money is held: look at the order.
    Authorized(Box<Authorized>),
    /// The money went back: the order is over.
    Voided(OrderId),
    /// A person's word on a review.
    Ruled {
        /// The order under review.
        order_id: OrderId,
        /// What they decided.
        ruling: Ruling,
        /// Their account.
        by: String,
        /// What they say to it; stays in fraud's own table.
        note: Option<String>,
    },
    /// A review's deadline.
    Deadline(OrderId),
}

/// `PaymentAuthorized`, opened and with what is counted: done where the event is read, once, so that rules find it ready.
#[derive(Clone, Debug)]
pub struct Authorized {
    pub(crate) event: PaymentAuthorized,
    pub(crate) person: Person,
    pub(crate) subjects: Vec<(Kind, Subject)>,
}

impl Authorized {
    /// When the order was placed: what velocity rules go by, so that a backlog that is worked off is no burst. Now, where its id does not say it.
    pub(crate) fn placed_at(&self, now: Timestamp) -> Timestamp {
        self.event.order_id.minted_at().map_or(now, |at| at.min(now))
    }
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// The order may go on.
    Clear,
    /// It may not.
    Reject,
}

/// What the caller of a door gets to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nobody asked: an event or a timer.
    #[default]
    Nobody,
    /// No such order was looked at.
    Unknown,
    /// Done: the order stands there now.
    Done(State),
    /// Nothing to decide any more: the order already stands there, by whom.
    Already(State, Option<String>),
}

impl Input {
    /// The order that it is about.
    pub fn order_id(&self) -> OrderId {
        match self {
            Self::Authorized(authorized) => authorized.event.order_id,
            Self::Voided(order_id) | Self::Deadline(order_id) | Self::Ruled { order_id, .. } => *order_id,
        }
    }
}

impl Fraud {
    /// Opens an event's personal data and hashes what is counted.
    ///
    /// # Errors
    /// When the personal data can't be opened.
    pub fn authorized(&self, event: PaymentAuthorized) -> Result<Input, OpenError> {
        let person = event.personal.open()?;
        let subjects = subjects(self.settings.velocity.key.expose(), &event, &person);
        Ok(Input::Authorized(Box::new(Authorized { event, person, subjects })))
    }
}

impl Consumer for Fraud {
    const NAME: &'static str = "fraud";
    const OPTIMISTIC: bool = true;
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        vec![PaymentAuthorized::TYPE, PaymentVoided::TYPE]
    }

    /// As long as payments: who looks into a dispute asks what was thought of the order.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(180 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        crate::migrations()
    }

    fn publishes() -> Vec<&'static str> {
        vec![FraudCleared::TYPE, FraudRejected::TYPE, FraudReviewRequested::TYPE]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let cause = message.cause()?;
        let input = match message.event_type() {
            Some(PaymentAuthorized::TYPE) => {
                let opened = self.authorized(message.read(codec)?);
                opened.map_err(|error| Unreadable(format!("personal data of {}: {error}", message.place())))?
            }
            Some(PaymentVoided::TYPE) => Input::Voided(message.read::<PaymentVoided>(codec)?.order_id),
            other => return Err(Unreadable(format!("fraud does not hear {other:?}, got it at {}", message.place()))),
        };
        Ok(Work { cause, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Deadline(timer.order_id) // the only timer there is
    }

    async fn load(
        &self,
        db: &mut PgConnection,
        batch: &[&Work<Input>],
        now: Timestamp,
        reading: Reading,
    ) -> Result<BatchState, Failure> {
        let inputs: Vec<&Input> = batch.iter().map(|work| &work.input).collect();
        store::load(db, &inputs, &self.recent, self.settings.velocity.window.0, now, reading).await
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        Ok(match &work.input {
            Input::Authorized(authorized) => decide::on_authorized(world, authorized, &self.settings, now, effects),
            Input::Voided(order_id) => decide::on_voided(world, *order_id, now, effects),
            Input::Ruled { order_id, ruling, by, note } => {
                let person = decide::Decider { by, note: note.as_deref() };
                decide::on_ruling(world, *order_id, *ruling, &person, now, effects)?
            }
            Input::Deadline(order_id) => decide::on_deadline(world, *order_id, now, effects),
        })
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::retention())
    }

    /// Counts go by the window of the velocity rules, not by the horizon.
    async fn prune(
        &self,
        db: &mut PgConnection,
        _until: Timestamp,
        now: Timestamp,
        limit: i64,
    ) -> Result<u64, Failure> {
        store::delete_counts(db, self.settings.velocity.kept_since(now), limit).await
    }

    async fn save(
        &self,
        _: &mut PgConnection,
        world: &BatchState,
        _now: Timestamp,
        writes: &mut WriteSet,
    ) -> Result<(), Failure> {
        store::save(writes, world)
    }

    fn remember(&self, world: BatchState, now: Timestamp) {
        self.recent.remember(world.into_open(), now);
    }

    async fn call(&self, call: Infallible) -> Option<Work<Input>> {
        match call {}
    }
}
