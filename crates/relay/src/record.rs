//! One entry of the outbox as it is read, the events in it, and the Kafka headers that each becomes.

use rdkafka::message::{Header, OwnedHeaders};
use sqlx::Row as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgRow;

use runtime::kafka::headers;

/// Columns of an entry, in the order in which every reading statement lists them.
pub(super) const COLUMNS: &str = "slot, xid, seq, shards, topics, keys, headers, payloads";

/// What every event's value is: Avro, in registry framing.
pub(super) const CONTENT_TYPE: &str = "application/avro";

/// Where an event stands: its entry's primary key, and its place in it, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryPlace {
    pub slot: i16,
    pub xid: u64,
    pub entry: i64,
    pub index: u16,
}

impl EntryPlace {
    pub fn seq(self) -> i64 {
        self.entry + i64::from(self.index)
    }
}

/// An entry, borrowed from the bytes that the database sent.
pub(super) struct OutboxEntry<'r> {
    slot: i16,
    xid: u64,
    seq: i64,
    /// Shard, topic, key, headers and payload of each event.
    columns: [Elements<'r>; 5],
}

impl<'r> OutboxEntry<'r> {
    /// Reads the columns of [`COLUMNS`], the first of which is number `first`.
    pub fn of(row: &'r PgRow, first: usize) -> Result<Self, sqlx::Error> {
        // By hand and not by sqlx's types: it has none for xid8, copies what arrays hold, and its checks cost more than the reading.
        let bytes = |column: usize| -> Result<&'r [u8], sqlx::Error> {
            Ok(row.try_get_raw(first + column)?.as_bytes().unwrap_or_default())
        };
        let array = |column: usize| Elements::of(bytes(column)?).ok_or_else(|| broken(first + column, "an array"));
        let columns = [array(3)?, array(4)?, array(5)?, array(6)?, array(7)?];
        if columns.iter().any(|column| column.left != columns[0].left) {
            return Err(broken(first + 3, "arrays of equal length; was the outbox written by hand?"));
        }
        Ok(Self {
            slot: i16::from_be_bytes(fixed(bytes(0)?, first)?),
            xid: u64::from_be_bytes(fixed(bytes(1)?, first + 1)?),
            seq: i64::from_be_bytes(fixed(bytes(2)?, first + 2)?),
            columns,
        })
    }

    /// Its events of some shards, a bit for each, in their order.
    pub fn records(self, held: u8) -> impl Iterator<Item = Result<OutboxRecord<'r>, sqlx::Error>> {
        let Self { slot, xid, seq: entry, columns: [shards, mut topics, mut keys, mut headers, mut payloads] } = self;
        shards.enumerate().filter_map(move |(index, shard)| {
            let (topic, key, headers, payload) = (topics.next(), keys.next(), headers.next(), payloads.next());
            let record = || {
                let shard = u32::from(u16::from_be_bytes(fixed(shard.unwrap_or_default(), 3)?));
                if 1_u8.checked_shl(shard).is_none_or(|bit| bit & held == 0) {
                    return Ok(None);
                }
                let topic = std::str::from_utf8(topic.flatten().unwrap_or_default());
                Ok(Some(OutboxRecord {
                    place: EntryPlace { slot, xid, entry, index: index as u16 },
                    topic: topic.map_err(|error| decode(4, error.into()))?,
                    key: key.flatten(),
                    headers: headers.flatten().unwrap_or_default(),
                    payload: payload.flatten(),
                }))
            };
            record().transpose()
        })
    }
}

/// The elements of an array of one dimension in PostgreSQL's binary form: dimensions, a flag, the elements' type, length and lower bound, then of each element its
/// length (-1: null) and its bytes.
#[derive(Clone, Copy, Debug)]
struct Elements<'r> {
    left: usize,
    bytes: &'r [u8],
}

impl<'r> Elements<'r> {
    fn of(bytes: &'r [u8]) -> Option<Self> {
        let (dimensions, bytes) = bytes.split_first_chunk()?;
        match u32::from_be_bytes(*dimensions) {
            0 => Some(Self { left: 0, bytes: &[] }),
            1 => {
                let (length, bytes) = bytes.get(8..)?.split_first_chunk()?;
                Some(Self { left: u32::from_be_bytes(*length) as usize, bytes: bytes.get(4..)? })
            }
            _ => None,
        }
    }
}

impl<'r> Iterator for Elements<'r> {
    type Item = Option<&'r [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (length, bytes) = self.bytes.split_first_chunk()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.bytes = bytes;
            return Some(None);
        };
        let (element, bytes) = bytes.split_at_checked(length)?;
        self.bytes = bytes;
        Some(Some(element))
    }
}

/// An event, borrowed as its entry is.
#[derive(Debug)]
pub(super) struct OutboxRecord<'r> {
    pub place: EntryPlace,
    pub topic: &'r str,
    pub key: Option<&'r [u8]>,
    pub headers: &'r [u8],
    pub payload: Option<&'r [u8]>,
}

impl OutboxRecord<'_> {
    pub fn size(&self) -> usize {
        100 + self.key.map_or(0, <[u8]>::len) + self.headers.len() + self.payload.map_or(0, <[u8]>::len)
    }

    /// The headers to publish: those of the row and, where it is one of our events, what all have alike and its position.
    /// A dead letter keeps its original's headers as they were. An error says what is wrong with the column.
    pub fn kafka_headers(&self) -> Result<OwnedHeaders, String> {
        let mut headers = OwnedHeaders::new_with_capacity(13);
        let (mut is_event, mut is_complete) = (false, false);
        for header in headers::published(self.headers, self.key) {
            let (name, value) = header.map_err(|broken| broken.to_string())?;
            is_event |= name == "ce_id";
            is_complete |= matches!(name, "ce_specversion" | "quadrille-dead-letter-id");
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
        if is_event && !is_complete {
            headers = headers
                .insert(Header { key: "ce_specversion", value: Some("1.0") })
                .insert(Header { key: "ce_sequence", value: Some(&padded(self.place.seq())) })
                .insert(Header { key: "content-type", value: Some(CONTENT_TYPE) });
        }
        Ok(headers)
    }
}

fn fixed<const N: usize>(bytes: &[u8], column: usize) -> Result<[u8; N], sqlx::Error> {
    bytes.try_into().map_err(|_| decode(column, format!("expected {N} bytes").into()))
}

fn broken(column: usize, expected: &str) -> sqlx::Error {
    decode(column, format!("expected {expected}").into())
}

fn decode(column: usize, source: BoxDynError) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source }
}

/// A position as 20 digits, so that it sorts as text.
fn padded(seq: i64) -> [u8; 20] {
    let mut digits = [b'0'; 20];
    let mut left = seq.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;
    use runtime::Headers;

    fn record(headers: &[u8]) -> OutboxRecord<'_> {
        let place = EntryPlace { slot: 0, xid: 3, entry: 1_234_560, index: 7 };
        OutboxRecord { place, topic: "orders", key: None, headers, payload: None }
    }

    #[test]
    fn the_header_column_is_read_as_it_was_written_and_an_event_gets_its_position() {
        let mut written = Headers::default();
        written.push("ce_id", "7");
        written.push_bytes("null", None);
        written.push("empty", "");
        let column = written.encode().to_vec();
        let headers = record(&column).kafka_headers().unwrap();
        let all: Vec<_> =
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
        assert_eq!(all[0], ("ce_id".into(), Some(b"7".to_vec())));
        assert_eq!(all[1], ("null".into(), None));
        assert_eq!(all[2].1.as_deref().unwrap_or_default(), b"");
        assert_eq!(all[3], ("ce_specversion".into(), Some(b"1.0".to_vec())));
        assert_eq!(all[4], ("ce_sequence".into(), Some(b"00000000000001234567".to_vec())));
        assert_eq!(all[5], ("content-type".into(), Some(b"application/avro".to_vec())));
        for cut in 1..column.len() {
            let whole = record(&column[..cut]).kafka_headers();
            assert!(whole.is_err() || whole.unwrap().count() < 6, "cut at {cut}");
        }
    }

    #[test]
    fn an_array_is_read_element_by_element_and_a_cut_one_ends_early() {
        let array = b"\0\0\0\x01\0\0\0\x01\0\0\0\x11\0\0\0\x03\0\0\0\x01\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        let elements = |bytes| Elements::of(bytes).map(Iterator::collect::<Vec<_>>);
        assert_eq!(elements(array), Some(vec![Some(&b"ab"[..]), None, Some(&b""[..])]));
        assert_eq!(elements(b"\0\0\0\0\0\0\0\0\0\0\0\x11"), Some(vec![]));
        assert_eq!(elements(b"\0\0\0\x02\0\0\0\0\0\0\0\x11"), None);
        for cut in 0..array.len() {
            assert!(elements(&array[..cut]).is_none_or(|elements| elements.len() < 3), "cut at {cut}");
        }
    }

    #[test]
    fn a_dead_letter_keeps_the_headers_of_its_original() {
        let mut written = Headers::default();
        written.push("ce_id", "9");
        written.push("quadrille-dead-letter-id", "7");
        assert_eq!(record(written.encode()).kafka_headers().unwrap().count(), 2);
        assert_eq!(record(&[]).kafka_headers().unwrap().count(), 0);
    }
}
