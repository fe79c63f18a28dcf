//! Avro in registry framing: `0x00`, the schema's id in four bytes, the datum. Written with the schemas this binary was built with, read with the writer's.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use events::Event;
use serde::de::DeserializeOwned;

/// Why a value can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The record has no value.
    #[error("the record has no value: expected an event in registry framing (0x00, 4-byte schema id, Avro datum)")]
    Empty,
    /// Not in registry framing.
    #[error(
        "the value is not in registry framing: expected 0x00 and a 4-byte schema id first, got {0:#04x} in {1} bytes"
    )]
    Framing(u8, usize),
    /// Nobody knows this schema id: the registry says so.
    #[error("schema id {0} is unknown to the registry: produce with a serializer that registers its schemas there")]
    UnknownSchema(u32),
    /// The id is not known yet; the registry must be asked.
    #[error("schema id {0} is not known yet")]
    AskRegistry(u32),
    /// This binary's own schema was not registered.
    #[error("the schema of {0} has no id: run `quadrille topics apply` with this version first")]
    NotApplied(&'static str),
    /// Avro's own error.
    #[error("{event} can't be {done}: {reason}")]
    Avro {
        /// The event's type, or the schema's id.
        event: String,
        /// `read`, `written` or `shown as JSON`.
        done: &'static str,
        /// What the Avro library said.
        reason: String,
    },
}

/// A schema that lives as long as the process: its reader is built once and used for every event.
struct Known {
    name: String,
    reader: GenericDatumReader<'static>,
}

/// Encodes what this binary says and decodes what it hears; shared by all consumers of a process.
#[derive(Clone)]
pub struct Codec {
    writers: Arc<HashMap<&'static str, (u32, GenericDatumWriter<'static>)>>,
    readers: Arc<RwLock<HashMap<u32, Arc<Known>>>>,
}

impl Codec {
    /// A codec with the ids of `registered`: (schema id, schema text). Each event of the catalogue whose schema is among them can be written.
    ///
    /// # Errors
    /// When a schema's text is not a schema.
    pub fn new(registered: &[(u32, String)]) -> Result<Self, CodecError> {
        let codec = Self { writers: Arc::default(), readers: Arc::default() };
        let mut ids = HashMap::new();
        for (id, definition) in registered {
            codec.learn(*id, definition)?;
            let canonical = parse(&format!("schema id {id}"), definition)?.canonical_form();
            let newest = ids.entry(canonical).or_insert(*id);
            *newest = (*newest).max(*id);
        }
        let mut writers = HashMap::new();
        for entry in events::catalogue() {
            let schema: &'static Schema = Box::leak(Box::new(parse(entry.event_type, entry.schema)?));
            if let Some(id) = ids.get(&schema.canonical_form()) {
                let writer = GenericDatumWriter::builder(schema).human_readable(false).build();
                writers
                    .insert(entry.event_type, (*id, writer.map_err(|error| avro(entry.event_type, "written", error))?));
            }
        }
        Ok(Self { writers: Arc::new(writers), readers: codec.readers })
    }

    /// A codec whose ids are positions in the catalogue: for rules that are tested without a registry.
    ///
    /// # Errors
    /// When a schema of the catalogue is not a schema.
    pub fn of_catalogue() -> Result<Self, CodecError> {
        let registered: Vec<_> =
            events::catalogue().iter().zip(1..).map(|(entry, id)| (id, entry.schema.to_owned())).collect();
        Self::new(&registered)
    }

    /// Makes a writer's schema known.
    ///
    /// # Errors
    /// When `definition` is not a schema.
    pub fn learn(&self, id: u32, definition: &str) -> Result<(), CodecError> {
        let schema: &'static Schema = Box::leak(Box::new(parse(&format!("schema id {id}"), definition)?));
        let name = schema.name().map_or_else(String::new, |name| name.fullname(None));
        let reader = GenericDatumReader::builder(schema).human_readable(false).build();
        let reader = reader.map_err(|error| avro(&name, "read", error))?;
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        readers.insert(id, Arc::new(Known { name, reader }));
        Ok(())
    }

    /// Checks that every event type of `said` can be written.
    ///
    /// # Errors
    /// [`CodecError::NotApplied`] names the first that can't.
    pub fn check_writers(&self, said: &[&'static str]) -> Result<(), CodecError> {
        said.iter()
            .find(|event_type| !self.writers.contains_key(**event_type))
            .map_or(Ok(()), |event_type| Err(CodecError::NotApplied(event_type)))
    }

    /// The framed value of an event.
    ///
    /// # Errors
    /// When its schema was not applied, or the value does not fit it.
    pub fn encode<E: Event>(&self, event: &E) -> Result<Vec<u8>, CodecError> {
        let (id, writer) = self.writers.get(E::TYPE).ok_or(CodecError::NotApplied(E::TYPE))?;
        let mut value = Vec::with_capacity(256);
        value.push(0);
        value.extend(id.to_be_bytes());
        writer.write_ser(&mut value, event).map_err(|error| avro(E::TYPE, "written", error))?;
        Ok(value)
    }

    /// The full name of the record in a framed value, without decoding it.
    ///
    /// # Errors
    /// When it is not framed, or its schema is not known.
    pub fn name(&self, payload: Option<&[u8]>) -> Result<String, CodecError> {
        let (id, _) = framed(payload)?;
        Ok(self.known(id)?.name.clone())
    }

    /// Reads a framed value into today's struct, with the schema it was written with.
    ///
    /// # Errors
    /// When it is not framed, its schema is not known, or it does not hold such an event.
    pub fn decode<E: DeserializeOwned>(&self, payload: Option<&[u8]>) -> Result<E, CodecError> {
        let (id, mut datum) = framed(payload)?;
        let known = self.known(id)?;
        known.reader.read_deser(&mut datum).map_err(|error| avro(&known.name, "read", error))
    }

    /// Whether a framed value was written with the very schema that this binary writes such events with.
    pub fn is_own<E: Event>(&self, payload: Option<&[u8]>) -> bool {
        let own = self.writers.get(E::TYPE).map(|(id, _)| *id);
        own.is_some() && framed(payload).ok().map(|(id, _)| id) == own
    }

    /// A framed value as JSON, with every field that its writer wrote, whether today's struct has it or not.
    ///
    /// # Errors
    /// When it is not framed, its schema is not known, or its bytes do not fit it.
    pub fn json(&self, payload: Option<&[u8]>) -> Result<serde_json::Value, CodecError> {
        let (id, mut datum) = framed(payload)?;
        let known = self.known(id)?;
        let value = known.reader.read_value(&mut datum).map_err(|error| avro(&known.name, "read", error))?;
        value.try_into().map_err(|error| avro(&known.name, "shown as JSON", error))
    }

    fn known(&self, id: u32) -> Result<Arc<Known>, CodecError> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        readers.get(&id).cloned().ok_or(CodecError::AskRegistry(id))
    }
}

/// The schema id and the datum of a framed value.
fn framed(payload: Option<&[u8]>) -> Result<(u32, &[u8]), CodecError> {
    match payload {
        None | Some([]) => Err(CodecError::Empty),
        Some([0, a, b, c, d, datum @ ..]) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        Some(other) => Err(CodecError::Framing(other[0], other.len())),
    }
}

fn parse(what: &str, definition: &str) -> Result<Schema, CodecError> {
    Schema::parse_str(definition).map_err(|error| avro(what, "read", error))
}

fn avro(event: &str, done: &'static str, error: apache_avro::Error) -> CodecError {
    CodecError::Avro { event: event.to_owned(), done, reason: error.to_string() }
}
