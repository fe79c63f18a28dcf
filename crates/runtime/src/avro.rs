//! Avro: records by their registered schemas, read within bounds, and the registry's definitions as each database keeps them.

pub(crate) mod codec;
mod datum;
pub(crate) mod registry;
