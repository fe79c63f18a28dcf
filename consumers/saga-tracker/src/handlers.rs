//! Which input meets which rule, and how the runtime sees this consumer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use events::{
    DeadLetterResolved, Event, OrderId, OrderPlaced, OrderStuck, RelayAdvanced, StockLevelChanged, Timestamp,
};
use runtime::settings::ConsumerSettings;
use runtime::{
    Cause, Codec, Conflict, Consumer, DEAD_LETTER_TOPIC, Effects, Failure, Loader, Message, Retention, Saver, Span,
    Timer, TraceContext, Unreadable, Work,
};
use uuid::Uuid;

use crate::dead_letter::DeadLetter;
use crate::input::Input;
use crate::store::Tables;
use crate::tracker::{NAME, SagaTracker};
use crate::world::BatchState;
use crate::{alerts, decide, decode, steps, store};

/// How long histories are kept unless a setting says otherwise: over a year, as people ask about last year's orders.
const KEEP: Span = Span::secs(400 * 24 * 3_600);

/// Events that are older are no news when they are heard: the topics are read again, and people were told then.
const NEWS: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Consumer for SagaTracker {
    const NAME: &'static str = NAME;
    const OPTIMISTIC: bool = false;
    type Input = Input;
    type BatchState = BatchState;
    type Reply = ();
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        let all = events::catalogue().iter().map(|entry| entry.event_type);
        all.filter(|event_type| *event_type != OrderPlaced::TYPE).collect()
    }

    /// A dead letter keeps the headers of its original, whatever their type says.
    fn raw_topics() -> Vec<&'static str> {
        vec![DEAD_LETTER_TOPIC]
    }

    /// Nobody waits for a read model as for the next step: events that are heard together fold into one change of their order's row.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { linger: Span::millis(100), keep: Some(KEEP), ..ConsumerSettings::in_bundles() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        crate::migrations()
    }

    fn publishes() -> Vec<&'static str> {
        vec![OrderStuck::TYPE]
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        if message.topic == DEAD_LETTER_TOPIC {
            let place = decode::place(message)?;
            let letter = DeadLetter::from_message(message, &place);
            let cause = Cause::topic(letter.letter_id, TraceContext::default());
            return Ok(Work { cause, input: Input::DeadLetter(Box::new(letter), place) });
        }
        if let Some(work) = decode::order_event(message, codec) {
            return work;
        }
        let (cause, place) = (message.cause()?, decode::place(message)?);
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

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Stray(timer.order_id)
    }

    /// For events nothing is read: what they tell is merged into the rows as it is written, and a merge needs no lock before it.
    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        let looked_at = |work: &&Work<Input>| {
            let Input::Look(look) = &work.input else { return None };
            Some(look.order_id.as_uuid())
        };
        let order_ids: Vec<Uuid> = batch.iter().filter_map(looked_at).collect();
        let cases =
            if order_ids.is_empty() { BTreeMap::new() } else { store::cases::load(loader.db, &order_ids).await? };
        Ok(BatchState { cases, ..BatchState::default() })
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        if let Input::Look(look) = &work.input {
            decide::on_look(world, look, now, effects);
            return Ok(());
        }
        if let Input::Stray(order_id) = &work.input {
            return Err(Conflict(format!(
                "expected no timers, as saga-tracker arms none; got one of order {order_id}: who put it there?"
            )));
        }
        decide::fold(world, &work.input);
        if let Input::Heard(heard) = &work.input
            && now.since(heard.place.at) < NEWS
        {
            world.alerts.extend(alerts::of_event(heard.event_type, heard.order_id));
        }
        Ok(())
    }

    fn order(input: &Input) -> Option<OrderId> {
        let Input::Heard(heard) = input else { return None };
        Some(heard.order_id)
    }

    fn retention(&self) -> Option<Retention> {
        Some(store::pruning::retention())
    }

    async fn save(&self, world: BatchState, Saver { db, now, .. }: &mut Saver<'_>) -> Result<(), Failure> {
        let repeating = self.repeating.active();
        let saved = store::save(db, Tables::Live, &world, repeating).await;
        if matches!(saved, Err(Failure::LostRace { .. })) {
            self.repeating.trip();
        }
        let (all_new, timelines) = saved?;
        for (kind, key, text) in world.alerts.iter().filter(|(kind, ..)| !self.untold.contains(kind)) {
            alerts::raise(db, *kind, key, text, *now).await?;
        }
        if all_new {
            steps::measure(&world, &timelines);
        }
        Ok(())
    }
}
