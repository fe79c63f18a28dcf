//! Administration of Kafka: topics as `topics.yaml` wants them, where groups stand, and topics read once more.

pub mod groups;
pub mod replay;
pub mod topics;
