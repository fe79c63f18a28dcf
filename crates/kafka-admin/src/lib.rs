//! Administration of Kafka: topics as `topics.yaml` wants them, where groups stand, and topics read once more.
#![allow(missing_docs)] // an inner crate: its names say it

pub mod groups;
pub mod replay;
pub mod topics;
