//! Which input meets which rule, and how the runtime sees this consumer.

use std::convert::Infallible;
use std::sync::Arc;

use events::{DeadLetterResolved, Event, OrderId, OrderPlaced, OrderStuck, RelayAdvanced, StockLevelChanged, Timestamp};
use runtime::settings::ConsumerSettings;
use runtime::{
    Cause, Codec, Conflict, Consumer, DEAD_LETTER_TOPIC, Effects, Failure, Message, Span, Thread, Timer, Unreadable,
    Work,
};
use sqlx::PgConnection;

use crate::letter::Letter;
use crate::record::{Heard, Place};
use crate::world::World;
use crate::{SagaTracker, decide, record, steps, store, told};

/// What the tracker folds.
#[derive(Clone, Debug)]
pub enum Input {
    /// An event of an order.
    Heard(Arc<Heard>),
    /// A stock level.
    Level(Box<StockLevelChanged>, Place),
    /// How far a relay has come.
    Watermark(Box<RelayAdvanced>, Place),
    /// An event that a consumer could not decide.
    Letter(Box<Letter>, Place),
    /// What became of a dead letter.
    Resolved(Box<DeadLetterResolved>, Place),
    /// A timer of this schema. None is armed: it can only have been put there by hand.
    Stray(OrderId),
}

impl Consumer for SagaTracker {
    const NAME: &'static str = "saga-tracker";
    type Input = Input;
    type World = World;
    type Reply = ();
    type Call = Infallible;

    fn hears() -> Vec<&'static str> {
        let all = events::catalogue().iter().map(|entry| entry.event_type);
        all.filter(|event_type| *event_type != OrderPlaced::TYPE).collect()
    }

    /// A dead letter keeps the headers of its original, whatever their type says.
    fn untyped() -> Vec<&'static str> {
        vec![DEAD_LETTER_TOPIC]
    }

    /// Nobody waits for a read model as for the next step: events that are heard together fold into one change of their order's row.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { linger: Span::millis(100), batch_events: 2_000, ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        crate::migrations()
    }

    /// `OrderStuck` is this consumer's to say, though no rule says it yet: see the crate's documentation.
    fn says() -> Vec<&'static str> {
        vec![OrderStuck::TYPE]
    }

    fn hear(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        if message.topic == DEAD_LETTER_TOPIC {
            let place = record::place(message)?;
            let letter = Letter::of(message, &place);
            let cause = Cause::topic(letter.letter_id, Thread::default());
            return Ok(Work { cause, input: Input::Letter(Box::new(letter), place) });
        }
        if let Some(heard) = told::read(message, codec) {
            return heard;
        }
        let (cause, place) = (message.cause()?, record::place(message)?);
        let input = match message.event_type() {
            Some(StockLevelChanged::TYPE) => Input::Level(Box::new(message.read(codec)?), place),
            Some(RelayAdvanced::TYPE) => Input::Watermark(Box::new(message.read(codec)?), place),
            Some(DeadLetterResolved::TYPE) => Input::Resolved(Box::new(message.read(codec)?), place),
            other => {
                return Err(Unreadable(format!("saga-tracker does not hear {other:?}, got it at {}", message.place())));
            }
        };
        Ok(Work { cause, input })
    }

    fn due(&self, timer: &Timer) -> Input {
        Input::Stray(timer.order_id)
    }

    /// Nothing is read: what the batch tells is merged into the rows as it is written, and a merge needs no lock before it.
    async fn load(&self, _: &mut PgConnection, _: &[&Work<Input>], _: Timestamp) -> Result<World, Failure> {
        Ok(World::default())
    }

    fn decide(
        &self,
        world: &mut World,
        work: &Work<Input>,
        _: Timestamp,
        _: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        if let Input::Stray(order_id) = &work.input {
            return Err(Conflict(format!(
                "expected no timers, as saga-tracker arms none; got one of order {order_id}: who put it there?"
            )));
        }
        decide::fold(world, &work.input);
        Ok(())
    }

    async fn save(&self, db: &mut PgConnection, world: World, _: Timestamp) -> Result<(), Failure> {
        let (all_new, timelines) = store::save(db, &world).await?;
        if all_new {
            steps::measure(&world, &timelines);
        }
        Ok(())
    }

    async fn call(&self, call: Infallible) -> Option<Work<Input>> {
        match call {}
    }
}
