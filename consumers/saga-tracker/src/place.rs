//! Where a record stands, and when its event happened.

use events::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic, without prefix.
    pub topic: &'static str,
    pub partition: i32,
    pub offset: i64,
    /// When it happened: `ce_time`, or else the record's own time.
    pub at: Timestamp,
    /// Its place in the outbox: `ce_sequence`; none: it did not come from there.
    pub seq: Option<i64>,
}
