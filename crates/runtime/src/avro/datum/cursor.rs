//! The bytes of a value, taken one by one, and what it may still cost.

use super::{DEPTH, DatumError, ITEMS, LARGEST, VALUES};

/// Where reading stands, and what it may still cost.
pub(super) struct DatumCursor<'d> {
    pub rest: &'d [u8],
    items: u64,
    values: u64,
}

impl<'d> DatumCursor<'d> {
    pub fn new(datum: &'d [u8]) -> Result<Self, DatumError> {
        if datum.len() > LARGEST {
            return Err(DatumError::new(format!("it has {} bytes, and {LARGEST} is the limit", datum.len())));
        }
        Ok(Self { rest: datum, items: ITEMS, values: VALUES })
    }

    /// Where the value must end.
    pub fn end(&self) -> Result<(), DatumError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DatumError::new(format!(
                "{left} bytes are left behind its end: another schema wrote it than its id says"
            ))),
        }
    }

    pub fn take(&mut self, length: usize) -> Result<&'d [u8], DatumError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.cut(length))?;
        self.rest = rest;
        Ok(taken)
    }

    #[cold]
    fn cut(&self, length: usize) -> DatumError {
        DatumError::new(format!(
            "expected {length} bytes more, got {}: it is cut, or another schema wrote it",
            self.rest.len()
        ))
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DatumError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.cut(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A whole number, as Avro writes it: seven bits a byte, the least first, its sign folded in.
    pub fn long(&mut self) -> Result<i64, DatumError> {
        let mut folded = 0_u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            folded |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((folded >> 1) as i64 ^ -((folded & 1) as i64));
            }
        }
        Err(if self.rest.len() < 10 {
            self.cut(1)
        } else {
            DatumError::new("expected a whole number, got more than 10 bytes of one")
        })
    }

    pub fn length(&mut self) -> Result<usize, DatumError> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| DatumError::new(format!("expected a length, got {length}")))
    }

    pub fn bytes(&mut self) -> Result<&'d [u8], DatumError> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'d str, DatumError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DatumError::new("expected text in UTF-8, got other bytes"))
    }

    pub fn boolean(&mut self) -> Result<bool, DatumError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(DatumError::new(format!("expected a boolean (0 or 1), got {other}"))),
        }
    }

    /// How many entries of a list or map come next; none: that was all. A negative count says their bytes, too.
    pub fn block(&mut self) -> Result<u64, DatumError> {
        let count = self.long()?;
        if count < 0 {
            let size = self.length()?;
            if size > self.rest.len() {
                return Err(self.cut(size));
            }
        }
        let count = count.unsigned_abs();
        self.items = self.items.checked_sub(count).ok_or_else(|| {
            DatumError::new(format!("its lists and maps have more than {ITEMS} entries, which is the limit: expected an order's, not a bulk load"))
        })?;
        Ok(count)
    }

    pub fn index(&mut self, of: usize) -> Result<usize, DatumError> {
        let index = self.long()?;
        let known = usize::try_from(index).ok().filter(|index| *index < of);
        known.ok_or_else(|| {
            DatumError::new(format!("expected one of the {of} branches or symbols of its schema, got number {index}"))
        })
    }

    pub fn count_value(&mut self, depth: u32) -> Result<(), DatumError> {
        if depth > DEPTH {
            return Err(DatumError::new(format!("it is nested more than {DEPTH} levels deep, which is the limit")));
        }
        let left = self.values.checked_sub(1);
        self.values =
            left.ok_or_else(|| DatumError::new(format!("it has more than {VALUES} values, which is the limit")))?;
        Ok(())
    }
}
