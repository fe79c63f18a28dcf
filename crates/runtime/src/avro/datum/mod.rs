//! Avro data, read by whatever schema their writer had, into today's struct: bounded, resolved, and with the field named that does not fit.
//!
//! The Avro library writes our events and parses schemas. It does not read what others wrote: it believes any count of list items and any depth,
//! knows a nested record only under its own name, and can't skip a record that nobody asked for. Here
//! - what one value may cost is bounded before it is paid: [`LARGEST`] bytes, [`ITEMS`] list and map entries, [`VALUES`] values in all, [`DEPTH`]
//!   levels. A record beyond that is a dead letter, whatever its schema says;
//! - the writer's schema is resolved against the struct that is asked for: names of records do not matter, `int` becomes `long`, a plain value fits an
//!   optional field, a null or a field that is not there is left out (its default counts), fields of any type that nobody asked for are skipped;
//! - the bytes must end where the value does: what is left over was written by another schema.

mod cursor;
mod error;
mod read;
mod schema;

#[cfg(test)]
mod tests;

pub(crate) use error::DatumError;
pub(crate) use read::from_slice;
pub(crate) use schema::DatumSchema;

/// Bytes of a value. Our own events have at most [`LARGEST_EVENT`](crate::LARGEST_EVENT).
pub(crate) const LARGEST: usize = 4 << 20;
/// Entries of all its lists and maps: each may take no byte at all, and be a struct in memory.
pub(crate) const ITEMS: u64 = 100_000;
/// Values of any kind, lists and records included: what reading it may take in time.
pub(crate) const VALUES: u64 = 500_000;
/// Values inside each other.
pub(crate) const DEPTH: u32 = 64;
