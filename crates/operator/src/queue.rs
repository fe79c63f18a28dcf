//! What consumers keep of their dead letters, and what they are told to do with them: the runtime's parking, in the consumer's own schema.

use std::collections::HashMap;

use choreography::Choreography;
use events::Timestamp;
use runtime::parking::{self, HeldLetter};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::OperatorError;
use crate::operator::Operator;
use crate::store::LetterRow;

/// The schema of a consumer. Its name is one of ours: it stands in statements as it is.
fn schema(consumer: &'static str) -> String {
    consumer.replace('-', "_")
}

/// Gives a dead letter back to its consumer, with this value instead of its own if there is one; returns what was done.
pub(crate) async fn retry(
    db: &mut PgConnection,
    consumer: &'static str,
    letter_id: Uuid,
    value: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<String, OperatorError> {
    let retried = parking::retry(db, &schema(consumer), letter_id, value, now).await?;
    let edited = if retried.edited { " with the new data" } else { "" };
    Ok(format!("{consumer} was given it back{edited}, in round {}", retried.loops))
}

/// Has a consumer leave a dead letter out; returns what was done.
pub(crate) async fn skip(
    db: &mut PgConnection,
    consumer: &'static str,
    letter_id: Uuid,
    by: &str,
    now: Timestamp,
) -> Result<String, OperatorError> {
    parking::skip(db, &schema(consumer), letter_id, by, now).await?;
    Ok(format!("{consumer} leaves it out"))
}

impl Operator {
    /// What their consumers keep of these dead letters.
    pub(crate) async fn held(&self, letters: &[LetterRow]) -> Result<HashMap<Uuid, HeldLetter>, OperatorError> {
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
