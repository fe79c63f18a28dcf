//! Avro in registry framing: `0x00`, the schema's id in four bytes, the datum. Written with the schemas this binary was built with, read with the writer's.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use events::Event;
use serde::de::DeserializeOwned;

use crate::avro::datum::{self, DatumSchema};

/// Bytes of a schema's text. Ours have at most some thousands.
pub(crate) const LARGEST_SCHEMA: usize = 1 << 20;

/// Characters of what a schema or the library says in a message.
const LONGEST_WORDS: usize = 400;

/// Why a value can't be read or written.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// The registry knows it, and it is no Avro.
    #[error("schema id {0} is {1}: expected an Avro schema; produce Avro, or JSON without registry framing")]
    NotAvro(u32, String),
    /// The record is of another type than the event.
    #[error("schema id {0} is of {1}: expected {2}, or a record of that name")]
    OtherType(u32, String, &'static str),
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
        /// What was expected, and what came.
        reason: String,
    },
}

struct KnownSchema {
    name: String,
    schema: DatumSchema,
    /// Its parsing canonical form: the same schema, whoever wrote its text.
    canonical: String,
}

impl KnownSchema {
    fn parsed(id: u32, definition: &str) -> Result<Self, CodecError> {
        let what = format!("schema id {id}");
        let parsed = parse(&what, definition)?;
        let name = parsed.name().map_or_else(String::new, |name| name.fullname(None));
        let schema = DatumSchema::new(&parsed).map_err(|error| avro(&what, "read", error))?;
        Ok(Self { name, schema, canonical: parsed.canonical_form() })
    }

    /// Its name counts, not its namespace.
    fn is_named(&self, name: &str) -> bool {
        self.name.rsplit('.').next() == Some(name)
    }
}

/// What an id stands for, the newest first. It is one schema, unless the registry was built anew and gave its ids to others.
type IdDefinitions = Arc<[Arc<KnownSchema>]>;

/// Encodes what this binary publishes and decodes what it subscribes to; shared by all consumers of a process.
#[derive(Clone)]
pub struct Codec {
    writers: Arc<HashMap<&'static str, (u32, GenericDatumWriter<'static>)>>,
    readers: Arc<RwLock<HashMap<u32, IdDefinitions>>>,
}

impl Codec {
    /// A codec with the ids of `registered`: (schema id, schema text). Each event of the catalogue whose schema is among them can be written. A text
    /// that is no Avro schema is left out, and reported: it is somebody's, and stops nobody.
    ///
    /// # Errors
    /// When a schema of this binary is not a schema.
    pub fn new(registered: &[(u32, String)]) -> Result<Self, CodecError> {
        let codec = Self { writers: Arc::default(), readers: Arc::default() };
        let (mut ids, mut left_out) = (HashMap::new(), 0_u32);
        for (id, definition) in registered {
            match codec.learn(*id, definition) {
                Ok(_) => {
                    let canonical = codec.known(*id)?[0].canonical.clone();
                    let newest = ids.entry(canonical).or_insert(*id);
                    *newest = (*newest).max(*id);
                }
                Err(error) => {
                    left_out += 1;
                    tracing::warn!(id, %error, "a stored schema is left out: records that were written by it are dead letters");
                }
            }
        }
        metrics::gauge!("quadrille_schemas_left_out").set(f64::from(left_out));
        let mut writers = HashMap::new();
        for entry in events::catalogue() {
            let schema: &'static Schema = Box::leak(Box::new(parse(entry.event_type, entry.schema)?));
            if let Some(id) = ids.get(&schema.canonical_form()) {
                let writer = GenericDatumWriter::builder(schema).human_readable(false).build();
                let writer = writer.map_err(|error| avro(entry.event_type, "written", error))?;
                writers.insert(entry.event_type, (*id, writer));
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

    /// Makes a writer's schema known; what else the id stood for is read after it. Returns whether that is news.
    ///
    /// # Errors
    /// When `definition` is not a schema.
    pub fn learn(&self, id: u32, definition: &str) -> Result<bool, CodecError> {
        self.add(id, definition, true)
    }

    /// Makes known what an id stood for once; what it stands for now is read before it.
    pub(crate) fn learn_former(&self, id: u32, definition: &str) -> Result<bool, CodecError> {
        self.add(id, definition, false)
    }

    fn add(&self, id: u32, definition: &str, is_newest: bool) -> Result<bool, CodecError> {
        let known = Arc::new(KnownSchema::parsed(id, definition)?);
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        let before = readers.entry(id).or_default();
        let place = before.iter().position(|other| other.canonical == known.canonical);
        if place.is_some_and(|place| place == 0 || !is_newest) {
            return Ok(false);
        }
        let mut all: Vec<_> = before.iter().filter(|other| other.canonical != known.canonical).cloned().collect();
        all.insert(if is_newest { 0 } else { all.len() }, known);
        *before = all.into();
        Ok(true)
    }

    /// Checks that every event type of `said` can be written.
    ///
    /// # Errors
    /// [`CodecError::NotApplied`] names the first that can't.
    pub fn check_writers(&self, said: &[&'static str]) -> Result<(), CodecError> {
        let missing = said.iter().find(|event_type| !self.writers.contains_key(**event_type));
        missing.map_or(Ok(()), |event_type| Err(CodecError::NotApplied(event_type)))
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

    /// Whether the schema of a framed value is known.
    ///
    /// # Errors
    /// When it is not framed, or its schema is not known.
    pub fn check_known(&self, payload: Option<&[u8]>) -> Result<(), CodecError> {
        self.known(framed(payload)?.0).map(drop)
    }

    /// Reads a framed value into today's struct, with the schema it was written with.
    ///
    /// # Errors
    /// When it is not framed, its schema is not known or is another record's, or it does not hold such an event.
    pub fn decode<E: Event>(&self, payload: Option<&[u8]>) -> Result<E, CodecError> {
        self.read::<E, E>(payload, "read")
    }

    /// Reads by each schema that the id stands for whose record has the event's name, until one fits.
    fn read<E: Event, T: DeserializeOwned>(&self, payload: Option<&[u8]>, done: &'static str) -> Result<T, CodecError> {
        let (id, datum) = framed(payload)?;
        let known = self.known(id)?;
        let mut misfit = None;
        for known in known.iter().filter(|known| known.is_named(E::NAME)) {
            match datum::from_slice(&known.schema, datum) {
                Ok(value) => return Ok(value),
                Err(error) => misfit = misfit.or_else(|| Some(avro(&known.name, done, error))),
            }
        }
        Err(misfit.unwrap_or_else(|| {
            let came = known.first().map_or_else(String::new, |known| cut(&known.name));
            CodecError::OtherType(id, came, E::TYPE)
        }))
    }

    /// Whether a framed value was written with the very schema that this binary writes such events with.
    pub fn is_own<E: Event>(&self, payload: Option<&[u8]>) -> bool {
        self.writers.get(E::TYPE).is_some_and(|(own, _)| schema_id(payload) == Some(*own))
    }

    /// A framed value as JSON, with every field that its writer wrote, whether today's struct has it or not.
    ///
    /// # Errors
    /// When it is not framed, its schema is not known, or its bytes do not fit it.
    pub fn json<E: Event>(&self, payload: Option<&[u8]>) -> Result<serde_json::Value, CodecError> {
        self.read::<E, _>(payload, "shown as JSON")
    }

    fn known(&self, id: u32) -> Result<IdDefinitions, CodecError> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        readers.get(&id).cloned().ok_or(CodecError::AskRegistry(id))
    }
}

pub(crate) fn schema_id(payload: Option<&[u8]>) -> Option<u32> {
    framed(payload).ok().map(|(id, _)| id)
}

fn framed(payload: Option<&[u8]>) -> Result<(u32, &[u8]), CodecError> {
    match payload {
        None | Some([]) => Err(CodecError::Empty),
        Some([0, a, b, c, d, datum @ ..]) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        Some(other) => Err(CodecError::Framing(other[0], other.len())),
    }
}

/// A schema in one text, with what it refers to put where it is first used.
pub(crate) fn whole(id: u32, definition: &str, referenced: &[String]) -> Result<String, CodecError> {
    let what = format!("schema id {id}");
    let whole = || {
        let (schema, others) = Schema::parse_str_with_list(definition, referenced)?;
        schema.independent_canonical_form(&others)
    };
    caught(&what, catch_unwind(whole))
}

pub(crate) fn same_schema(one: &str, other: &str) -> bool {
    let canonical = |text: &str| parse("schema", text).map(|schema| schema.canonical_form()).ok();
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

pub(crate) fn is_readable(definition: &str) -> bool {
    KnownSchema::parsed(0, definition).is_ok()
}

fn parse(what: &str, definition: &str) -> Result<Schema, CodecError> {
    if definition.len() > LARGEST_SCHEMA {
        let reason = format!("it has {} bytes, and {LARGEST_SCHEMA} is the limit", definition.len());
        return Err(avro(what, "read", reason));
    }
    caught(what, catch_unwind(|| Schema::parse_str(definition)))
}

/// What the library made of a schema's text; a panic is the text's fault alone.
fn caught<T>(what: &str, parsed: std::thread::Result<Result<T, apache_avro::Error>>) -> Result<T, CodecError> {
    match parsed {
        Ok(parsed) => parsed.map_err(|error| avro(what, "read", format!("it is no Avro schema: {error}"))),
        Err(_) => Err(avro(what, "read", "it makes the parser panic")),
    }
}

fn avro(event: &str, done: &'static str, reason: impl ToString) -> CodecError {
    CodecError::Avro { event: cut(event), done, reason: cut(&reason.to_string()) }
}

/// As much of a text that others wrote, such as a name in their schema, as a message bears.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use events::{OrderCancellationRequested, OrderPlaced};

    use super::*;

    const STRANGE: [&str; 12] = [
        "",
        "syntax = \"proto3\";",
        "{\"type\": \"object\"}",
        "[[]]",
        "\"no.such.Name\"",
        "{",
        "\"string\"",
        "[\"null\", \"null\"]",
        r#"{"type": "record", "name": "OrderPlaced", "fields": [{"name": "tax", "type": "int"}, {"name": "tax", "type": "long"}]}"#,
        r#"{"type": "record", "name": "1st", "fields": []}"#,
        r#"{"type": "fixed", "name": "Nothing", "size": -1}"#,
        r#"{"type": "record", "name": "OrderPlaced", "fields": [{"name": "currency", "type": "string", "default": 7}]}"#,
    ];

    /// Report 01; and of the same kind: texts that no parser takes, or a stricter one might not take, deep ones, and long ones.
    #[test]
    fn a_stored_text_that_is_no_avro_is_left_out_and_stops_nobody() {
        let ours: Vec<(u32, String)> =
            events::catalogue().iter().zip(100..).map(|(entry, id)| (id, entry.schema.to_owned())).collect();
        let strange = STRANGE.iter().map(|text| (*text).to_owned());
        let strange = strange.chain(["[".repeat(100_000), format!("\"{}\"", "x".repeat(LARGEST_SCHEMA))]);
        let stored: Vec<(u32, String)> = (1..).zip(strange).chain(ours).collect();
        let codec = Codec::new(&stored).unwrap();
        codec.check_writers(&[OrderPlaced::TYPE]).unwrap();
        let value = codec.encode(&OrderPlaced { currency: "EUR".into(), ..OrderPlaced::default() }).unwrap();
        assert_eq!(codec.decode::<OrderPlaced>(Some(&value)).unwrap().currency, "EUR");
        assert!(matches!(codec.check_known(Some(&[0, 0, 0, 0, 1])), Err(CodecError::AskRegistry(1))));
    }

    #[test]
    fn what_an_id_stood_for_before_is_read_after_what_it_stands_for_now_and_the_type_decides() {
        let codec = Codec::of_catalogue().unwrap();
        let value = codec.encode(&OrderPlaced::default()).unwrap();
        let id = schema_id(Some(&value)).unwrap();
        assert!(codec.learn(id, OrderCancellationRequested::SCHEMA).unwrap(), "it is news");
        assert!(!codec.learn(id, OrderCancellationRequested::SCHEMA).unwrap(), "once");
        assert!(codec.decode::<OrderPlaced>(Some(&value)).is_ok(), "by what it stood for");
        let error = codec.decode::<events::OrderFailed>(Some(&value)).unwrap_err().to_string();
        assert!(error.contains("OrderCancellationRequested: expected quadrille.orders.OrderFailed"), "{error}");
        let fresh = Codec::new(&[(id, OrderCancellationRequested::SCHEMA.to_owned())]).unwrap();
        assert!(fresh.decode::<OrderPlaced>(Some(&value)).is_err());
        fresh.learn_former(id, OrderPlaced::SCHEMA).unwrap();
        assert!(fresh.decode::<OrderPlaced>(Some(&value)).is_ok());
    }

    #[test]
    fn a_schema_in_parts_becomes_one_text_and_one_that_lacks_a_part_none() {
        let address = r#"{"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "city", "type": "string"}]}"#;
        let outer = r#"{"type": "record", "name": "OrderPlaced", "namespace": "shop.orders", "fields": [
            {"name": "ship_to", "type": "shop.Address"}, {"name": "bill_to", "type": ["null", "shop.Address"]}]}"#;
        let one = whole(1, outer, &[address.to_owned()]).unwrap();
        assert!(is_readable(&one) && one.contains("city"), "{one}");
        assert!(whole(1, outer, &[]).is_err());
        assert!(same_schema(&one, &whole(2, outer, &[address.replace(": ", ":")]).unwrap()));
        assert!(!same_schema(&one, address) && !same_schema("{", "["));
    }
}
