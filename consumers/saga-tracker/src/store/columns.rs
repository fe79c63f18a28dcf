//! What the statements share: which copy of the read models one means, the ids of a time, stored JSON, how a change is run.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use runtime::Failure;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgExecutor, Postgres};
use uuid::Uuid;

/// The least id of an order that was placed at this time or later.
pub(crate) fn least_id(at: events::Timestamp) -> Uuid {
    let millis = at.as_millis().clamp(0, (1 << 48) - 1) as u128; // a UUIDv7 has 48 bits for it
    Uuid::from_u128(millis << 80)
}

pub(crate) fn stored<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|source| Failure::Stored { what: format!("saga_tracker.{what}"), source })
}

/// Runs a statement for what it changes; returns how many rows that were.
pub(super) async fn run(query: Query<'_, Postgres, PgArguments>, db: impl PgExecutor<'_>) -> Result<u64, Failure> {
    Ok(query.execute(db).await?.rows_affected())
}

/// The tables that a rebuild makes anew, in the order in which a batch writes them: what events and records tell, and nothing that people decided.
/// The event store is none of them: it is what they are made of.
pub(crate) const REBUILT: [&str; 9] =
    ["order", "shipment", "refund", "customer_return", "dispute", "level", "letter", "watermark", "position"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// What the routes read and the consumer loop writes.
    Live,
    /// What a rebuild writes, in the schema `saga_tracker_rebuild`, until it takes the place of the live one.
    Rebuilt,
}

impl Tables {
    /// A statement on the live tables, on this copy.
    pub fn of(self, statement: &'static str) -> &'static str {
        static REBUILDING: LazyLock<Mutex<HashMap<&'static str, &'static str>>> = LazyLock::new(Mutex::default);
        match self {
            Self::Live => statement,
            Self::Rebuilt => REBUILDING
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(statement)
                // Leaked once for each statement there is in the code: a handful.
                .or_insert_with(|| Box::leak(beside(statement).into_boxed_str())),
        }
    }
}

fn beside(statement: &str) -> String {
    let mut parts = statement.split("saga_tracker.");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|of: char| !(of.is_ascii_alphanumeric() || of == '_' || of == '"')).unwrap_or(part.len());
        let rebuilt = REBUILT.contains(&part[..end].trim_matches('"'));
        text.push_str(if rebuilt { "saga_tracker_rebuild." } else { "saga_tracker." });
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_writes_beside_the_live_tables_and_to_nothing_else() {
        let statement = "insert into saga_tracker.\"order\" as kept select saga_tracker.reason, saga_tracker.letter_note from saga_tracker.event, saga_tracker.level";
        assert_eq!(Tables::Live.of(statement), statement);
        let expected = "insert into saga_tracker_rebuild.\"order\" as kept select saga_tracker.reason, saga_tracker.letter_note from saga_tracker.event, saga_tracker_rebuild.level";
        assert_eq!(Tables::Rebuilt.of(statement), expected);
        assert_eq!(Tables::Rebuilt.of(statement).as_ptr(), Tables::Rebuilt.of(statement).as_ptr(), "made once");
    }
}
