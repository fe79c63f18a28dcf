//! Personal data: names, addresses and contact of one order in one sealed field, opened only where they are needed.
#![allow(missing_docs, reason = "the schema describes every field, a message every error")]

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::{Deserialize, Serialize};

use crate::order_placed::{Address, OrderPlaced};

/// The Avro schema of [`Person`], as in `schemas/Person.avsc`.
pub const PERSON_SCHEMA: &str = include_str!("../../../schemas/Person.avsc");

/// The schemas of all versions of [`Person`] that events in flight may hold; a new version is added, none is removed.
const PERSON_VERSIONS: &[&str] = &[PERSON_SCHEMA];

/// First two bytes of Avro's single-object encoding; eight bytes of schema fingerprint follow.
const MARKER: [u8; 2] = [0xC3, 0x01];
const HEADER: usize = 10;

/// All personal data of one order; it stands Avro-encoded in [`Personal::data`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub email: String,
    pub phone: Option<String>,
    /// Language of the messages, as a BCP 47 tag.
    pub locale: Option<String>,
    pub ship_to: Address,
    /// Where the invoice goes; the card's address checks are made against it.
    pub bill_to: Address,
}

/// The order's personal data in one sealed field, so that a key for each order can make it forgettable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// Which key `data` is encrypted with; empty: not encrypted.
    pub key_id: String,
    /// A [`Person`] in Avro single-object encoding, encrypted if `key_id` is set.
    #[serde(with = "apache_avro::serde::bytes")]
    pub data: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("expected personal data in the clear, got it encrypted with key {0:?}: use a version that holds keys")]
    Encrypted(String),
    /// It was written by a version of `Person` that this build does not know, or is not Avro single-object encoding.
    #[error(
        "expected a quadrille.Person in Avro single-object encoding of a known version, got {length} bytes that begin \
         with {begin:02x?}: use a version of Quadrille at least as new as the one that wrote the event"
    )]
    UnknownVersion { length: usize, begin: Vec<u8> },
    #[error("expected a quadrille.Person, got bytes that do not decode as one: the event was damaged or forged")]
    Damaged(#[source] apache_avro::Error),
}

struct Version {
    header: [u8; HEADER],
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
}

static VERSIONS: LazyLock<Vec<Version>> = LazyLock::new(|| {
    PERSON_VERSIONS.iter().map(|text| version(text).expect("Person.avsc is a valid schema, as a test proves")).collect()
});

fn version(text: &str) -> Result<Version, apache_avro::Error> {
    // Leaked once for each version of one schema: readers borrow it for as long as the process lives.
    let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(text)?));
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&MARKER);
    header[2..].copy_from_slice(&schema.fingerprint::<Rabin>().bytes);
    Ok(Version {
        header,
        reader: GenericDatumReader::builder(schema).build()?,
        writer: GenericDatumWriter::builder(schema).build()?,
    })
}

impl Person {
    /// Puts the personal data into the one field that events carry, in the clear (`key_id` empty).
    pub fn seal(&self) -> Personal {
        let newest = VERSIONS.last().expect("there is at least one version of Person");
        let mut data = newest.header.to_vec();
        newest.writer.write_ser(&mut data, self).expect("Person agrees with Person.avsc, as a test proves");
        Personal { key_id: String::new(), data }
    }
}

impl Personal {
    pub fn open(&self) -> Result<Person, OpenError> {
        if !self.key_id.is_empty() {
            return Err(OpenError::Encrypted(self.key_id.clone()));
        }
        let unknown = || OpenError::UnknownVersion {
            length: self.data.len(),
            begin: self.data.iter().copied().take(HEADER).collect(),
        };
        let (header, mut datum) = self.data.split_at_checked(HEADER).ok_or_else(unknown)?;
        let version = VERSIONS.iter().find(|version| version.header == header).ok_or_else(unknown)?;
        version.reader.read_deser(&mut datum).map_err(OpenError::Damaged)
    }
}

impl From<&OrderPlaced> for Person {
    /// The personal data of an order that was placed; the invoice goes where the goods go unless the order says else.
    fn from(placed: &OrderPlaced) -> Self {
        Self {
            name: placed.customer.name.clone(),
            email: placed.customer.email.clone(),
            phone: placed.customer.phone.clone(),
            locale: placed.customer.locale.clone(),
            ship_to: placed.ship_to.clone(),
            bill_to: placed.bill_to.clone().unwrap_or_else(|| placed.ship_to.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order_placed::Customer;

    fn person() -> Person {
        let ship_to =
            Address { name: "Ada".into(), line1: "1 Main St".into(), country: "GB".into(), ..Address::default() };
        let customer = Customer { name: "Ada".into(), email: "ada@example.org".into(), ..Customer::default() };
        Person::from(&OrderPlaced { customer, ship_to, ..OrderPlaced::default() })
    }

    #[test]
    fn what_was_sealed_can_be_opened() {
        let sealed = person().seal();
        assert_eq!(sealed.key_id, "");
        assert_eq!(sealed.open().unwrap(), person());
        assert_eq!(person().bill_to, person().ship_to);
    }

    #[test]
    fn encrypted_unknown_and_damaged_data_say_what_they_are() {
        let sealed = person().seal();
        let encrypted = Personal { key_id: "k1".into(), ..sealed.clone() };
        assert!(matches!(encrypted.open(), Err(OpenError::Encrypted(key)) if key == "k1"));
        let foreign = Personal { data: b"hello".to_vec(), ..sealed.clone() };
        assert!(matches!(foreign.open(), Err(OpenError::UnknownVersion { length: 5, .. })));
        let cut = Personal { data: sealed.data[..sealed.data.len() - 3].to_vec(), ..sealed };
        assert!(matches!(cut.open(), Err(OpenError::Damaged(_))));
    }
}
