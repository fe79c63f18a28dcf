//! Record headers: an ordered list of names and values, as Kafka has them, kept in the compact form of the outbox's header column.
//!
//! One buffer, and one form in memory and in the outbox: a record's headers are copied once when it is read, and not at all when they are stored.
//! A header is either
//! - *long*: the name's length (u16, below 0x8000), the name, the value's length (i32, -1 is null), the value; or
//! - *short*, for the names of [`KNOWN`]: a byte 0x80 + its place there, then what the value is: 0 null, 1 text (u16 length, bytes),
//!   2 a UUID (16 bytes), 3 a time (milliseconds, i64), 4 the record's key; or
//! - *huge*, for a name that no u16 counts, as strangers may send it: a byte 0xff, the name's length (u32), and the rest as in a long one.
//!
//! UUIDs, times and the key are written out as text when the record is published.

use std::borrow::Cow;

use events::Timestamp;
use uuid::Uuid;

/// Names that have a short form. Their places are part of the stored form: append only.
const KNOWN: [&str; 12] = [
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_time",
    "ce_subject",
    "ce_causationid",
    "ce_correlationid",
    "traceparent",
    "ce_specversion",
    "ce_sequence",
    "content-type",
    "tracestate",
];
const SHORT: u8 = 0x80;
const HUGE: u8 = 0xff;
const LONG_NAME: usize = 0x7fff;
const NULL: u8 = 0;
const TEXT: u8 = 1;
const UUID: u8 = 2;
const TIME: u8 = 3;
const KEY: u8 = 4;

/// The headers of one record, in order; a name may occur twice and a value may be null, as Kafka allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

/// Bytes of the outbox's header column that are not headers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the outbox's header column is broken at byte {at}: expected {expected}; the row was not written by this software"
)]
pub struct BrokenHeaders {
    at: usize,
    expected: &'static str,
}

/// A header as Kafka has it: a name, and a value or null.
pub type PublishedHeader<'h> = (&'h str, Option<Cow<'h, [u8]>>);

/// A value as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderValue<'h> {
    Bytes(Option<&'h [u8]>),
    Uuid(Uuid),
    Time(Timestamp),
    Key,
}

impl<'h> HeaderValue<'h> {
    fn published(self, key: Option<&'h [u8]>) -> Option<Cow<'h, [u8]>> {
        match self {
            Self::Bytes(bytes) => bytes.map(Into::into),
            Self::Uuid(id) => Some(id.hyphenated().to_string().into_bytes().into()),
            Self::Time(at) => Some(at.to_string().into_bytes().into()),
            Self::Key => key.map(Into::into),
        }
    }
}

impl Headers {
    /// No headers yet, with room for an event's own.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Adds a readable header.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_bytes(name, Some(value.as_bytes()));
    }

    /// Adds a header as it is.
    pub fn push_bytes(&mut self, name: &str, value: Option<&[u8]>) {
        let length = value.map(<[u8]>::len);
        match (known(name), length.map(u16::try_from)) {
            (Some(place), None) => self.0.extend([place, NULL]),
            (Some(place), Some(Ok(length))) => {
                self.0.extend([place, TEXT]);
                self.0.extend(length.to_be_bytes());
            }
            (None, _) | (Some(_), Some(Err(_))) => {
                if name.len() > LONG_NAME {
                    self.0.push(HUGE);
                    self.0.extend((name.len() as u32).to_be_bytes());
                } else {
                    self.0.extend((name.len() as u16).to_be_bytes());
                }
                self.0.extend(name.as_bytes());
                self.0.extend(length.map_or(-1, |length| length as i32).to_be_bytes());
            }
        }
        self.0.extend(value.unwrap_or_default());
    }

    /// Adds a UUID, written out when it is published.
    pub fn push_uuid(&mut self, name: &str, id: Uuid) {
        self.push_short(name, UUID, id.as_bytes(), || id.to_string());
    }

    /// Adds a time, written out when it is published.
    pub fn push_time(&mut self, name: &str, at: Timestamp) {
        self.push_short(name, TIME, &at.as_millis().to_be_bytes(), || at.to_string());
    }

    /// Adds a header whose value is the record's key, which is `key`.
    pub fn push_key(&mut self, name: &str, key: &str) {
        self.push_short(name, KEY, &[], || key.to_owned());
    }

    /// Adds a value in a short form, or as text where its name has none.
    fn push_short(&mut self, name: &str, kind: u8, value: &[u8], text: impl FnOnce() -> String) {
        match known(name) {
            Some(place) => {
                self.0.extend([place, kind]);
                self.0.extend(value);
            }
            None => self.push(name, &text()),
        }
    }

    /// The last value under this name, as it was pushed as text; none where it is missing, null, not UTF-8, or kept in another form.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut rest = HeaderReader(&self.0);
        let mut found = None;
        while !rest.0.is_empty() {
            let (its, value) = rest.header(0).ok()?;
            if its == name.as_bytes() {
                found = Some(value);
            }
        }
        let HeaderValue::Bytes(bytes) = found? else { return None };
        std::str::from_utf8(bytes?).ok()
    }

    /// All headers of a record with this key, as Kafka has them.
    pub fn published<'h>(&'h self, key: Option<&'h [u8]>) -> impl Iterator<Item = PublishedHeader<'h>> {
        published(&self.0, key).map_while(Result::ok)
    }

    /// The same headers as a consumer reads them from Kafka, every value written out.
    #[must_use]
    pub fn as_read(&self, key: Option<&[u8]>) -> Self {
        let mut read = Self::with_capacity(2 * self.0.len());
        self.published(key).for_each(|(name, value)| read.push_bytes(name, value.as_deref()));
        read
    }

    /// The form in which the outbox keeps them.
    pub fn encode(&self) -> &[u8] {
        &self.0
    }

    /// Reads what [`Headers::encode`] gave.
    ///
    /// # Errors
    /// When a header is cut, or of a kind that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, BrokenHeaders> {
        published(bytes, None).try_for_each(|header| header.map(drop))?;
        Ok(Self(bytes.to_vec()))
    }
}

/// The headers in a column of the outbox, written out for a record with this key; ends with the first that is broken.
pub fn published<'h>(
    column: &'h [u8],
    key: Option<&'h [u8]>,
) -> impl Iterator<Item = Result<PublishedHeader<'h>, BrokenHeaders>> {
    let mut rest = HeaderReader(column);
    std::iter::from_fn(move || {
        if rest.0.is_empty() {
            return None;
        }
        let at = column.len() - rest.0.len();
        let header = rest.header(at).and_then(|(name, value)| {
            let name = std::str::from_utf8(name).map_err(|_| BrokenHeaders { at, expected: "a name in UTF-8" })?;
            Ok((name, value.published(key)))
        });
        if header.is_err() {
            rest.0 = &[];
        }
        Some(header)
    })
}

/// The byte that a known name begins with.
fn known(name: &str) -> Option<u8> {
    KNOWN.iter().position(|known| *known == name).map(|place| SHORT | place as u8)
}

struct HeaderReader<'h>(&'h [u8]);

impl<'h> HeaderReader<'h> {
    fn header(&mut self, at: usize) -> Result<(&'h [u8], HeaderValue<'h>), BrokenHeaders> {
        let cut = || BrokenHeaders { at, expected: "more bytes" };
        let first = *self.0.first().ok_or_else(cut)?;
        if first & SHORT == 0 || first == HUGE {
            let length = if first == HUGE {
                self.take(1);
                u32::from_be_bytes(self.array().ok_or_else(cut)?) as usize
            } else {
                usize::from(u16::from_be_bytes(self.array().ok_or_else(cut)?))
            };
            let name = self.take(length).ok_or_else(cut)?;
            let length = i32::from_be_bytes(self.array().ok_or_else(cut)?);
            let value = usize::try_from(length).ok().map(|length| self.take(length).ok_or_else(cut)).transpose()?;
            return Ok((name, HeaderValue::Bytes(value)));
        }
        let [place, kind] = self.array().ok_or_else(cut)?;
        let name = KNOWN.get(usize::from(place & !SHORT));
        let name = name.ok_or(BrokenHeaders { at, expected: "a name that this version knows" })?;
        let value = match kind {
            NULL => HeaderValue::Bytes(None),
            TEXT => {
                let length = usize::from(u16::from_be_bytes(self.array().ok_or_else(cut)?));
                HeaderValue::Bytes(Some(self.take(length).ok_or_else(cut)?))
            }
            UUID => HeaderValue::Uuid(Uuid::from_bytes(self.array().ok_or_else(cut)?)),
            TIME => HeaderValue::Time(Timestamp::from_millis(i64::from_be_bytes(self.array().ok_or_else(cut)?))),
            KEY => HeaderValue::Key,
            _ => return Err(BrokenHeaders { at, expected: "a kind of value that this version knows" }),
        };
        Ok((name.as_bytes(), value))
    }

    fn take(&mut self, length: usize) -> Option<&'h [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(headers: &Headers, key: Option<&[u8]>) -> Vec<(String, Option<Vec<u8>>)> {
        headers.published(key).map(|(name, value)| (name.to_owned(), value.map(Cow::into_owned))).collect()
    }

    fn sample() -> Headers {
        let mut headers = Headers::default();
        headers.push("ce_id", "1");
        headers.push("ce_id", "2");
        headers.push_bytes("null", None);
        headers.push_bytes("tracestate", None);
        headers.push_bytes("bytes", Some(&[0, 255]));
        headers.push("", "");
        headers.push("ce_type", &"long".repeat(20_000));
        headers.push_uuid("ce_causationid", Uuid::from_u128(7));
        headers.push_time("ce_time", Timestamp::from_millis(0));
        headers.push_key("ce_subject", "k");
        headers
    }

    #[test]
    fn what_is_encoded_comes_back_with_nulls_repeats_and_all_forms_of_values() {
        let headers = sample();
        assert_eq!(Headers::decode(headers.encode()).unwrap(), headers);
        assert_eq!(headers.text("ce_id"), Some("2"));
        assert_eq!(headers.text("ce_type").map(str::len), Some(80_000));
        let found = all(&headers, Some(b"k"));
        let expected: [(&str, Option<&[u8]>); 6] = [
            ("ce_id", Some(b"1")),
            ("ce_id", Some(b"2")),
            ("null", None),
            ("tracestate", None),
            ("bytes", Some(&[0, 255])),
            ("", Some(b"")),
        ];
        for ((name, value), found) in expected.into_iter().zip(&found) {
            assert_eq!((name.to_owned(), value.map(<[u8]>::to_vec)), *found);
        }
        let text = |at: usize| String::from_utf8(found[at].1.clone().unwrap()).unwrap();
        assert_eq!(text(7), "00000000-0000-0000-0000-000000000007");
        assert_eq!(text(8), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(9), "k");
        assert_eq!(headers.as_read(Some(b"k")).text("ce_causationid"), Some("00000000-0000-0000-0000-000000000007"));
    }

    #[test]
    fn a_name_of_any_length_comes_back_whole() {
        for length in [0, 1, LONG_NAME, LONG_NAME + 1, 40_000, 70_000] {
            let (mut headers, name) = (Headers::default(), "n".repeat(length));
            headers.push_bytes(&name, Some(b"value"));
            headers.push_bytes(&name, None);
            headers.push("ce_id", "7");
            let found = all(&Headers::decode(headers.encode()).unwrap(), None);
            let value = Some(b"value".to_vec());
            assert_eq!(found, [(name.clone(), value), (name.clone(), None), ("ce_id".into(), Some(b"7".to_vec()))]);
            assert_eq!(headers.text("ce_id"), Some("7"));
        }
    }

    #[test]
    fn a_cut_column_is_an_error_and_not_a_panic() {
        let mut headers = Headers::default();
        headers.push("ce_type", "quadrille.orders.OrderAccepted");
        let one = headers.encode().len();
        headers.push_uuid("ce_id", Uuid::from_u128(1));
        let bytes = headers.encode();
        for cut in (1..bytes.len()).filter(|cut| *cut != one) {
            assert!(Headers::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Headers::decode(&[0xff, 0]).is_err(), "an unknown name");
        assert!(Headers::decode(&[0x80, 9]).is_err(), "an unknown kind");
    }
}
