//! A dead letter, as it was heard and as its consumer keeps it.

use std::collections::HashMap;

use choreography::Choreography;
use events::{OrderId, Timestamp};
use runtime::Codec;
use runtime::parking::{self, HeldLetter};
use serde_json::Value;
use uuid::Uuid;

use crate::edit;
use crate::error::OperatorError;
use crate::kind::{Header, LetterKind, LetterStatus};
use crate::operator::Operator;
use crate::plan::{DiedAs, LetterFacts};
use crate::store::LetterRow;

/// The schema of a consumer. Its name is one of ours: it stands in statements as it is.
pub(crate) fn schema(consumer: &'static str) -> String {
    consumer.replace('-', "_")
}

impl Operator {
    /// What their consumers keep of these dead letters, in the runtime's parking.
    pub(crate) async fn held(&self, letters: &[LetterRow]) -> Result<HashMap<Uuid, HeldLetter>, OperatorError> {
        let mut held = HashMap::new();
        for consumer in Choreography::embedded().consumers.names() {
            let of = |letter: &&LetterRow| letter.consumers.iter().any(|name| name == consumer);
            let ids: Vec<Uuid> = letters.iter().filter(of).map(|letter| letter.letter_id).collect();
            if !ids.is_empty() {
                let mut db = self.database(consumer).0.acquire().await?;
                let kept = parking::letters(&mut db, &schema(consumer), &ids).await?;
                held.extend(kept.into_iter().map(|letter| (letter.letter_id, letter)));
            }
        }
        Ok(held)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct LetterCase<'c> {
    pub row: &'c LetterRow,
    pub held: Option<&'c HeldLetter>,
}

impl LetterCase<'_> {
    /// What the plan goes by: what its consumer keeps of it, or else what was heard.
    pub fn facts(&self) -> LetterFacts {
        let Self { row, held } = self;
        let what = match held {
            Some(HeldLetter { record: Some(_), .. }) => DiedAs::Record,
            Some(HeldLetter { timer: Some(_), .. }) => DiedAs::Timer,
            None if row.original_topic.is_some() => DiedAs::Record,
            Some(_) | None => DiedAs::Attempt,
        };
        let status = held.map_or(Some(row.status.as_str()), |held| held.resolution.as_deref());
        LetterFacts {
            kind: if row.kind == LetterKind::Order.as_str() { LetterKind::Order } else { LetterKind::Event },
            status: status.and_then(LetterStatus::of).unwrap_or(LetterStatus::Open),
            consumers: row.consumers.clone(),
            what,
            order_id: row.order_id.map(OrderId),
            loops: held.map_or(row.loops, |held| held.loops),
        }
    }

    pub fn original(&self) -> edit::Original<'_> {
        let row = self.row;
        let content_type = |header: &&Header| header.name.eq_ignore_ascii_case("content-type");
        edit::Original {
            topic: row.original_topic.as_deref().unwrap_or_default(),
            event_type: row.event_type.as_deref(),
            content_type: row.headers.0.iter().rfind(content_type).and_then(|header| header.value.as_deref()),
            key: row.key.as_deref(),
            value: row.value.as_deref(),
        }
    }

    pub fn data(&self, codec: &Codec) -> Option<Value> {
        let row = self.row;
        if row.kind == LetterKind::Order.as_str() {
            let case: events::OrderStuck = codec.decode(row.value.as_deref()).ok()?;
            return serde_json::to_value(case).ok();
        }
        match row.original_topic {
            Some(_) => edit::data(self.original(), codec),
            None => serde_json::from_slice(row.value.as_deref()?).ok(),
        }
    }

    /// Where it stands in the order in which all of a filter are gone through.
    pub fn position(&self) -> (Timestamp, Uuid) {
        (self.row.died_at.0, self.row.letter_id)
    }
}
