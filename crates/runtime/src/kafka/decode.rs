//! A record is decoded by its consumer, with the writer's schema; a panic of the decoder is the record's fault alone, a registry that is away nobody's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::avro::codec::{self, CodecError};
use crate::avro::registry::{NotLearned, Registry};
use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::item::{ItemError, failed};
use crate::health::Circuit;
use crate::kafka::record::{Message, Unreadable};
use crate::vocabulary::{Abandoned, Work};

/// How long the records of one batch may wait for the registry in all. What is not known by then is parked, and its circuit is open.
const PATIENCE: Duration = Duration::from_secs(3);

/// What asking the registry may still cost a batch.
pub(crate) struct Asking {
    registry: Registry,
    until: Instant,
}

impl Asking {
    pub fn of(registry: &Registry) -> Self {
        Self { registry: registry.clone(), until: Instant::now() + PATIENCE }
    }

    /// Makes a schema id known; if it can't be, that is what its record is.
    async fn look_up<C: Consumer>(&self, engine: &Engine<C>, id: u32) -> Result<Option<ItemError>, Abandoned> {
        // One asks whether it is back, not each record; see the retrier.
        if engine.health.is_broken(Circuit::Registry) {
            return Ok(Some(waits(id, "it is away")));
        }
        if Instant::now() >= self.until {
            return Ok(Some(waits(id, "it was asked for many schemas at once")));
        }
        let answer = tokio::select! {
            answer = tokio::time::timeout_at(self.until, self.registry.look_up(&engine.codec, id)) => answer,
            () = engine.shutdown.cancelled() => return Err(Abandoned::Stopping),
        };
        let why = match answer {
            Ok(Ok(())) => return Ok(None),
            Ok(Err(NotLearned::Unreadable(error))) => return Ok(Some(unreadable(error.into()))),
            Ok(Err(NotLearned::Away(why))) => why,
            Err(_) => format!("the schema registry does not answer within {PATIENCE:?}: check SCHEMA_REGISTRY_URL"),
        };
        let waits = waits(id, &why);
        engine.health.break_circuit(Circuit::Registry, why, engine.clock.now());
        Ok(Some(waits))
    }
}

/// What a record is: work, a dead letter, or something that waits for the registry.
pub(crate) type Decoded<I> = Result<Work<I>, ItemError>;

/// Decodes a record. An unknown schema id is looked up first; and where the record does not fit the schema that its id had when it was last looked up,
/// that is looked up again: the registry may have been built anew. Abandoned: the process is stopping, and only the registry knows what it is.
pub(crate) async fn decode_record<C: Consumer>(
    engine: &Engine<C>,
    asking: &Asking,
    message: &Message,
) -> Result<Decoded<C::Input>, Abandoned> {
    // What is stored under an id may be an earlier schema of it: then the registry is asked, too.
    for _ in 0..2 {
        if let Some(decoded) = try_decode(engine, asking, message) {
            return Ok(decoded);
        }
        if let Some(id) = schema_of(message)
            && let Some(error) = asking.look_up(engine, id).await?
        {
            return Ok(Err(error));
        }
    }
    Ok(decode(engine, message).map_err(unreadable))
}

/// Decodes a record without asking anybody; none: the registry must be asked.
pub(crate) fn try_decode<C: Consumer>(
    engine: &Engine<C>,
    asking: &Asking,
    message: &Message,
) -> Option<Decoded<C::Input>> {
    let id = schema_of(message);
    let is_known = || engine.codec.check_known(message.payload.as_deref());
    if id.is_some() && matches!(is_known(), Err(CodecError::AskRegistry(_))) {
        return None;
    }
    match decode(engine, message) {
        Err(_) if id.is_some_and(|id| asking.registry.is_doubtful(id)) => None,
        decoded => Some(decoded.map_err(unreadable)),
    }
}

/// The schema id of a record; none: it is in no registry framing, or a dead letter, which is heard as bytes.
fn schema_of(message: &Message) -> Option<u32> {
    codec::schema_id(message.payload.as_deref()).filter(|_| message.topic != crate::dead_letter::TOPIC)
}

fn decode<C: Consumer>(engine: &Engine<C>, message: &Message) -> Result<Work<C::Input>, Unreadable> {
    let heard = catch_unwind(AssertUnwindSafe(|| engine.consumer.decode(message, &engine.codec)));
    heard.unwrap_or_else(|_| Err(Unreadable(format!("{} makes its decoder panic", message.place()))))
}

/// A record that can't be understood: a dead letter.
pub(crate) fn unreadable(Unreadable(message): Unreadable) -> ItemError {
    ItemError::Dead(failed("decode", "unreadable", message, None))
}

/// A record whose schema nobody knows yet: it waits, with its lane.
fn waits(id: u32, why: &str) -> ItemError {
    let message = format!("schema id {id} is not known here, and the registry does not say: {why}");
    ItemError::Waits(failed("decode", WAITS, message, None))
}

pub(crate) const WAITS: &str = "registry_away";
