//! Hearing: a record is decoded by its consumer, with the writer's schema; a panic of the decoder is the record's fault alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::CodecError;
use crate::consumer::{Consumer, Work};
use crate::engine::Engine;
use crate::message::{Message, Unreadable};
use crate::registry::Registry;

/// Decodes a record; an unknown schema id is looked up first.
pub(crate) async fn hear<C: Consumer>(
    engine: &Engine<C>,
    registry: &Registry,
    message: &Message,
) -> Result<Work<C::Input>, Unreadable> {
    if let Some(id) = unknown_schema(engine, message) {
        registry.learn(&engine.codec, id, &engine.shutdown).await.map_err(Unreadable::from)?;
    }
    decode(engine, message)
}

/// The schema id that the registry must be asked for before a record can be decoded.
pub(crate) fn unknown_schema<C: Consumer>(engine: &Engine<C>, message: &Message) -> Option<u32> {
    // A dead letter is heard as bytes: what they were is not asked.
    if message.topic == crate::dead_letter::TOPIC || message.payload.as_deref()?.first() != Some(&0) {
        return None;
    }
    match engine.codec.name(message.payload.as_deref()) {
        Err(CodecError::AskRegistry(id)) => Some(id),
        Ok(_) | Err(_) => None,
    }
}

/// Decodes a record whose schema is known.
pub(crate) fn decode<C: Consumer>(engine: &Engine<C>, message: &Message) -> Result<Work<C::Input>, Unreadable> {
    let heard = catch_unwind(AssertUnwindSafe(|| engine.consumer.hear(message, &engine.codec)));
    heard.unwrap_or_else(|_| Err(Unreadable(format!("{} makes its decoder panic", message.place()))))
}
