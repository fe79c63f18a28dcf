//! One row of the outbox as it is read, and the Kafka headers it becomes.

use rdkafka::message::{Header, OwnedHeaders};
use sqlx::Row as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgRow;

use crate::headers;

/// Columns of a row, in the order in which every reading statement lists them.
pub(super) const COLUMNS: &str = "slot, shard, xid, seq, topic, key, headers, payload";

/// What every event's value is: Avro, in registry framing.
pub(super) const CONTENT_TYPE: &str = "application/avro";

/// Where a row stands: its primary key, and its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub slot: i16,
    pub shard: i16,
    pub xid: u64,
    pub seq: i64,
}

/// A row, borrowed from the bytes that the database sent.
#[derive(Debug)]
pub(super) struct Record<'r> {
    pub place: Place,
    pub topic: &'r str,
    pub key: Option<&'r [u8]>,
    pub headers: &'r [u8],
    pub payload: Option<&'r [u8]>,
}

impl<'r> Record<'r> {
    /// Reads the columns of [`COLUMNS`], the first of which is number `first`.
    pub fn of(row: &'r PgRow, first: usize) -> Result<Self, sqlx::Error> {
        // By hand and not by sqlx's types: it has none for xid8, and its checks cost more than the reading.
        let bytes = |column: usize| -> Result<Option<&'r [u8]>, sqlx::Error> {
            let value = row.try_get_raw(first + column)?;
            value.as_bytes().map_or_else(|_| Ok(None), |bytes| Ok(Some(bytes)))
        };
        let place = Place {
            slot: i16::from_be_bytes(fixed(bytes(0)?, first)?),
            shard: i16::from_be_bytes(fixed(bytes(1)?, first + 1)?),
            xid: u64::from_be_bytes(fixed(bytes(2)?, first + 2)?),
            seq: i64::from_be_bytes(fixed(bytes(3)?, first + 3)?),
        };
        let topic =
            std::str::from_utf8(bytes(4)?.unwrap_or_default()).map_err(|error| decode(first + 4, error.into()))?;
        Ok(Self { place, topic, key: bytes(5)?, headers: bytes(6)?.unwrap_or_default(), payload: bytes(7)? })
    }

    /// Bytes that it takes in a page, about.
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
                .insert(Header { key: "ce_sequence", value: Some(&padded(self.place.seq)) })
                .insert(Header { key: "content-type", value: Some(CONTENT_TYPE) });
        }
        Ok(headers)
    }
}

fn fixed<const N: usize>(bytes: Option<&[u8]>, column: usize) -> Result<[u8; N], sqlx::Error> {
    bytes.unwrap_or_default().try_into().map_err(|_| decode(column, format!("expected {N} bytes").into()))
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
    use crate::headers::Headers;

    fn record(headers: &[u8]) -> Record<'_> {
        let place = Place { slot: 0, shard: 0, xid: 3, seq: 1_234_567 };
        Record { place, topic: "orders", key: None, headers, payload: None }
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
    fn a_dead_letter_keeps_the_headers_of_its_original() {
        let mut written = Headers::default();
        written.push("ce_id", "9");
        written.push("quadrille-dead-letter-id", "7");
        assert_eq!(record(written.encode()).kafka_headers().unwrap().count(), 2);
        assert_eq!(record(&[]).kafka_headers().unwrap().count(), 0);
    }
}
