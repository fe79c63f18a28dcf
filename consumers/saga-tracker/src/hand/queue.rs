//! What consumers keep of their dead letters, and what they are told to do with them: the runtime's parking, in the consumer's own schema.

use std::collections::HashMap;

use choreography::Choreography;
use events::Timestamp;
use runtime::parking::{self, HeldLetter, RetryRefusal};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Hand, HandError};
use crate::store::LetterRow;

impl From<RetryRefusal> for HandError {
    fn from(refusal: RetryRefusal) -> Self {
        match refusal {
            RetryRefusal::Failed(failure) => Self::Failed(failure),
            refused @ (RetryRefusal::Unknown { .. }
            | RetryRefusal::Decided { .. }
            | RetryRefusal::NoRecord { .. }
            | RetryRefusal::NoValue { .. }) => Self::Refused(refused.to_string()),
        }
    }
}

/// The schema of a consumer. Its name is one of ours: it stands in statements as it is.
fn schema(consumer: &'static str) -> String {
    consumer.replace('-', "_")
}

/// Gives a dead letter back to its consumer, with this value instead of its own if there is one; returns what was done.
pub(super) async fn retry(
    db: &mut PgConnection,
    consumer: &'static str,
    letter_id: Uuid,
    value: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<String, HandError> {
    let retried = parking::retry(db, &schema(consumer), letter_id, value, now).await?;
    let edited = if retried.edited { " with the new data" } else { "" };
    Ok(format!("{consumer} was given it back{edited}, in round {}", retried.loops))
}

/// Has a consumer leave a dead letter out; returns what was done.
pub(super) async fn skip(
    db: &mut PgConnection,
    consumer: &'static str,
    letter_id: Uuid,
    by: &str,
    now: Timestamp,
) -> Result<String, HandError> {
    parking::skip(db, &schema(consumer), letter_id, by, now).await?;
    Ok(format!("{consumer} leaves it out"))
}

impl Hand {
    /// What their consumers keep of these dead letters.
    pub(super) async fn held(&self, letters: &[LetterRow]) -> Result<HashMap<Uuid, HeldLetter>, HandError> {
        let mut held = HashMap::new();
        for consumer in Choreography::embedded().consumers.names() {
            let of = |letter: &&LetterRow| letter.consumers.iter().any(|name| name == consumer);
            let ids: Vec<Uuid> = letters.iter().filter(of).map(|letter| letter.letter_id).collect();
            if ids.is_empty() {
                continue;
            }
            let mut db = self.database(consumer).0.acquire().await?;
            let kept = parking::letters(&mut db, &schema(consumer), &ids).await?;
            held.extend(kept.into_iter().map(|letter| (letter.letter_id, letter)));
        }
        Ok(held)
    }
}
