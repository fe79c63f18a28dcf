//! Record headers: an ordered list of names and bytes, as Kafka has them, and the compact form in which the outbox keeps them.

/// The headers of one record, in order; a name may occur twice and a value may be null, as Kafka allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Option<Vec<u8>>)>);

/// Bytes of the outbox's header column that are not headers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the outbox's header column ends within a header: expected {expected} bytes more at byte {at}; the row was not written by this software"
)]
pub struct BrokenHeaders {
    at: usize,
    expected: usize,
}

impl Headers {
    /// Adds a readable header.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), Some(value.as_bytes().to_vec())));
    }

    /// The last value under this name, as text; none where it is missing, null or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().rev().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    /// The form in which the outbox keeps them: for each header the name's length (u16), the name, the value's length (i32, -1 is null), the value.
    pub fn encode(&self) -> Vec<u8> {
        let size = self.0.iter().map(|(name, value)| 6 + name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        let mut bytes = Vec::with_capacity(size);
        for (name, value) in &self.0 {
            bytes.extend((name.len() as u16).to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(value.as_ref().map_or(-1, |value| value.len() as i32).to_be_bytes());
            bytes.extend(value.as_deref().unwrap_or_default());
        }
        bytes
    }

    /// Reads what [`Headers::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, BrokenHeaders> {
        let mut headers = Vec::with_capacity(12);
        let mut rest = Cursor { bytes, at: 0 };
        while rest.at < bytes.len() {
            let length = u16::from_be_bytes(rest.array()?) as usize;
            let name = String::from_utf8_lossy(rest.take(length)?).into_owned();
            let length = i32::from_be_bytes(rest.array()?);
            let value = usize::try_from(length).ok().map(|length| rest.take(length).map(<[u8]>::to_vec)).transpose()?;
            headers.push((name, value));
        }
        Ok(Self(headers))
    }
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], BrokenHeaders> {
        let taken = self.bytes.get(self.at..self.at + length).ok_or(BrokenHeaders { at: self.at, expected: length })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BrokenHeaders> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_with_nulls_and_repeats() {
        let mut headers = Headers::default();
        headers.push("ce_id", "1");
        headers.push("ce_id", "2");
        headers.0.push(("null".into(), None));
        headers.0.push(("bytes".into(), Some(vec![0, 255])));
        headers.push("", "");
        assert_eq!(Headers::decode(&headers.encode()).unwrap(), headers);
        assert_eq!(headers.text("ce_id"), Some("2"));
    }

    #[test]
    fn a_cut_column_is_an_error_and_not_a_panic() {
        let mut headers = Headers::default();
        headers.push("ce_type", "quadrille.orders.OrderAccepted");
        let bytes = headers.encode();
        for cut in 1..bytes.len() {
            assert!(Headers::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
