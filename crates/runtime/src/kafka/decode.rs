//! Hearing: a record is decoded by its consumer, with the writer's schema; a panic of the decoder is the record's fault alone, and a registry that is away
//! is nobody's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::avro::codec::{self, CodecError};
use crate::avro::registry::{NotLearned, Registry};
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::item::ItemError;
use crate::health::Circuit;
use crate::kafka::record::{Message, Unreadable};
use crate::vocabulary::Abandoned;
use crate::vocabulary::ErrorInfo;
use crate::vocabulary::Work;

/// How long the records of one batch may wait for the registry in all. What is not known by then is parked, and its circuit is open.
const PATIENCE: Duration = Duration::from_secs(3);

/// What asking the registry may still cost a batch.
pub(crate) struct Asking {
    registry: Registry,
    until: Instant,
}

impl Asking {
    /// For a batch that begins now.
    pub fn of(registry: &Registry) -> Self {
        Self { registry: registry.clone(), until: Instant::now() + PATIENCE }
    }

    /// Makes a schema id known.
    async fn look_up<C: Consumer>(&self, engine: &Engine<C>, id: u32) -> Result<(), Unheard> {
        let away = |why: String| Unheard::of(waits(id, &why));
        // One asks whether it is back, not each record; see the retrier.
        if engine.health.is_broken(Circuit::Registry) {
            return Err(away("it is away".to_owned()));
        }
        if Instant::now() >= self.until {
            return Err(away("it was asked for many schemas at once".to_owned()));
        }
        let answer = tokio::select! {
            answer = tokio::time::timeout_at(self.until, self.registry.look_up(&engine.codec, id)) => answer,
            () = engine.shutdown.cancelled() => return Err(Unheard::Stopping),
        };
        let why = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(NotLearned::Unreadable(error))) => return Err(Unheard::of(unreadable(error.into()))),
            Ok(Err(NotLearned::Away(why))) => why,
            Err(_) => format!("the schema registry does not answer within {PATIENCE:?}: check SCHEMA_REGISTRY_URL"),
        };
        engine.health.break_circuit(Circuit::Registry, why.clone(), engine.clock.now());
        Err(away(why))
    }
}

/// Why a record is not heard.
pub(crate) enum Unheard {
    /// It is a dead letter, or waits for the registry.
    ItemError(Box<ItemError>),
    /// The process is stopping, and nobody knows yet: it is read again.
    Stopping,
}

impl Unheard {
    fn of(trouble: ItemError) -> Self {
        Self::ItemError(Box::new(trouble))
    }

    /// As an item has it.
    pub fn trouble(self) -> Result<ItemError, Abandoned> {
        match self {
            Self::ItemError(trouble) => Ok(*trouble),
            Self::Stopping => Err(Abandoned::Stopping),
        }
    }
}

/// Decodes a record. An unknown schema id is looked up first; and where the record does not fit the schema that its id had when it was last looked up,
/// that is looked up again: the registry may have been built anew.
pub(crate) async fn decode_record<C: Consumer>(
    engine: &Engine<C>,
    asking: &Asking,
    message: &Message,
) -> Result<Work<C::Input>, Unheard> {
    // What is stored under an id may be an earlier schema of it: then the registry is asked, too.
    for _ in 0..2 {
        if let Some(heard) = try_decode(engine, asking, message) {
            return heard;
        }
        if let Some(id) = schema_of(message) {
            asking.look_up(engine, id).await?;
        }
    }
    decode(engine, message).map_err(|misfit| Unheard::of(unreadable(misfit)))
}

/// Decodes a record without asking anybody; none: the registry must be asked.
pub(crate) fn try_decode<C: Consumer>(
    engine: &Engine<C>,
    asking: &Asking,
    message: &Message,
) -> Option<Result<Work<C::Input>, Unheard>> {
    if unknown_schema(engine, message).is_some() {
        return None;
    }
    match decode(engine, message) {
        Err(_) if schema_of(message).is_some_and(|id| asking.registry.is_doubtful(id)) => None,
        Err(misfit) => Some(Err(Unheard::of(unreadable(misfit)))),
        Ok(work) => Some(Ok(work)),
    }
}

/// The schema id of a record; none: it is in no registry framing, or a dead letter, which is heard as bytes.
fn schema_of(message: &Message) -> Option<u32> {
    codec::schema_id(message.payload.as_deref()).filter(|_| message.topic != crate::dead_letter::TOPIC)
}

/// The schema id that the registry must be asked for before a record can be decoded.
fn unknown_schema<C: Consumer>(engine: &Engine<C>, message: &Message) -> Option<u32> {
    let id = schema_of(message)?;
    matches!(engine.codec.check_known(message.payload.as_deref()), Err(CodecError::AskRegistry(_))).then_some(id)
}

/// Decodes a record whose schema is known.
fn decode<C: Consumer>(engine: &Engine<C>, message: &Message) -> Result<Work<C::Input>, Unreadable> {
    let heard = catch_unwind(AssertUnwindSafe(|| engine.consumer.decode(message, &engine.codec)));
    heard.unwrap_or_else(|_| Err(Unreadable(format!("{} makes its decoder panic", message.place()))))
}

/// A record that can't be understood: a dead letter.
pub(crate) fn unreadable(Unreadable(message): Unreadable) -> ItemError {
    let class = "unreadable".to_owned();
    ItemError::Dead(ErrorInfo { stage: "decode", class, message, order_id: None, escalation: None })
}

/// A record whose schema nobody knows yet: it waits, with its lane.
fn waits(id: u32, why: &str) -> ItemError {
    let message = format!("schema id {id} is not known here, and the registry does not say: {why}");
    ItemError::Waits(ErrorInfo { stage: "decode", class: WAITS.to_owned(), message, order_id: None, escalation: None })
}

/// The error class of what waits for the registry.
pub(crate) const WAITS: &str = "registry_away";
